//! A manager of whose host the desired state cannot be had: one port that must not be served as the file asks, a bridge that is gone. What
//! is there stays in force, the heart beats on, and all is well once the host is. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::fastbridge::Fastbridge;
use bridge_tests::lab::{BRIDGE_MAC, Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::skip;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);
/// Longer than a heartbeat is believed.
const STALE: Duration = Duration::from_millis(5500);

/// Beside Open vSwitch's user space TC ingress would deliver every frame twice: `vnet5` cannot be had like this.
const VNET5: &str = "[[port]]\nmatch = \"vnet5\"\nhook = \"tc\"";

fn port(site: &Site, name: &str) -> Value {
    site.control().show("ports").unwrap()["ports"][name].clone()
}

fn errors(manager: &Fastbridge, word: &str) -> usize {
    manager.errors_in_log().iter().filter(|line| line.contains(word)).count()
}

/// A stream from a to b: whole, policed, and every frame of it on the fast path.
fn forwards(site: &Site) {
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let before = site.verdicts("vnet0").unwrap().forward;
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{arrived:?}");
    assert!(site.verdicts("vnet0").unwrap().forward >= before + u64::from(arrived.sent), "not on the fast path");
}

#[test]
fn a_port_that_cannot_be_served_ends_nobodys_forwarding() {
    if skip::without(SlowPath::OvsUserspace) {
        return;
    }
    let mut site = Site::pair(SlowPath::OvsUserspace, &topology("", VNET5)).unwrap();
    let manager = site.start().unwrap();
    let generation = site.control().show("status").unwrap()["generation"].clone();
    site.lab.add_machine(MachineSpec::raw("c", "vnet5")).unwrap();
    wait_until("it is told", LIMIT, || errors(&manager, "twice") > 0).unwrap();
    std::thread::sleep(STALE);
    forwards(&site);
    let status = site.control().show("status").unwrap();
    assert_eq!((&status["manager_alive"], &status["generation"]), (&Value::Bool(true), &generation), "{status:#}");
    assert_eq!(errors(&manager, "twice"), 1, "told once: {:#?}", manager.errors_in_log());

    // Its frames are policed, and carried by Open vSwitch, once.
    let shown = port(&site, "vnet5");
    assert!(shown["attached"] == true && shown["eligible"] == false, "{shown:#}");
    assert!(shown["reasons"].to_string().contains("twice"), "{shown:#}");
    let [a, c] = ["a", "c"].map(|name| site.lab.machine(name).unwrap());
    introduce(a, c).unwrap();
    let stream = Steady::start(c, a).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{arrived:?}");
    let verdicts = site.verdicts("vnet5").unwrap();
    assert_eq!((verdicts.forward, verdicts.dropped("policy")), (0, u64::from(arrived.sent)), "{verdicts:?}");

    // A port that comes meanwhile is served, one that goes is let go.
    let index = site.lab.recreate_port("b").unwrap();
    let served = || port(&site, "vnet1")["ifindex"] == index && port(&site, "vnet1")["eligible"] == true;
    wait_until("a new port beside it is served", LIMIT, served).unwrap();
    forwards(&site);

    site.lab.remove_machine("c").unwrap();
    let well = || manager.log().iter().any(|line| line.contains("all is well again"));
    wait_until("all is well again", LIMIT, well).unwrap();
    assert!(port(&site, "vnet5").is_null());
    assert_eq!(errors(&manager, ""), 1, "{:#?}", manager.errors_in_log());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// A Linux bridge beside one of that name in OVSDB: nobody can tell which one is meant. Nothing changes but for ports that go.
#[test]
fn a_bridge_of_two_kinds_changes_nothing() {
    if skip::without(SlowPath::OvsUserspace) {
        return;
    }
    let mut site = Site::pair(SlowPath::OvsUserspace, &topology("", "")).unwrap();
    site.lab.add_machine(MachineSpec::raw("c", "vnet2")).unwrap();
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 3);
    let links = site.link_ids().unwrap().len();
    let host = site.lab.host();
    host.ip("link del br0\nlink add br0 type bridge").unwrap();
    wait_until("it is told", LIMIT, || errors(&manager, "both a Linux bridge") == 1).unwrap();
    std::thread::sleep(STALE);
    assert_eq!(site.control().show("status").unwrap()["manager_alive"], true);
    forwards(&site);
    host.ip("link del vnet2").unwrap();
    wait_until("a port that goes is let go", LIMIT, || port(&site, "vnet2").is_null()).unwrap();
    assert_eq!(site.link_ids().unwrap().len(), links / 3 * 2);
    host.ip("link del br0").unwrap();
    let well = || manager.log().iter().any(|line| line.contains("all is well again"));
    wait_until("all is well again", LIMIT, well).unwrap();
    forwards(&site);
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

fn remove_bridge(lab: &Lab) {
    match lab.ovs() {
        Some(ovs) => ovs.vsctl(&["del-br", "br0"]).map(drop),
        None => lab.host().ip("link del br0").map(drop),
    }
    .unwrap();
}

fn bring_back(lab: &Lab) {
    match lab.ovs() {
        Some(ovs) => ovs.vsctl(&["add-br", "br0", "--", "set", "bridge", "br0", ovs.datapath()]).map(drop),
        None => lab.add_linux_bridge("br0", BRIDGE_MAC),
    }
    .unwrap();
    for port in ["vnet0", "vnet1"] {
        lab.add_port(port).unwrap();
    }
}

/// Its ports are nobody's then: nothing of ours stays on them. The manager lives on and takes them again.
#[test]
fn a_bridge_that_goes_and_comes_back() {
    for slow_path in SlowPath::here() {
        let site = Site::pair(slow_path, &topology("", "")).unwrap();
        let manager = site.start().unwrap();
        forwards(&site);
        remove_bridge(&site.lab);
        wait_until("the ports are let go", LIMIT, || site.programs().unwrap().is_empty()).unwrap();
        wait_until("it is told", LIMIT, || errors(&manager, "no bridge br0") == 1).unwrap();
        std::thread::sleep(STALE);
        assert_eq!(site.control().show("status").unwrap()["manager_alive"], true, "{slow_path:?}");
        assert_eq!(errors(&manager, ""), 1, "{slow_path:?}: told once: {:#?}", manager.errors_in_log());
        bring_back(&site.lab);
        let back = || ["vnet0", "vnet1"].iter().all(|name| port(&site, name)["eligible"] == true);
        wait_until("the ports take part again", LIMIT, back).unwrap();
        forwards(&site);
        drop(manager);
        site.control().detach().unwrap();
        assert_eq!(site.remains().unwrap(), Vec::<String>::new(), "{slow_path:?}");
    }
}
