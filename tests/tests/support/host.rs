//! Cases on the host build, and what each step's tables are: the programs start every step from there.

use bridge_common::abi::{Control, HEARTBEAT_STALE_NS};
use bridge_common::decide::{Hook, Retag, Verdict};
use bridge_common::wire::Bytes;
use bridge_tests::model::{Action, Counts, HostTables, Setup};

use super::case::{At, Case, Program, Step};
use super::effects::effects;
use super::world::SECOND;

/// Lets time pass; a manager that was alive stays alive.
fn pass(tables: &mut Setup, seconds: u64) {
    let beat = tables.control[Control::Heartbeat as usize];
    let alive = beat != 0 && tables.now_ns - beat < HEARTBEAT_STALE_NS;
    tables.now_ns += seconds * SECOND;
    if alive {
        tables.control[Control::Heartbeat as usize] += seconds * SECOND;
    }
}

/// What became of a frame on the host.
pub struct Judged {
    pub action: Action,
    /// Of a frame that is forwarded.
    pub retag: Option<Retag>,
    pub counts: Counts,
    pub after: Setup,
}

/// One step on these tables.
pub fn judge(before: Setup, step: &Step, program: Program) -> Judged {
    let host = HostTables::new(before);
    let frame = Bytes { bytes: &step.frame, gso: step.gso, tag: step.tag };
    let hook = if program == Program::Xdp { Hook::Xdp } else { Hook::Tc };
    let (action, retag) = match step.at {
        At::Ingress(ifindex) => match host.ingress(&frame, ifindex, hook) {
            (decision, action @ Action::Redirect(_)) => match decision.verdict {
                Verdict::Forward { retag, .. } => (action, Some(retag)),
                other => panic!("redirected, and {other:?}"),
            },
            (_, action) => (action, None),
        },
        At::Egress(ifindex, from) => (host.egress(&frame, ifindex, from).1, None),
    };
    Judged { action, retag, counts: host.counts(), after: host.contents() }
}

/// What goes wrong with a case on the host, and for each step the tables before it. The state after a step is the one
/// that TC leaves.
pub fn run(case: &Case) -> (Vec<Setup>, Vec<String>) {
    let (mut states, mut wrong) = (Vec::new(), Vec::new());
    let mut tables = case.tables.clone();
    for (number, step) in case.steps.iter().enumerate() {
        pass(&mut tables, step.after);
        states.push(tables.clone());
        let mut next = None;
        for &program in step.programs() {
            let judged = judge(tables.clone(), step, program);
            let place = format!("{}, frame {}, {program:?} on the host", case.name, number + 1);
            wrong.extend(compare(&place, step, program, &tables, (judged.action, &judged.counts, &judged.after)));
            if judged.retag.is_some_and(|retag| retag != step.retag) {
                wrong.push(format!("{place}: {:?} instead of {:?}", judged.retag, step.retag));
            }
            next.get_or_insert(judged.after);
        }
        tables = next.unwrap_or(tables);
    }
    (states, wrong)
}

/// What differs between what a step should do and what it did.
pub fn compare(
    place: &str,
    step: &Step,
    program: Program,
    before: &Setup,
    (action, counts, after): (Action, &Counts, &Setup),
) -> Vec<String> {
    let mut wrong = Vec::new();
    let want = step.want(program);
    if action != want.action() {
        wrong.push(format!("{place}: {action:?} instead of {want:?}"));
    }
    let expected = step.counts(program, before);
    if *counts != expected {
        wrong.push(format!("{place}: counters moved {counts:?}\n    expected {expected:?}"));
    }
    let changed = effects(before, after);
    if changed != step.effects(program) {
        wrong.push(format!("{place}: changed {changed:?}\n    expected {:?}", step.effects(program)));
    }
    wrong
}
