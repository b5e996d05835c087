//! The policy's meaning, straight from the topology model: slow, and knowing nothing of the lowering.

use std::net::IpAddr;

use super::Decision;
use crate::topology::model::{Action, Policy, Rule, ZoneRef};

/// Index of the zone with the longest prefix; link-local IPv6 is in none.
pub(super) fn zone_of(policy: &Policy, address: IpAddr) -> Option<usize> {
    if matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80) {
        return None;
    }
    let mut best = None;
    for (index, zone) in policy.zones.iter().enumerate() {
        for prefix in zone.prefixes.iter().filter(|prefix| prefix.contains(&address)) {
            if best.is_none_or(|(length, _)| prefix.prefix_len() > length) {
                best = Some((prefix.prefix_len(), index));
            }
        }
    }
    best.map(|(_, index)| index)
}

/// Whether `rule` is for frames between these zones at all.
pub(super) fn is_between(rule: &Rule, from: Option<usize>, to: Option<usize>) -> bool {
    let is = |end, zone| match end {
        ZoneRef::Any => true,
        ZoneRef::Zone(index) => zone == Some(index),
    };
    (is(rule.from, from) && is(rule.to, to)) || (rule.both && is(rule.from, to) && is(rule.to, from))
}

/// The first match.
pub(super) fn decide(policy: &Policy, from: IpAddr, to: IpAddr, proto: u8, port: Option<u16>) -> Decision {
    let Some(port) = port else { return decide_without_port(policy, from, to, proto) };
    let (from, to) = (zone_of(policy, from), zone_of(policy, to));
    for rule in &policy.rules {
        let proto_matches = rule.proto.as_ref().is_none_or(|numbers| numbers.contains(&proto));
        let port_matches = rule.ports.is_empty() || rule.ports.iter().any(|&(a, b)| a <= port && port <= b);
        if is_between(rule, from, to) && proto_matches && port_matches {
            let allow = rule.action == Action::Allow;
            return Decision::Rule { id: rule.id.clone(), allow, stateful: allow && rule.stateful };
        }
    }
    Decision::Rule { id: "default".into(), allow: policy.default == Action::Allow, stateful: false }
}

/// Every port that could differ from its neighbour.
pub(super) fn boundaries(policy: &Policy) -> Vec<u16> {
    let ranges = policy.rules.iter().flat_map(|rule| &rule.ports);
    let edges = ranges.flat_map(|&(a, b)| [a.saturating_sub(1), a, b, b.saturating_add(1)]);
    edges.chain([0, u16::MAX]).collect()
}

fn decide_without_port(policy: &Policy, from: IpAddr, to: IpAddr, proto: u8) -> Decision {
    let mut decisions = boundaries(policy).into_iter().map(|port| decide(policy, from, to, proto, Some(port)));
    let first = decisions.next().unwrap();
    if decisions.all(|decision| decision == first) { first } else { Decision::NeedsPorts }
}
