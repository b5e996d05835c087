//! What `show` prints: tables for people, JSON for scripts. Pure functions of a [`Snapshot`] and of the rows here.
//!
//! Tables carry no escape sequence, whatever the terminal, and control characters in names are written out: an
//! interface may be called anything without a slash or a space. JSON is one line, its keys in a fixed order.
//! Must not: read maps or clocks, print.

pub mod policy;
pub mod rows;
pub mod status;

use std::{collections::BTreeMap, fmt::Write as _};

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    dataplane::notes::LibvirtNote,
    metrics::{
        Port, RuleCount, Snapshot, Tally,
        snapshot::{ByReason, packets},
    },
};

/// A value as one line of JSON.
///
/// # Errors
/// Only for values that JSON cannot hold (a map with keys that are no strings); none here has them.
pub fn json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}

/// Rows under a header, columns as wide as their content, those in `numbers` aligned to the right. No line ends in a
/// space; the last one ends in a newline.
fn table(header: &[&str], numbers: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table.lines().fold(String::new(), |mut text, line| {
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}

/// `text` with everything written out that is not printed as one character (control characters, marks that turn or join text): `\u{1b}`.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
        out
    })
}

fn yes_no(yes: bool) -> String {
    if yes { "yes".into() } else { "no".into() }
}

/// Empty lists as a dash, so that columns stay countable.
fn or_dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

/// `show ports`: one line for each managed port, then the ports that cannot be policed.
pub fn ports_table(snapshot: &Snapshot) -> String {
    let header = ["PORT", "IFINDEX", "HOOK", "ROLE", "VLAN", "ATTACHED", "FORWARD", "PUNT", "DROP", "ELIGIBLE"];
    let mut text = table(&header, &[1, 6, 7, 8], sorted(snapshot).into_values().map(port_row));
    for name in &snapshot.unpoliced_ports {
        // A String takes every write.
        let _ = writeln!(text, "unpoliced: {} (no hook of ours reaches its frames)", printable(name));
    }
    if let Some(libvirt) = &snapshot.libvirt {
        let _ = writeln!(text, "libvirt: {}", printable(&libvirt.words()));
    }
    text
}

fn port_row(port: &Port) -> Vec<String> {
    let eligible = if port.eligible { "yes".into() } else { format!("no: {}", or_dash(port.reasons.join("; "))) };
    vec![
        port.name.clone(),
        port.ifindex.to_string(),
        port.hook.name().into(),
        port.role().into(),
        or_dash(port.vlan.clone()),
        yes_no(port.attached),
        port.tallies.forward.packets.to_string(),
        packets(&port.tallies.punt).to_string(),
        packets(&port.tallies.drop).to_string(),
        eligible,
    ]
}

/// `show ports --json`.
#[derive(Debug, Serialize)]
pub struct PortsJson<'a> {
    ports: BTreeMap<&'a str, PortJson<'a>>,
    unpoliced: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    libvirt: Option<&'a LibvirtNote>,
}

#[derive(Debug, Serialize)]
struct PortJson<'a> {
    ifindex: u32,
    hook: &'static str,
    role: &'static str,
    vlan: Option<&'a str>,
    attached: bool,
    eligible: bool,
    reasons: &'a [String],
    stations: u64,
    before_attach: u64,
    forward: u64,
    punt: u64,
    drop: u64,
}

/// `show ports --json`: per port its state and the totals of its verdicts.
pub fn ports_json(snapshot: &Snapshot) -> PortsJson<'_> {
    PortsJson {
        ports: snapshot.ports.iter().map(|port| (port.name.as_str(), port_json(port))).collect(),
        unpoliced: &snapshot.unpoliced_ports,
        libvirt: snapshot.libvirt.as_ref(),
    }
}

fn port_json(port: &Port) -> PortJson<'_> {
    PortJson {
        ifindex: port.ifindex,
        hook: port.hook.name(),
        role: port.role(),
        vlan: Some(port.vlan.as_str()).filter(|vlan| !vlan.is_empty()),
        attached: port.attached,
        eligible: port.eligible,
        reasons: &port.reasons,
        stations: port.stations,
        before_attach: port.before_attach,
        forward: port.tallies.forward.packets,
        punt: packets(&port.tallies.punt),
        drop: packets(&port.tallies.drop),
    }
}

