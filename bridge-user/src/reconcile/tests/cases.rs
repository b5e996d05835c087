//! Cases that a person would name.

use bridge_common::abi::{PORT_ELIGIBLE, PORT_GUARD, PORT_MEMBER, PORT_RUNNING, PORT_XDP_TARGET, Port};

use super::fake::{Fake, Trouble};
use super::world::{self, key, nothing, port};
use super::*;
use crate::desired::{GuardAddress, Hook, SlowPathKind};
use crate::plan::{Actual, Op, PlanNote, Scope, next_generation};

const GOOD: u32 = PORT_MEMBER | PORT_ELIGIBLE | PORT_RUNNING;

fn with(ports: &[(u32, Hook, u32)]) -> Desired {
    let mut desired = nothing();
    desired.ports = ports.iter().map(|(ifindex, hook, flags)| (*ifindex, port(*ifindex, *hook, *flags))).collect();
    desired
}

fn settled(desired: &Desired) -> Fake {
    let mut fake = Fake::new();
    assert_heals(&mut fake, desired);
    fake
}

fn at(log: &[Op], what: impl Fn(&Op) -> bool) -> usize {
    log.iter().position(what).unwrap()
}

#[test]
fn a_port_is_ready_before_its_programs_and_forwards_after_them() {
    let fake = settled(&with(&[(7, Hook::XdpTc, GOOD | PORT_XDP_TARGET)]));
    let kinds: Vec<String> =
        fake.log.iter().map(|op| format!("{op:?}").split(['(', ' ']).next().unwrap().to_owned()).collect();
    let expected = ["PublishPolicy", "SetPort", "MapIfindex", "SetTarget", "Attach", "Attach", "Attach", "SetPort"];
    assert_eq!(kinds, expected);
    assert!(matches!(fake.log[6], Op::Attach { point: HookPoint::Xdp, .. }), "XDP leans on TC, which comes first");
}

#[test]
fn slots_are_stable_and_the_lowest_free_one_is_next() {
    let mut fake = settled(&with(&[(7, Hook::Tc, GOOD), (8, Hook::Tc, GOOD), (9, Hook::Tc, GOOD)]));
    assert_heals(&mut fake, &with(&[(5, Hook::Tc, GOOD), (7, Hook::Tc, GOOD), (9, Hook::Tc, GOOD)]));
    assert_eq!(fake.state.slots, [(5, 2), (7, 1), (9, 3)].into());
}

#[test]
fn a_recreated_interface_takes_over_nothing_that_was_learned_from_the_old_one() {
    let mut fake = settled(&with(&[(7, Hook::Tc, GOOD)]));
    fake.round(&with(&[(7, Hook::Tc, GOOD & !PORT_RUNNING)]), None);
    assert!(!fake.learned.is_empty(), "the case shows nothing unless something was learned");
    fake.lose(7);
    assert_heals(&mut fake, &with(&[(300, Hook::Tc, GOOD)]));
    let forget = at(&fake.log, |op| matches!(op, Op::ForgetPort { slot: 1 }));
    assert!(forget < at(&fake.log, |op| matches!(op, Op::MapIfindex { slot: 1, ifindex: 300 })));
}

#[test]
fn a_slot_that_could_not_be_cleaned_is_not_given_away() {
    let mut fake = settled(&with(&[(7, Hook::Tc, GOOD)]));
    let new = with(&[(8, Hook::Tc, GOOD)]);
    let ops = diff(&new, &fake.state).ops;
    let report = fake.round(&new, Some((at(&ops, |op| matches!(op, Op::ForgetPort { .. })), Trouble::Before)));
    assert_eq!((report.failed.len(), fake.state.slots.get(&8)), (1, None));
    assert_heals(&mut fake, &new);
}

#[test]
fn one_ports_failure_is_not_anothers() {
    let new = with(&[(7, Hook::Tc, GOOD), (8, Hook::Tc, GOOD)]);
    let mut fake = Fake::new();
    let ops = diff(&new, &fake.state).ops;
    let attach = at(&ops, |op| matches!(op, Op::Attach { ifindex: 7, .. }));
    let report = fake.round(&new, Some((attach, Trouble::Gone)));
    assert_eq!((report.gone, report.failed.len()), ([7].into(), 0));
    assert_eq!(fake.state.ports[&2].flags, GOOD, "the second port is whole");
    assert!(!fake.state.ports[&1].is(PORT_ELIGIBLE), "the first one is not forwarded to");
}

#[test]
fn a_policy_that_cannot_be_published_stops_new_ports_but_not_removals() {
    let mut fake = settled(&with(&[(7, Hook::Tc, GOOD)]));
    let mut new = with(&[(8, Hook::Tc, GOOD)]);
    new.policy = world::lowered(2);
    let ops = diff(&new, &fake.state).ops;
    let publish = at(&ops, |op| matches!(op, Op::PublishPolicy { .. }));
    let report = fake.round(&new, Some((publish, Trouble::Before)));
    assert!(report.skipped > 0 && fake.state.slots.is_empty() && fake.state.attached.is_empty());
    assert_eq!(fake.state.policy.as_ref().unwrap().0, 1, "the old generation is live");
    assert_heals(&mut fake, &new);
    assert_eq!(fake.state.policy.as_ref().unwrap().0, 2);
}

