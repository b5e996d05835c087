//! Cases on the host build, and what each step's tables are: the programs start every step from there.

use bridge_common::abi::{Control, HEARTBEAT_STALE_NS};
use bridge_common::decide::Hook;
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

/// One step on these tables.
pub fn judge(before: Setup, step: &Step, program: Program) -> (Action, Counts, Setup) {
    let host = HostTables::new(before);
    let frame = Bytes { bytes: &step.frame, gso: step.gso, tag: step.tag };
    let action = match (step.at, program) {
        (At::Ingress(ifindex), Program::Xdp) => host.ingress(&frame, ifindex, Hook::Xdp).1,
        (At::Ingress(ifindex), _) => host.ingress(&frame, ifindex, Hook::Tc).1,
        (At::Egress(ifindex, from), _) => host.egress(&frame, ifindex, from).1,
    };
    (action, host.counts(), host.contents())
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
            let (action, counts, after) = judge(tables.clone(), step, program);
            let place = format!("{}, frame {}, {program:?} on the host", case.name, number + 1);
            wrong.extend(compare(&place, step, program, &tables, (action, &counts, &after)));
            next.get_or_insert(after);
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
