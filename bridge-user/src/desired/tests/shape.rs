//! What a port, a station and the control words look like.

use super::*;

fn one(kind: LinkKind, change: impl FnOnce(&mut Link), rules: Vec<PortRule>) -> DesiredPort {
    let mut host = linux(vec![link(20, "p0", kind, Some(BRIDGE))]);
    change(&mut host.links[1]);
    let topology = Topology { ports: rules, ..topology(&["p0"]) };
    built(&topology, &host, None).ports.remove(&20).unwrap()
}

#[test]
fn a_tap_in_good_order() {
    let port = one(LinkKind::Tap, |_| (), vec![]);
    let flags = abi::PORT_MEMBER | abi::PORT_ELIGIBLE | abi::PORT_RUNNING | abi::PORT_VIRTUAL | abi::PORT_XDP_TARGET;
    let expected = Port { ifindex: 20, mtu: 1500, flags, station_limit: 1024, flow_limit: 16_384, ..Port::default() };
    assert_eq!((port.hook, port.port), (Hook::Tc, expected));
    assert!(port.ineligible.is_empty());
}

#[test]
fn a_nic_is_an_uplink_and_a_role_says_otherwise() {
    let role = |role| vec![PortRule { role, ..rule("p*") }];
    assert_eq!(one(LinkKind::Other, |_| (), vec![]).port.station_limit, u32::MAX);
    assert_eq!(one(LinkKind::Other, |_| (), role(Role::Station)).port.station_limit, 1024);
    assert_eq!(one(LinkKind::Veth, |_| (), role(Role::Uplink)).port.station_limit, u32::MAX);
    assert_eq!(one(LinkKind::Veth, |_| (), role(Role::Auto)).port.station_limit, 1024);
    assert!(!one(LinkKind::Other, |_| (), vec![]).port.is(abi::PORT_VIRTUAL));
}

#[test]
fn the_kernels_word_on_xdp_targets_counts_and_a_tap_needs_none() {
    let is_target = |kind, told| one(kind, |link| link.xdp_target = told, vec![]).port.is(abi::PORT_XDP_TARGET);
    assert!(is_target(LinkKind::Tap, None) && is_target(LinkKind::Veth, Some(true)));
    assert!(!is_target(LinkKind::Veth, None) && !is_target(LinkKind::Tap, Some(false)));
}

#[test]
fn hooks_by_choice_and_datapath() {
    use HookChoice::{Auto, Tc, Xdp};
    let table = [
        (Auto, false, [Some(Hook::Tc), Some(Hook::Tc)]),
        (Tc, false, [Some(Hook::Tc), Some(Hook::Tc)]),
        (Xdp, false, [Some(Hook::XdpTc), Some(Hook::XdpTc)]),
        (Auto, true, [Some(Hook::XdpEgress), Some(Hook::XdpWatched)]),
        (Xdp, true, [Some(Hook::XdpEgress), Some(Hook::XdpWatched)]),
        (Tc, true, [None, None]),
    ];
    for (choice, userspace, hooks) in table {
        let resolved = [false, true].map(|tag_beside| Hook::resolve(choice, userspace, tag_beside));
        assert_eq!(resolved, hooks, "{choice:?} {userspace}");
    }
    let wants = |hook: Hook| HookPoint::ALL.map(|point| hook.wants(point));
    assert_eq!(wants(Hook::Tc), [true, false, true, false]);
    assert_eq!(wants(Hook::XdpTc), [true, false, true, true]);
    assert_eq!(wants(Hook::XdpEgress), [true, false, false, true]);
    assert_eq!(wants(Hook::XdpWatched), [true, true, false, true]);
    let port = one(LinkKind::Tap, |_| (), vec![PortRule { hook: Xdp, ..rule("p0") }]);
    assert!(port.port.is(abi::PORT_TC_BEHIND) && !port.port.is(abi::PORT_TAG_BESIDE));
    let beside =
        |hook| one(LinkKind::Veth, |_| (), vec![PortRule { hook, ..rule("p0") }]).port.is(abi::PORT_TAG_BESIDE);
    assert!(beside(Xdp) && !beside(Tc));
}

