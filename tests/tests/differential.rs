//! Does no harm: with fastbridge on, every port sends out exactly the frames that the bridge alone would have, had the denied ones never
//! come in; 10,000 random frames, byte for byte, beside each slow path. Needs root and the binary.
//!
//! Seen to fail: with a parser that wanted four bytes of LLC, and with a moved station's first frame forwarded instead of punted
//! (`learn::source`).

#![allow(clippy::unwrap_used)]

mod differential_oracle;

use bridge_tests::differential::{self, Difference, Outcome, Stream, World};
use bridge_tests::lab::{Lab, SlowPath};
use bridge_tests::session::{Counters, Session};
use differential_oracle::{Oracle, Policy};

const PORTS: usize = 4;
/// What every run is fed at the least.
const FRAMES: usize = 10_000;

const ALLOW_ALL: &str = "[policy]\ndefault = \"allow\"\n";
const DENY_ALL_BUT_REFERENCE: &str = include_str!("../fixtures/reference.toml");

/// The policy part of the reference topology: its ports and stations are those of another installation.
fn reference_policy() -> &'static str {
    DENY_ALL_BUT_REFERENCE.split_once("[policy]").map(|(_, policy)| policy).unwrap()
}

fn topology(hook: &str, policy: &str) -> String {
    format!("[bridge]\nname = \"br0\"\nmanage = [\"vnet*\"]\n[[port]]\nmatch = \"vnet*\"\nhook = \"{hook}\"\n{policy}")
}

fn raw_lab(slow_path: SlowPath) -> Lab {
    Lab::builder(slow_path).raw_ports(PORTS).build().unwrap()
}

fn seed() -> u64 {
    let seed = std::env::var("FASTBRIDGE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed} (set FASTBRIDGE_SEED to repeat)");
    seed
}

fn stream(seed: u64, policy: Policy) -> Stream {
    let world = World::of(&raw_lab(SlowPath::LinuxBridge));
    let mut oracle = Oracle::new(policy);
    // Nearly one in eight is unreadable under any policy and is left out where all shall be allowed.
    let count = if policy == Policy::AllowAll { FRAMES * 6 / 5 } else { FRAMES + 100 };
    let mut stream = differential::generate(seed, count, &world);
    stream.steps.retain(|step| reaches_tc(&step.frame));
    for step in &mut stream.steps {
        step.denied = oracle.denies(&step.frame);
    }
    stream
}

/// The kernel itself throws away a tagged frame that has less than two bytes behind its tag (net/core/skbuff.c `skb_vlan_untag`), before TC
/// and before the bridge: nobody could count it there.
fn reaches_tc(frame: &[u8]) -> bool {
    frame.len() >= 20 || !matches!(frame[12..14], [0x81, 0x00] | [0x88, 0xa8])
}

/// The lab with fastbridge on: what left it, and the counters after.
fn accelerated(slow_path: SlowPath, topology: &str, stream: &Stream) -> (Outcome, Counters) {
    let session = Session::start(raw_lab(slow_path), topology).unwrap();
    assert_eq!(session.manager().ready_ports(), PORTS);
    let outcome = differential::run(session.lab(), stream).unwrap();
    assert_eq!(session.manager().errors_in_log(), Vec::<String>::new());
    (outcome, session.counters().unwrap())
}

/// Frames in = sum of all verdict counters, at every port.
fn every_frame_is_counted_once(outcome: &Outcome, counters: &Counters, what: &str) {
    for (port, entered) in &outcome.entered {
        assert_eq!(counters.entered(port), *entered, "{what}: {port}: {:#}", counters.0);
    }
}

fn equal(what: &str, expected: &Outcome, seen: &Outcome) {
    let differences = differential::compare(expected, seen);
    assert!(differences.is_empty(), "{what}: {}", told(&differences));
}

/// The number of differences and the first ten.
fn told(differences: &[Difference]) -> String {
    let lines = differences.iter().take(10).map(|difference| format!("\n{difference}"));
    format!("{} differences{}", differences.len(), lines.collect::<String>())
}

fn compare(slow_path: SlowPath, hooks: &[&str], policy: Policy) {
    let seed = seed();
    let all = stream(seed, policy);
    let alone = all.without_denied();
    let expected = differential::run(&raw_lab(slow_path), &alone).unwrap();
    // With everything allowed nothing that is fed is denied; else the denied frames come in as well.
    let (fed, text) = match policy {
        Policy::AllowAll => (&alone, ALLOW_ALL.to_owned()),
        Policy::Reference => (&all, format!("[policy]{}", reference_policy())),
    };
    assert!(fed.steps.len() >= FRAMES, "{}", fed.steps.len());
    for hook in hooks {
        let what = format!("{slow_path:?}, hook {hook}, {policy:?}, seed {seed}");
        let (seen, counters) = accelerated(slow_path, &topology(hook, &text), fed);
        equal(&what, &expected, &seen);
        every_frame_is_counted_once(&seen, &counters, &what);
        let forwarded: u64 = seen.entered.keys().map(|port| counters.forward(port)).sum();
        let dropped: u64 = counters.drops().values().sum();
        eprintln!("{what}: {} left, {forwarded} forwarded, {:?}", seen.total(), counters.drops());
        assert_eq!(dropped, (fed.steps.len() - alone.steps.len()) as u64, "{what}: {:#}", counters.0);
        let share = if policy == Policy::AllowAll { 6 } else { 12 };
        assert!(forwarded > fed.steps.len() as u64 / share, "{what}: hardly accelerated: {:#}", counters.0);
    }
}

#[test]
fn beside_the_linux_bridge_allowing_all() {
    compare(SlowPath::LinuxBridge, &["auto", "xdp"], Policy::AllowAll);
}

#[test]
fn beside_the_linux_bridge_with_the_reference_policy() {
    compare(SlowPath::LinuxBridge, &["auto", "xdp"], Policy::Reference);
}

#[test]
fn beside_ovs_userspace_allowing_all() {
    compare(SlowPath::OvsUserspace, &["auto"], Policy::AllowAll);
}

#[test]
fn beside_ovs_userspace_with_the_reference_policy() {
    compare(SlowPath::OvsUserspace, &["auto"], Policy::Reference);
}
