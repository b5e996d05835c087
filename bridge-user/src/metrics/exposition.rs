//! A [`Snapshot`] as a Prometheus page, text exposition format 0.0.4.
//!
//! The registry is built anew for each page: a port or rule that is gone leaves no series behind. Labels are port
//! names, rule ids, map names and reasons, so their number is bounded by the topology's limits.
//! `..._packets_total` is there for every reason from the first page on (an alert on `increase()` must see the step
//! from 0 to 1); `..._bytes_total` only where something was counted.

use prometheus::{Error, GaugeVec, IntCounterVec, Opts, Registry, TextEncoder};

use super::snapshot::{ByReason, Port, ReconcileState, Snapshot, Tally};

/// Content type of the page.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

const VERDICT_LABELS: &[&str] = &["port", "direction", "verdict", "reason"];

/// The whole page.
///
/// # Errors
/// Only if a metric is declared wrongly, which the tests of this module exclude.
pub fn render(snapshot: &Snapshot) -> Result<String, Error> {
    let page = Page(Registry::new());
    about(&page, snapshot)?;
    manager(&page, snapshot)?;
    verdicts(&page, snapshot)?;
    rules(&page, snapshot)?;
    ports(&page, snapshot)?;
    tables(&page, snapshot)?;
    TextEncoder::new().encode_to_string(&page.0.gather())
}

struct Page(Registry);

impl Page {
    fn gauge<const N: usize>(
        &self,
        (name, help): (&str, &str),
        labels: &[&str; N],
        rows: impl IntoIterator<Item = ([String; N], f64)>,
    ) -> Result<(), Error> {
        let family = GaugeVec::new(Opts::new(name, help), labels)?;
        for (values, value) in rows {
            family.get_metric_with_label_values(&values)?.set(value);
        }
        self.0.register(Box::new(family))
    }

    fn counter(
        &self,
        (name, help): (&str, &str),
        labels: &[&str],
        rows: impl IntoIterator<Item = (Vec<String>, u64)>,
    ) -> Result<(), Error> {
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        for (values, value) in rows {
            family.get_metric_with_label_values(&values)?.inc_by(value);
        }
        self.0.register(Box::new(family))
    }
}

fn about(page: &Page, snapshot: &Snapshot) -> Result<(), Error> {
    let build = [snapshot.build.version.clone(), snapshot.build.abi.clone()];
    page.gauge(
        ("fastbridge_build_info", "What was built: version, and the id of the map layouts."),
        &["version", "abi"],
        [(build, 1.0)],
    )?;
    let bridge = [snapshot.bridge.clone(), snapshot.slow_path.clone()];
    page.gauge(("fastbridge_bridge_info", "The bridge and its kind."), &["bridge", "slow_path"], [(bridge, 1.0)])
}

fn manager(page: &Page, snapshot: &Snapshot) -> Result<(), Error> {
    page.gauge(
        ("fastbridge_policy_generation", "Live policy generation; 0 before the first."),
        &[],
        [([], snapshot.generation as f64)],
    )?;
    page.gauge(
        ("fastbridge_heartbeat_age_seconds", "Age of the manager's heartbeat; over 5 the programs stop forwarding."),
        &[],
        snapshot.heartbeat_age_seconds.map(|age| ([], age)),
    )?;
    let Some(reconcile) = &snapshot.reconcile else { return Ok(()) };
    page.gauge(
        ("fastbridge_reconcile_state", "1 for the state that the manager's loop is in."),
        &["state"],
        ReconcileState::ALL.map(|state| ([state.name().into()], flag(state == reconcile.state))),
    )?;
    page.gauge(
        ("fastbridge_reconcile_last_success_age_seconds", "Age of the last moment at which the maps were as wanted."),
        &[],
        reconcile.last_success_age_seconds.map(|age| ([], age)),
    )?;
    page.counter(
        ("fastbridge_reconcile_failures_total", "Rounds of the manager's loop that ended in an error."),
        &[],
        [(vec![], reconcile.failures)],
    )
}

fn verdicts(page: &Page, snapshot: &Snapshot) -> Result<(), Error> {
    let all: Vec<_> = snapshot.ports.iter().flat_map(port_verdicts).collect();
    page.counter(
        ("fastbridge_port_packets_total", "Frames judged at a port, by verdict and reason."),
        VERDICT_LABELS,
        all.iter().map(|(labels, tally)| (labels.clone(), tally.packets)),
    )?;
    let counted = all.into_iter().filter(|(_, tally)| tally.packets > 0);
    page.counter(
        ("fastbridge_port_bytes_total", "Bytes of the frames judged at a port, without FCS."),
        VERDICT_LABELS,
        counted.map(|(labels, tally)| (labels, tally.bytes)),
    )
}