#[test]
fn each_linux_setting_that_we_cannot_copy_makes_a_port_ineligible_and_says_why() {
    type Change = fn(&mut BridgePort);
    let changes: [(Change, &str); 6] = [
        (|port| port.state = 2, "forwarding"),
        (|port| port.isolated = true, "isolated"),
        (|port| port.locked = true, "locked"),
        (|port| port.hairpin = true, "hairpin"),
        (|port| port.learning = false, "learn"),
        (|port| port.neigh_suppress = true, "neighbour"),
    ];
    for (change, word) in changes {
        let port = one(LinkKind::Tap, |link| change(link.bridge_port.as_mut().unwrap()), vec![]);
        assert!(!port.port.is(abi::PORT_ELIGIBLE), "{word}");
        assert!(port.port.is(abi::PORT_MEMBER | abi::PORT_RUNNING));
        assert!(port.ineligible.len() == 1 && port.ineligible[0].contains(word), "{:?}", port.ineligible);
    }
    assert!(one(LinkKind::Tap, |link| link.mac = None, vec![]).ineligible[0].contains("Ethernet"));
    assert!(!one(LinkKind::Tap, |link| link.running = false, vec![]).port.is(abi::PORT_RUNNING));
}

#[test]
fn a_linux_bridges_own_settings_make_every_port_ineligible() {
    let changes: [fn(&mut Link); 3] = [
        |link| link.bridge.as_mut().unwrap().vlan_filtering = true, // and no VLAN at the port
        |link| link.bridge.as_mut().unwrap().nf_call = true,
        |link| link.bridge = None,
    ];
    for change in changes {
        let mut host = linux(vec![link(20, "p0", LinkKind::Tap, Some(BRIDGE))]);
        change(&mut host.links[0]);
        let desired = built(&topology(&["p0"]), &host, None);
        assert!(!desired.ports[&20].port.is(abi::PORT_ELIGIBLE));
        assert_eq!(desired.ports[&20].ineligible.len(), 1);
    }
}

#[test]
fn ovs_reasons_reach_the_port() {
    let host = ovs_host(vec![link(20, "a", LinkKind::Tap, None), link(21, "b", LinkKind::Tap, None)]);
    let mut ovs = ovsdb(false, vec![row("a", "", Some(20)), row("b", "", Some(21))]);
    let bridge = ovs.bridge.as_mut().unwrap();
    bridge.interfaces[0].ineligible = vec!["bond".into()];
    let desired = built(&topology(&["*"]), &host, Some(&ovs));
    assert_eq!(desired.ports[&20].ineligible, ["bond"]);
    assert!(desired.ports[&21].port.is(abi::PORT_ELIGIBLE));
    ovs.bridge.as_mut().unwrap().ineligible = vec!["mirror m0".into()];
    let desired = built(&topology(&["*"]), &host, Some(&ovs));
    assert_eq!(desired.ports[&20].ineligible, ["mirror m0", "bond"]);
    assert_eq!(desired.ports[&21].ineligible, ["mirror m0"]);
}

#[test]
fn ageing_is_the_lesser_one_and_learning_can_be_off() {
    let mut host = linux(vec![]);
    host.links[0].bridge.as_mut().unwrap().ageing_time = 20;
    let mut topology = topology(&["*"]);
    assert_eq!(built(&topology, &host, None).control.ageing_ns, 20_000_000_000);
    topology.bridge.ageing_time = 7;
    topology.bridge.learning = false;
    let control = built(&topology, &host, None).control;
    assert_eq!((control.ageing_ns, control.flags), (7_000_000_000, 0));
}

#[test]
fn host_macs_are_the_bridges_and_every_ports_but_no_strangers() {
    let host = linux(vec![
        link(20, "vnet0", LinkKind::Tap, Some(BRIDGE)),
        link(21, "unmanaged", LinkKind::Other, Some(BRIDGE)),
        link(22, "eth9", LinkKind::Other, None),
    ]);
    let desired = built(&topology(&["vnet*"]), &host, None);
    let macs: Vec<_> = desired.stations.keys().map(|key| key.mac[5]).collect();
    assert_eq!(macs, [BRIDGE as u8, 20, 21]);
    assert!(desired.stations.values().all(|owner| *owner == StationOwner::Host));
}

