//! A manager that is killed, or told to stop, under a steady stream: forwarding falls back to the bridge, the policy stays, and the next
//! manager takes over without anybody noticing. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bridge_tests::lab::{Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;

fn raw(slow_path: SlowPath) -> Lab {
    Lab::builder(slow_path)
        .machine(MachineSpec::raw("a", "vnet0"))
        .machine(MachineSpec::raw("b", "vnet1"))
        .build()
        .unwrap()
}

/// Frames that came in at a port, by verdict.
fn verdicts(site: &Site, port: &str) -> (u64, u64, u64) {
    let counters = site.control().show("counters").unwrap();
    let port = &counters["ports"][port];
    let sum = |what: &str| port[what].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
    (port["forward"].as_u64().unwrap(), sum("punt"), sum("drop"))
}

fn punts(site: &Site, port: &str, reason: &str) -> u64 {
    site.control().show("counters").unwrap()["ports"][port]["punt"][reason].as_u64().unwrap_or_default()
}

fn takes_over(slow_path: SlowPath, rest: &str) {
    let site = Site::new(raw(slow_path), &topology("", rest)).unwrap();
    let mut first = site.start().unwrap();
    let (a, b) = (site.lab.machine("a").unwrap(), site.lab.machine("b").unwrap());
    introduce(a, b).unwrap();
    let links = site.link_ids().unwrap();
    assert!(links.len() >= 4, "{links:?}");
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (forwarded, ..) = verdicts(&site, "vnet0");
    assert!(forwarded > 50, "the stream is not on the fast path");

    first.kill().unwrap();
    let killed = Instant::now();
    wait_until("forwarding stops", Duration::from_secs(7), || punts(&site, "vnet0", "no-manager") > 0).unwrap();
    eprintln!("{slow_path:?}: forwarding stopped {:?} after SIGKILL", killed.elapsed());
    let (stopped, ..) = verdicts(&site, "vnet0");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(verdicts(&site, "vnet0").0, stopped, "it forwards without a manager");

    let second = site.start().unwrap();
    assert_eq!(second.ready_ports(), 2);
    wait_until("it forwards again", Duration::from_secs(3), || verdicts(&site, "vnet0").0 > stopped).unwrap();
    assert_eq!(site.link_ids().unwrap(), links, "links were made anew");
    std::thread::sleep(Duration::from_millis(200));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{slow_path:?}: {arrived:?}");
    eprintln!("{slow_path:?}: {} frames, {} out of order", arrived.sent, arrived.reordered);
    // One hello, then two frames for each number: all are counted, across both managers.
    let (forward, punt, drop) = verdicts(&site, "vnet0");
    assert_eq!(forward + punt + drop, 1 + 2 * u64::from(arrived.sent));
    assert_eq!(drop, u64::from(arrived.sent));
    let rules = site.control().show("counters").unwrap()["rules"].clone();
    assert_eq!(rules["internal"]["packets"], 3 + u64::from(arrived.sent), "{rules}");
    assert_eq!(rules["default"]["packets"], u64::from(arrived.sent), "{rules}");
    assert_eq!(second.errors_in_log(), Vec::<String>::new());
    std::mem::drop(second);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn a_killed_manager_is_replaced_unnoticed_beside_a_linux_bridge() {
    takes_over(SlowPath::LinuxBridge, "");
}

#[test]
fn a_killed_manager_is_replaced_unnoticed_with_xdp() {
    takes_over(SlowPath::LinuxBridge, "[[port]]\nmatch = \"vnet*\"\nhook = \"xdp\"");
}

#[test]
fn a_killed_manager_is_replaced_unnoticed_beside_open_vswitch() {
    takes_over(SlowPath::OvsUserspace, "");
}
