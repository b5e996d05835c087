//! One comparison: a stream of random frames through a bridge alone and through the same bridge with fastbridge on. With fastbridge on,
//! every port sends out exactly the frames that the bridge alone would have, had the denied ones never come in.

mod oracle;

use bridge_tests::differential::{self, Difference, Entry, Outcome, Stream, World};
use bridge_tests::lab::{Lab, MachineSpec, PortVlan, SlowPath};
use bridge_tests::session::{Counters, Session};
use bridge_tests::skip;

pub(crate) use oracle::Policy;

/// What every run is fed at the least, unless `FASTBRIDGE_FRAMES` says otherwise: emulated machines are slow.
const FRAMES: usize = 20_000;
/// Whether the bridge's table is flushed in between.
const FLUSHES: bool = true;
const ALLOW_ALL: &str = "[policy]\ndefault = \"allow\"\n";
const REFERENCE: &str = include_str!("../../fixtures/reference.toml");

/// A bridge with its ports.
pub(crate) struct Case {
    pub(crate) slow_path: SlowPath,
    /// `vnet0..`, by their settings.
    pub(crate) ports: Vec<Option<PortVlan>>,
    /// Where the stations are.
    pub(crate) vlans: &'static [u16],
    /// Every one is compared with the same run of the bridge alone.
    pub(crate) hooks: &'static [&'static str],
    /// Percent of the frames that enter each port which the programs must forward themselves when all is allowed; half as much under the
    /// reference policy.
    pub(crate) forwarded_least: u64,
    /// Ports, by number, whose settings fastbridge leaves to the bridge.
    pub(crate) left_alone: &'static [usize],
}

impl Case {
    /// Compares; skipped where this kernel has no such bridge.
    pub(crate) fn compare(&self, policy: Policy) {
        if skip::without(self.slow_path) {
            return;
        }
        let seed = seed();
        let lab = self.lab();
        let all = stream(seed, policy, &World::of(&lab).with_vlans(self.vlans));
        let alone = all.without_denied();
        let expected = differential::run(&lab, &alone).unwrap();
        drop(lab);
        // With everything allowed nothing that is fed is denied; else the denied frames come in as well.
        let (fed, text) = match policy {
            Policy::AllowAll => (&alone, ALLOW_ALL.to_owned()),
            Policy::Reference => (&all, format!("[policy]{}", reference_policy())),
        };
        assert!(fed.entries().count() >= frames(), "{}", fed.entries().count());
        for hook in self.hooks {
            let what = format!("{}, hook {hook}, {policy:?}, seed {seed}", self.slow_path.name());
            let (seen, counters) = self.accelerated(&topology(hook, &text), fed);
            equal(&what, &expected, &seen);
            every_frame_is_counted_once(&seen, &counters, &what);
            let dropped: u64 = counters.drops().values().sum();
            assert_eq!(
                dropped as usize,
                fed.entries().filter(|entry| entry.denied).count(),
                "{what}: {:#}",
                counters.0
            );
            self.is_accelerated(&what, fed, &counters, policy);
            eprintln!("{what}: {} left, {:?}", seen.total(), counters.drops());
        }
    }

    fn lab(&self) -> Lab {
        let machine = |(number, vlan): (usize, &Option<PortVlan>)| {
            let spec = MachineSpec::raw(&format!("raw{number}"), &format!("vnet{number}"));
            vlan.iter().cloned().fold(spec, MachineSpec::vlan)
        };
        let machines = self.ports.iter().enumerate().map(machine);
        machines.fold(Lab::builder(self.slow_path), |builder, spec| builder.machine(spec)).build().unwrap()
    }

    /// The lab with fastbridge on: what left it, and the counters after.
    fn accelerated(&self, topology: &str, stream: &Stream) -> (Outcome, Counters) {
        let session = Session::start(self.lab(), topology).unwrap();
        assert_eq!(session.manager().ready_ports(), self.ports.len());
        let outcome = differential::run(session.lab(), stream).unwrap();
        assert_eq!(session.manager().errors_in_log(), Vec::<String>::new());
        (outcome, session.counters().unwrap())
    }

    /// Frames of every port, and so with every treatment of tags, were forwarded by the programs and not by the bridge.
    fn is_accelerated(&self, what: &str, fed: &Stream, counters: &Counters, policy: Policy) {
        let least = if policy == Policy::AllowAll { self.forwarded_least } else { self.forwarded_least / 2 };
        // Of a short stream more goes into learning, and chance has a greater part.
        let least = if frames() < FRAMES { least / 2 } else { least };
        for (number, vlan) in self.ports.iter().enumerate() {
            let entered = fed.entries().filter(|entry| entry.port == number).count() as u64;
            let forwarded = counters.forward(&format!("vnet{number}"));
            eprintln!("{what}: vnet{number} ({vlan:?}): {forwarded} of {entered} forwarded");
            let alone = self.left_alone.contains(&number);
            assert!(!alone || forwarded == 0, "{what}: vnet{number} takes part after all");
            assert!(
                alone || forwarded * 100 >= entered * least,
                "{what}: vnet{number}: hardly accelerated: {:#}",
                counters.0
            );
        }
    }
}

fn topology(hook: &str, policy: &str) -> String {
    format!("[bridge]\nname = \"br0\"\nmanage = [\"vnet*\"]\n[[port]]\nmatch = \"vnet*\"\nhook = \"{hook}\"\n{policy}")
}

/// The policy part of the reference topology: its ports and stations are those of another installation.
fn reference_policy() -> &'static str {
    REFERENCE.split_once("[policy]").map(|(_, policy)| policy).unwrap()
}

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn frames() -> usize {
    number("FASTBRIDGE_FRAMES").unwrap_or(FRAMES)
}

fn seed() -> u64 {
    let seed = number("FASTBRIDGE_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed} (set FASTBRIDGE_SEED to repeat)");
    seed
}

fn stream(seed: u64, policy: Policy, world: &World) -> Stream {
    // Nearly one in eight is unreadable under any policy and is left out where all shall be allowed; and what would enter a port that is down.
    let count = if policy == Policy::AllowAll { frames() * 14 / 10 } else { frames() * 12 / 10 };
    let mut stream = differential::generate(seed, count, world);
    let mut timing = oracle::Oracle::new(policy);
    stream.retain(|entry| reaches_tc(entry) && !timing.depends_on_time(&entry.frame));
    differential::disturb(&mut stream, world.ports.len(), FLUSHES);
    let mut oracle = oracle::Oracle::new(policy);
    for entry in stream.entries_mut() {
        entry.denied = oracle.denies(&entry.frame);
    }
    stream
}

/// The kernel itself throws away a tagged frame that has less than two bytes behind its tag (net/core/skbuff.c `skb_vlan_untag`), before TC
/// and before the bridge: nobody could count it there.
fn reaches_tc(entry: &Entry) -> bool {
    entry.frame.len() >= 20 || !matches!(entry.frame[12..14], [0x81, 0x00] | [0x88, 0xa8])
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