#[test]
fn everyone_who_leaves_stops_being_forwarded_to_before_anything_else_happens() {
    let ports = [(6, Hook::Tc, GOOD), (7, Hook::Tc, GOOD), (8, Hook::Tc, GOOD)];
    let mut fake = settled(&with(&ports));
    let mut new = with(&[(6, Hook::Tc, GOOD & !PORT_RUNNING)]);
    new.policy = world::lowered(2);
    fake.round(&new, None);
    assert!(fake.log[..3].iter().all(|op| matches!(op, Op::SetPort { port, .. } if !port.is(PORT_RUNNING))));
}

#[test]
fn too_many_ports_are_told_of_and_get_nothing() {
    let ports: Vec<_> = (1..=6).map(|ifindex| (ifindex, Hook::Tc, GOOD)).collect();
    let mut fake = Fake::new();
    let report = fake.round(&with(&ports), None);
    let told: Vec<_> = report.notes.iter().map(|PlanNote::NoSlot { ifindex, .. }| *ifindex).collect();
    assert_eq!(told, [5, 6]);
    assert!(report.notes[0].to_string().starts_with("port p5 is not attached and not policed: all 4 slots"));
    assert_eq!((fake.state.attached.len(), fake.state.ports.len()), (8, 4));
}

#[test]
fn hooks_change_without_a_gap_and_never_tc_ingress_beside_xdp_under_userspace_ovs() {
    let points = |fake: &Fake| -> Vec<(bool, HookPoint)> {
        let steps = fake.log.iter().filter_map(|op| match op {
            Op::Attach { point, .. } => Some((true, *point)),
            Op::Detach { point, .. } => Some((false, *point)),
            _ => None,
        });
        steps.collect()
    };
    let kernel = with(&[(7, Hook::Tc, GOOD)]);
    let mut userspace = with(&[(7, Hook::XdpEgress, GOOD)]);
    userspace.slow_path = SlowPathKind::OvsUserspace;
    let mut fake = settled(&kernel);
    assert_heals(&mut fake, &userspace);
    assert_eq!(points(&fake), [(false, HookPoint::TcIngress), (true, HookPoint::Xdp)]);
    assert_heals(&mut fake, &kernel);
    assert_eq!(points(&fake), [(true, HookPoint::TcIngress), (false, HookPoint::Xdp)]);
    assert_heals(&mut fake, &with(&[(7, Hook::XdpTc, GOOD)]));
    assert_eq!(points(&fake), [(true, HookPoint::Xdp)]);
}

#[test]
fn a_guards_addresses_are_there_first_and_the_old_ones_go_last() {
    let guarded = |host: u8| {
        let mut desired = with(&[(7, Hook::Tc, GOOD | PORT_GUARD)]);
        desired.stations.insert(key(1), StationOwner::Port(7));
        let address = GuardAddress::new(key(1).mac, [10, 0, 0, host].into());
        desired.ports.get_mut(&7).unwrap().guard.insert(address);
        desired
    };
    let mut fake = settled(&with(&[(7, Hook::Tc, GOOD)]));
    assert_heals(&mut fake, &guarded(1));
    assert!(
        matches!(fake.log[..], [Op::PutStation { .. }, Op::PutGuard(_), Op::SetPort { .. }, Op::ForgetContradicted]),
        "{:?}",
        fake.log
    );
    assert_heals(&mut fake, &guarded(2));
    assert!(matches!(fake.log[..], [Op::PutGuard(_), Op::RemoveGuard(_)]));
    assert_heals(&mut fake, &with(&[(7, Hook::Tc, GOOD)]));
    assert!(matches!(fake.log[..], [Op::SetPort { .. }, Op::RemoveGuard(_), Op::RemoveStation { .. }]));
}

#[test]
fn the_bridges_own_devices_are_marked_before_anything_is_judged_and_unmarked_when_they_go() {
    let own = |own: &[u32], ports: &[(u32, Hook, u32)]| Desired { own: own.iter().copied().collect(), ..with(ports) };
    let mut fake = settled(&own(&[9, 10], &[(7, Hook::Tc, GOOD)]));
    let mark = at(&fake.log, |op| *op == Op::MarkOwn { slot: NO_PORT, ifindex: 10 });
    assert!(mark < at(&fake.log, |op| matches!(op, Op::Attach { .. })));
    assert_heals(&mut fake, &own(&[10], &[(7, Hook::Tc, GOOD)]));
    assert_eq!(fake.log, [Op::UnmarkOwn { ifindex: 9 }]);
}

