//! One thing switched on under traffic, seen, yielded to, switched off, and forgotten.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce};
use bridge_tests::wait_until;
use serde_json::Value;

/// The promise, and what a busy machine adds to it.
const LIMIT: Duration = Duration::from_secs(6);

/// A command in the host's namespace.
pub(crate) type Command<'a> = &'a [&'a str];

/// What can be switched on and off, and what is said of it.
pub(crate) struct Feature<'a> {
    pub on: &'a [Command<'a>],
    pub off: &'a [Command<'a>],
    /// A part of the reason.
    pub reason: &'a str,
    /// Which ports it takes out.
    pub ports: &'a [&'a str],
    /// Whether frames between the two machines still arrive meanwhile.
    pub delivers: bool,
}

fn ineligible(site: &Site, port: &str) -> Vec<String> {
    let shown = site.control().show("ports").unwrap();
    let reasons = shown["ports"][port]["reasons"].as_array().cloned().unwrap_or_default();
    reasons.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn run(site: &Site, commands: &[Command<'_>]) {
    for command in commands {
        match (command[0], site.lab.ovs()) {
            ("ovs-vsctl", Some(ovs)) => _ = ovs.vsctl(&command[1..]).unwrap(),
            ("ovs-ofctl", Some(ovs)) => _ = ovs.ofctl(&command[1..]).unwrap(),
            (tool, _) => _ = site.lab.host().run(tool, &command[1..]).unwrap(),
        }
    }
}

fn forwarded(site: &Site) -> u64 {
    site.verdicts("vnet0").unwrap().forward
}

/// Waits until exactly `ports` are left out for `reason`; how long that took.
fn awaits(site: &Site, reason: &str, ports: &[&str]) -> Duration {
    let since = Instant::now();
    let as_told = || {
        ["vnet0", "vnet1"].iter().all(|port| {
            let reasons = ineligible(site, port);
            if ports.contains(port) { reasons.iter().any(|told| told.contains(reason)) } else { reasons.is_empty() }
        })
    };
    wait_until(&format!("{ports:?} left out for {reason:?}"), LIMIT, as_told)
        .unwrap_or_else(|error| panic!("{error}: {:?}", ["vnet0", "vnet1"].map(|port| ineligible(site, port))));
    since.elapsed()
}

/// On, seen, no frame forwarded, none lost or doubled; off, and forwarding begins again.
pub(crate) fn yields(site: &Site, name: &str, feature: &Feature<'_>, mut switch: impl FnMut(bool)) {
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let stream = Steady::start(a, b).unwrap();
    switch(true);
    run(site, feature.on);
    let took = awaits(site, feature.reason, feature.ports);
    let before = forwarded(site);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(forwarded(site), before, "{name}: forwarded all the same");
    let arrived = stream.finish().unwrap();
    if feature.delivers {
        assert!(arrived.is_clean(), "{name}: {arrived:?}");
    } else {
        assert!(arrived.leaked.is_empty() && arrived.doubled.is_empty(), "{name}: {arrived:?}");
    }
    switch(false);
    run(site, feature.off);
    let back = awaits(site, "", &[]);
    eprintln!("{name}: seen after {took:?}, its end after {back:?}");
    introduce(a, b).unwrap();
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(stream.finish().unwrap().is_clean(), "{name}: afterwards");
    wait_until(&format!("{name}: forwarding begins again"), LIMIT, || {
        introduce(a, b).unwrap();
        forwarded(site) > before
    })
    .unwrap();
}

pub(crate) fn ends(site: Site, manager: bridge_tests::fastbridge::Fastbridge) {
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}
