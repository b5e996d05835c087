//! Yielding to what Open vSwitch is told over OpenFlow beside its flows, of which OVSDB knows nothing: port configuration and the treatment of
//! fragments. As lab_yield; and nothing reaches whom Open vSwitch would not let it reach. Needs root and Open vSwitch.

#![allow(clippy::unwrap_used)]

#[path = "support/yields.rs"]
mod yields;

use std::time::Duration;

use bridge_tests::capture::{Tap, inject};
use bridge_tests::frame::{Eth, Ipv4, pad};
use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::steady::{ALLOWED_FROM, ALLOWED_TO, Steady, introduce, topology};
use bridge_tests::{format_mac, wait_until};
use yields::{Feature, ends, yields};

const LIMIT: Duration = Duration::from_secs(6);
const QUIET: Duration = Duration::from_millis(300);

/// Beside the kernel's datapath where this kernel has it; and before Linux 6.3 XDP forwards to no veth beside the other one.
fn site() -> Site {
    let slow_path = SlowPath::ovs();
    Site::pair(slow_path, &topology("", "")).unwrap()
}

/// Of a stream from `a` to `b` that begins now, nothing arrives.
fn nothing_arrives(site: &Site) {
    let (a, b) = site.machines().unwrap();
    let arrived = Steady::brief(a, b).unwrap();
    assert!(arrived.is_nothing(), "{arrived:?}");
}

/// How many of ten later fragments arrive from `a` at `b`.
fn fragments(site: &Site) -> usize {
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let mut tap = Tap::open(b.netns(), "eth0").unwrap();
    let packet = Ipv4::new(ALLOWED_FROM, ALLOWED_TO).fragment(100, false).raw(17, b"the end of a datagram");
    let frame = pad(Eth::new(b.mac(), a.mac()).ipv4(&packet), 60);
    inject(a.netns(), "eth0", &[&frame[..]; 10]).unwrap();
    tap.drain(QUIET).unwrap().iter().filter(|arrived| **arrived == frame).count()
}

fn forwarded(site: &Site) -> u64 {
    site.verdicts("vnet0").unwrap().forward
}

#[test]
fn ports_that_take_or_get_nothing() {
    let site = site();
    let manager = site.start().unwrap();
    for (port, on, off) in [("vnet0", "no-receive", "receive"), ("vnet1", "no-forward", "forward")] {
        let feature = Feature {
            on: &[&["ovs-ofctl", "mod-port", "br0", port, on]],
            off: &[&["ovs-ofctl", "mod-port", "br0", port, off]],
            reason: on,
            ports: &[port],
            delivers: false,
        };
        yields(&site, on, &feature, |on| {
            if !on {
                nothing_arrives(&site);
            }
        });
    }
    let unflooded = Feature {
        on: &[&["ovs-ofctl", "mod-port", "br0", "vnet1", "no-flood"]],
        off: &[&["ovs-ofctl", "mod-port", "br0", "vnet1", "flood"]],
        reason: "no-flood",
        ports: &["vnet1"],
        delivers: true,
    };
    yields(&site, "no-flood", &unflooded, |_| {});
    ends(site, manager);
}

/// Waits until the manager has heard all that Open vSwitch was told before this, by an order that is seen.
fn looked(site: &Site) {
    let ovs = site.lab.ovs().unwrap();
    for (order, told) in [("no-forward", true), ("forward", false)] {
        ovs.ofctl(&["mod-port", "br0", "vnet1", order]).unwrap();
        wait_until(order, LIMIT, || reasons(site, "vnet1").contains("no-forward") == told).unwrap();
    }
}

fn reasons(site: &Site, port: &str) -> String {
    site.control().show("ports").unwrap()["ports"][port]["reasons"].to_string()
}

/// A station that the file binds is known here when Open vSwitch has forgotten it, floods for it, and not to its port.
#[test]
fn what_is_not_flooded_is_not_forwarded_either() {
    let station = "[[station]]\nname = \"b\"\nmac = \"MAC\"\nport = \"vnet1\"";
    let site = site();
    let (a, b) = site.machines().unwrap();
    site.write(&topology("", &station.replace("MAC", &format_mac(b.mac())))).unwrap();
    let manager = site.start().unwrap();
    introduce(a, b).unwrap();
    assert!(Steady::brief(a, b).unwrap().is_clean());
    let before = forwarded(&site);
    assert!(before > 0, "it is known");
    site.lab.ovs().unwrap().ofctl(&["mod-port", "br0", "vnet1", "no-flood"]).unwrap();
    looked(&site);
    site.lab.flush_fdb().unwrap();
    site.lab.settle().unwrap();
    nothing_arrives(&site);
    assert_eq!(forwarded(&site), before);
    ends(site, manager);
}

#[test]
fn fragments_that_are_dropped() {
    let site = site();
    let manager = site.start().unwrap();
    fragments_arrive(&site);
    let dropped = Feature {
        on: &[&["ovs-ofctl", "set-frags", "br0", "drop"]],
        off: &[&["ovs-ofctl", "set-frags", "br0", "normal"]],
        reason: "drops IP fragments",
        ports: &["vnet0", "vnet1"],
        delivers: true,
    };
    yields(&site, "set-frags drop", &dropped, |on| {
        if !on {
            assert_eq!(fragments(&site), 0, "Open vSwitch drops them");
        }
    });
    // `NORMAL` matches no ports: to match those of first fragments changes nothing.
    site.lab.ovs().unwrap().ofctl(&["set-frags", "br0", "nx-match"]).unwrap();
    looked(&site);
    assert_eq!(["vnet0", "vnet1"].map(|port| reasons(&site, port)), ["[]", "[]"]);
    fragments_arrive(&site);
    ends(site, manager);
}

fn fragments_arrive(site: &Site) {
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let before = forwarded(site);
    assert_eq!(fragments(site), 10);
    // XDP leaves fragments to the bridge where checksums may be partial ones.
    assert!(site.lab.slow_path() == SlowPath::OvsUserspace || forwarded(site) >= before + 10);
}

/// It is the interface itself that goes down.
#[test]
fn a_port_that_open_vswitch_takes_down() {
    let site = site();
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let ovs = site.lab.ovs().unwrap();
    ovs.ofctl(&["mod-port", "br0", "vnet1", "down"]).unwrap();
    looked(&site);
    let before = forwarded(&site);
    nothing_arrives(&site);
    assert_eq!(forwarded(&site), before);
    ovs.ofctl(&["mod-port", "br0", "vnet1", "up"]).unwrap();
    site.lab.host().wait_running("vnet1").unwrap();
    wait_until("forwarding begins again", LIMIT, || {
        introduce(a, b).unwrap();
        forwarded(&site) > before
    })
    .unwrap();
    assert!(Steady::brief(a, b).unwrap().is_clean());
    ends(site, manager);
}