#[test]
fn a_port_becomes_an_own_device_only_when_nothing_of_the_port_is_left() {
    let port = with(&[(7, Hook::Tc, GOOD)]);
    let device = Desired { own: [7].into(), ..nothing() };
    let mut fake = settled(&port);
    let forget = at(&diff(&device, &fake.state).ops, |op| matches!(op, Op::ForgetPort { .. }));
    fake.round(&device, Some((forget, Trouble::Before)));
    assert_eq!((fake.state.slots.get(&7), fake.state.own.len()), (Some(&1), 0), "still a port, not half of one");
    assert_heals(&mut fake, &device);
    assert_heals(&mut fake, &port);
}

#[test]
fn a_mark_that_fails_holds_up_nobody() {
    let desired = Desired { own: [9].into(), ..with(&[(7, Hook::Tc, GOOD)]) };
    let mut fake = Fake::new();
    let ops = diff(&desired, &fake.state).ops;
    let report = fake.round(&desired, Some((at(&ops, |op| matches!(op, Op::MarkOwn { .. })), Trouble::Before)));
    assert_eq!((report.skipped, report.failed.len()), (0, 1));
    assert_heals(&mut fake, &desired);
    let without = with(&[(8, Hook::Tc, GOOD)]);
    let ops = diff(&without, &fake.state).ops;
    let report = fake.round(&without, Some((at(&ops, |op| matches!(op, Op::UnmarkOwn { .. })), Trouble::Before)));
    assert_eq!((report.skipped, report.failed.len()), (0, 1));
    assert_heals(&mut fake, &without);
}

#[test]
fn a_station_that_moves_is_never_absent() {
    let bound = |ifindex| {
        let mut desired = with(&[(7, Hook::Tc, GOOD), (8, Hook::Tc, GOOD)]);
        desired.stations.insert(key(1), StationOwner::Port(ifindex));
        desired
    };
    let mut fake = settled(&bound(7));
    assert_heals(&mut fake, &bound(8));
    assert!(matches!(fake.log[..], [Op::PutStation { station, .. }, Op::ForgetContradicted] if station.port == 2));
}

#[test]
fn what_no_plan_of_ours_leaves_is_cleaned_all_the_same() {
    let mut fake = Fake::new();
    let entry = StationEntry { port: 3, flags: STATION_STATIC };
    let left = Port { ifindex: 9, flags: GOOD, ..Port::default() };
    fake.state = Actual {
        slots: [(9, 2), (10, 1), (11, 1)].into(),
        ports: [(1, Port { ifindex: 10, ..left }), (4, left)].into(),
        attached: [(77, HookPoint::Xdp), (11, HookPoint::TcIngress), (10, HookPoint::TcIngress)].into(),
        stations: [(key(1), entry)].into(),
        targets: [(4, 9), (3, 5)].into(),
        ..Actual::default()
    };
    let mut desired = with(&[(9, Hook::Tc, GOOD), (10, Hook::Tc, GOOD)]);
    desired.stations.insert(key(1), StationOwner::Port(10));
    assert!(fake.round(&desired, None).is_settled());
    assert_settled(&fake, &desired);
    assert!(diff(&desired, &fake.state).ops.is_empty());
}

#[test]
fn generations_alternate_in_parity_across_the_wrap_and_skip_zero() {
    assert_eq!([next_generation(0), next_generation(1), next_generation(u32::MAX)], [1, 2, 2]);
}

#[test]
fn a_host_station_that_fails_holds_up_nobody() {
    let mut desired = with(&[(7, Hook::Tc, GOOD)]);
    desired.stations.insert(key(1), StationOwner::Host);
    let mut fake = Fake::new();
    let ops = diff(&desired, &fake.state).ops;
    let put = at(&ops, |op| matches!(op, Op::PutStation { .. }));
    assert_eq!(ops[put].scope(), Scope::Alone);
    let report = fake.round(&desired, Some((put, Trouble::Before)));
    assert_eq!((report.skipped, report.failed.len()), (0, 1));
    assert_heals(&mut fake, &desired);
}

/// It may fail, or the manager may die before it: then it is done in the next round.
#[test]
fn what_was_learned_of_a_bound_station_elsewhere_is_forgotten_once_for_all_of_them() {
    let mut desired = with(&[(7, Hook::Tc, GOOD), (8, Hook::Tc, GOOD)]);
    desired.stations.extend([
        (key(1), StationOwner::Port(7)),
        (key(2), StationOwner::Port(8)),
        (key(3), StationOwner::Host),
    ]);
    for trouble in [Trouble::Before, Trouble::Crash] {
        let mut fake = Fake::new();
        let ops = diff(&desired, &fake.state).ops;
        let forget = at(&ops, |op| *op == Op::ForgetContradicted);
        assert_eq!((forget, ops[forget].scope()), (ops.len() - 1, Scope::Alone));
        fake.round(&desired, Some((forget, trouble)));
        fake.round(&desired, None);
        assert_eq!(fake.log, [Op::ForgetContradicted]);
        assert_heals(&mut fake, &desired);
    }
}
