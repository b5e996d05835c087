//! Remembered decisions in the kernel: right after a frame that was forwarded or dropped, no frame like it fares otherwise than on the host
//! without memory; and the programs do remember, or this proves nothing. Needs root.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use bridge_common::abi::{Control, PORT_RUNNING};
use bridge_common::wire::Bytes;
use bridge_tests::model::{Action, HostTables, Setup};
use support::case::{At, Program, Step, Want, enters};
use support::cases::{self, a_to_b};
use support::kernel::{Kernel, namespace};
use support::world::{INSIDE, PA, PB};

/// Forwarded and dropped golden frames, one for each kind of header that a memo could mistake, with the tables that they met.
fn remembered(program: Program) -> Vec<(Setup, Step)> {
    let mut seen = BTreeSet::new();
    let first = cases::all().into_iter().map(|case| (case.tables, case.steps[0].clone()));
    first
        .filter(|(_, step)| matches!(step.at, At::Ingress(_)) && step.programs().contains(&program) && !step.gso)
        .filter(|(_, step)| {
            let verdict = match step.want(program) {
                Want::Forward(_) => None,
                Want::Drop(reason) => Some(reason),
                _ => return false,
            };
            step.frame.len() > 23 && seen.insert((verdict, [12, 14, 20, 23].map(|at| step.frame[at])))
        })
        .map(|(mut tables, step)| {
            tables.set(Control::Epoch, 1);
            (tables, step)
        })
        .collect()
}

/// The frame itself, cut, longer, and with each byte of its headers changed.
fn like(frame: &[u8]) -> Vec<Vec<u8>> {
    let cuts = (54..frame.len()).map(|length| frame[..length].to_vec());
    let changed = (0..54.min(frame.len())).map(|at| {
        let mut other = frame.to_vec();
        other[at] ^= 1;
        other
    });
    let ported = [67, 68, 4789, 6443_u16].into_iter().flat_map(|port| {
        [34, 36].map(|at| {
            let mut other = frame.to_vec();
            other.splice(at..at + 2, port.to_be_bytes());
            other
        })
    });
    let longer = [frame, &[0; 1600]].concat();
    // An skb of TestRun that says IPv4 or IPv6 must have its whole header.
    cuts.chain(changed).chain(ported).chain([longer, frame.to_vec()]).filter(|frame| frame.len() >= 54).collect()
}

#[test]
fn no_frame_fares_differently_in_the_kernel() {
    let netns = namespace("memo");
    let (runs, wrong) = netns
        .enter(|| {
            let mut kernel = Kernel::load();
            let (mut runs, mut wrong) = (0, Vec::new());
            for program in [Program::In, Program::Xdp] {
                for (tables, first) in remembered(program) {
                    for frame in like(&first.frame) {
                        let second = Step { frame, ..first.clone() };
                        let ran = kernel.run_after(&tables, &first, &second, program);
                        let expected = on_host(&tables, &first, &second, program);
                        runs += 1;
                        if ran != expected {
                            wrong.push(format!("{program:?}, {:02x?}: {ran:?} instead of {expected:?}", second.frame));
                        }
                    }
                }
            }
            (runs, wrong)
        })
        .unwrap();
    println!("{runs} frames judged right after one like them");
    assert!(wrong.is_empty() && runs > 1000, "{runs} runs, {} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the host says of `second` on the tables that `first` leaves, with nothing remembered.
fn on_host(tables: &Setup, first: &Step, second: &Step, program: Program) -> (Action, bridge_tests::model::Counts) {
    let At::Ingress(ifindex) = first.at else { panic!("a remembered frame has entered") };
    let hook = if program == Program::Xdp { bridge_common::decide::Hook::Xdp } else { bridge_common::decide::Hook::Tc };
    let warm = HostTables::new(tables.clone());
    warm.ingress(&Bytes::new(&first.frame), ifindex, hook);
    let cold = HostTables::new(warm.contents());
    let (_, action) = cold.ingress(&Bytes::new(&second.frame), ifindex, hook);
    // TestRun does not tell the interface.
    let action = if let Action::Redirect(_) = action { Action::Redirect(0) } else { action };
    (action, cold.counts())
}

#[test]
fn the_programs_remember_and_forget() {
    let netns = namespace("epoch");
    netns
        .enter(|| {
            let mut kernel = Kernel::load();
            let mut case = enters("known to known", PA, a_to_b(), Want::Forward(PB)).under(INSIDE);
            case.tables.set(Control::Epoch, 1);
            for program in [Program::In, Program::Xdp] {
                // A memo lives a few milliseconds: on a busy machine it takes some tries to see one.
                let remembered = (0..200).any(|_| {
                    let (before, after) = kernel.run_changed(&case.tables, &case.steps[0], program, false, |port| {
                        port.flags &= !PORT_RUNNING;
                    });
                    assert_eq!(before, Action::Redirect(0));
                    after == Action::Redirect(0)
                });
                assert!(remembered, "{program:?} remembers nothing");
                for _ in 0..200 {
                    let (before, after) = kernel.run_changed(&case.tables, &case.steps[0], program, true, |port| {
                        port.flags &= !PORT_RUNNING;
                    });
                    assert_eq!((before, after), (Action::Redirect(0), Action::Pass), "{program:?} past its epoch");
                }
            }
        })
        .unwrap();
}
