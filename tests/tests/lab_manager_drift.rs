//! Links of ours that somebody detaches or unpins behind the manager's back. No event tells of it: the manager looks, and puts them back at
//! once. Needs root.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::skip;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::{find_tool, wait_until};

/// A second, and what a busy machine adds to it; far from the ten seconds after which everything is looked at anyway.
const LIMIT: Duration = Duration::from_secs(6);
const XDP: &str = "[[port]]\nmatch = \"vnet*\"\nhook = \"xdp\"";

fn detach(pin: &PathBuf) {
    let status = Command::new(find_tool("bpftool").unwrap()).args(["link", "detach", "pinned"]).arg(pin).status();
    assert!(status.unwrap().success(), "{}", pin.display());
}

fn unpin(pin: &PathBuf) {
    std::fs::remove_file(pin).unwrap();
}

/// What is put back is looked at again; after that nothing but the look at the links themselves tells of a tap's XDP program.
const QUIET: Duration = Duration::from_millis(1500);

/// What sits where, and what is pinned; not under which numbers.
fn whole(site: &Site) -> (Vec<String>, Vec<String>) {
    let programs = site.programs().unwrap().into_keys().collect();
    (programs, site.pinned().unwrap().into_iter().collect())
}

fn comes_back(slow_path: SlowPath, rest: &str) {
    let site = Site::pair(slow_path, &topology("", rest)).unwrap();
    // A veth tells netlink of its XDP program, a tap tells nobody.
    site.lab.host().ip("tuntap add vnet2 mode tap\nlink set vnet2 up").unwrap();
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 3);
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let links = site.pins().join("br0/links");
    let mut pins: Vec<_> = std::fs::read_dir(&links).unwrap().map(|entry| entry.unwrap().path()).collect();
    pins.sort();
    assert!(pins.len() >= 6, "{pins:?}");
    let before = whole(&site);
    for take in [detach, unpin] {
        for pin in &pins {
            if pin.to_string_lossy().ends_with("-xdp") {
                std::thread::sleep(QUIET);
            }
            let numbers = site.link_ids().unwrap();
            take(pin);
            let since = Instant::now();
            let back = || whole(&site) == before && site.link_ids().unwrap() != numbers;
            wait_until(&format!("{} is back", pin.display()), LIMIT, back).unwrap();
            eprintln!("{}: back after {:?}", pin.file_name().unwrap().display(), since.elapsed());
        }
    }
    introduce(a, b).unwrap();
    let forwarded = site.verdicts("vnet0").unwrap().forward;
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(stream.finish().unwrap().is_clean());
    assert!(site.verdicts("vnet0").unwrap().forward > forwarded, "not on the fast path");
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn beside_a_linux_bridge() {
    if skip::without_tcx() {
        return;
    }
    comes_back(SlowPath::LinuxBridge, XDP);
}

#[test]
fn beside_open_vswitch() {
    if skip::without_tcx() {
        return;
    }
    comes_back(SlowPath::ovs(), "");
}
