//! Without `manage` the ports are those that Open vSwitch says the bridge has: all of them, none of another bridge, nothing that belongs to no
//! bridge; they come and go with OVSDB. `manage` narrows. Judged where frames arrive. Needs root and Open vSwitch.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::lab::{Builder, Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;

const LIMIT: Duration = Duration::from_secs(10);
const NARROW: &str = "manage = [\"vnet*\"]\n";

fn everything() -> String {
    topology("", "").replace(NARROW, "")
}

/// Machines a and b on ports of br0, c on one with another kind of name, e on br1; a veth on nothing.
fn site(text: &str) -> Site {
    let machines = [("a", "vnet0"), ("b", "vnet1"), ("c", "up0"), ("e", "vnet7")];
    let builder = Lab::builder(SlowPath::ovs());
    let builder =
        machines.iter().fold(builder, |builder, (name, port)| Builder::machine(builder, MachineSpec::raw(name, port)));
    let lab = builder.build().unwrap();
    to_other_bridge(&lab, "vnet7");
    lab.host().ip("link add free0 type veth peer name free1\nlink set free0 up\nlink set free1 up").unwrap();
    Site::new(lab, text).unwrap()
}

fn to_other_bridge(lab: &Lab, port: &str) {
    let ovs = lab.ovs().unwrap();
    let command = format!(
        "del-port {port} -- --may-exist add-br br1 -- set bridge br1 {} -- add-port br1 {port}",
        ovs.datapath()
    );
    ovs.vsctl(&command.split(' ').collect::<Vec<_>>()).unwrap();
}

/// Names in `show ports`, and interfaces with a program of ours, which must be the same ones.
fn ports(site: &Site) -> Vec<String> {
    let shown = site.control().show("ports").unwrap()["ports"].clone();
    shown.as_object().unwrap().keys().cloned().collect()
}

fn with_programs(site: &Site) -> Vec<String> {
    let places = site.programs().unwrap().into_keys();
    let mut names: Vec<_> = places.filter_map(|place| Some(place.split_once(' ')?.0.to_owned())).collect();
    names.dedup();
    names
}

fn await_ports(site: &Site, wanted: &[&str]) {
    wait_until(&format!("the ports are {wanted:?}"), LIMIT, || ports(site) == wanted && with_programs(site) == wanted)
        .unwrap_or_else(|error| panic!("{error}: {:?}, programs at {:?}", ports(site), with_programs(site)));
}

/// Whether the policy holds between the two, and whether what it lets pass arrives.
fn policed(site: &Site, from: &str, to: &str) -> bool {
    let (from, to) = (site.lab.machine(from).unwrap(), site.lab.machine(to).unwrap());
    introduce(from, to).unwrap();
    let arrived = Steady::brief(from, to).unwrap();
    // A busy machine loses a few in Open vSwitch's userspace datapath.
    assert!(arrived.lost.len() < arrived.sent as usize / 2 && arrived.doubled.is_empty(), "{arrived:?}");
    arrived.leaked.is_empty()
}

#[test]
fn every_port_of_the_bridge_and_no_other() {
    let mut site = site(&everything());
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 3);
    await_ports(&site, &["up0", "vnet0", "vnet1"]);
    assert!(policed(&site, "a", "c") && policed(&site, "c", "b"));
    assert!(site.verdicts("up0").unwrap().forward > 0);

    // Whatever its name.
    site.lab.add_machine(MachineSpec::raw("d", "zz")).unwrap();
    await_ports(&site, &["up0", "vnet0", "vnet1", "zz"]);
    to_other_bridge(&site.lab, "zz");
    await_ports(&site, &["up0", "vnet0", "vnet1"]);
    site.lab.ovs().unwrap().vsctl(&["del-port", "vnet7", "--", "add-port", "br0", "vnet7"]).unwrap();
    await_ports(&site, &["up0", "vnet0", "vnet1", "vnet7"]);
    assert!(policed(&site, "a", "e"));
    // No bridge's, and no `manage` names it.
    site.lab.ovs().unwrap().vsctl(&["del-port", "vnet7"]).unwrap();
    await_ports(&site, &["up0", "vnet0", "vnet1"]);

    site.write(&topology("", "")).unwrap();
    await_ports(&site, &["vnet0", "vnet1", "vnet7"]);
    assert!(policed(&site, "a", "b") && policed(&site, "a", "c"));
    assert!(policed(&site, "c", "a"), "at the egress of a managed port");
    site.write(&everything()).unwrap();
    await_ports(&site, &["up0", "vnet0", "vnet1"]);
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn manage_narrows_from_the_start() {
    let site =
        site(&everything().replace("name = \"br0\"", "name = \"br0\"\nmanage = [\"vnet1\", \"u?0\", \"vnet7\"]"));
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 2, "vnet7 is another bridge's");
    await_ports(&site, &["up0", "vnet1"]);
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
}
