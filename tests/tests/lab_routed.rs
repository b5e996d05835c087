//! A host that routes between networks of one bridge, by one device of it or several: VLAN devices on a Linux bridge, internal ports of Open
//! vSwitch. What it routes is judged where it came in and where it leaves, and counts under its rule once; what it brings from elsewhere
//! counts too. Needs root.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

use aya::maps::{Array, HashMap, Map, MapData};
use bridge_common::abi::{OWN_DEVICE, maps};
use bridge_tests::lab::{Builder, Lab, MachineSpec, PortVlan, SlowPath};
use bridge_tests::netns::Netns;
use bridge_tests::site::Site;
use bridge_tests::{skip, wait_until};

const TOPOLOGY: &str = r#"
[bridge]
name = "br0"
manage = ["vnet*"]
[policy]
default = "deny"
[[policy.zone]]
name = "internal"
prefixes = ["10.17.0.0/16"]
[[policy.rule]]
id = "datagrams"
from = "any"
to = "internal"
proto = "udp"
ports = ["7777"]
action = "allow"
"#;
const LIMIT: Duration = Duration::from_secs(5);
const SENT: u64 = 10;

/// Machine, port, VLAN; `10.17.<VLAN>.2` behind the host's `gw<VLAN>` with `10.17.<VLAN>.1`.
const MACHINES: [(&str, &str, u16); 3] = [("a", "vnet0", 10), ("b", "vnet1", 20), ("c", "vnet2", 30)];

fn site(slow_path: SlowPath) -> Site {
    let machine = |(name, port, vlan): (&str, &str, u16)| {
        let spec = MachineSpec::new(name, port);
        let spec = if slow_path == SlowPath::LinuxBridge { spec } else { spec.vlan(PortVlan::Access(vlan)) };
        spec.address(&format!("10.17.{vlan}.2/24")).gateway(&format!("10.17.{vlan}.1"))
    };
    let builder = MACHINES.into_iter().map(machine).fold(Lab::builder(slow_path), Builder::machine);
    let mut lab = builder.build().unwrap();
    lab.host().sysctl("ipv4/ip_forward", "1").unwrap();
    lab.add_namespace("outside").unwrap();
    lab.connect(("outside", "eth0"), ("host", "out0")).unwrap();
    lab.host().ip("addr add 203.0.113.1/24 dev out0").unwrap();
    let outside = "addr add 203.0.113.8/24 dev eth0\nroute add default via 203.0.113.1";
    lab.netns("outside").unwrap().ip(outside).unwrap();
    Site::new(lab, TOPOLOGY).unwrap()
}

/// The host's device in a VLAN of the bridge.
fn add_gateway(lab: &Lab, vlan: u16) -> u32 {
    let name = format!("gw{vlan}");
    match lab.ovs() {
        Some(ovs) => {
            let set = ["--", "set", "interface", &name, "type=internal"];
            ovs.vsctl(&[&["add-port", "br0", &name, &format!("tag={vlan}")], &set[..]].concat()).unwrap();
        }
        None => {
            let vid = vlan.to_string();
            lab.host().run("bridge", &["vlan", "add", "dev", "br0", "vid", &vid, "self"]).unwrap();
            lab.host().ip(&format!("link add link br0 name {name} type vlan id {vlan}")).unwrap();
        }
    }
    lab.host().ip(&format!("link set {name} up\naddr add 10.17.{vlan}.1/24 dev {name}")).unwrap();
    lab.host().ifindex(&name).unwrap().unwrap()
}

fn remove_gateway(lab: &Lab, vlan: u16) {
    match lab.ovs() {
        Some(ovs) => _ = ovs.vsctl(&["del-port", &format!("gw{vlan}")]).unwrap(),
        None => _ = lab.host().ip(&format!("link del gw{vlan}")).unwrap(),
    }
}

fn netns<'a>(site: &'a Site, name: &str) -> &'a Netns {
    site.lab.netns(name).unwrap()
}

