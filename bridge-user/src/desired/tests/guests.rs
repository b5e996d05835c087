//! What libvirt says, joined with the file: who is bound where, who yields, what is told.

use std::net::IpAddr;

use super::*;
use crate::source::{GuestInterface, LibvirtSnapshot};

fn guest(domain: &str, last: u8, tap: &str, bridge: Option<&str>) -> GuestInterface {
    GuestInterface {
        domain: domain.into(),
        mac: [0x52, 0x54, 0, 0, 0, last],
        tap: tap.into(),
        network: None,
        bridge: bridge.map(Into::into),
        vlan: None,
        bandwidth: None,
        filter: None,
        addresses: BTreeSet::new(),
    }
}

fn host() -> HostSnapshot {
    let taps = [(20, "vnet0"), (21, "vnet1")].map(|(index, name)| link(index, name, LinkKind::Tap, Some(BRIDGE)));
    linux(taps.into_iter().chain([link(22, "vnet2", LinkKind::Tap, Some(99))]).collect())
}

fn joined(topology: &Topology, interfaces: Vec<GuestInterface>) -> Desired {
    let told = LibvirtSnapshot { interfaces };
    build(topology, &host(), None, Some(&told), &lowered()).unwrap()
}

fn owner(desired: &Desired, last: u8) -> Option<u32> {
    match desired.stations.get(&StationKey { mac: [0x52, 0x54, 0, 0, 0, last], vlan: 0 }) {
        Some(StationOwner::Port(ifindex)) => Some(*ifindex),
        _ => None,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn guests_of_this_bridge_are_bound_to_their_taps() {
    let elsewhere = guest("other", 3, "vnet0", Some("br1"));
    let unknown = guest("ethernet", 4, "vnet1", None);
    let nowhere = guest("nowhere", 5, "vnet2", None);
    let desired =
        joined(&topology(&["vnet*"]), vec![guest("web", 1, "vnet0", Some("br0")), elsewhere, unknown, nowhere]);
    assert_eq!([1, 3, 4, 5].map(|last| owner(&desired, last)), [Some(20), None, Some(21), None]);
    assert_eq!(desired.notes, Vec::<String>::new());
}

#[test]
fn a_tap_that_is_not_there_yet_is_told_and_nothing_is_bound() {
    let desired = joined(&topology(&["vnet*"]), vec![guest("web", 1, "vnet7", Some("br0"))]);
    assert_eq!(owner(&desired, 1), None);
    assert!(desired.notes[0].starts_with("station web: its port vnet7 is not there"), "{:?}", desired.notes);
}

#[test]
fn an_entry_of_the_file_wins_and_gets_what_it_leaves_open() {
    let mut topology = topology(&["vnet*"]);
    topology.ports = vec![PortRule { guard: true, ..rule("vnet*") }];
    topology.stations = vec![
        station("open", [0x52, 0x54, 0, 0, 0, 1], &[], None),
        station("listed", [0x52, 0x54, 0, 0, 0, 2], &["10.0.0.2"], Some("vnet0")),
    ];
    let mut interfaces = vec![guest("web", 1, "vnet0", Some("br0")), guest("db", 2, "vnet1", Some("br0"))];
    interfaces[0].addresses = [address("10.0.0.1"), address("fd00::1")].into();
    interfaces[1].addresses = [address("10.0.0.66")].into();
    let desired = joined(&topology, interfaces);
    assert_eq!([1, 2].map(|last| owner(&desired, last)), [Some(20), Some(20)]);
    let allowed: Vec<_> =
        ["10.0.0.1", "fd00::1"].map(|ip| GuardAddress::new([0x52, 0x54, 0, 0, 0, 1], address(ip))).into();
    let listed = GuardAddress::new([0x52, 0x54, 0, 0, 0, 2], address("10.0.0.2"));
    assert_eq!(desired.ports[&20].guard, allowed.into_iter().chain([listed]).collect());
    assert!(desired.ports[&21].guard.is_empty(), "what libvirt knows of a station does not add to what the file lists");
    let told = &desired.notes[0];
    assert!(
        told.contains("station listed: the file binds it to vnet0, and libvirt has it on vnet1 (domain db)"),
        "{told}"
    );
}

#[test]
fn bandwidth_takes_the_port_out_of_forwarding_and_a_filter_is_told() {
    let mut interfaces = vec![guest("web", 1, "vnet0", Some("br0")), guest("db", 2, "vnet1", Some("br0"))];
    interfaces[0].bandwidth = Some("limited".into());
    interfaces[1].filter = Some("clean-traffic".into());
    let desired = joined(&topology(&["vnet*"]), interfaces);
    assert_eq!(desired.ports[&20].ineligible, ["limited"]);
    assert!(!desired.ports[&20].port.is(abi::PORT_ELIGIBLE) && desired.ports[&21].port.is(abi::PORT_ELIGIBLE));
    assert!(desired.notes[0].contains("vnet1") && desired.notes[0].contains("clean-traffic"), "{:?}", desired.notes);
}

#[test]
fn limited_room_is_told_and_a_mac_that_comes_twice_is_bound_once() {
    let mut topology = topology(&["vnet*"]);
    let twice = vec![guest("a", 1, "vnet0", Some("br0")), guest("b", 1, "vnet1", Some("br0"))];
    let desired = joined(&topology, twice.clone());
    assert_eq!(owner(&desired, 1), Some(20));
    assert!(desired.notes[0].starts_with("station b: its MAC is already bound"), "{:?}", desired.notes);
    topology.limits.stations = 1;
    let desired = joined(&topology, twice);
    assert!(desired.notes[0].contains("limits.stations = 1"), "{:?}", desired.notes);
}
