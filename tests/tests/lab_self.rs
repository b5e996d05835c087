//! The lab proves itself before anything is proved in it: it forwards, it hot-plugs, it shows the reference installation broken and
//! repaired, two runs of one slow path are equal, and nothing is left behind. No fastbridge here. Needs root.

#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bridge_tests::capture::{Tap, inject};
use bridge_tests::differential::{self, Difference, Outcome, Stream, World};
use bridge_tests::frame::{BROADCAST, Eth, ethertype};
use bridge_tests::lab::{Lab, MachineSpec, SlowPath};
use bridge_tests::leaks::LeakCheck;
use bridge_tests::{reference, remains_of, wait_until};

/// Leak checks count the labs of the whole process: one test at a time, whatever the number of test threads.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a case and asserts that it left nothing behind.
fn leaving_nothing(case: impl FnOnce()) {
    let _alone = alone();
    let check = LeakCheck::begin().unwrap();
    case();
    assert_eq!(check.finish().unwrap(), Vec::<String>::new());
}

fn two_machines(slow_path: SlowPath) -> Lab {
    Lab::builder(slow_path)
        .machine(MachineSpec::new("a", "vnet0").address("10.17.4.21/24").address("2001:db8::21/64"))
        .machine(MachineSpec::new("b", "vnet1").address("10.17.4.22/24").address("2001:db8::22/64"))
        .build()
        .unwrap()
}

#[test]
fn machines_reach_each_other_over_each_slow_path() {
    leaving_nothing(|| {
        for slow_path in SlowPath::ALL {
            let lab = two_machines(slow_path);
            for target in ["10.17.4.22", "2001:db8::22"] {
                let probe = lab.machine("a").unwrap().ping(target).unwrap();
                assert!(probe.ok, "{slow_path:?}: {probe}");
            }
            assert!(!lab.machine("a").unwrap().ping("10.17.4.99").unwrap().ok);
        }
    });
}

#[test]
fn machines_come_go_and_come_back() {
    leaving_nothing(|| {
        for slow_path in SlowPath::ALL {
            let mut lab = two_machines(slow_path);
            let before = lab.host().ifindex("vnet1").unwrap().unwrap();
            assert_ne!(lab.recreate_port("b").unwrap(), before);
            reaches(&lab, "10.17.4.22");
            lab.rename_port("b", "tap7").unwrap();
            reaches(&lab, "10.17.4.22");
            lab.add_machine(MachineSpec::new("c", "vnet2").address("10.17.4.23/24")).unwrap();
            reaches(&lab, "10.17.4.23");
            lab.set_mtu("c", 1400).unwrap();
            lab.set_link("c", false).unwrap();
            assert!(!lab.machine("a").unwrap().ping("10.17.4.23").unwrap().ok);
            lab.set_link("c", true).unwrap();
            reaches(&lab, "10.17.4.23");
            lab.remove_machine("c").unwrap();
            assert_eq!(lab.host().ifindex("vnet2").unwrap(), None);
        }
    });
}

/// A link that has just come up may lose the first packet.
fn reaches(lab: &Lab, target: &str) {
    let ping = || lab.machine("a").unwrap().ping(target).unwrap().ok;
    wait_until(&format!("{target} answers ({:?})", lab.slow_path()), Duration::from_secs(20), ping).unwrap();
}

#[test]
fn frames_are_captured_whole_with_their_tags() {
    leaving_nothing(|| {
        for slow_path in SlowPath::ALL {
            let lab = Lab::builder(slow_path).raw_ports(2).build().unwrap();
            let (from, to) = (&lab.machines()[0], &lab.machines()[1]);
            let mut tap = Tap::open(to.netns(), "eth0").unwrap();
            let frames: Vec<Vec<u8>> =
                [Eth::new(BROADCAST, from.mac()), Eth::new(BROADCAST, from.mac()).tag(0x8100, 0x6005)]
                    .into_iter()
                    .chain([Eth::new(BROADCAST, from.mac()).tag(0x88a8, 5).vlan(6)])
                    .map(|eth| eth.payload(ethertype::LOCAL_EXPERIMENTAL, b"odd payload"))
                    .collect();
            let parts: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            inject(from.netns(), "eth0", &parts).unwrap();
            let last = frames.last().unwrap().clone();
            let mut seen = tap.until(Duration::from_secs(2), |frame| frame == last).unwrap();
            seen.push(last);
            assert_eq!(seen, frames, "{slow_path:?}");
        }
    });
}

