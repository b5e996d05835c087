//! Another set of `[limits]` means other maps: they replace the old ones under traffic, and the policy is never absent. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;

const SMALL: &str = "[limits]\nstations = 512\nflows = 1024\nports = 16\nrules = 8\nprefixes = 64";

fn maps(site: &Site) -> Vec<String> {
    site.pinned()
        .unwrap()
        .into_iter()
        .filter(|path| path.starts_with("br0/maps-") && path.matches('/').count() == 1)
        .collect()
}

fn replaces(slow_path: SlowPath) {
    let site = Site::pair(slow_path, &topology("", "")).unwrap();
    let mut first = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let (old, links, programs) = (maps(&site), site.link_ids().unwrap(), site.programs().unwrap());
    assert_eq!(old.len(), 1);
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    first.kill().unwrap();
    site.write(&topology("", SMALL)).unwrap();
    let second = site.start().unwrap();
    let new = maps(&site);
    assert!(new.len() == 1 && new != old, "{old:?} -> {new:?}");
    assert_eq!(site.link_ids().unwrap(), links);
    assert!(site.programs().unwrap().iter().all(|(place, ids)| programs[place] != *ids), "old programs stay");
    std::thread::sleep(Duration::from_millis(200));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{slow_path:?}: {arrived:?}");
    // The new maps learn anew.
    introduce(a, b).unwrap();
    let before = site.verdicts("vnet1").unwrap().forward;
    let forwards = || {
        introduce(a, b).unwrap();
        site.verdicts("vnet1").unwrap().forward > before
    };
    wait_until("the new maps forward", Duration::from_secs(20), forwards).unwrap();
    assert_eq!(second.errors_in_log(), Vec::<String>::new());
    drop(second);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn other_limits_replace_the_maps_beside_a_linux_bridge() {
    replaces(SlowPath::LinuxBridge);
}

#[test]
fn other_limits_replace_the_maps_beside_open_vswitch() {
    replaces(SlowPath::ovs());
}

/// Limits into which the policy does not fit: the old manager's policy stays, whole.
#[test]
fn limits_that_do_not_fit_change_nothing() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let mut first = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let pinned = site.pinned().unwrap();
    let programs = site.programs().unwrap();
    first.kill().unwrap();
    let _foreign = bridge_tests::foreign::Foreign::attach(site.lab.host(), "vnet1", bridge_tests::foreign::Place::Xdp);
    let small = format!("{SMALL}\n[[port]]\nmatch = \"vnet1\"\nhook = \"xdp\"");
    site.write(&topology("", &small)).unwrap();
    let (code, said) = site.refused().unwrap();
    assert_eq!(code, Some(3), "{said}");
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(stream.finish().unwrap().is_clean());
    assert!(site.programs().unwrap().keys().eq(programs.keys()));
    assert!(site.pinned().unwrap().is_superset(&pinned));
    site.write(&topology("", "")).unwrap();
    let third = site.start().unwrap();
    assert_eq!(site.pinned().unwrap(), pinned);
    drop(third);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}
