//! Kernels without tcx (`FASTBRIDGE_NO_TCX` stands for them): filters under clsact, which no bpf_link holds. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;

/// A classic program of one instruction: return 0.
const MATCHES_NOTHING: [&str; 2] = ["bytecode", "1,6 0 0 0,"];

fn site() -> Site {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    site.with(|control| control.variable("FASTBRIDGE_NO_TCX", "1"))
}

fn ours(site: &Site, port: &str) -> usize {
    filters(site, port).lines().filter(|line| line.contains(" fastbridge_")).count()
}

fn filters(site: &Site, port: &str) -> String {
    let show = |side: &str| site.lab.host().run("tc", &["filter", "show", "dev", port, side]).unwrap();
    show("ingress") + &show("egress")
}

#[test]
fn foreign_filters_and_the_qdisc_stay() {
    let site = site();
    let host = site.lab.host();
    host.run("tc", &["qdisc", "add", "dev", "vnet0", "clsact"]).unwrap();
    let foreign = ["filter", "add", "dev", "vnet0", "ingress", "prio", "7", "protocol", "all", "bpf"];
    host.run("tc", &[&foreign[..], &MATCHES_NOTHING].concat()).unwrap();
    let before = filters(&site, "vnet0");
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(stream.finish().unwrap().is_clean());
    // Its owner sees every frame that the policy lets through.
    let verdicts = site.verdicts("vnet0").unwrap();
    assert!(
        verdicts.forward == 0 && verdicts.punted("ineligible") > 0 && verdicts.dropped("policy") > 0,
        "{verdicts:?}"
    );
    assert_eq!(ours(&site, "vnet1"), 2);
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(filters(&site, "vnet0"), before);
    assert_eq!(filters(&site, "vnet1"), "");
    for port in ["vnet0", "vnet1"] {
        assert!(host.run("tc", &["qdisc", "show", "dev", port]).unwrap().contains("clsact"), "{port}");
    }
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// A renamed interface keeps its filter, and its policy.
#[test]
fn a_renamed_port_stays_policed() {
    let mut site = site();
    let manager = site.start().unwrap();
    site.lab.rename_port("b", "vnet7").unwrap();
    let seen = || site.control().show("ports").unwrap()["ports"]["vnet7"]["attached"] == true;
    wait_until("the new name is known", Duration::from_secs(20), seen).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(ours(&site, "vnet7"), 2);
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(filters(&site, "vnet7"), "");
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// Somebody's `tc filter del` or `tc qdisc del` must not leave a port without policy.
#[test]
fn a_filter_that_somebody_removed_comes_back() {
    let site = site();
    let manager = site.start().unwrap();
    let back = || ours(&site, "vnet0") == 2;
    for what in [&["filter", "del", "dev", "vnet0", "ingress"][..], &["qdisc", "del", "dev", "vnet0", "clsact"]] {
        site.lab.host().run("tc", what).unwrap();
        assert!(!back());
        wait_until("the filter is back", Duration::from_secs(20), back).unwrap();
    }
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// A filter at our place that is not ours is neither replaced nor removed.
#[test]
fn somebody_elses_filter_at_our_place_is_a_refusal() {
    let site = site();
    let host = site.lab.host();
    host.run("tc", &["qdisc", "add", "dev", "vnet1", "clsact"]).unwrap();
    let place = ["filter", "add", "dev", "vnet1", "egress", "prio", "251", "handle", "1", "protocol", "all", "bpf"];
    host.run("tc", &[&place[..], &MATCHES_NOTHING].concat()).unwrap();
    let before = filters(&site, "vnet1");
    let (code, said) = site.refused().unwrap();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("vnet1") && said.contains("not ours"), "{said}");
    assert_eq!(filters(&site, "vnet1"), before);
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

/// The same while the manager runs: told, not touched, also not by `detach`.
#[test]
fn somebody_elses_filter_that_took_our_place_stays() {
    let site = site();
    let host = site.lab.host();
    let manager = site.start().unwrap();
    let place = "dev vnet1 egress prio 251 handle 1 protocol all bpf";
    let [word, program] = MATCHES_NOTHING;
    let swap = format!("filter del {place}\nfilter add {place} {word} \"{program}\"\n");
    host.run_with_input("tc", &["-batch", "-"], &swap).unwrap();
    assert_eq!(ours(&site, "vnet1"), 1);
    let taken = |line: &String| line.contains("vnet1") && line.contains("not ours");
    wait_until("it is told", Duration::from_secs(20), || manager.errors_in_log().iter().any(taken)).unwrap();
    drop(manager);
    site.control().detach().unwrap();
    let left = filters(&site, "vnet1");
    assert!(left.contains("handle 0x1") && ours(&site, "vnet1") == 0, "{left}");
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}
