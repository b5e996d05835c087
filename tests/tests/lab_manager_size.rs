//! Two hundred ports under a service's limit of open files, and the privileges of the systemd unit. Needs root.

#![allow(clippy::unwrap_used)]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::{Duration, Instant};

use bridge_tests::find_tool;
use bridge_tests::foreign::{Foreign, Place};
use bridge_tests::lab::{Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::skip;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;
use serde_json::Value;

const PORTS: usize = 200;
/// Printed is what it is; asserted only that it is of the right order.
const RSS_LIMIT_KIB: u64 = 64 * 1024;

fn status(pid: u32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default().trim_matches([':', '\t', ' ']).to_owned()
}

#[test]
fn two_hundred_ports() {
    let lab = Lab::builder(SlowPath::LinuxBridge)
        .machine(MachineSpec::raw("a", "vnet0"))
        .machine(MachineSpec::raw("b", "vnet1"))
        .build()
        .unwrap();
    let more = |n: usize| {
        format!("link add vnet{n} type veth peer name peer{n}\nlink set vnet{n} master br0 up\nlink set peer{n} up\n")
    };
    lab.host().ip(&(2..PORTS).map(more).collect::<String>()).unwrap();
    lab.host().wait_running(&format!("vnet{}", PORTS - 1)).unwrap();
    // As many services have it: less than the links that are held.
    let prlimit = find_tool("prlimit").unwrap().display().to_string();
    let site = Site::new(lab, &topology("", "")).unwrap();
    let site = site.with(|control| control.wrapped(&[&prlimit, "--nofile=256:"]));
    let began = Instant::now();
    let mut manager = site.control().start(&site.topology()).unwrap();
    eprintln!("{PORTS} ports: ready after {:?}", began.elapsed());
    assert_eq!(manager.ready_ports(), PORTS);
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    let rss: u64 = status(manager.pid(), "VmRSS").trim_end_matches(" kB").parse().unwrap();
    eprintln!("{PORTS} ports: {rss} KiB resident");
    assert!(rss < RSS_LIMIT_KIB, "{rss} KiB");
    manager.kill().unwrap();
    let began = Instant::now();
    let second = site.control().start(&site.topology()).unwrap();
    eprintln!("{PORTS} ports: taken over after {:?}", began.elapsed());
    assert!(stream.finish().unwrap().is_clean());
    assert_eq!(second.errors_in_log(), Vec::<String>::new());
    drop(second);
    site.control().detach().unwrap();
    assert_eq!(site.pinned().unwrap().len(), 0);
}

/// The unit's `CapabilityBoundingSet=`, as setpriv(1) takes it.
fn unit_capabilities() -> String {
    let unit = include_str!("../../packaging/fastbridge.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let each = line.split_whitespace().map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()));
    format!("-all{}", each.collect::<String>())
}

/// As where Open vSwitch runs under an account of its own: its sockets are not root's.
fn belongs_to_nobody(directory: &Path) {
    const NOBODY: u32 = 65_534;
    for entry in std::fs::read_dir(directory).unwrap() {
        chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
    std::fs::set_permissions(directory, Permissions::from_mode(0o750)).unwrap();
}

/// Attach, take over, forward, find what is ours, leave: with the privileges that the unit leaves it, and no more.
fn works_under_the_unit(site: Site) {
    let setpriv = find_tool("setpriv").unwrap().display().to_string();
    let bounding = format!("--bounding-set={}", unit_capabilities());
    let site = site.with(|control| control.wrapped(&[&setpriv, &bounding, "--no-new-privs", "--inh-caps=-all"]));
    let mut first = site.start().unwrap();
    assert_ne!(status(first.pid(), "CapEff"), status(std::process::id(), "CapEff"));
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    first.kill().unwrap();
    let mut second = site.start().unwrap();
    let before = site.verdicts("vnet0").unwrap().forward;
    wait_until("it forwards", Duration::from_secs(20), || site.verdicts("vnet0").unwrap().forward > before).unwrap();
    assert!(stream.finish().unwrap().is_clean());
    yields_to_a_program(&site);
    for manager in [&first, &second] {
        assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    }
    assert_eq!(second.terminate().unwrap().code(), Some(0));
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// Which programs are its own it knows without opening those of others, which the unit may not.
fn yields_to_a_program(site: &Site) {
    let reasons = || {
        let ports = site.control().show("ports").unwrap()["ports"].clone();
        ["vnet0", "vnet1"].map(|port| ports[port]["reasons"].as_array().cloned().unwrap_or_default())
    };
    let none: [Vec<Value>; 2] = Default::default();
    assert_eq!(reasons(), none);
    let foreign = Foreign::attach(site.lab.host(), "vnet1", Place::TcxIngress).unwrap();
    let seen =
        || reasons()[1].iter().any(|reason| reason.to_string().contains("a tcx ingress program of somebody else"));
    wait_until("it is seen", Duration::from_secs(6), seen).unwrap();
    assert_eq!(reasons()[0], none[0]);
    drop(foreign);
    wait_until("its end is seen", Duration::from_secs(6), || reasons() == none).unwrap();
}

#[test]
fn the_units_privileges_are_enough() {
    if skip::without_tcx() {
        return;
    }
    let xdp = "[[port]]\nmatch = \"vnet1\"\nhook = \"xdp\"\n[metrics]\nlisten = \"127.0.0.1:9417\"";
    works_under_the_unit(Site::pair(SlowPath::LinuxBridge, &topology("", xdp)).unwrap());
    let ovs = Site::pair(SlowPath::ovs(), &topology("", "")).unwrap();
    belongs_to_nobody(ovs.lab.ovs().unwrap().run_dir());
    works_under_the_unit(ovs);
    let old = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    works_under_the_unit(old.with(|control| control.variable("FASTBRIDGE_NO_TCX", "1")));
}

/// Without any: a refusal in words, and nothing left behind.
#[test]
fn without_privileges_it_refuses() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let setpriv = find_tool("setpriv").unwrap().display().to_string();
    for set in ["-all,+net_admin,+dac_override", "-all,+bpf,+dac_override"] {
        let control = site.control().clone().wrapped(&[&setpriv, &format!("--bounding-set={set}")]);
        let (code, said) = control.ends(&["run", "--topology", &site.topology().display().to_string()]).unwrap();
        assert_eq!(code, Some(3), "{set}: {said}");
        assert!(said.contains("Operation not permitted") && said.contains("CAP_NET_ADMIN"), "{set}: {said}");
    }
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}