/// Sends datagrams, each of which arrives; how many the rule counts.
fn counted(site: &Site, from: &str, (to, address): (&str, &str)) -> u64 {
    let counter = || {
        let counters = site.control().show("counters").unwrap();
        counters["rules"]["datagrams"]["packets"].as_u64().unwrap_or_default()
    };
    let before = counter();
    let server = netns(site, to).enter(|| UdpSocket::bind((address, 7777))).unwrap().unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    let client = netns(site, from).enter(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
    for number in 0..SENT {
        client.send_to(&number.to_be_bytes(), (address, 7777)).unwrap();
        let mut got = [0; 8];
        server.recv(&mut got).unwrap();
        assert_eq!(got, number.to_be_bytes(), "{from} to {to}");
    }
    counter() - before
}

/// The devices that the maps know as the bridge's own: hashed, and near ones.
fn own(site: &Site) -> [BTreeSet<u32>; 2] {
    let pins = site.pinned().unwrap();
    let open = |name: &str| {
        let pin = pins.iter().find(|path| path.rsplit('/').next() == Some(name)).unwrap();
        Map::from_map_data(MapData::from_pin(site.pins().join(pin)).unwrap()).unwrap()
    };
    let hashed: HashMap<_, u32, u32> = open(maps::SLOTS).try_into().unwrap();
    let near: Array<_, u32> = open(maps::NEAR_SLOTS).try_into().unwrap();
    let hashed = hashed.iter().map(Result::unwrap).filter(|(_, word)| *word == OWN_DEVICE).map(|(ifindex, _)| ifindex);
    let near = (0..maps::NEAR_IFINDEX).filter(|ifindex| near.get(ifindex, 0).unwrap() == OWN_DEVICE);
    [hashed.collect(), near.collect()]
}

fn knows(site: &Site, devices: &[u32]) {
    let devices: BTreeSet<u32> = devices.iter().copied().chain(site.lab.host().ifindex("br0").unwrap()).collect();
    wait_until(&format!("{devices:?} are the bridge's own"), LIMIT, || own(site).iter().all(|own| *own == devices))
        .unwrap();
}

fn counts_once(slow_path: SlowPath) {
    let site = site(slow_path);
    let [ten, twenty] = [10, 20].map(|vlan| add_gateway(&site.lab, vlan));
    let mut manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 3);
    knows(&site, &[ten, twenty]);
    let (a, b, c) = (("a", "10.17.10.2"), ("b", "10.17.20.2"), ("c", "10.17.30.2"));
    assert_eq!((counted(&site, "a", b), counted(&site, "b", a)), (SENT, SENT), "{slow_path:?}");
    // A device that comes, and one that goes.
    let thirty = add_gateway(&site.lab, 30);
    knows(&site, &[ten, twenty, thirty]);
    assert_eq!((counted(&site, "c", a), counted(&site, "a", c)), (SENT, SENT), "{slow_path:?}");
    remove_gateway(&site.lab, 20);
    knows(&site, &[ten, thirty]);
    // While no manager is there, and after another one has come.
    manager.kill().unwrap();
    assert_eq!(counted(&site, "a", c), SENT, "{slow_path:?}");
    let twenty = add_gateway(&site.lab, 20);
    remove_gateway(&site.lab, 30);
    let manager = site.start().unwrap();
    knows(&site, &[ten, twenty]);
    assert_eq!(counted(&site, "a", b), SENT, "{slow_path:?}");
    // From outside no managed port judged it. (What Open vSwitch's user space re-sends does not tell where it came from.)
    let from_outside = counted(&site, "outside", b);
    if slow_path == SlowPath::LinuxVlanBridge {
        assert_eq!(from_outside, SENT);
    }
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// The bridge's device is the only one, in all networks.
#[test]
fn between_networks_on_a_linux_bridge() {
    let site = site(SlowPath::LinuxBridge);
    MACHINES.iter().for_each(|(.., vlan)| site.lab.host_address(&format!("10.17.{vlan}.1/24")).unwrap());
    let manager = site.start().unwrap();
    knows(&site, &[]);
    let b = ("b", "10.17.20.2");
    assert_eq!((counted(&site, "a", b), counted(&site, "outside", b)), (SENT, SENT));
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
}

#[test]
fn between_vlan_devices_on_a_linux_bridge() {
    if !skip::without(SlowPath::LinuxVlanBridge) {
        counts_once(SlowPath::LinuxVlanBridge);
    }
}

#[test]
fn between_internal_ports_of_ovs_userspace() {
    counts_once(SlowPath::OvsUserspace);
}

#[test]
fn between_internal_ports_of_the_ovs_kernel_datapath() {
    if !skip::without(SlowPath::OvsKernel) {
        counts_once(SlowPath::OvsKernel);
    }
}
