//! Yielding beside a Linux bridge: whatever it is told to do that we cannot do likewise, and whatever others put in the frames' way,
//! ends forwarding on the ports concerned within a second, and its end lets it begin again. Needs root.

#![allow(clippy::unwrap_used)]

#[path = "support/yields.rs"]
mod yields;

use bridge_tests::foreign::{Foreign, Place};
use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::skip;
use bridge_tests::steady::topology;
use yields::{Feature, ends, yields};

fn port_flag(flag: &'static str) -> [[&'static str; 7]; 2] {
    let (on, off) = if flag == "learning" { ("off", "on") } else { ("on", "off") };
    [on, off].map(|value| ["bridge", "link", "set", "dev", "vnet0", flag, value])
}

#[test]
fn a_linux_bridges_own_settings() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    for (flag, reason) in [
        ("isolated", "isolated"),
        ("hairpin", "hairpin"),
        ("learning", "does not learn"),
        ("neigh_suppress", "suppresses neighbour"),
    ] {
        let [on, off] = port_flag(flag);
        let feature = Feature { on: &[&on], off: &[&off], reason, ports: &["vnet0"], delivers: true };
        yields(&site, flag, &feature, |_| {});
    }
    let [on, off] = port_flag("locked");
    // A locked port takes nothing from stations that nobody entered by hand.
    let locked = Feature { on: &[&on], off: &[&off], reason: "locked", ports: &["vnet0"], delivers: false };
    yields(&site, "locked", &locked, |_| {});
    let state = |value| ["bridge", "link", "set", "dev", "vnet0", "state", value];
    let blocked = Feature {
        on: &[&state("0")],
        off: &[&state("3")],
        reason: "not forwarding",
        ports: &["vnet0"],
        delivers: false,
    };
    yields(&site, "state", &blocked, |_| {});
    let call = |value| ["ip", "link", "set", "br0", "type", "bridge", "nf_call_iptables", value];
    let netfilter = Feature {
        on: &[&call("1")],
        off: &[&call("0")],
        reason: "iptables",
        ports: &["vnet0", "vnet1"],
        delivers: true,
    };
    yields(&site, "nf_call_iptables", &netfilter, |_| {});
    ends(site, manager);
}

#[test]
fn programs_filters_and_chains_of_others() {
    if skip::without_tcx() {
        return;
    }
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    let (one, both) = (&["vnet1"][..], &["vnet0", "vnet1"][..]);
    let foreign = |reason, ports| Feature { on: &[], off: &[], reason, ports, delivers: true };
    let mut held = None;
    yields(&site, "tcx program", &foreign("tcx ingress program", one), |on| {
        held = on.then(|| Foreign::attach(site.lab.host(), "vnet1", Place::TcxIngress).unwrap());
    });
    drop(held);
    // Before there is traffic: the kernel stops a device's queues for a moment when it gets a qdisc, whatever it is for, and drops what comes
    // meanwhile (net/sched/sch_api.c `qdisc_graft`, `dev_deactivate`).
    site.lab.host().run("tc", &["qdisc", "add", "dev", "vnet1", "clsact"]).unwrap();
    let feature = Feature {
        on: &[&["tc", "filter", "add", "dev", "vnet1", "egress", "protocol", "all", "u32", "match", "u32", "0", "0"]],
        off: &[&["tc", "qdisc", "del", "dev", "vnet1", "clsact"]],
        ..foreign("tc egress filter of kind u32", one)
    };
    yields(&site, "tc filter", &feature, |_| {});
    let feature = Feature {
        on: &[
            &["nft", "add", "table", "netdev", "t"],
            &["nft", "add", "chain", "netdev", "t", "c", "{ type filter hook ingress device vnet1 priority 0; }"],
        ],
        off: &[&["nft", "delete", "table", "netdev", "t"]],
        ..foreign("nftables chain c of table t sees its frames", one)
    };
    yields(&site, "netdev chain", &feature, |_| {});
    let feature = Feature {
        on: &[
            &["nft", "add", "table", "bridge", "t"],
            &["nft", "add", "chain", "bridge", "t", "c", "{ type filter hook forward priority 0; }"],
        ],
        off: &[&["nft", "delete", "table", "bridge", "t"]],
        ..foreign("nftables chain c of table t sees the bridge's frames", both)
    };
    yields(&site, "bridge chain", &feature, |_| {});
    ends(site, manager);
}

#[test]
fn a_qdisc_that_xdp_would_pass_by() {
    let xdp = "[[port]]\nmatch = \"vnet0\"\nhook = \"xdp\"";
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", xdp)).unwrap();
    let manager = site.start().unwrap();
    let feature = Feature {
        on: &[&["tc", "qdisc", "add", "dev", "vnet1", "root", "pfifo", "limit", "1000"]],
        off: &[&["tc", "qdisc", "del", "dev", "vnet1", "root"]],
        reason: "pfifo qdisc",
        ports: &["vnet1"],
        // The kernel itself drops what comes while it puts the qdisc in.
        delivers: false,
    };
    yields(&site, "qdisc", &feature, |_| {});
    ends(site, manager);
}
