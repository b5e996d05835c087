//! Yielding to what a filtering Linux bridge is told of one VLAN at one port, as in lab_yield: states of VLANs, spanning trees of their own.
//! Needs root and a kernel whose bridge filters VLANs.

#![allow(clippy::unwrap_used)]

#[path = "support/yields.rs"]
mod yields;

use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::skip::without;
use bridge_tests::steady::{Steady, topology};
use yields::{Feature, ends, yields};

/// BR_STATE_* of linux/if_bridge.h.
const FORWARDING: u8 = 3;
const BLOCKING: u8 = 4;
/// Of VLAN 1.
const TREE: u16 = 7;

fn site() -> Option<Site> {
    if without(SlowPath::LinuxVlanBridge) {
        return None;
    }
    Some(Site::pair(SlowPath::LinuxVlanBridge, &topology("", "")).unwrap())
}

/// Of a stream from `a` to `b` that begins now, nothing arrives.
fn nothing_arrives(site: &Site) {
    let (a, b) = site.machines().unwrap();
    let arrived = Steady::brief(a, b).unwrap();
    assert!(arrived.is_nothing(), "{arrived:?}");
}

#[test]
fn the_state_of_a_vlan_at_a_port() {
    let Some(site) = site() else { return };
    let manager = site.start().unwrap();
    let state = |port, state| ["bridge", "vlan", "set", "dev", port, "vid", "1", "state", state];
    for (port, odd) in [("vnet0", "blocking"), ("vnet1", "learning")] {
        let feature = Feature {
            on: &[&state(port, odd)],
            off: &[&state(port, "forwarding")],
            reason: "is not in state forwarding",
            ports: &[port],
            delivers: false,
        };
        yields(&site, odd, &feature, |on| {
            if !on {
                nothing_arrives(&site);
            }
        });
    }
    ends(site, manager);
}

/// The kernel switches it only while the ports are in no VLAN.
fn spanning_trees(site: &Site, on: bool) {
    let host = site.lab.host();
    for port in ["vnet0", "vnet1"] {
        host.run("bridge", &["vlan", "del", "dev", port, "vid", "1"]).unwrap();
    }
    site.lab.set_mst(on).unwrap();
    for port in ["vnet0", "vnet1"] {
        host.run("bridge", &["vlan", "add", "dev", port, "vid", "1", "pvid", "untagged"]).unwrap();
    }
    if on {
        site.lab.set_mst_tree(1, TREE).unwrap();
        for port in ["vnet0", "vnet1"] {
            site.lab.set_mst_state(port, TREE, FORWARDING).unwrap();
        }
    }
}

#[test]
fn spanning_trees_of_vlans() {
    let Some(site) = site() else { return };
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    let feature = Feature {
        on: &[],
        off: &[],
        reason: "spanning trees of their own",
        ports: &["vnet0", "vnet1"],
        delivers: false,
    };
    yields(&site, "mst_enable", &feature, |on| {
        if !on {
            // Nobody is told of these.
            assert!(Steady::brief(a, b).unwrap().is_clean(), "both ports forward in the tree");
            site.lab.set_mst_state("vnet1", TREE, BLOCKING).unwrap();
            nothing_arrives(&site);
            site.lab.set_mst_state("vnet1", TREE, FORWARDING).unwrap();
        }
        spanning_trees(&site, on);
    });
    ends(site, manager);
}