#[test]
fn the_reference_installation_is_broken_before_the_repair() {
    leaving_nothing(|| {
        let lab = reference::before().unwrap();
        let probes = reference::probe_before(&lab, &reference::MASTERS).unwrap();
        assert_eq!(probes.len(), 15);
        for probe in probes {
            assert!(reference::shows_the_symptom(&probe), "{probe}");
        }
        // Inside an island all is well: the failures are the installation's, not the lab's.
        assert!(lab.machine("master1").unwrap().ping("10.17.4.24").unwrap().ok);
        assert!(lab.machine("k8s-api-lb").unwrap().ping("192.168.0.1").unwrap().ok);
    });
}

#[test]
fn the_reference_installation_works_after_the_repair() {
    leaving_nothing(|| {
        for slow_path in SlowPath::ALL {
            let lab = reference::after(slow_path).unwrap();
            let probes = reference::probe(&lab, &reference::MASTERS).unwrap();
            assert_eq!(probes.len(), 15);
            for probe in probes {
                assert!(probe.ok, "{slow_path:?}: {probe}");
            }
        }
    });
}

fn fresh_run(slow_path: SlowPath, stream: &Stream) -> Outcome {
    let lab = Lab::builder(slow_path).raw_ports(4).build().unwrap();
    differential::run(&lab, stream).unwrap()
}

fn world() -> World {
    World::of(&Lab::builder(SlowPath::LinuxBridge).raw_ports(4).build().unwrap())
}

/// Two runs of the same slow path must be equal, or comparing it with anything means nothing.
fn consistent(slow_path: SlowPath, count: usize) {
    let seed = std::env::var("FASTBRIDGE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed} (set FASTBRIDGE_SEED to repeat)");
    let mut stream = differential::generate(seed, count, &world());
    let started = Instant::now();
    let first = fresh_run(slow_path, &stream);
    eprintln!("{slow_path:?}: {count} frames in, {} out, {:?}", first.total(), started.elapsed());
    assert!(first.total() > count / 2, "the stream hardly got through");
    let differences = differential::compare(&first, &fresh_run(slow_path, &stream));
    assert!(differences.is_empty(), "seed {seed}: {}", told(&differences));

    // One altered byte in one broadcast frame must be found on every other port; not every such frame gets there.
    let everywhere = |frame: &Vec<u8>| first.left.values().filter(|frames| frames.contains_key(frame)).count() == 3;
    let is_victim = |frame: &Vec<u8>| frame[..6] == BROADCAST && frame.len() > 60 && everywhere(frame);
    let victim = stream.entries_mut().rev().find(|entry| is_victim(&entry.frame)).unwrap();
    *victim.frame.last_mut().unwrap() ^= 1;
    let altered = differential::compare(&first, &fresh_run(slow_path, &stream));
    assert_eq!(altered.len(), 6, "seed {seed}: three ports, each one too few and one too many: {}", told(&altered));
}

/// The number of differences and the first ten.
fn told(differences: &[Difference]) -> String {
    let lines = differences.iter().take(10).map(|difference| format!("\n{difference}"));
    format!("{} differences{}", differences.len(), lines.collect::<String>())
}

#[test]
fn the_linux_bridge_equals_itself() {
    leaving_nothing(|| consistent(SlowPath::LinuxBridge, 2_000));
}

#[test]
fn ovs_userspace_equals_itself() {
    leaving_nothing(|| consistent(SlowPath::OvsUserspace, 2_000));
}

#[test]
fn a_lab_that_panics_leaves_nothing() {
    leaving_nothing(|| {
        let result = std::panic::catch_unwind(|| {
            let _lab = two_machines(SlowPath::OvsUserspace);
            assert!(!remains_of(std::process::id()).is_empty());
            std::panic::resume_unwind(Box::new("a failing case"));
        });
        assert!(result.is_err());
    });
}

#[test]
fn a_lab_whose_process_was_killed_is_swept() {
    leaving_nothing(|| {
        // A process that has ended: its id is free, so what bears it is stale.
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let lab = two_machines(SlowPath::LinuxBridge);
        let name = format!("fb{}-0-host", gone.id());
        lab.host().run("ip", &["netns", "add", &name]).unwrap();
        std::fs::create_dir(format!("/run/fb{}-1-bpf", gone.id())).unwrap();
        let swept = Lab::sweep_stale();
        assert_eq!(swept.iter().filter(|p| p.to_string_lossy().contains(&format!("fb{}-", gone.id()))).count(), 2);
        assert!(remains_of(gone.id()).is_empty());
        assert!(lab.machine("a").unwrap().ping("10.17.4.22").unwrap().ok, "a living lab was swept");
    });
}

#[test]
fn a_lab_still_there_is_reported_as_a_leak() {
    let _alone = alone();
    let check = LeakCheck::begin().unwrap();
    let lab = two_machines(SlowPath::LinuxBridge);
    let found = check.finish().unwrap();
    drop(lab);
    assert_eq!(found.len(), 3, "host, a, b: {found:?}");
}
