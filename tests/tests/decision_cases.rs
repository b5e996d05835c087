//! The golden cases on the host build: verdict, rule, counters and map changes, all of them and nothing else.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use bridge_common::abi::{Counted, Drop, PORT_TAG_BESIDE, Punt};
use bridge_common::decide::Hook;
use bridge_common::wire::Bytes;
use bridge_tests::frame::{Eth, Ipv4, Udp};
use bridge_tests::model::{Action, HostTables};
use support::case::Program;
use support::world::{IP_A, IP_B, PA, PM, mac, world};
use support::{cases, host};

#[test]
fn every_case_holds_on_the_host() {
    let all = cases::all();
    let wrong: Vec<String> = all.iter().flat_map(|case| host::run(case).1).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn the_cases_reach_every_reason() {
    let mut reached = BTreeSet::new();
    for step in cases::all().iter().flat_map(|case| &case.steps) {
        reached.extend([Program::Xdp, Program::In].iter().filter_map(|&program| step.want(program).counted()));
    }
    let ingress = |counted: &Counted| !matches!(counted, Counted::EgressDrop(_));
    let missing: Vec<Counted> = Counted::all().filter(ingress).filter(|counted| !reached.contains(counted)).collect();
    assert!(
        missing.is_empty(),
        "no case for {missing:?}; {} punt and {} drop reasons",
        Punt::ALL.len(),
        Drop::ALL.len()
    );
}

#[test]
fn names_are_unique() {
    let mut seen = BTreeSet::new();
    for case in cases::all() {
        assert!(seen.insert(case.name.clone()), "two cases are called {:?}", case.name);
    }
}

/// No frame at XDP says that it is one; if one did, its segments would still not be cut there (design section 3, "GSO + XDP redirect").
#[test]
fn a_super_frame_is_no_exception_to_the_mtu_at_xdp() {
    let packet = Ipv4::new(IP_A, IP_B).carry(&Udp::new(1, 2, &[7; 1400]));
    let bytes = Eth::new(mac(8), mac(1)).ipv4(&packet);
    let frame = Bytes { bytes: &bytes, gso: true, tag: None };
    assert_eq!(HostTables::new(world()).ingress(&frame, PA, Hook::Tc).1, Action::Redirect(PM));
    assert_eq!(HostTables::new(world()).ingress(&frame, PA, Hook::Xdp).1, Action::Pass);
}

/// What looks untagged where tags lie beside the frame may be in any VLAN: nothing is learned from it at XDP.
#[test]
fn where_tags_lie_beside_the_frame_xdp_learns_nothing_that_looks_untagged() {
    let bytes = Eth::new(mac(2), mac(0x77)).ipv4(&Ipv4::new(IP_A, IP_B).carry(&Udp::new(1, 2, b"hello")));
    let mut setup = world();
    setup.ports.get_mut(&1).unwrap().flags |= PORT_TAG_BESIDE;
    for (beside, learned) in [(false, true), (true, false)] {
        setup.beside = if beside { [1].into() } else { [].into() };
        let tables = HostTables::new(setup.clone());
        tables.ingress(&Bytes::new(&bytes), PA, Hook::Xdp);
        assert_eq!(tables.contents().stations.len() > setup.stations.len(), learned);
    }
}
