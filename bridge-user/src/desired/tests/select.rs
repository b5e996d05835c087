//! Which interfaces become ports.

use super::*;

#[test]
fn linux_members_that_match_are_ports() {
    let host = linux(vec![
        link(20, "vnet0", LinkKind::Tap, Some(BRIDGE)),
        link(21, "eno1", LinkKind::Other, Some(BRIDGE)),
        link(22, "other0", LinkKind::Tap, Some(BRIDGE)),
        link(23, "VNET9", LinkKind::Tap, Some(BRIDGE)),
    ]);
    let desired = built(&topology(&["vnet*", "eno1"]), &host, None);
    assert_eq!(names(&desired), ["vnet0", "eno1"]);
    assert_eq!(desired.slow_path, SlowPathKind::Linux);
    assert_eq!((desired.device, desired.own), (Some(BRIDGE), [BRIDGE].into()));
}

#[test]
fn a_star_takes_neither_the_bridge_nor_loopback_nor_another_bridges_ports() {
    let host = linux(vec![
        link(1, "lo", LinkKind::Other, None),
        link(20, "vnet0", LinkKind::Tap, Some(BRIDGE)),
        link(30, "virbr0", LinkKind::Bridge, None),
        link(31, "vnet1", LinkKind::Tap, Some(30)),
        link(32, "ovs-netdev", LinkKind::Tap, None),
    ]);
    assert_eq!(names(&built(&topology(&["*"]), &host, None)), ["vnet0"]);
}

#[test]
fn taps_and_veths_of_nothing_are_attached_early_but_a_nic_is_left_alone() {
    let host = linux(vec![
        link(20, "vnet0", LinkKind::Tap, None),
        link(21, "veth0", LinkKind::Veth, None),
        link(22, "eno1", LinkKind::Other, None),
    ]);
    let desired = built(&topology(&["*"]), &host, None);
    assert_eq!(names(&desired), ["vnet0", "veth0"]);
    for port in desired.ports.values() {
        assert_eq!(port.port.flags & (abi::PORT_MEMBER | abi::PORT_ELIGIBLE), 0);
        assert_eq!(port.ineligible, ["it is not a port of the bridge yet"]);
    }
}

#[test]
fn ovs_kernel_members_come_from_ovsdb_not_from_the_master() {
    let host = ovs_host(vec![
        link(20, "vnet0", LinkKind::Tap, Some(SYSTEM)),
        link(21, "vnet1", LinkKind::Tap, Some(SYSTEM)), // of another OVS bridge
        link(22, "vnet2", LinkKind::Tap, None),
        link(23, "vnet3", LinkKind::Tap, Some(99)), // OVSDB lists it, but another master has it
    ]);
    let rows = vec![row("br0", "internal", Some(BRIDGE)), row("vnet0", "", Some(20)), row("vnet3", "system", Some(23))];
    let desired = built(&topology(&["*"]), &host, Some(&ovsdb(false, rows)));
    assert_eq!(desired.slow_path, SlowPathKind::OvsKernel);
    assert_eq!(names(&desired), ["vnet0", "vnet2"]);
    assert!(desired.ports[&20].port.is(abi::PORT_MEMBER | abi::PORT_ELIGIBLE));
    assert!(!desired.ports[&22].port.is(abi::PORT_MEMBER));
}

#[test]
fn ovs_userspace_taps_of_another_bridge_are_not_taken_for_free() {
    let host = ovs_host(vec![
        link(20, "vnet0", LinkKind::Tap, None),
        link(21, "vnet1", LinkKind::Tap, None),
        link(22, "in0", LinkKind::Tap, None),
    ]);
    let mut ovs = ovsdb(true, vec![row("vnet0", "", Some(20)), row("in0", "internal", Some(22))]);
    ovs.elsewhere = vec!["vnet1".into()];
    let desired = built(&topology(&["*"]), &host, Some(&ovs));
    assert_eq!(names(&desired), ["vnet0"]);
    assert_eq!(desired.slow_path, SlowPathKind::OvsUserspace);
    assert_eq!(desired.control.flags, abi::LEARNING | abi::RESENT_FRAMES);
}

#[test]
fn own_devices_are_the_bridge_and_the_vlan_devices_on_it() {
    let vlan = |ifindex, name, below| Link { vlan_of: Some(below), ..link(ifindex, name, LinkKind::Other, None) };
    let host = linux(vec![
        link(20, "vnet0", LinkKind::Tap, Some(BRIDGE)),
        vlan(15, "br0.10.5", 21), // older than what it is on now
        vlan(21, "br0.10", BRIDGE),
        vlan(22, "vnet0.10", 20),
        link(23, "eno9", LinkKind::Other, None),
        vlan(24, "eno9.10", 23),
        link(25, "br1", LinkKind::Bridge, None),
        Link { vlan_of: Some(25), ..link(26, "br1.10", LinkKind::Other, Some(BRIDGE)) },
    ]);
    let desired = built(&topology(&["*"]), &host, None);
    assert_eq!(names(&desired), ["vnet0", "br1.10"]);
    assert_eq!(desired.own, [BRIDGE, 15, 21].into());
}

