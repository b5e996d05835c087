//! What gives no desired state, and the sentence that says so.

use super::*;

fn error(topology: &Topology, host: &HostSnapshot, ovs: Option<&OvsSnapshot>) -> String {
    build(topology, host, ovs, None, &lowered()).and_then(Desired::harmless).unwrap_err().to_string()
}

#[test]
fn a_missing_bridge_of_each_kind() {
    let none = HostSnapshot::default();
    let empty = OvsSnapshot::default();
    let mut topology = topology(&["*"]);
    assert!(error(&topology, &none, None).starts_with("no bridge br0: the host has no Linux bridge"));
    assert!(error(&topology, &none, Some(&empty)).contains("neither the host nor OVSDB"));
    topology.bridge.slow_path = SlowPath::Ovs;
    assert!(error(&topology, &linux(vec![]), Some(&empty)).contains("OVSDB has no bridge"));
    assert!(error(&topology, &linux(vec![]), None).contains("ovsdb-server does not answer"));
    topology.bridge.slow_path = SlowPath::Linux;
    assert!(error(&topology, &ovs_host(vec![]), Some(&ovsdb(false, vec![]))).contains("no Linux bridge of that name"));
}

#[test]
fn both_kinds_at_once_need_a_word_from_the_operator() {
    let (host, ovs) = (linux(vec![]), ovsdb(false, vec![]));
    let mut topology = topology(&["*"]);
    assert!(error(&topology, &host, Some(&ovs)).contains("slow_path"));
    topology.bridge.slow_path = SlowPath::Ovs;
    assert_eq!(built(&topology, &host, Some(&ovs)).slow_path, SlowPathKind::OvsKernel);
    topology.bridge.slow_path = SlowPath::Linux;
    assert_eq!(built(&topology, &host, Some(&ovs)).slow_path, SlowPathKind::Linux);
}

#[test]
fn tc_beside_the_userspace_datapath_is_refused_by_port() {
    let host = ovs_host(vec![link(20, "vnet0", LinkKind::Tap, None), link(21, "vnet1", LinkKind::Tap, None)]);
    let ovs = ovsdb(true, vec![row("vnet0", "", Some(20)), row("vnet1", "", Some(21))]);
    let mut topology = topology(&["*"]);
    topology.ports = vec![PortRule { hook: HookChoice::Tc, ..rule("vnet1") }];
    let text = error(&topology, &host, Some(&ovs));
    assert!(text.starts_with("refused: port vnet1: hook = \"tc\"") && !text.contains("vnet0"), "{text}");
    // A manager that runs already polices it meanwhile, and forwards nothing from or to it.
    let desired = built(&topology, &host, Some(&ovs));
    let [good, harmful] = [20, 21].map(|ifindex| &desired.ports[&ifindex]);
    assert_eq!((good.hook, harmful.hook), (Hook::XdpEgress, Hook::XdpEgress));
    assert!(good.port.is(abi::PORT_MEMBER | abi::PORT_ELIGIBLE) && good.ineligible.is_empty());
    assert!(harmful.port.is(abi::PORT_MEMBER) && !harmful.port.is(abi::PORT_ELIGIBLE));
    assert!(text.contains(&harmful.ineligible[0]), "{:?}", harmful.ineligible);
}

#[test]
fn a_glob_that_does_not_parse_is_named() {
    assert!(error(&topology(&["vnet["]), &linux(vec![]), None).contains("\"vnet[\""));
}