/// `show counters`: what was counted at each port, zeros of reasons left out, then the rules.
pub fn counters_table(snapshot: &Snapshot) -> String {
    let ports = sorted(snapshot).into_values().flat_map(counter_rows);
    let mut text = table(&["PORT", "DIRECTION", "VERDICT", "REASON", "PACKETS", "BYTES"], &[4, 5], ports);
    text.push('\n');
    let rules = snapshot
        .rules
        .iter()
        .map(|rule| vec![rule.id.clone(), rule.tally.packets.to_string(), rule.tally.bytes.to_string()]);
    text.push_str(&table(&["RULE", "PACKETS", "BYTES"], &[1, 2], rules));
    text
}

fn counter_rows(port: &Port) -> Vec<Vec<String>> {
    let row = |direction: &str, verdict: &str, reason: &str, tally: Tally| {
        let words = [port.name.as_str(), direction, verdict, reason].map(str::to_owned);
        words.into_iter().chain([tally.packets.to_string(), tally.bytes.to_string()]).collect::<Vec<_>>()
    };
    let tallies = &port.tallies;
    let mut rows = vec![row("ingress", "forward", "-", tallies.forward)];
    rows.extend(counted(&tallies.punt).map(|(reason, tally)| row("ingress", "punt", reason, tally)));
    rows.extend(counted(&tallies.drop).map(|(reason, tally)| row("ingress", "drop", reason, tally)));
    rows.push(row("egress", "pass", "-", tallies.egress_pass));
    rows.extend(counted(&tallies.egress_drop).map(|(reason, tally)| row("egress", "drop", reason, tally)));
    rows
}

/// `show counters --json`, the form that scripts rely on.
#[derive(Debug, Serialize)]
pub struct CountersJson<'a> {
    ports: BTreeMap<&'a str, PortCountersJson>,
    #[serde(serialize_with = "by_id")]
    rules: &'a [RuleCount],
}

#[derive(Debug, Serialize)]
struct PortCountersJson {
    forward: u64,
    forward_bytes: u64,
    punt: BTreeMap<&'static str, u64>,
    drop: BTreeMap<&'static str, u64>,
    egress: EgressJson,
}

#[derive(Debug, Serialize)]
struct EgressJson {
    pass: u64,
    drop: BTreeMap<&'static str, u64>,
}

/// `show counters --json`: packets, zeros of reasons left out; rules in the policy's order.
pub fn counters_json(snapshot: &Snapshot) -> CountersJson<'_> {
    let by_reason = |all: &ByReason| counted(all).map(|(reason, tally)| (reason, tally.packets)).collect();
    let port = |port: &Port| PortCountersJson {
        forward: port.tallies.forward.packets,
        forward_bytes: port.tallies.forward.bytes,
        punt: by_reason(&port.tallies.punt),
        drop: by_reason(&port.tallies.drop),
        egress: EgressJson { pass: port.tallies.egress_pass.packets, drop: by_reason(&port.tallies.egress_drop) },
    };
    CountersJson { ports: snapshot.ports.iter().map(|p| (p.name.as_str(), port(p))).collect(), rules: &snapshot.rules }
}

fn by_id<S: Serializer>(rules: &&[RuleCount], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(rules.len()))?;
    for rule in *rules {
        map.serialize_entry(&rule.id, &rule.tally)?;
    }
    map.end()
}

fn counted(all: &ByReason) -> impl Iterator<Item = (&'static str, Tally)> {
    all.iter().filter(|(_, tally)| tally.packets > 0).map(|(&reason, &tally)| (reason, tally))
}

fn sorted(snapshot: &Snapshot) -> BTreeMap<&str, &Port> {
    snapshot.ports.iter().map(|port| (port.name.as_str(), port)).collect()
}

#[cfg(test)]
mod tests;