#[test]
fn own_devices_beside_ovs_are_its_internal_ports_in_this_namespace() {
    let mut host = ovs_host(vec![
        link(20, "vnet0", LinkKind::Tap, Some(SYSTEM)),
        link(21, "gw10", LinkKind::Other, Some(SYSTEM)),
        link(22, "gw20", LinkKind::Other, None), // another device: Open vSwitch's was moved to another namespace
        link(23, "gw30", LinkKind::Other, Some(SYSTEM)), // of another bridge
        link(24, "gw10.5", LinkKind::Other, Some(SYSTEM)), // a port again
        link(25, "gw10.5.6", LinkKind::Other, None),
        link(26, "br0.7", LinkKind::Other, None),
        link(27, "eno1", LinkKind::Other, Some(SYSTEM)), // a port that is not managed
    ]);
    for (ifindex, below) in [(24, 21), (25, 24), (26, BRIDGE)] {
        host.links.iter_mut().filter(|link| link.ifindex == ifindex).for_each(|link| link.vlan_of = Some(below));
    }
    let rows = vec![
        row("br0", "internal", Some(BRIDGE)),
        row("vnet0", "", Some(20)),
        row("gw10", "internal", Some(21)),
        row("gw20", "internal", Some(99)),
        row("gw10.5", "system", Some(24)),
        row("eno1", "system", Some(27)),
    ];
    for userspace in [false, true] {
        let desired = built(&topology(&["vnet*", "gw*"]), &host, Some(&ovsdb(userspace, rows.clone())));
        assert_eq!(names(&desired), ["vnet0", "gw10.5"]);
        assert_eq!(desired.own, [BRIDGE, 21, 26].into());
    }
}

#[test]
fn more_own_devices_than_there_is_room_for_are_left_out() {
    let vlan = |n: u32| Link { vlan_of: Some(BRIDGE), ..link(100 + n, &format!("v{n}"), LinkKind::Other, None) };
    let desired = built(&topology(&[]), &linux((0..5000).map(vlan).collect()), None);
    assert_eq!(desired.own.len(), abi::maps::OWN_DEVICES as usize);
}

#[test]
fn ports_without_hooks_are_unpoliced_and_said_to_be_allowed_only_by_a_rule() {
    let rows = vec![
        row("fast0", "afxdp", Some(20)),
        row("dpdk0", "dpdk", None),
        row("vhost0", "dpdkvhostuserclient", None),
        row("tun0", "vxlan", None),
        row("p0", "patch", None),
    ];
    let host = ovs_host(vec![link(20, "fast0", LinkKind::Veth, None)]);
    let mut topology = topology(&["*"]);
    topology.ports = vec![PortRule { unpoliced: true, ..rule("dpdk*") }];
    let desired = built(&topology, &host, Some(&ovsdb(true, rows)));
    assert!(desired.ports.is_empty());
    let listed: Vec<_> = desired.unpoliced.iter().map(|port| (port.name.as_str(), port.allowed)).collect();
    assert_eq!(listed, [("fast0", false), ("dpdk0", true), ("vhost0", false)]);
}

#[test]
fn an_interface_that_ovs_has_not_opened_or_opened_before_it_was_recreated_is_policed_but_not_eligible() {
    let host = ovs_host(vec![link(20, "vnet0", LinkKind::Tap, None), link(21, "vnet1", LinkKind::Tap, None)]);
    let rows = vec![row("vnet0", "", Some(15)), row("vnet1", "", None)];
    let desired = built(&topology(&["*"]), &host, Some(&ovsdb(false, rows)));
    for port in desired.ports.values() {
        assert!(port.port.is(abi::PORT_MEMBER) && !port.port.is(abi::PORT_ELIGIBLE), "{port:?}");
        assert_eq!(port.ineligible.len(), 1);
    }
}

#[test]
fn without_manage_every_port_is_taken_and_nothing_that_is_none_yet() {
    let links = vec![
        link(20, "vnet0", LinkKind::Tap, Some(BRIDGE)),
        link(21, "eno1", LinkKind::Other, Some(BRIDGE)),
        link(22, "tap9", LinkKind::Tap, None),
        link(23, "eno2", LinkKind::Other, None),
    ];
    assert_eq!(names(&built(&topology(&[]), &linux(links), None)), ["vnet0", "eno1"]);
    let host = ovs_host(vec![
        link(20, "vnet0", LinkKind::Tap, None),
        link(21, "vnet1", LinkKind::Tap, None),
        link(22, "tap9", LinkKind::Tap, None),
    ]);
    let rows = vec![row("br0", "internal", Some(BRIDGE)), row("vnet0", "", Some(20)), row("vnet1", "dpdk", None)];
    let desired = built(&topology(&[]), &host, Some(&ovsdb(true, rows)));
    assert_eq!((names(&desired), desired.unpoliced.len()), (vec!["vnet0"], 1));
}
