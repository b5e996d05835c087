//! The counters of `show counters --json`: shown per port with verdicts and reasons, and held against what the proof has sent.

use bridge_tests::{lab::Lab, reference::UPLINK};
use serde_json::Value;

use super::report::Report;

/// Shows the table, then says what it must tell after [`super::refusal::with`] and a run of [`super::rates`].
pub(super) fn judge(report: &Report, lab: &Lab, counters: &Value) {
    let ports = &counters["ports"];
    report.table(
        "counters per port (frames)",
        &["port", "machine", "forwarded", "punted to the slow path", "dropped", "egress"],
        rows(lab, ports),
    );
    let rules = counters["rules"].as_object().into_iter().flatten();
    report.table(
        "counters per rule",
        &["rule", "packets", "bytes"],
        rules.map(|(id, sums)| vec![id.clone(), sums["packets"].to_string(), sums["bytes"].to_string()]).collect(),
    );
    let port_of = |machine: &str| lab.machine(machine).map(|machine| machine.port().to_owned()).unwrap_or_default();
    let (master1, worker1) = (&ports[port_of("master1")], &ports[port_of("worker1")]);
    for (value, told) in [
        (&master1["forward"], "master1's frames to its own subnet were forwarded in the kernel program"),
        (
            &master1["punt"]["own-mac"],
            "master1's frames to other subnets were left to the host that routes them (own-mac)",
        ),
        (&ports[UPLINK]["drop"]["policy"], "the outside address was dropped at the uplink (policy)"),
        (&worker1["drop"]["policy"], "the undeclared prefix was dropped at worker1's port (policy)"),
    ] {
        let count = value.as_u64().unwrap_or_default();
        report.line(count > 0, &format!("{told}: {count}"));
    }
    let others = other_drops(ports);
    report.line(
        others.is_empty(),
        &format!("nothing was dropped for another reason than the policy{}", others.join(", ")),
    );
}

fn rows(lab: &Lab, ports: &Value) -> Vec<Vec<String>> {
    let machine_of = |port: &str| {
        let machine = lab.machines().iter().find(|machine| machine.port() == port);
        machine.map_or_else(|| "the LAN".to_owned(), |machine| machine.name().to_owned())
    };
    let ports = ports.as_object().into_iter().flatten();
    ports
        .map(|(port, counts)| {
            vec![
                port.clone(),
                machine_of(port),
                counts["forward"].as_u64().unwrap_or_default().to_string(),
                reasons(&counts["punt"]),
                reasons(&counts["drop"]),
                egress(&counts["egress"]),
            ]
        })
        .collect()
}

/// `own-mac 12, multicast 3`
fn reasons(counts: &Value) -> String {
    let each = counts.as_object().into_iter().flatten();
    each.map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join("\n")
}

fn egress(counts: &Value) -> String {
    let drops = reasons(&counts["drop"]);
    let passed = format!("pass {}", counts["pass"].as_u64().unwrap_or_default());
    if drops.is_empty() { passed } else { format!("{passed}\ndrop {drops}") }
}

fn other_drops(ports: &Value) -> Vec<String> {
    let ports = ports.as_object().into_iter().flatten();
    ports
        .flat_map(|(port, counts)| {
            let both = [&counts["drop"], &counts["egress"]["drop"]];
            let drops = both.into_iter().flat_map(|drops| drops.as_object().into_iter().flatten());
            let other = drops.filter(|(reason, _)| *reason != "policy");
            other.map(move |(reason, count)| format!(": {port} {reason} {count}")).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_for_other_reasons_are_found_on_both_sides() {
        let ports = serde_json::json!({
            "vnet0": {"forward": 1, "drop": {"policy": 2}, "egress": {"pass": 1, "drop": {"not-ready": 3}}},
            "vnet1": {"drop": {"malformed": 1}}
        });
        assert_eq!(other_drops(&ports), [": vnet0 not-ready 3", ": vnet1 malformed 1"]);
        assert_eq!(egress(&ports["vnet0"]["egress"]), "pass 1\ndrop not-ready 3");
    }
}
