//! Another topology file while frames run: a bad one changes nothing, a good one is taken over whole. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::fastbridge::Fastbridge;
use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(20);

fn generation(site: &Site) -> u64 {
    site.control().show("status").unwrap()["generation"].as_u64().unwrap()
}

fn errors(manager: &Fastbridge, text: &str) -> usize {
    manager.errors_in_log().iter().filter(|line| line.contains(text)).count()
}

#[test]
fn a_bad_file_changes_nothing_and_is_named() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let before = (generation(&site), site.control().show("policy").unwrap()["rules"].clone());
    let stream = Steady::start(a, b).unwrap();
    // Replaced by renaming, written in place, and told by SIGHUP.
    let position = format!("{}:5:1", site.topology().display());
    site.write(&topology("colour = 1", "")).unwrap();
    wait_until("the rename is noticed", LIMIT, || errors(&manager, &position) == 1).unwrap();
    std::fs::write(site.topology(), "[bridge\n").unwrap();
    let broken = format!("{}:1:", site.topology().display());
    wait_until("the write is noticed", LIMIT, || errors(&manager, &broken) >= 1).unwrap();
    let seen = manager.errors_in_log().len();
    manager.signal(Signal::SIGHUP).unwrap();
    wait_until("SIGHUP is noticed", LIMIT, || manager.errors_in_log().len() > seen).unwrap();
    assert!(manager.errors_in_log().last().unwrap().contains("SIGHUP"));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{arrived:?}");
    let after = (generation(&site), site.control().show("policy").unwrap()["rules"].clone());
    assert_eq!(before.0, after.0);
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// A valid file that this host cannot have: the same.
#[test]
fn a_file_that_the_host_refuses_changes_nothing() {
    let site = Site::pair(SlowPath::ovs(), &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let mut refusals = vec![
        (topology("slow_path = \"linux\"", ""), "no bridge br0"),
        (topology("", "[limits]\nflows = 4096"), "[limits]"),
        (topology("", "").replace("br0", "br1"), "name"),
    ];
    // Beside the kernel's datapath nothing is wrong with it.
    if site.lab.slow_path() == SlowPath::OvsUserspace {
        refusals.push((topology("", "[[port]]\nmatch = \"vnet1\"\nhook = \"tc\""), "twice"));
    }
    for (text, word) in refusals {
        let seen = manager.errors_in_log().len();
        site.write(&text).unwrap();
        wait_until(&format!("refusal of {word}"), LIMIT, || manager.errors_in_log().len() > seen).unwrap();
        assert!(manager.errors_in_log()[seen].contains(word), "{:?}", manager.errors_in_log());
    }
    // Longer than the heartbeat lasts: forwarding must go on.
    std::thread::sleep(Duration::from_millis(5500));
    let before = site.verdicts("vnet0").unwrap().forward;
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{arrived:?}");
    assert!(site.verdicts("vnet0").unwrap().forward >= before + u64::from(arrived.sent));
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// How many topologies have been taken over so far.
fn in_force(manager: &Fastbridge) -> usize {
    manager.log().iter().filter(|line| line.contains("the topology is in force")).count()
}

/// Swaps under one stream: more, and a slow machine's capture holds no more frames.
const STREAM: usize = 50;

/// Two policies that let the same frames through under other rules, one after the other, as fast as the manager takes them.
fn swaps(slow_path: SlowPath, count: u64) {
    let more = "[[policy.rule]]\nid = \"more\"\nfrom = \"any\"\nto = \"internal\"\naction = \"deny\"\n\
                [[policy.zone]]\nname = \"inner\"\nprefixes = [\"10.17.4.0/24\"]\n\
                [[policy.rule]]\nid = \"inner\"\nfrom = \"inner\"\nto = \"inner\"\naction = \"allow\"";
    let texts = [topology("", ""), topology("", more)];
    let site = Site::pair(slow_path, &texts[0]).unwrap();
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    let first = generation(&site);
    let mut sent = 0;
    for start in (1..=count).step_by(STREAM) {
        // b says nothing meanwhile; on a slow machine it would have aged by the end.
        introduce(a, b).unwrap();
        let stream = Steady::start(a, b).unwrap();
        for round in start..count.min(start + STREAM as u64 - 1) + 1 {
            site.write(&texts[(round % 2) as usize]).unwrap();
            let taken = in_force(&manager);
            manager.signal(Signal::SIGHUP).unwrap();
            wait_until("a swap is done", LIMIT, || in_force(&manager) > taken).unwrap();
        }
        let arrived = stream.finish().unwrap();
        assert!(arrived.is_clean(), "{arrived:?}");
        sent += u64::from(arrived.sent);
    }
    site.write(&texts[0]).unwrap();
    manager.signal(Signal::SIGHUP).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let done = generation(&site) - first;
    eprintln!("{slow_path:?}: {done} generations, {sent} frames");
    assert!(done >= count * 9 / 10, "{done} generations after {count} swaps");
    let verdicts = site.verdicts("vnet0").unwrap();
    assert_eq!(verdicts.dropped("policy"), sent, "{verdicts:?}");
    assert!(verdicts.punted("no-manager") == 0 && verdicts.forward >= sent, "{verdicts:?}");
    // `internal` was never removed: it counts on under its id. `inner` judges in every other generation.
    let rules = site.control().show("counters").unwrap()["rules"].clone();
    assert!(rules["internal"]["packets"].as_u64().unwrap() > 0, "{rules}");
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn a_thousand_swaps_under_traffic_beside_a_linux_bridge() {
    swaps(SlowPath::LinuxBridge, 1000);
}

#[test]
fn sixty_swaps_under_traffic_beside_open_vswitch() {
    swaps(SlowPath::ovs(), 60);
}

/// A rule keeps its counter as long as its id lives; a new rule begins at zero, also in the slot of a removed one.
#[test]
fn rules_count_under_their_ids() {
    let rule = |id: &str, to: &str| {
        format!("[[policy.rule]]\nid = \"{id}\"\nfrom = \"any\"\nto = \"{to}\"\naction = \"deny\"\n")
    };
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", &rule("first", "any"))).unwrap();
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    let send = |count: u64| {
        for _ in 0..count {
            let frame = bridge_tests::steady::frame(a.mac(), b.mac(), false, 0);
            bridge_tests::capture::inject(a.netns(), "eth0", &[&frame]).unwrap();
        }
    };
    let count = |id: &str| site.control().show("counters").unwrap()["rules"][id]["packets"].as_u64();
    let swap = |text: &str| {
        let live = generation(&site);
        site.write(&topology("", text)).unwrap();
        wait_until(&format!("the policy is swapped\n{text}"), LIMIT, || generation(&site) > live)
            .unwrap_or_else(|error| panic!("{error}: {:#?}", manager.log()));
    };
    send(3);
    assert_eq!(count("first"), Some(3));
    swap(&(rule("above", "internal") + &rule("first", "any")));
    send(2);
    assert_eq!((count("above"), count("first")), (Some(0), Some(5)));
    swap(&rule("above", "any"));
    assert_eq!(count("first"), None);
    swap("");
    // `second` gets the slot of one of the two that went; none of their counts.
    swap(&rule("second", "any"));
    assert_eq!(count("second"), Some(0));
    send(4);
    assert_eq!(count("second"), Some(4));
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}
