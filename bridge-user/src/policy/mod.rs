//! Lowering: zones and rules in, the tables of `bridge_common::abi::policy` out. Pure.
//!
//! * `zones`: prefixes and host addresses to the entries of the longest-prefix tries;
//! * `pairs`: which rules apply from each zone to each other, and which pairs share them;
//! * `ports`: one class's rules for one protocol to disjoint port prefixes;
//! * `slots`: rule ids to the numbers under which they count.

pub mod lowered;
mod pairs;
mod ports;
mod slots;
#[cfg(test)]
mod tests;
mod zones;

use std::net::IpAddr;

use bridge_common::abi::maps::{HOST_ADDRESSES, L4_ENTRIES};
use bridge_common::abi::{PolicyMeta, RULE_ALLOW, RULE_STATEFUL, RULE_VALID, RuleWord};

use crate::topology::model::{Action, OtherEthertypes, Policy, Rule};
use lowered::Lowered;

/// Why a policy does not fit into the maps, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// A rule names a zone that is not there; the topology file's check lets none through.
    #[error("rule `{rule}` names zone number {zone}, but there are {zones} zones; check the topology file")]
    UnknownZone {
        /// The rule's id.
        rule: String,
        /// Index that it names.
        zone: usize,
        /// How many there are.
        zones: usize,
    },
    /// Zone numbers have 16 bits, 0 taken.
    #[error("{0} zones are more than the maps can number (65534); merge some")]
    TooManyZones(usize),
    /// Rule slots have 16 bits.
    #[error(
        "the rules need {0} counters, more than 65536; remove rules, or restart to free the counters of removed ones"
    )]
    TooManySlots(usize),
    /// Class numbers have 16 bits, 0 taken.
    #[error(
        "more than 65535 different rule lists between zones; use fewer zones, or rules with fewer combinations of them"
    )]
    TooManyClasses,
    /// The L4 trie is full.
    #[error("rules with protocols and ports need more than {L4_ENTRIES} table entries; use fewer zones or port ranges")]
    TooManyL4Entries,
    /// The zone tries have no room for so many of the host's own addresses.
    #[error("the host has {0} addresses of one family, but {HOST_ADDRESSES} fit beside the zones; remove some")]
    TooManyHostAddresses(usize),
}

/// Lowers `policy` to the tables of one generation.
///
/// `host_addresses`: the host's own, in any order; unspecified and multicast ones are skipped. `previous_rule_ids`:
/// [`Lowered::rule_ids`] of the generation before, empty for the first, so that a rule keeps its counter.
///
/// # Errors
/// The policy does not fit into the maps.
pub fn lower(
    policy: &Policy,
    host_addresses: &[IpAddr],
    previous_rule_ids: &[Option<String>],
) -> Result<Lowered, LowerError> {
    let stride = u16::try_from(policy.zones.len() + 1).map_err(|_| LowerError::TooManyZones(policy.zones.len()))?;
    let (zones4, zones6) = zones::entries(&policy.zones, host_addresses)?;
    let slots = slots::assign(&policy.rules, previous_rule_ids)?;
    let words = Words {
        default: RULE_VALID | if policy.default == Action::Allow { RULE_ALLOW } else { 0 },
        rules: policy.rules.iter().zip(&slots.of_rules).map(|(rule, &slot)| word(rule, slot)).collect(),
    };
    let (pairs, l4) = pairs::tables(&policy.rules, usize::from(stride), &words)?;
    let meta = PolicyMeta {
        stride,
        drop_other_ethertypes: policy.other_ethertypes == OtherEthertypes::Drop,
        stateful: words.rules.iter().any(|word| word & RULE_STATEFUL != 0),
    };
    Ok(Lowered { zones4, zones6, pairs, l4, meta, rule_ids: slots.ids })
}

/// What each rule, and the default, decides.
struct Words {
    default: RuleWord,
    rules: Vec<RuleWord>,
}

fn word(rule: &Rule, slot: u16) -> RuleWord {
    let allow = rule.action == Action::Allow;
    let bits = if allow { RULE_ALLOW } else { 0 } | if allow && rule.stateful { RULE_STATEFUL } else { 0 };
    RuleWord::from(slot) | bits | RULE_VALID
}
