//! A manager that dies, or whose interface goes, at one exact system call of its start. What it leaves is whole: the policy of the manager
//! before it, or nothing that the next one trips over; `show` reads throughout. Needs root and strace.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::halted::{Call, Halted};
use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::skip;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);
const XDP: &str = "[[port]]\nmatch = \"vnet1\"\nhook = \"xdp\"\n";
/// Another set of limits: maps of another ABI.
const SMALL: &str = "[limits]\nstations = 512\nflows = 1024\nports = 16\nrules = 8\nprefixes = 64";

/// These calls, the first pin of a map and one more, and some between.
fn points(calls: &[Call], wanted: impl Fn(usize) -> bool) -> Vec<Call> {
    let map = |at: &usize| calls[*at].line.contains("(BPF_OBJ_PIN") && calls[*at].line.contains("/maps-");
    let mut at: Vec<usize> = (0..calls.len()).filter(map).step_by(15).collect();
    at.extend((1..4).map(|part| calls.len() * part / 4));
    at.extend((0..calls.len()).filter(|&at| wanted(at)));
    at.sort_unstable();
    at.dedup();
    at.into_iter().map(|at| calls[at].clone()).collect()
}

/// What is attached is what is pinned: a link that was made and not pinned has gone with its maker.
fn assert_whole(site: &Site, call: &Call) {
    let links = site.pinned().unwrap().into_iter().filter(|path| path.contains("/links/")).count();
    let attached: usize = site.programs().unwrap().values().map(Vec::len).sum();
    assert_eq!(attached, links, "attached and pinned after {call:?}");
}

/// Between attaching and pinning above all.
#[test]
fn killed_anywhere_in_its_first_start() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", XDP)).unwrap();
    let halted = Halted::new(&site, "bpf,mkdir");
    let whole = halted.whole().unwrap();
    let links = site.programs().unwrap().len();
    site.control().detach().unwrap();
    let links_at = |at: usize| whole[at].line.contains("(BPF_LINK_CREATE") && attaches(&whole[at]);
    let makes = |at: usize| whole[at].name() == "mkdir";
    let points = points(&whole, |at| makes(at) || at > 0 && links_at(at - 1));
    let pins = points.iter().filter(|call| call.line.contains("/links/")).count();
    assert_eq!((links, pins), (5, 5), "{points:#?}");
    for (number, call) in points.iter().enumerate() {
        let last = halted.killed_at(call).unwrap();
        // aya takes maps in no order.
        if call.line.contains("/links/") {
            assert_eq!(last.line.split("\", ").next(), call.line.split("\", ").next());
        }
        assert_whole(&site, call);
        // By turns the next manager takes over what is there, or everything is removed.
        if number % 2 == 0 {
            let mut next = site.start().unwrap();
            assert_eq!((next.ready_ports(), site.programs().unwrap().len()), (2, links), "after {call:?}");
            assert_eq!(next.errors_in_log(), Vec::<String>::new());
            assert_whole(&site, call);
            next.kill().unwrap();
        }
        site.control().detach().unwrap();
        assert_eq!(site.remains().unwrap(), Vec::<String>::new(), "after {call:?}");
    }
}

/// Not aya's question whether the kernel has links at all.
fn attaches(call: &Call) -> bool {
    !call.line.contains("EBADF")
}

/// The same without tcx: the mark is pinned before the filter is there, and both are ours to the next manager.
#[test]
fn killed_anywhere_in_its_first_start_without_tcx() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let site = site.with(|control| control.variable("FASTBRIDGE_NO_TCX", "1"));
    let halted = Halted::new(&site, "bpf,sendto,rename");
    let whole = halted.whole().unwrap();
    site.control().detach().unwrap();
    let marked = whole.iter().rposition(|call| call.name() == "rename").unwrap();
    for call in &whole[marked..(marked + 4).min(whole.len())] {
        halted.killed_at(call).unwrap();
        let next = site.start().unwrap();
        assert_eq!((next.ready_ports(), site.programs().unwrap().len()), (2, 4), "after {call:?}");
        assert_eq!(next.errors_in_log(), Vec::<String>::new());
        drop(next);
        site.control().detach().unwrap();
        assert_eq!(site.remains().unwrap(), Vec::<String>::new(), "after {call:?}");
    }
}

fn internal(site: &Site) -> Value {
    site.control().show("counters").unwrap()["rules"]["internal"]["packets"].clone()
}

/// Old maps and new ones side by side, links updated one by one: `show` reads the old ones until the new ones are complete, and every port
/// is policed all the while.
#[test]
fn killed_anywhere_while_the_abi_is_switched() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", XDP)).unwrap();
    let halted = Halted::new(&site, "bpf");
    let (a, b) = site.machines().unwrap();
    let before = || {
        site.write(&topology("", XDP)).unwrap();
        site.start().unwrap().kill().unwrap();
        introduce(a, b).unwrap();
        site.write(&topology("", &format!("{XDP}{SMALL}"))).unwrap();
    };
    before();
    let whole = halted.whole().unwrap();
    let points = points(&whole, |at| whole[at].line.contains("(BPF_LINK_UPDATE"));
    let places = site.programs().unwrap();
    for call in &points {
        before();
        let (counted, links) = (internal(&site), site.link_ids().unwrap());
        assert!(counted.as_u64().unwrap() > 0);
        halted.killed_at(call).unwrap();
        assert_eq!(internal(&site), counted, "shown after {call:?}");
        for what in ["ports", "fdb", "flows", "policy", "status"] {
            site.control().show(what).unwrap();
        }
        assert!(site.programs().unwrap().keys().eq(places.keys()), "after {call:?}");
        assert_eq!(site.link_ids().unwrap(), links, "after {call:?}");
        let stream = Steady::start(a, b).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let arrived = stream.finish().unwrap();
        assert!(arrived.is_clean(), "after {call:?}: {arrived:?}");
    }
    let manager = site.start().unwrap();
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// The interface goes while its link is about to be updated (ENOLINK): nobody else notices, and when it is back it is attached anew.
#[test]
fn an_interface_that_goes_while_its_link_is_updated() {
    if skip::without_tcx() {
        return;
    }
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", XDP)).unwrap();
    site.start().unwrap().kill().unwrap();
    let halted = Halted::new(&site, "bpf");
    let whole = halted.whole().unwrap();
    let updates: Vec<&Call> = whole.iter().filter(|call| call.line.contains("(BPF_LINK_UPDATE")).collect();
    assert_eq!(updates.len(), 5);
    // The first two are vnet0's.
    let mut index = 0;
    let manager = halted.waiting_at(updates[2], 2, || index = site.lab.recreate_port("b").unwrap()).unwrap();
    let refused = halted.seen().unwrap().iter().filter(|call| call.line.contains("ENOLINK")).count();
    assert_eq!(refused, 1, "{:#?}", halted.seen().unwrap());
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    let port = || site.control().show("ports").unwrap()["ports"]["vnet1"].clone();
    wait_until("it is attached anew", LIMIT, || port()["ifindex"] == index && port()["eligible"] == true).unwrap();
    assert_eq!(site.link_ids().unwrap().keys().filter(|name| name.starts_with(&format!("{index}-"))).count(), 3);
    assert_eq!(site.link_ids().unwrap().len(), 5);
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(stream.finish().unwrap().is_clean());
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}
