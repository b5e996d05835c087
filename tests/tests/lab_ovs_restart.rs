//! Open vSwitch's daemons, bridge and ports go and come back under traffic, with a capture at every port: nothing is delivered that should not be, nor
//! twice, and the fast path is back within two seconds of Open vSwitch. Needs root and Open vSwitch.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bridge_tests::capture::Tap;
use bridge_tests::fastbridge::Fastbridge;
use bridge_tests::lab::{Builder, Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::steady::{DENIED_TO, Steady, introduce, topology};
use bridge_tests::{format_mac, wait_until};
use serde_json::json;

/// Two seconds are promised, and printed beside what was seen (0.1 to 0.9 s); a machine under load has shown 2.8.
const BACK: Duration = Duration::from_secs(6);

fn site() -> Site {
    let builder = [("a", "vnet0"), ("b", "vnet1"), ("c", "vnet2")]
        .iter()
        .fold(Lab::builder(SlowPath::ovs()), |builder, (name, port)| {
            Builder::machine(builder, MachineSpec::raw(name, port))
        });
    Site::new(builder.build().unwrap(), &topology("", "")).unwrap()
}

/// Makes the bridge with its ports, in one transaction with what comes `first`.
fn make(site: &Site, first: &str) {
    let ovs = site.lab.ovs().unwrap();
    let ports = "add-port br0 vnet0 -- add-port br0 vnet1 -- add-port br0 vnet2";
    let command = format!("{first}add-br br0 -- set bridge br0 {} -- {ports}", ovs.datapath());
    ovs.vsctl(&command.split(' ').collect::<Vec<_>>()).unwrap();
}

fn forwarded(site: &Site) -> u64 {
    site.verdicts("vnet0").unwrap().forward
}

/// Whether all three ports are as they should be, and a frame from a to b takes the fast path.
fn works(site: &Site) -> bool {
    let ports = site.control().show("ports").unwrap();
    let eligible = ["vnet0", "vnet1", "vnet2"].iter().all(|port| ports["ports"][*port]["eligible"] == true);
    let (a, b) = site.machines().unwrap();
    let before = forwarded(site);
    introduce(a, b).unwrap();
    introduce(a, b).unwrap();
    eligible && forwarded(site) > before
}

/// Waits until it works; fails after [`BACK`] from now.
fn back(site: &Site, what: &str) {
    let since = Instant::now();
    wait_until(&format!("{what}: the fast path is back"), BACK, || works(site))
        .unwrap_or_else(|error| panic!("{error}: {:#}", site.control().show("ports").unwrap()));
    eprintln!("{what}: back after {:?}", since.elapsed());
}

/// What no port may see: a frame that the policy denies.
fn denied(frame: &[u8]) -> bool {
    frame.get(30..34) == Some(&DENIED_TO)
}

/// Runs `change` under a stream from a to b, and captures at c. Frames may be lost: Open vSwitch's userspace datapath stands still while its
/// database is away (seen with 3.1 alone: replies 7 s late, then 64 of 430 lost).
fn under_traffic(site: &mut Site, what: &str, change: impl FnOnce(&mut Site)) {
    wait_until(&format!("{what}: it works before"), Duration::from_secs(10), || works(site)).unwrap();
    let (a, b) = site.machines().unwrap();
    let mut c = Tap::open(site.lab.machine("c").unwrap().netns(), "eth0").unwrap();
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    change(site);
    back(site, what);
    std::thread::sleep(Duration::from_millis(200));
    let arrived = stream.finish().unwrap();
    assert!(arrived.leaked.is_empty() && arrived.doubled.is_empty(), "{what}: {arrived:?}");
    let seen = c.drain(Duration::from_millis(50)).unwrap();
    assert!(!seen.iter().any(|frame| denied(frame)), "{what}: a denied frame reached c");
    assert_eq!(c.lost().unwrap(), 0);
    // What Open vSwitch knows again is flooded no more. (Its userspace datapath was seen to flood for many seconds after a restart without
    // learning anything; frames to such a station must go to it.)
    let (a, b) = site.machines().unwrap();
    let stream = Steady::start(a, b).unwrap();
    let known = || site.lab.ovs().unwrap().appctl("fdb/show", &["br0"]).unwrap().contains(&format_mac(b.mac()));
    wait_until(&format!("{what}: nothing is flooded any more that is known"), Duration::from_secs(10), || {
        c.drain(Duration::ZERO).unwrap();
        c.receive(Duration::from_millis(200)).unwrap().is_none() || !known()
    })
    .unwrap();
    let arrived = stream.finish().unwrap();
    assert!(arrived.leaked.is_empty() && arrived.doubled.is_empty(), "{what}: afterwards: {arrived:?}");
    assert!(!arrived.lost.contains(&(arrived.sent - 1)), "{what}: it does not arrive: {arrived:?}");
}

fn ends(site: Site, manager: Fastbridge) {
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn the_daemons_are_killed_and_started() {
    let mut site = site();
    let manager = site.start().unwrap();
    under_traffic(&mut site, "ovsdb-server", |site| {
        let (ovs, host) = site.lab.daemons().unwrap();
        ovs.kill_server();
        // Long enough for the longest pause between two tries of ours.
        std::thread::sleep(Duration::from_secs(3));
        ovs.start_server(host).unwrap();
        // Ports' numbers are not stored: ovs-vswitchd tells them when it comes back, too.
        ovs.vsctl(&["set", "bridge", "br0", "external-ids:seen=first"]).unwrap();
    });
    // What changed while there was none is read, and then the new one listened to.
    let (ovs, host) = site.lab.daemons().unwrap();
    ovs.kill_server();
    let row = json!({"op": "update", "table": "Port", "where": [["name", "==", "vnet2"]], "row": {"protected": true}});
    ovs.transact(&json!([row])).unwrap();
    ovs.start_server(host).unwrap();
    let eligible = || site.control().show("ports").unwrap()["ports"]["vnet2"]["eligible"].as_bool();
    wait_until("the new server's first word is heard", BACK, || eligible() == Some(false)).unwrap();
    site.lab.ovs().unwrap().vsctl(&["set", "port", "vnet2", "protected=false"]).unwrap();
    wait_until("the new server's word is heard", BACK, || eligible() == Some(true)).unwrap();

    under_traffic(&mut site, "ovs-vswitchd", |site| {
        let (ovs, host) = site.lab.daemons().unwrap();
        ovs.kill_vswitchd();
        std::thread::sleep(Duration::from_secs(1));
        ovs.start_vswitchd(host).unwrap();
        // Until it has done what the database says.
        ovs.vsctl(&["set", "bridge", "br0", "external-ids:seen=true"]).unwrap();
    });
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    ends(site, manager);
}

/// After `change` Open vSwitch knows no station: it floods, and so must frames to b, which is silent, though it was known here.
fn forgets(change: impl FnOnce(&mut Site)) {
    let mut site = site();
    let manager = site.start().unwrap();
    wait_until("it works", Duration::from_secs(10), || works(&site)).unwrap();
    let mut c = Tap::open(site.lab.machine("c").unwrap().netns(), "eth0").unwrap();
    change(&mut site);
    let (a, b) = site.machines().unwrap();
    let stream = Steady::start(a, b).unwrap();
    let flooded = || c.receive(Duration::from_millis(100)).unwrap().is_some_and(|frame| frame[..6] == b.mac());
    wait_until("a frame to b is flooded", BACK, flooded).unwrap_or_else(|error| {
        let fdb = site.lab.ovs().unwrap().appctl("fdb/show", &["br0"]).unwrap();
        panic!("{error}: {:?}, b is {:?}, Open vSwitch has\n{fdb}", site.verdicts("vnet0").unwrap(), b.mac())
    });
    // Ports of no bridge are let go, and policed again only some milliseconds after they are ports of one: a denied frame may have come in between.
    let arrived = stream.finish().unwrap();
    assert!(arrived.doubled.is_empty(), "{arrived:?}");
    ends(site, manager);
}

/// So fast that no look of ours need have failed.
#[test]
fn a_new_switch_has_forgotten_every_station() {
    forgets(|site| {
        let (ovs, host) = site.lab.daemons().unwrap();
        ovs.kill_vswitchd();
        ovs.start_vswitchd(host).unwrap();
        ovs.vsctl(&["set", "bridge", "br0", "external-ids:seen=true"]).unwrap();
    });
}

#[test]
fn a_new_bridge_of_the_same_name_has_forgotten_every_station() {
    forgets(|site| {
        site.lab.ovs().unwrap().vsctl(&["del-br", "br0"]).unwrap();
        make(site, "");
    });
}

#[test]
fn a_port_of_the_same_name_and_another_index() {
    let mut site = site();
    let manager = site.start().unwrap();
    let before = site.lab.host().ifindex("vnet2").unwrap();
    wait_until("it works", Duration::from_secs(10), || works(&site)).unwrap();
    let (a, b) = site.machines().unwrap();
    let stream = Steady::start(a, b).unwrap();
    site.lab.recreate_port("c").unwrap();
    back(&site, "another vnet2");
    assert_ne!(site.lab.host().ifindex("vnet2").unwrap(), before);
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{arrived:?}");
    // The receiver itself.
    let mut c = Tap::open(site.lab.machine("c").unwrap().netns(), "eth0").unwrap();
    let stream = Steady::start(a, b).unwrap();
    site.lab.recreate_port("b").unwrap();
    back(&site, "another vnet1");
    // Its capture went with the interface.
    drop(stream);
    assert!(!c.drain(Duration::from_millis(50)).unwrap().iter().any(|frame| denied(frame)));
    under_traffic(&mut site, "nothing", |_| {});
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    ends(site, manager);
}

#[test]
fn the_bridge_is_deleted_and_made_again() {
    let mut site = site();
    let manager = site.start().unwrap();
    under_traffic(&mut site, "the bridge", |site| {
        let ovs = site.lab.ovs().unwrap();
        ovs.vsctl(&["del-br", "br0"]).unwrap();
        let gone = || site.control().show("ports").unwrap()["ports"].as_object().is_none_or(|ports| ports.is_empty());
        wait_until("nobody's ports are let go", BACK, gone).unwrap();
        ovs.vsctl(&["add-br", "br0", "--", "set", "bridge", "br0", ovs.datapath()]).unwrap();
        for port in ["vnet0", "vnet1", "vnet2"] {
            ovs.vsctl(&["add-port", "br0", port]).unwrap();
        }
    });
    // In one transaction: ovs-vswitchd goes on with what it has, stations included.
    under_traffic(&mut site, "the bridge, at once", |site| {
        make(site, "del-br br0 -- ");
    });
    ends(site, manager);
}
