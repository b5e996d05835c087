//! A manager that is killed under a steady stream: forwarding falls back to the bridge, the policy stays, and the next manager takes over
//! without anybody noticing. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;

const XDP: &str = "[[port]]\nmatch = \"vnet*\"\nhook = \"xdp\"";

fn takes_over(site: &Site) {
    let mut first = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let (links, programs) = (site.link_ids().unwrap(), site.programs().unwrap());
    assert!(programs.len() >= 4, "{programs:?}");
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(site.verdicts("vnet0").unwrap().forward > 50, "the stream is not on the fast path");

    first.kill().unwrap();
    let killed = Instant::now();
    let slow = || site.verdicts("vnet0").unwrap().punted("no-manager") > 0;
    wait_until("forwarding stops", Duration::from_secs(7), slow).unwrap();
    eprintln!("forwarding stopped {:?} after SIGKILL", killed.elapsed());
    let stopped = site.verdicts("vnet0").unwrap().forward;
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(site.verdicts("vnet0").unwrap().forward, stopped, "it forwards without a manager");

    let second = site.start().unwrap();
    assert_eq!(second.ready_ports(), 2);
    let again = || site.verdicts("vnet0").unwrap().forward > stopped;
    wait_until("it forwards again", Duration::from_secs(20), again).unwrap();
    assert_eq!(site.link_ids().unwrap(), links, "links were made anew");
    assert!(site.programs().unwrap().keys().eq(programs.keys()), "not the same programs at the same places");
    std::thread::sleep(Duration::from_millis(200));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{arrived:?}");
    eprintln!("{} frames, {} out of order", arrived.sent, arrived.reordered);
    counted(site, u64::from(arrived.sent));
    assert_eq!(second.errors_in_log(), Vec::<String>::new());
    drop(second);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// One hello, then two frames for each number: all are counted, across both managers.
fn counted(site: &Site, sent: u64) {
    let verdicts = site.verdicts("vnet0").unwrap();
    assert_eq!(verdicts.total(), 1 + 2 * sent, "{verdicts:?}");
    assert_eq!(verdicts.dropped("policy"), sent, "{verdicts:?}");
    let rules = site.control().show("counters").unwrap()["rules"].clone();
    assert_eq!(rules["internal"]["packets"], 3 + sent, "{rules}");
    assert_eq!(rules["default"]["packets"], sent, "{rules}");
}

#[test]
fn beside_a_linux_bridge() {
    takes_over(&Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap());
}

#[test]
fn with_xdp() {
    takes_over(&Site::pair(SlowPath::LinuxBridge, &topology("", XDP)).unwrap());
}

#[test]
fn beside_open_vswitch() {
    takes_over(&Site::pair(SlowPath::ovs(), &topology("", "")).unwrap());
}

#[test]
fn without_tcx() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    takes_over(&site.with(|control| control.variable("FASTBRIDGE_NO_TCX", "1")));
}
