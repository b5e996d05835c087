//! VLANs of a port: what the bridge says goes into the map entry, what the file says is compared with it.

use std::collections::BTreeSet;

use bridge_common::abi::{
    NO_PVID, PORT_PVID_TAGGED, PORT_SERVICE_TAGS, PORT_VLAN_ACCESS, PORT_VLAN_AWARE, PORT_VLAN_LISTED, VlanSet,
};

use super::*;

const VLAN_BITS: u32 = PORT_VLAN_AWARE | PORT_VLAN_ACCESS | PORT_VLAN_LISTED | PORT_PVID_TAGGED | PORT_SERVICE_TAGS;

fn beside_ovs(vlan: PortVlan) -> DesiredPort {
    let host = ovs_host(vec![link(20, "a", LinkKind::Tap, None)]);
    let mut ovs = ovsdb(false, vec![row("a", "", Some(20))]);
    ovs.bridge.as_mut().unwrap().interfaces[0].vlan = vlan;
    built(&topology(&["*"]), &host, Some(&ovs)).ports.remove(&20).unwrap()
}

/// A port of a Linux bridge, which has these VLANs and filters them or does not.
fn filtering(vlans: Option<BridgeVlans>, filters: bool) -> DesiredPort {
    let mut host = linux(vec![link(20, "p0", LinkKind::Tap, Some(BRIDGE))]);
    host.links[0].bridge.as_mut().unwrap().vlan_filtering = filters;
    host.links[1].vlans = vlans;
    built(&topology(&["p0"]), &host, None).ports.remove(&20).unwrap()
}

fn vlans(vlan: PortVlan, odd: &[&str]) -> Option<BridgeVlans> {
    Some(BridgeVlans { vlan, ineligible: odd.iter().map(|&odd| odd.into()).collect() })
}

#[test]
fn open_vswitchs_modes_become_flags_and_a_pvid() {
    let listed = BTreeSet::from([10, 20]);
    let ovs = PORT_VLAN_AWARE | PORT_SERVICE_TAGS;
    for (vlan, flags, pvid) in [
        (PortVlan::PLAIN, ovs, 0),
        (PortVlan::access(10), ovs | PORT_VLAN_ACCESS, 10),
        (PortVlan::trunk(&listed), ovs | PORT_VLAN_LISTED, NO_PVID),
        (PortVlan::native(1, false, &listed), ovs | PORT_VLAN_LISTED, 1),
        (PortVlan::native(1, true, &BTreeSet::new()), ovs | PORT_PVID_TAGGED, 1),
    ] {
        let port = beside_ovs(vlan.clone());
        assert_eq!((port.port.flags & VLAN_BITS, port.port.pvid), (flags, pvid), "{vlan}");
        assert!(port.port.is(abi::PORT_ELIGIBLE), "{vlan}: {:?}", port.ineligible);
        let set: VlanSet = (0..4096).filter(|vid| flags & PORT_VLAN_LISTED != 0 && vlan.carries(*vid)).collect();
        assert!(port.listed_vlans() == set, "{vlan}");
    }
}

#[test]
fn a_linux_bridges_vlans_count_only_while_it_filters() {
    let trunk = PortVlan { pvid: Some(1), pvid_tagged: false, carries: crate::source::Carries::Listed([1, 7].into()) };
    let port = filtering(vlans(trunk.clone(), &[]), true);
    assert_eq!((port.port.flags & VLAN_BITS, port.port.pvid), (PORT_VLAN_AWARE | PORT_VLAN_LISTED, 1));
    assert!(port.port.is(abi::PORT_ELIGIBLE) && port.vlan.as_ref() == Some(&trunk), "{:?}", port.ineligible);
    let port = filtering(vlans(trunk.clone(), &[]), false);
    assert_eq!((port.port.flags & VLAN_BITS, port.vlan), (0, None));
    assert_eq!(filtering(vlans(trunk, &["VLAN 7 is odd"]), true).ineligible, ["VLAN 7 is odd"]);
}

#[test]
fn service_vlans_and_spanning_trees_make_every_port_ineligible() {
    let mut host = linux(vec![link(20, "p0", LinkKind::Tap, Some(BRIDGE))]);
    let bridge = host.links[0].bridge.as_mut().unwrap();
    (bridge.vlan_filtering, bridge.service_vlans) = (true, true);
    let desired = built(&topology(&["p0"]), &host, None);
    assert!(desired.ports[&20].ineligible[0].contains("802.1ad"), "{:?}", desired.ports[&20].ineligible);
    let bridge = host.links[0].bridge.as_mut().unwrap();
    (bridge.mst, bridge.service_vlans) = (true, false);
    let desired = built(&topology(&["p0"]), &host, None);
    assert!(desired.ports[&20].ineligible[0].contains("mst_enable"), "{:?}", desired.ports[&20].ineligible);
}

#[test]
fn a_file_that_contradicts_the_bridge_is_told_so() {
    let host = ovs_host(vec![link(20, "a", LinkKind::Tap, None)]);
    let mut ovs = ovsdb(false, vec![row("a", "", Some(20))]);
    ovs.bridge.as_mut().unwrap().interfaces[0].vlan = PortVlan::access(10);
    let mut file = topology(&["*"]);
    file.ports = vec![PortRule { vlan: Some(PortVlan::access(10)), ..rule("a") }];
    assert_eq!(built(&file, &host, Some(&ovs)).notes, Vec::<String>::new());
    file.ports[0].vlan = Some(PortVlan::access(20));
    let desired = built(&file, &host, Some(&ovs));
    assert!(desired.notes[0].contains("access 20") && desired.notes[0].contains("access 10"), "{:?}", desired.notes);
    assert_eq!(desired.ports[&20].port.pvid, 10, "the bridge wins");
    let plain = linux(vec![link(20, "a", LinkKind::Tap, Some(BRIDGE))]);
    assert!(built(&file, &plain, None).notes[0].contains("vlan_filtering"));
}