#[test]
fn bound_stations_and_their_guard() {
    let host = linux(vec![
        link(20, "vnet0", LinkKind::Tap, Some(BRIDGE)),
        link(21, "vnet1", LinkKind::Tap, Some(BRIDGE)),
        link(22, "vnet2", LinkKind::Tap, Some(BRIDGE)),
    ]);
    let mut topology = topology(&["vnet*"]);
    topology.ports = vec![PortRule { guard: true, ..rule("vnet[02]") }];
    topology.stations = vec![
        station("a", [2; 6], &["10.0.0.1", "fd00::1"], Some("vnet0")),
        station("b", [4; 6], &["10.0.0.2"], Some("vnet1")),
        station("free", [6; 6], &["10.0.0.3"], None),
        station("late", [8; 6], &[], Some("vnet7")),
        station("again", [2; 6], &[], Some("vnet1")),
        station("host", mac(21), &[], Some("vnet1")),
    ];
    let desired = built(&topology, &host, None);
    let key = |mac| StationKey { mac, vlan: 0 };
    assert_eq!(desired.stations[&key([2; 6])], StationOwner::Port(20));
    assert_eq!(desired.stations[&key([4; 6])], StationOwner::Port(21));
    assert!(!desired.stations.contains_key(&key([6; 6])));
    assert_eq!(desired.stations[&key(mac(21))], StationOwner::Host, "the host wins");
    let four = GuardAddress { mac: [2; 6], addr: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], family: 4 };
    let six = GuardAddress { mac: [2; 6], addr: [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], family: 6 };
    assert_eq!(desired.ports[&20].guard, BTreeSet::from([four, six]));
    assert!(desired.ports[&20].port.is(abi::PORT_GUARD));
    assert!(desired.ports[&21].guard.is_empty(), "no guard, no addresses");
    let told = ["station late", "station again", "station host", "port vnet2: guard"];
    assert_eq!(desired.notes.len(), told.len(), "{:?}", desired.notes);
    for (note, start) in desired.notes.iter().zip(told) {
        assert!(note.starts_with(start), "{note}");
    }
}

/// Which of the two ports `a` (20) and `b` (21) are left out, under `change`.
fn left_out(hook: HookChoice, slow_path: SlowPathKind, change: impl Fn(&mut Others)) -> Vec<u32> {
    let links = vec![link(20, "a", LinkKind::Tap, Some(BRIDGE)), link(21, "b", LinkKind::Tap, Some(BRIDGE))];
    let (mut host, ovs) = if slow_path == SlowPathKind::Linux {
        (linux(links), None)
    } else {
        let links = links.into_iter().map(|link| Link { master: None, ..link }).collect();
        (ovs_host(links), Some(ovsdb(false, vec![row("a", "", Some(20)), row("b", "", Some(21))])))
    };
    change(&mut host.others);
    let mut topology = topology(&["*"]);
    topology.ports = vec![PortRule { hook, ..rule("a") }];
    let desired = built(&topology, &host, ovs.as_ref());
    let out = desired.ports.iter().filter(|(_, port)| !port.port.is(abi::PORT_ELIGIBLE));
    out.map(|(ifindex, port)| (*ifindex, assert!(!port.ineligible.is_empty())).0).collect()
}

#[test]
fn what_others_have_put_there_takes_ports_out() {
    use SlowPathKind::{Linux, OvsKernel};
    let chain = || vec!["nftables chain c of table t".to_owned()];
    assert_eq!(left_out(HookChoice::Tc, Linux, |_| {}), [0_u32; 0]);
    assert_eq!(left_out(HookChoice::Tc, Linux, |others| others.programs = [(21, chain())].into()), [21]);
    assert_eq!(left_out(HookChoice::Tc, OvsKernel, |others| others.devices = [("a".into(), chain())].into()), [20]);
    assert_eq!(left_out(HookChoice::Tc, Linux, |others| others.bridge = chain()), [20, 21]);
    assert_eq!(
        left_out(HookChoice::Tc, OvsKernel, |others| others.bridge = chain()),
        [0_u32; 0],
        "only a Linux bridge asks that family"
    );
    let shaped = |others: &mut Others| others.qdiscs = [(21, "tbf".into())].into();
    assert_eq!(left_out(HookChoice::Tc, Linux, shaped), [0_u32; 0], "TC sends through it");
    assert_eq!(left_out(HookChoice::Xdp, Linux, shaped), [21]);
}
