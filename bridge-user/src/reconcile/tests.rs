#![allow(clippy::unwrap_used)]

mod cases;
mod fake;
mod invariants;
mod world;

use bridge_common::abi::{self, NO_PORT, STATION_HOST, STATION_STATIC};
use proptest::prelude::*;

use self::fake::{Fake, Trouble};
use crate::desired::{Desired, HookPoint, StationOwner};
use crate::plan::{StationEntry, diff};

/// Written without the plan: the dataplane holds exactly what is desired, ports without a slot left out.
fn assert_settled(fake: &Fake, desired: &Desired) {
    let state = &fake.state;
    let ports: Vec<_> = desired.ports.values().filter(|port| state.slots.contains_key(&port.port.ifindex)).collect();
    assert_eq!(ports.len(), desired.ports.len().min(usize::from(desired.max_slot)));
    assert_eq!((state.slots.len(), state.ports.len()), (ports.len(), ports.len()));
    let slot = |ifindex: &u32| state.slots.get(ifindex).copied();
    let (mut attached, mut guard, mut targets) = (0, 0, 0);
    for port in ports {
        let (ifindex, slot) = (port.port.ifindex, state.slots[&port.port.ifindex]);
        assert_eq!(state.ports[&slot], port.port);
        for point in HookPoint::ALL {
            assert_eq!(state.attached.contains(&(ifindex, point)), port.hook.wants(point), "{ifindex} {point:?}");
            attached += usize::from(port.hook.wants(point));
        }
        assert!(port.guard.iter().all(|address| state.guard.contains(&address.at(slot))));
        guard += port.guard.len();
        if port.port.is(abi::PORT_XDP_TARGET) {
            assert_eq!(state.targets.get(&slot), Some(&ifindex));
            targets += 1;
        }
    }
    assert_eq!((state.attached.len(), state.guard.len(), state.targets.len()), (attached, guard, targets));
    let stations = desired.stations.iter().filter_map(|(key, owner)| match owner {
        StationOwner::Host => Some((*key, StationEntry { port: NO_PORT, flags: STATION_HOST })),
        StationOwner::Port(ifindex) => Some((*key, StationEntry { port: slot(ifindex)?, flags: STATION_STATIC })),
    });
    assert_eq!(state.stations, stations.collect());
    assert_eq!((&state.own, state.control), (&desired.own, desired.control));
    assert_eq!(state.policy.as_ref().unwrap().1, desired.policy);
}

fn assert_heals(fake: &mut Fake, desired: &Desired) {
    let report = fake.round(desired, None);
    assert!(report.is_settled() && report.skipped == 0, "{report:?}");
    assert_settled(fake, desired);
    let again = diff(desired, &fake.state).ops;
    assert!(again.is_empty(), "the second plan is not empty: {again:?}");
    assert!(fake.violations.is_empty(), "{:#?}", fake.violations);
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![Just(Trouble::Before), Just(Trouble::After), Just(Trouble::Gone), Just(Trouble::Crash)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes after whatever: one round is enough, the next has nothing to do, and no op is unsafe.
    #[test]
    fn desired_states_in_sequence_converge(states in prop::collection::vec(world::desired(), 1..6)) {
        let mut fake = Fake::new();
        for desired in &states {
            assert_heals(&mut fake, desired);
        }
    }

    /// Trouble upon trouble, programs lost meanwhile, the goal moving: never an unsafe state, and one quiet round heals.
    #[test]
    fn trouble_at_any_op_is_safe_and_heals(
        states in prop::collection::vec((world::desired(), 0..60_usize, trouble(), prop::option::weighted(0.3, 1..7_u32)), 1..8),
        last in world::desired(),
    ) {
        let mut fake = Fake::new();
        for (desired, at, trouble, lost) in &states {
            lost.iter().for_each(|ifindex| fake.lose(*ifindex));
            fake.round(desired, Some((*at, *trouble)));
            prop_assert!(fake.violations.is_empty(), "{:#?}", fake.violations);
        }
        assert_heals(&mut fake, &last);
    }

}

proptest! {
    // Each case is some hundred runs.
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// From one settled state to another, every op of the way failed once, in each way.
    #[test]
    fn every_op_failed_once(old in world::desired(), new in world::desired()) {
        let mut straight = Fake::new();
        assert_heals(&mut straight, &old);
        straight.round(&new, None);
        for at in 0..straight.log.len() {
            for trouble in [Trouble::Before, Trouble::After, Trouble::Gone, Trouble::Crash] {
                let mut fake = Fake::new();
                fake.round(&old, None);
                let report = fake.round(&new, Some((at, trouble)));
                prop_assert!(!report.is_settled());
                prop_assert!(fake.violations.is_empty(), "{:#?}", fake.violations);
                assert_heals(&mut fake, &new);
            }
        }
    }
}
