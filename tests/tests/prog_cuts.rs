//! Every golden frame cut at every byte: nothing panics, nothing that lost a header is forwarded, and in the kernel the
//! programs agree with the host build. Needs root for the second.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use bridge_common::abi::Drop;
use bridge_common::decide::{Hook, Verdict};
use bridge_common::wire::Bytes;
use bridge_tests::model::{Action, HostTables, Setup};
use support::case::{At, Case, Program, Step};
use support::cases;
use support::host::{self, Judged};
use support::kernel::{Kernel, namespace};

/// Cases whose frames end where their headers say.
fn unpadded() -> impl Iterator<Item = Case> {
    cases::all().into_iter().filter(|case| !case.name.contains("padding"))
}

fn entering(case: &Case) -> Option<(&Step, u32)> {
    let step = &case.steps[0];
    if let At::Ingress(ifindex) = step.at { Some((step, ifindex)) } else { None }
}

#[test]
fn no_cut_frame_is_forwarded() {
    for case in unpadded() {
        let Some((step, ifindex)) = entering(&case) else { continue };
        for length in 0..step.frame.len() {
            let frame = Bytes { bytes: &step.frame[..length], gso: false, tag: step.tag };
            for hook in [Hook::Tc, Hook::Xdp] {
                let (decision, action) = HostTables::new(case.tables.clone()).ingress(&frame, ifindex, hook);
                assert!(!matches!(action, Action::Redirect(_)), "{} cut to {length}: {decision:?}", case.name);
                let short = length < 14 && decision.slot != 0 && decision.verdict != Verdict::Drop(Drop::NotReady);
                assert!(!short || action == Action::Drop, "{} cut to {length}: {decision:?}", case.name);
            }
        }
    }
}

#[test]
fn no_cut_frame_leaves_unread() {
    for case in unpadded() {
        let step = &case.steps[0];
        let At::Egress(ifindex, from) = step.at else { continue };
        let readable = |length| bridge_common::wire::parse(&Bytes::new(&step.frame[..length])).is_ok();
        for length in (0..step.frame.len()).filter(|&length| !readable(length)) {
            let tables = HostTables::new(case.tables.clone());
            let (decision, action) = tables.egress(&Bytes::new(&step.frame[..length]), ifindex, from);
            let skipped = case.tables.slots.contains_key(&from);
            assert_eq!(action == Action::Drop, !skipped, "{} cut to {length}: {decision:?}", case.name);
        }
    }
}

/// One case for each kind of frame: ethertype, first bytes, and the upper protocol's place in IPv4 and IPv6.
fn one_of_each() -> Vec<Case> {
    let mut seen = BTreeSet::new();
    let kind = |frame: &[u8]| [12, 13, 14, 20, 23, 54].map(|at| frame.get(at).copied());
    let entering = |case: &Case| entering(case).is_some_and(|(step, _)| step.programs().contains(&Program::Xdp));
    unpadded().filter(entering).filter(|case| seen.insert(kind(&case.steps[0].frame))).collect()
}

fn differs(kernel: &mut Kernel, before: &Setup, step: &Step, program: Program) -> Option<String> {
    let Judged { action, counts, after, .. } = host::judge(before.clone(), step, program);
    let ran = (0..20).find_map(|_| kernel.run(before, step, program)).expect("this machine is too slow");
    let frame = if matches!(action, Action::Redirect(_)) { step.leaving(program) } else { step.frame.clone() };
    let same_action = match (ran.action, action) {
        (Action::Redirect(_), Action::Redirect(_)) => true,
        (a, b) => a == b,
    };
    let same = same_action && ran.counts == counts && ran.after == after && ran.frame == frame;
    (!same).then(|| format!("{:?}, {:?} instead of {action:?}, {counts:?}", ran.action, ran.counts))
}

#[test]
fn the_programs_agree_on_every_cut() {
    let netns = namespace("cuts");
    let (runs, wrong) = netns
        .enter(|| {
            let mut kernel = Kernel::load();
            let (mut runs, mut wrong) = (0, Vec::new());
            for case in one_of_each() {
                let whole = &case.steps[0];
                for length in 14..whole.frame.len() {
                    let step = Step { frame: whole.frame[..length].to_vec(), ..whole.clone() };
                    // An skb of TestRun must have 34 bytes, 54 for IPv6.
                    let programs = if length < 54 { &[Program::Xdp][..] } else { &[Program::Xdp, Program::In] };
                    for &program in programs {
                        runs += 1;
                        let difference = differs(&mut kernel, &case.tables, &step, program);
                        wrong.extend(
                            difference.map(|text| format!("{} cut to {length}, {program:?}: {text}", case.name)),
                        );
                    }
                }
            }
            (runs, wrong)
        })
        .unwrap();
    println!("{runs} cut frames judged in the kernel");
    assert!(wrong.is_empty() && runs > 1000, "{runs} runs, wrong:\n{}", wrong.join("\n"));
}
