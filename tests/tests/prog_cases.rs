//! The golden cases in the kernel: the XDP, TC ingress and egress programs under BPF_PROG_TEST_RUN give what the cases
//! say and what the host build gives, to the last counter, and leave the frame as it was. Needs root.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use bridge_common::abi::Counted;
use bridge_tests::model::{Action, Setup};
use support::case::{Case, Program, Step};
use support::clock::{now, oldest_age};
use support::kernel::{Kernel, Ran, namespace};
use support::{cases, host};

/// Runs until the machine is quick enough for the outcome to mean something.
fn run(kernel: &mut Kernel, before: &Setup, step: &Step, program: Program) -> Ran {
    (0..20)
        .find_map(|_| kernel.run(before, step, program))
        .expect("this machine is too slow: no run took less than 0.8 s")
}

/// Why TestRun cannot show this step.
fn refused(before: &Setup, step: &Step, program: Program) -> Option<&'static str> {
    if step.tag.is_some() {
        Some("a tag in metadata")
    } else if oldest_age(before) >= now() {
        Some("a time before this machine's boot")
    } else if program != Program::Xdp && step.frame.len() < 34 {
        Some("an skb of less than 34 bytes")
    } else {
        None
    }
}

fn judge(kernel: &mut Kernel, case: &Case, number: usize, before: &Setup, program: Program) -> Vec<String> {
    let step = &case.steps[number];
    let place = format!("{}, frame {}, {program:?} in the kernel", case.name, number + 1);
    let ran = run(kernel, before, step, program);
    let want = step.want(program);
    // TestRun does not tell the interface.
    let action = match (ran.action, want.action()) {
        (Action::Redirect(_), Action::Redirect(ifindex)) => Action::Redirect(ifindex),
        (action, _) => action,
    };
    let mut wrong = host::compare(&place, step, program, before, (action, &ran.counts, &ran.after));
    let on_host = host::judge(before.clone(), step, program).after;
    if ran.after != on_host {
        wrong.push(format!("{place}: the maps differ from the host's\n    {:?}\n    {on_host:?}", ran.after));
    }
    if ran.frame != step.leaving(program) {
        wrong.push(format!("{place}: the frame was changed to {:02x?}", ran.frame));
    }
    let recorded = ran.counts.ports.keys().next().map(|&(slot, counted): &(u16, Counted)| (slot, counted.cell()));
    if ran.recorded != recorded {
        wrong.push(format!("{place}: recorded {:?}, counted {recorded:?}", ran.recorded));
    }
    wrong
}

#[test]
fn every_case_holds_in_the_kernel() {
    let netns = namespace("prog");
    let (wrong, skipped, ran) = netns
        .enter(|| {
            let mut kernel = Kernel::load();
            let (mut wrong, mut skipped) = (Vec::new(), BTreeMap::<&str, Vec<String>>::new());
            let mut ran = BTreeMap::<Program, u32>::new();
            for case in cases::all() {
                let (states, _) = host::run(&case);
                for (number, before) in states.iter().enumerate() {
                    for &program in case.steps[number].programs() {
                        match refused(before, &case.steps[number], program) {
                            Some(why) => skipped.entry(why).or_default().push(case.name.clone()),
                            None => {
                                *ran.entry(program).or_default() += 1;
                                wrong.extend(judge(&mut kernel, &case, number, before, program));
                            }
                        }
                    }
                }
            }
            (wrong, skipped, ran)
        })
        .unwrap();
    println!("frames judged: {ran:?}");
    for (why, names) in &skipped {
        println!("SKIPPED in the kernel, held on the host: {why}: {names:?}");
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran[&Program::Xdp] > 300 && ran[&Program::In] > 300 && ran[&Program::Out] > 20, "{ran:?}");
}
