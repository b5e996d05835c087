//! The page as promtool and a scraper see it, and the packaged alerts and dashboard against it.

#![allow(clippy::unwrap_used)]
use std::{
    collections::BTreeSet,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use bridge_common::abi::{Drop, Punt};

use super::*;
use crate::metrics::{fixture, snapshot::PortTallies};

fn packaging(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(file).display().to_string()
}

/// Runs promtool and returns (success, everything it said). No promtool is a failure: a skipped check proves nothing.
fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs promtool (Debian: prometheus); `cargo xtask setup` installs it");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn names(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

/// Every word in `text` that looks like a metric of ours.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(word).filter(|word| word.starts_with("fastbridge_")).collect()
}

#[test]
fn promtool_accepts_the_page_and_has_no_advice() {
    assert_eq!(promtool(&["check", "metrics"], &render(&fixture::snapshot()).unwrap()), (true, String::new()));
}

#[test]
fn promtool_accepts_a_page_with_nothing_on_it_and_one_with_hostile_names() {
    assert_eq!(promtool(&["check", "metrics"], &render(&Snapshot::default()).unwrap()), (true, String::new()));
    let mut snapshot = fixture::snapshot();
    snapshot.ports[0].name = "a\"b\\c\nd{}".into();
    let page = render(&snapshot).unwrap();
    assert_eq!(promtool(&["check", "metrics"], &page), (true, String::new()));
    assert!(page.contains(r#"fastbridge_port_attached{port="a\"b\\c\nd{}"} 1"#), "{page}");
}

#[test]
fn the_page_says_what_the_snapshot_says() {
    let page = render(&fixture::snapshot()).unwrap();
    for line in [
        r#"fastbridge_port_packets_total{direction="ingress",port="vnet3",reason="",verdict="forward"} 9"#,
        r#"fastbridge_port_bytes_total{direction="ingress",port="vnet3",reason="",verdict="forward"} 576"#,
        r#"fastbridge_port_packets_total{direction="ingress",port="vnet3",reason="multicast",verdict="punt"} 2"#,
        r#"fastbridge_port_packets_total{direction="ingress",port="vnet3",reason="policy",verdict="drop"} 1"#,
        r#"fastbridge_port_packets_total{direction="egress",port="vnet3",reason="",verdict="pass"} 3"#,
        r#"fastbridge_port_packets_total{direction="egress",port="vnet3",reason="policy",verdict="drop"} 1"#,
        r#"fastbridge_port_packets_total{direction="ingress",port="eno1",reason="guard-mac",verdict="drop"} 0"#,
        r#"fastbridge_port_info{hook="xdp+tc",ifindex="2",port="eno1",role="uplink"} 1"#,
        r#"fastbridge_port_eligible{port="eno1"} 0"#,
        r#"fastbridge_port_stations{port="eno1"} 7"#,
        r#"fastbridge_port_unjudged_packets_total{port="eno1"} 4"#,
        r#"fastbridge_rule_packets_total{rule="internal-lan"} 9"#,
        r#"fastbridge_rule_bytes_total{rule="default"} 64"#,
        r#"fastbridge_map_entries{map="FDB"} 10"#,
        r#"fastbridge_map_capacity_entries{map="FLOWS"} 131072"#,
        r#"fastbridge_reconcile_state{state="in-sync"} 1"#,
        r#"fastbridge_reconcile_state{state="failing"} 0"#,
        r#"fastbridge_build_info{abi="5f0c",version="0.1.0"} 1"#,
        r#"fastbridge_bridge_info{bridge="br0",slow_path="ovs"} 1"#,
        "fastbridge_reconcile_last_success_age_seconds 0.25",
        "fastbridge_reconcile_failures_total 1",
        "fastbridge_heartbeat_age_seconds 0.5",
        "fastbridge_policy_generation 3",
        "fastbridge_static_stations 2",
        "fastbridge_flows 5",
        "fastbridge_fdb_full_total 0",
        "fastbridge_unpoliced_ports 1",
    ] {
        assert!(page.lines().any(|found| found == line), "no line `{line}` in\n{page}");
    }
    // Zeros have a packet series, and no byte series.
    assert!(!page.contains(r#"bytes_total{direction="ingress",port="eno1""#), "{page}");
}

#[test]
fn the_same_snapshot_gives_the_same_page() {
    assert_eq!(render(&fixture::snapshot()).unwrap(), render(&fixture::snapshot()).unwrap());
}

/// testing.md: 10,000 short-lived taps leave no series behind.
#[test]
fn ports_that_are_gone_leave_no_series() {
    let before = render(&fixture::snapshot()).unwrap();
    let mut snapshot = fixture::snapshot();
    for n in 0..10_000 {
        snapshot.ports[0].name = format!("tap{n}");
        if n % 500 == 0 {
            assert!(render(&snapshot).unwrap().contains(&format!("port=\"tap{n}\"")));
        }
    }
    assert_eq!(render(&fixture::snapshot()).unwrap(), before);
}

#[test]
fn series_of_a_port_are_bounded_by_the_reasons() {
    let page = render(&fixture::snapshot()).unwrap();
    let of_port =
        page.lines().filter(|line| line.starts_with("fastbridge_port_packets_total{") && line.contains("eno1"));
    let PortTallies { punt, drop, .. } = &fixture::snapshot().ports[0].tallies;
    assert_eq!(of_port.count(), 2 + punt.len() + 2 * drop.len());
}

#[test]
fn the_packaged_alerts_are_valid_and_name_metrics_that_exist() {
    let (accepted, said) = promtool(&["check", "rules", &packaging("alerts.yml")], "");
    assert!(accepted && said.contains("3 rules found"), "{said}");
    let text = std::fs::read_to_string(packaging("alerts.yml")).unwrap();
    let page = render(&fixture::snapshot()).unwrap();
    let unknown: Vec<_> = named(&text).difference(&names(&page)).copied().collect();
    assert!(unknown.is_empty(), "alerts.yml names what /metrics does not have: {unknown:?}");
}

#[test]
fn the_packaged_alerts_fire_when_they_should_and_only_then() {
    let (accepted, said) = promtool(&["test", "rules", &packaging("alerts_test.yml")], "");
    assert!(accepted, "{said}");
}

#[test]
fn the_packaged_dashboard_is_json_and_names_metrics_that_exist() {
    let text = std::fs::read_to_string(packaging("grafana.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(queries.len() >= panels.len() && queries.iter().all(|query| !named(query).is_empty()), "{queries:?}");
    let page = render(&fixture::snapshot()).unwrap();
    let unknown: Vec<_> = named(&text).difference(&names(&page)).copied().collect();
    assert!(unknown.is_empty(), "grafana.json names what /metrics does not have: {unknown:?}");
}

#[test]
fn the_readme_names_every_reason_and_shows_lines_that_exist() {
    let readme = std::fs::read_to_string(packaging("../README.md")).unwrap();
    let reasons = Punt::ALL.iter().map(|reason| reason.name()).chain(Drop::ALL.iter().map(|reason| reason.name()));
    for reason in reasons {
        assert!(readme.contains(&format!("`{reason}`")), "README.md does not explain `{reason}`");
    }
    let page = render(&fixture::snapshot()).unwrap();
    let shown: Vec<_> = readme.lines().filter(|line| line.starts_with("fastbridge_")).collect();
    assert!(!shown.is_empty());
    for line in shown {
        assert!(page.lines().any(|found| found == line), "README.md shows `{line}`, which /metrics does not");
    }
}
