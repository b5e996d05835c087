//! What a valid file means: defaults, every key, the reference policy, reading from disk.

use std::fs;
use std::net::IpAddr;

use bridge_common::abi::maps::DEFAULT_LIMITS;

use super::super::model::*;
use super::super::{MAX_FILE_BYTES, load, parse};
use super::{BRIDGE, REFERENCE};
use crate::source::PortVlan;

#[test]
fn defaults() {
    let topology = parse(BRIDGE, "").unwrap().topology;
    let bridge = Bridge {
        name: "br0".into(),
        slow_path: SlowPath::Auto,
        learning: true,
        ageing_time: 300,
        manage: vec!["vnet*".into(), "eno1".into()],
        on_exit: OnExit::Keep,
    };
    let policy =
        Policy { default: Action::Deny, other_ethertypes: OtherEthertypes::Punt, zones: Vec::new(), rules: Vec::new() };
    let (ports, stations) = (Vec::new(), Vec::new());
    let (limits, metrics, libvirt) = (DEFAULT_LIMITS, None, None);
    assert_eq!(topology, Topology { bridge, ports, stations, limits, metrics, libvirt, policy });

    let port = parse(&format!("{BRIDGE}[[port]]\nmatch='eno1'"), "").unwrap().topology.ports;
    let (hook, role) = (HookChoice::Auto, Role::Auto);
    assert_eq!(port, [PortRule { pattern: "eno1".into(), hook, role, guard: false, unpoliced: false, vlan: None }]);
}

#[test]
fn vlans_of_ports() {
    let vlan = |text: &str| {
        let file = format!("{BRIDGE}[[port]]\nmatch='v'\nvlan = {text}");
        parse(&file, "").unwrap().topology.ports.remove(0).vlan.unwrap()
    };
    assert_eq!(vlan("{ mode = 'access', tag = 10 }"), PortVlan::access(10));
    assert_eq!(vlan("{ mode = 'trunk' }"), PortVlan::PLAIN);
    let trunks = [10, 20, 21, 22].into();
    assert_eq!(vlan("{ mode = 'trunk', trunks = [10, '20-22'] }"), PortVlan::trunk(&trunks));
    assert_eq!(vlan("{ mode = 'trunk', trunks = [10, '20-22'], native = 1 }"), PortVlan::native(1, false, &trunks));
    assert_eq!(vlan("{ mode = 'native-tagged', native = 1 }"), PortVlan::native(1, true, &[].into()));
}

