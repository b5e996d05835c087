//! The ways out: SIGTERM with each `on_exit`, and `detach`, which takes what is ours and nothing else. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::attached;
use bridge_tests::foreign::{Foreign, Place};
use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::skip;
use bridge_tests::steady::{Steady, introduce, topology};

fn keeps(slow_path: SlowPath) {
    let site = Site::pair(slow_path, &topology("on_exit = \"keep\"", "")).unwrap();
    let mut manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(manager.terminate().unwrap().code(), Some(0));
    // Not after the heartbeat has grown stale: at once.
    let forwarded = site.verdicts("vnet0").unwrap().forward;
    assert!(forwarded > 50);
    std::thread::sleep(Duration::from_millis(300));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{slow_path:?}: {arrived:?}");
    let after = site.verdicts("vnet0").unwrap();
    assert_eq!(after.forward, forwarded);
    assert!(after.punted("no-manager") > 50, "{after:?}");
    assert_eq!(after.dropped("policy"), u64::from(arrived.sent));
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn sigterm_with_keep_stops_forwarding_and_keeps_the_policy() {
    SlowPath::here().into_iter().for_each(keeps);
}

#[test]
fn sigterm_with_detach_leaves_nothing_and_loses_nothing() {
    for slow_path in SlowPath::here() {
        let site = Site::pair(slow_path, &topology("on_exit = \"detach\"", "")).unwrap();
        let mut manager = site.start().unwrap();
        let (a, b) = site.machines().unwrap();
        introduce(a, b).unwrap();
        let stream = Steady::start(a, b).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(manager.terminate().unwrap().code(), Some(0));
        assert_eq!(site.remains().unwrap(), Vec::<String>::new());
        let arrived = stream.finish().unwrap();
        assert!(arrived.lost.is_empty() && arrived.doubled.is_empty(), "{slow_path:?}: {arrived:?}");
        assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    }
}

#[test]
fn detach_takes_only_what_is_ours() {
    if skip::without_tcx() {
        return;
    }
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let host = site.lab.host();
    let _foreign = Foreign::attach(host, "vnet0", Place::TcxIngress).unwrap();
    let _xdp = Foreign::attach(host, "vnet1", Place::Xdp).unwrap();
    let before = attached::programs(host).unwrap();
    assert_eq!(before.len(), 2, "{before:?}");
    let mut manager = site.start().unwrap();
    assert_eq!(site.programs().unwrap().len(), 4);
    // While a manager lives, the bridge is its own.
    let (code, said) = site.control().ends(&["detach", "--bridge", "br0"]).unwrap();
    assert_eq!(code, Some(3), "{said}");
    manager.kill().unwrap();
    site.control().detach().unwrap();
    assert_eq!(attached::programs(host).unwrap(), before);
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn detach_of_nothing_is_done_already() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let (code, said) = site.control().ends(&["detach", "--bridge", "br0"]).unwrap();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    // What a manager that was killed while it made its directories leaves.
    std::fs::create_dir(site.pins().join("br0")).unwrap();
    let (code, said) = site.control().ends(&["detach", "--bridge", "br0"]).unwrap();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}
