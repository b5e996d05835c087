//! `show policy`: the zones and rules in force, with their hits.

use serde::Serialize;

use super::{table, yes_no};
use crate::{
    metrics::RuleCount,
    topology::model::{Action, OtherEthertypes, Policy, Zone, ZoneRef},
};

/// `show policy`: what is in force, with its hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyView {
    /// Live generation.
    pub generation: u64,
    /// `deny` or `allow`.
    pub default: &'static str,
    /// `punt` or `drop`.
    pub other_ethertypes: &'static str,
    /// Zones in the file's order.
    pub zones: Vec<ZoneRow>,
    /// Rules in the file's order, `default` last.
    pub rules: Vec<RuleRow>,
}

/// One zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ZoneRow {
    /// Name.
    pub name: String,
    /// Prefixes.
    pub prefixes: Vec<String>,
}

/// One rule with its hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRow {
    /// Rule id, or `default`.
    pub id: String,
    /// Source zone, or `any`.
    pub from: String,
    /// Destination zone, or `any`.
    pub to: String,
    /// Also the other way round.
    pub both: bool,
    /// Replies pass.
    pub stateful: bool,
    /// `allow` or `deny`.
    pub action: &'static str,
    /// IP protocol numbers; empty = every one.
    pub proto: Vec<u8>,
    /// Destination ports; empty = every one.
    pub ports: Vec<String>,
    /// Frames it decided.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl PolicyView {
    /// `policy` as generation `generation`, with the hits of the rules of the same id.
    pub fn new(policy: &Policy, generation: u64, hits: &[RuleCount]) -> Self {
        let zone = |zone: ZoneRef| match zone {
            ZoneRef::Any => "any".to_owned(),
            ZoneRef::Zone(index) => policy.zones.get(index).map_or_else(|| index.to_string(), |zone| zone.name.clone()),
        };
        let row = |id: &str, from: ZoneRef, to: ZoneRef, what: Action| {
            let tally = hits.iter().find(|hit| hit.id == id).map(|hit| hit.tally).unwrap_or_default();
            RuleRow {
                id: id.into(),
                from: zone(from),
                to: zone(to),
                both: false,
                stateful: false,
                action: action(what),
                proto: Vec::new(),
                ports: Vec::new(),
                packets: tally.packets,
                bytes: tally.bytes,
            }
        };
        let rules = policy.rules.iter().map(|rule| RuleRow {
            both: rule.both,
            stateful: rule.stateful,
            proto: rule.proto.clone().unwrap_or_default(),
            ports: rule.ports.iter().map(|&(first, last)| range(first, last)).collect(),
            ..row(&rule.id, rule.from, rule.to, rule.action)
        });
        let default = row("default", ZoneRef::Any, ZoneRef::Any, policy.default);
        let prefixes = |zone: &Zone| zone.prefixes.iter().map(ToString::to_string).collect();
        Self {
            generation,
            default: action(policy.default),
            other_ethertypes: match policy.other_ethertypes {
                OtherEthertypes::Punt => "punt",
                OtherEthertypes::Drop => "drop",
            },
            zones: policy
                .zones
                .iter()
                .map(|zone| ZoneRow { name: zone.name.clone(), prefixes: prefixes(zone) })
                .collect(),
            rules: rules.chain([default]).collect(),
        }
    }

    /// The lines of `show policy`.
    pub fn text(&self) -> String {
        let zones = self.zones.iter().map(|zone| vec![zone.name.clone(), zone.prefixes.join(" ")]);
        let header = ["RULE", "FROM", "TO", "BOTH", "STATEFUL", "PROTO", "PORTS", "ACTION", "PACKETS", "BYTES"];
        format!(
            "generation {}, default {}, other ethertypes {}\n\n{}\n{}",
            self.generation,
            self.default,
            self.other_ethertypes,
            table(&["ZONE", "PREFIXES"], &[], zones),
            table(&header, &[8, 9], self.rules.iter().map(rule_cells)),
        )
    }
}

fn rule_cells(rule: &RuleRow) -> Vec<String> {
    let proto = match rule.proto.as_slice() {
        [] => "any".into(),
        [6] => "tcp".into(),
        [17] => "udp".into(),
        [1, 58] => "icmp".into(),
        other => other.iter().map(u8::to_string).collect::<Vec<_>>().join(","),
    };
    let ports = if rule.ports.is_empty() { "any".into() } else { rule.ports.join(",") };
    vec![
        rule.id.clone(),
        rule.from.clone(),
        rule.to.clone(),
        yes_no(rule.both),
        yes_no(rule.stateful),
        proto,
        ports,
        rule.action.into(),
        rule.packets.to_string(),
        rule.bytes.to_string(),
    ]
}

const fn action(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
    }
}

fn range(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