#[test]
fn every_key() {
    let text = "
        policy.default = 'deny'
        policy.other_ethertypes = 'drop'
        [bridge]
        name = 'a23456789012345'
        slow_path = 'ovs'
        learning = false
        ageing_time = 1_000_000
        manage = ['v[0-9]*', '{tap,vnet}?']
        on_exit = 'detach'
        [[port]]
        match = 'v3'
        hook = 'xdp'
        role = 'uplink'
        guard = true
        unpoliced = true
        [[station]]
        name = 's'
        mac = '52:54:00:0A:0b:0C'
        ip = ['10.0.0.1', 'FD00::1']
        port = 'v3'
        [limits]
        stations = 1
        stations_per_port = 2
        ports = 3
        flows = 4
        prefixes = 5
        zones = 6
        rules = 7
        [metrics]
        listen = '[::1]:0'
        [libvirt]
        uri = 'qemu:///system?socket=/run/x'
        guest_agent = true
        [[policy.zone]]
        name = 'a'
        prefixes = ['10.0.0.0/8', '10.0.0.1/32', '::/0', '0.0.0.0/0']
        [[policy.rule]]
        id = 'A-z_0.9'
        from = 'any'
        to = 'a'
        both = true
        stateful = true
        action = 'allow'
        proto = 'udp'
        ports = ['53', '1-65535']
        [[policy.rule]]
        id = 'tcp-by-number'
        from = 'a'
        to = 'a'
        action = 'deny'
        proto = 6
        ports = ['22']
        [[policy.rule]]
        id = 'icmp'
        from = 'a'
        to = 'any'
        action = 'deny'
        proto = 'icmp'
    ";
    let parsed = parse(text, "").unwrap();
    assert_eq!(parsed.warnings, []);
    let topology = parsed.topology;
    assert_eq!(topology.bridge.slow_path, SlowPath::Ovs);
    assert_eq!((topology.bridge.learning, topology.bridge.ageing_time), (false, 1_000_000));
    assert_eq!(topology.bridge.on_exit, OnExit::Detach);
    let port = &topology.ports[0];
    assert_eq!((port.hook, port.role, port.guard, port.unpoliced), (HookChoice::Xdp, Role::Uplink, true, true));
    let station = &topology.stations[0];
    assert_eq!(station.mac, [0x52, 0x54, 0, 10, 11, 12]);
    assert_eq!(station.ip, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    assert_eq!(station.port.as_deref(), Some("v3"));
    let limits = topology.limits;
    assert_eq!((limits.stations, limits.stations_per_port, limits.ports, limits.flows), (1, 2, 3, 4));
    assert_eq!((limits.prefixes, limits.zones, limits.rules), (5, 6, 7));
    assert_eq!(topology.metrics, Some("[::1]:0".parse().unwrap()));
    let uri = "qemu:///system?socket=/run/x".into();
    assert_eq!(topology.libvirt, Some(Libvirt { uri, guest_agent: true }));
    assert_eq!(topology.policy.other_ethertypes, OtherEthertypes::Drop);
    assert_eq!(topology.policy.zones[0].prefixes.len(), 4);
    let rule = Rule {
        id: "A-z_0.9".into(),
        from: ZoneRef::Any,
        to: ZoneRef::Zone(0),
        both: true,
        stateful: true,
        action: Action::Allow,
        proto: Some(vec![17]),
        ports: vec![(53, 53), (1, 65535)],
    };
    assert_eq!(topology.policy.rules[0], rule);
    assert_eq!(topology.policy.rules[1].proto, Some(vec![6]));
    assert_eq!(topology.policy.rules[2].proto, Some(vec![1, 58]));
}

#[test]
fn reference() {
    let parsed = parse(REFERENCE, "reference.toml").unwrap();
    let topology = parsed.topology;
    assert_eq!(topology.bridge.name, "br0");
    assert_eq!(topology.bridge.manage, ["vnet*", "eno1"]);
    assert_eq!(topology.stations.len(), 13);
    assert!(topology.stations.iter().all(|station| station.port.is_none()));
    for station in &topology.stations {
        let IpAddr::V4(ip) = station.ip[0] else { panic!("{station:?}") };
        let as_hex = |number: u8| u8::from_str_radix(&number.to_string(), 16).unwrap();
        assert_eq!(station.mac, [0x52, 0x54, 0, as_hex(ip.octets()[2]), 0, as_hex(ip.octets()[3])]);
    }
    let rules: Vec<_> =
        topology.policy.rules.iter().map(|r| (r.id.as_str(), r.from, r.to, r.both, r.stateful)).collect();
    let (internal, lan) = (ZoneRef::Zone(0), ZoneRef::Zone(1));
    let expected = [
        ("internal-internal", internal, internal, false, false),
        ("internal-lan", internal, lan, true, false),
        ("lan-lan", lan, lan, false, false),
        ("internal-any", internal, ZoneRef::Any, false, true),
        ("lan-any", lan, ZoneRef::Any, false, true),
    ];
    assert_eq!(rules, expected);
    assert!(topology.policy.rules.iter().all(|r| r.action == Action::Allow && r.proto.is_none() && r.ports.is_empty()));
    assert_eq!(topology.policy.default, Action::Deny);
}

#[test]
fn load_reads_a_file_and_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("net.toml");
    fs::write(&path, REFERENCE).unwrap();
    assert_eq!(load(&path).unwrap(), parse(REFERENCE, "").unwrap());

    let refusal = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let text = load(&path).unwrap_err().to_string();
        text.strip_prefix(path.to_str().unwrap()).unwrap().to_owned()
    };
    assert!(refusal(b"[bridge]\n").starts_with(":1:1: [bridge] has no `name`"));
    let not_utf8 = refusal("# \u{e9}\n# \u{e9}".bytes().chain([0xff, b'\n']).collect::<Vec<_>>().as_slice());
    assert!(not_utf8.starts_with(":2:4: the file is not UTF-8"), "{not_utf8}");
    let too_long = refusal(&vec![b'#'; MAX_FILE_BYTES as usize + 1]);
    assert!(too_long.starts_with(":1:1: the topology file is larger than 8388608 bytes"), "{too_long}");
    assert!(refusal(&vec![b'#'; MAX_FILE_BYTES as usize]).starts_with(":1:1: there is no [bridge]"));

    fs::remove_file(&path).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("cannot be read"));
    assert!(load(directory.path()).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn without_manage_no_name_is_left_out() {
    let text = "[bridge]\nname = 'br0'\n[policy]\ndefault = 'allow'\n[[station]]\nname = 'a'\nmac = '52:54:00:00:00:01'\nport = 'any0'";
    let topology = parse(text, "").unwrap().topology;
    assert_eq!((topology.bridge.manage.len(), topology.stations[0].port.as_deref()), (0, Some("any0")));
}
