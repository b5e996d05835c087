//! What the topology's policy says, straight from its model.

use std::net::IpAddr;

use bridge_user::topology::model::{Action, Policy, Rule, ZoneRef};

/// What the policy makes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Slot of the rule (0: the default), whether it allows, whether it opens a flow.
    Rule(u32, bool, bool),
    /// It depends on ports that cannot be seen.
    NeedsPorts,
}

fn zone_of(policy: &Policy, address: IpAddr) -> Option<usize> {
    if matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80) {
        return None;
    }
    let covering = policy.zones.iter().enumerate().flat_map(|(index, zone)| {
        zone.prefixes.iter().filter(|prefix| prefix.contains(&address)).map(move |prefix| (prefix.prefix_len(), index))
    });
    covering.max().map(|(_, index)| index)
}

fn is_between(rule: &Rule, from: Option<usize>, to: Option<usize>) -> bool {
    let is = |end, zone| match end {
        ZoneRef::Any => true,
        ZoneRef::Zone(index) => zone == Some(index),
    };
    is(rule.from, from) && is(rule.to, to) || rule.both && is(rule.from, to) && is(rule.to, from)
}

/// The first match, with a destination port or without one.
pub fn judge(policy: &Policy, from: IpAddr, to: IpAddr, proto: u8, port: Option<u16>) -> Said {
    let Some(port) = port else { return without_port(policy, from, to, proto) };
    let (from, to) = (zone_of(policy, from), zone_of(policy, to));
    for (rule, slot) in policy.rules.iter().zip(1..) {
        let proto_fits = rule.proto.as_ref().is_none_or(|numbers| numbers.contains(&proto));
        let port_fits = rule.ports.is_empty() || rule.ports.iter().any(|&(first, last)| first <= port && port <= last);
        if is_between(rule, from, to) && proto_fits && port_fits {
            let allow = rule.action == Action::Allow;
            return Said::Rule(slot, allow, allow && rule.stateful);
        }
    }
    Said::Rule(0, policy.default == Action::Allow, false)
}

/// What all ports agree on.
fn without_port(policy: &Policy, from: IpAddr, to: IpAddr, proto: u8) -> Said {
    let ranges = policy.rules.iter().flat_map(|rule| &rule.ports);
    let edges = ranges.flat_map(|&(a, b)| [a.saturating_sub(1), a, b, b.saturating_add(1)]).chain([0, u16::MAX]);
    let mut said = edges.map(|port| judge(policy, from, to, proto, Some(port)));
    let first = said.next().unwrap();
    if said.all(|other| other == first) { first } else { Said::NeedsPorts }
}
