//! Random topologies and frames: the decision on lowered tables agrees with a model that evaluates the topology. A run
//! that did not reach everything fails, for it proved nothing. `FASTBRIDGE_SEED` repeats one sequence.

#![allow(clippy::unwrap_used)]

mod oracle;
mod support;

use std::collections::BTreeMap;

use bridge_common::abi::{Control, Counted, Drop, Punt};
use bridge_common::decide::{Hook, NO_RULE, counted};
use bridge_common::wire::Bytes;
use bridge_tests::model::HostTables;
use bridge_user::policy::lower;
use bridge_user::topology::model::Action;
use fastrand::Rng;
use oracle::{
    generate,
    judge::Model,
    spec::{Body, Spec},
};
use support::world::{INTERFACES, PA, generation, host_addresses, world};

const SEQUENCES: u64 = 1000;
const FRAMES: usize = 120;

#[derive(Default)]
struct Reached(BTreeMap<String, u32>);

impl Reached {
    fn note(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }
}

/// One topology and a sequence of frames.
fn sequence(seed: u64, reached: &mut Reached) {
    let mut rng = Rng::with_seed(seed);
    let policy = generate::policy(&mut rng);
    let hook = if rng.bool() { Hook::Tc } else { Hook::Xdp };
    let mut model = Model::new(policy.clone(), hook);
    (model.learning, model.manager, model.ready) = (rng.u8(..8) != 0, rng.u8(..8) != 0, rng.u8(..32) != 0);
    let mut setup = world();
    setup.publish(2, generation(lower(&policy, &host_addresses(), &[]).unwrap()));
    if !model.learning {
        setup.set(Control::Flags, 0);
    }
    if !model.manager {
        setup.set(Control::Heartbeat, 0);
    }
    if !model.ready {
        setup.set(Control::Generation, 0);
    }
    // Every other sequence with remembered decisions: the clock stands still, so that they hold until something changes.
    setup.set(Control::Epoch, rng.u64(..2));
    let slots = setup.slots.clone();
    let tables = HostTables::new(setup);
    // Most frames through one port, by many stations: limits are met.
    let crowded = rng.u8(..4) == 0;
    let (mut history, mut frames) = (Vec::new(), Vec::<(Spec, u32, Option<u16>)>::new());
    for number in 0..FRAMES {
        let ifindex = if crowded && rng.u8(..4) != 0 { PA } else { INTERFACES[rng.usize(..INTERFACES.len() - 1)] };
        let slot = slots.get(&ifindex).copied();
        let repeated = (rng.u8(..3) == 0 && !frames.is_empty()).then(|| frames[rng.usize(..frames.len())].clone());
        let (ifindex, slot) = repeated.as_ref().map_or((ifindex, slot), |(_, ifindex, slot)| (*ifindex, *slot));
        let spec = repeated.map_or_else(|| generate::frame(&mut rng, slot, crowded, &history), |(spec, ..)| spec);
        frames.push((spec.clone(), ifindex, slot));
        let bytes = spec.bytes();
        let expected = model.enters(&spec, slot);
        let (decision, _) = tables.ingress(&Bytes::new(&bytes), ifindex, hook);
        let found = (!decision.left_to_tc).then(|| (counted(decision.verdict), decision.rule));
        assert_eq!(
            found, expected,
            "seed {seed}, frame {number} at slot {slot:?}, {hook:?}\n{spec:#?}\n{bytes:02x?}\n{:#?}",
            model.policy
        );
        if let Some((counted, rule)) = found {
            reached.note(format!("{counted:?}"));
            note_rule(reached, &policy, counted, rule);
        }
        if let Body::Ip(ip) = spec.body {
            history.push(ip);
        }
    }
}

fn note_rule(reached: &mut Reached, policy: &bridge_user::topology::model::Policy, counted: Counted, rule: u32) {
    if rule == NO_RULE {
        return;
    }
    let denied = matches!(counted, Counted::Drop(_));
    reached.note(match (rule, denied) {
        (0, true) => "denied by default",
        (0, false) => "allowed by default",
        (_, true) => "denied by a rule",
        (_, false) => "allowed by a rule",
    });
    let allow = |action| action == Action::Allow;
    if rule > 0 && policy.rules[rule as usize - 1].stateful && allow(policy.rules[rule as usize - 1].action) {
        reached.note("under a stateful rule");
    }
}

#[test]
fn the_decision_agrees_with_the_topology() {
    let mut reached = Reached::default();
    if let Ok(seed) = std::env::var("FASTBRIDGE_SEED") {
        return sequence(seed.parse().unwrap(), &mut reached);
    }
    (0..SEQUENCES).for_each(|seed| sequence(seed, &mut reached));
    let reasons = Punt::ALL.iter().map(|&r| Counted::Punt(r)).chain(Drop::ALL.iter().map(|&r| Counted::Drop(r)));
    // Frames of the generator are small; the golden cases hold the limit.
    let unreachable = [Counted::Punt(Punt::OverMtu)];
    let mut missing: Vec<String> = reasons
        .chain([Counted::Forward])
        .filter(|counted| !unreachable.contains(counted))
        .map(|counted| format!("{counted:?}"))
        .collect();
    let rules =
        ["denied by default", "allowed by default", "denied by a rule", "allowed by a rule", "under a stateful rule"];
    missing.extend(rules.map(str::to_owned));
    missing.retain(|what| reached.0.get(what).is_none_or(|&times| times < 10));
    assert!(missing.is_empty(), "hardly reached: {missing:?}\nof {:#?}", reached.0);
}