/// (port, direction, verdict, reason) of everything that this port counts. Verdicts without reasons have an empty one,
/// which to Prometheus is the same as none.
fn port_verdicts(port: &Port) -> Vec<(Vec<String>, Tally)> {
    let labels = |direction: &str, verdict: &str, reason: &str| {
        vec![port.name.clone(), direction.into(), verdict.into(), reason.into()]
    };
    let each = |direction, verdict, by_reason: &ByReason| -> Vec<_> {
        by_reason.iter().map(|(reason, &tally)| (labels(direction, verdict, reason), tally)).collect()
    };
    let tallies = &port.tallies;
    let mut rows =
        vec![(labels("ingress", "forward", ""), tallies.forward), (labels("egress", "pass", ""), tallies.egress_pass)];
    rows.extend(each("ingress", "punt", &tallies.punt));
    rows.extend(each("ingress", "drop", &tallies.drop));
    rows.extend(each("egress", "drop", &tallies.egress_drop));
    rows
}

fn rules(page: &Page, snapshot: &Snapshot) -> Result<(), Error> {
    let rows =
        |value: fn(Tally) -> u64| snapshot.rules.iter().map(move |rule| (vec![rule.id.clone()], value(rule.tally)));
    page.counter(
        ("fastbridge_rule_packets_total", "Frames that a policy rule decided; `default`: none matched."),
        &["rule"],
        rows(|tally| tally.packets),
    )?;
    page.counter(
        ("fastbridge_rule_bytes_total", "Bytes of the frames that a policy rule decided, without FCS."),
        &["rule"],
        rows(|tally| tally.bytes),
    )
}

fn ports(page: &Page, snapshot: &Snapshot) -> Result<(), Error> {
    let rows = |value: fn(&Port) -> f64| snapshot.ports.iter().map(move |port| ([port.name.clone()], value(port)));
    let info = snapshot
        .ports
        .iter()
        .map(|port| ([port.name.clone(), port.ifindex.to_string(), port.hook.name().into(), port.role().into()], 1.0));
    page.gauge(
        ("fastbridge_port_info", "Managed ports: interface index, hook and role."),
        &["port", "ifindex", "hook", "role"],
        info,
    )?;
    page.gauge(
        ("fastbridge_port_attached", "1 if our programs are on the port."),
        &["port"],
        rows(|port| flag(port.attached)),
    )?;
    page.gauge(
        ("fastbridge_port_eligible", "1 if the port takes part in forwarding; `show ports` says why not."),
        &["port"],
        rows(|port| flag(port.eligible)),
    )?;
    page.gauge(
        ("fastbridge_port_stations", "Stations learned on the port."),
        &["port"],
        rows(|port| port.stations as f64),
    )?;
    page.counter(
        ("fastbridge_port_unjudged_packets_total", "Frames that the port received before the programs were attached."),
        &["port"],
        snapshot.ports.iter().map(|port| (vec![port.name.clone()], port.before_attach)),
    )?;
    page.gauge(
        ("fastbridge_unpoliced_ports", "Ports of the bridge that no hook of ours can police."),
        &[],
        [([], snapshot.unpoliced_ports.len() as f64)],
    )
}

fn tables(page: &Page, snapshot: &Snapshot) -> Result<(), Error> {
    page.gauge(
        ("fastbridge_static_stations", "Stations that the topology binds to a port."),
        &[],
        [([], snapshot.static_stations as f64)],
    )?;
    page.gauge(("fastbridge_flows", "Flows of stateful rules in use."), &[], [([], snapshot.flows as f64)])?;
    let fill = |value: fn(u64, u64) -> u64| {
        snapshot.maps.iter().map(move |map| ([map.name.to_owned()], value(map.used, map.capacity) as f64))
    };
    page.gauge(("fastbridge_map_entries", "Entries in use of a sized map."), &["map"], fill(|used, _| used))?;
    page.gauge(
        ("fastbridge_map_capacity_entries", "Entries that a sized map can hold."),
        &["map"],
        fill(|_, capacity| capacity),
    )?;
    page.counter(("fastbridge_fdb_full_total", "Stations that found the FDB full."), &[], [(vec![], snapshot.fdb_full)])
}

const fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

#[cfg(test)]
#[path = "exposition_tests.rs"]
mod tests;
