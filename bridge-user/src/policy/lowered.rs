//! The form in which one policy generation goes into the maps. Plain data, comparable.

use std::net::{Ipv4Addr, Ipv6Addr};

use bridge_common::abi::{L4Data, Pair, PolicyMeta, RuleWord, ZoneEntry};

/// One generation, without its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// (prefix length, network, entry): the zones' prefixes, and each host address as a /32 with `ZONE_HOST` and the zone it lies in.
    pub zones4: Vec<(u32, Ipv4Addr, ZoneEntry)>,
    /// As `zones4`.
    pub zones6: Vec<(u32, Ipv6Addr, ZoneEntry)>,
    /// `stride * stride` pairs, row = from, column = to, index 0 = in no zone.
    pub pairs: Vec<Pair>,
    /// (prefix length, key, word), sorted, no key twice.
    pub l4: Vec<(u32, L4Data, RuleWord)>,
    /// Stride and flags.
    pub meta: PolicyMeta,
    /// Rule slot to rule id; slot 0 = `default`; `None` = free.
    pub rule_ids: Vec<Option<String>>,
}

impl Lowered {
    /// A live generation of which only the number is known: differs from every policy.
    pub fn unknown() -> Self {
        Self {
            zones4: Vec::new(),
            zones6: Vec::new(),
            pairs: Vec::new(),
            l4: Vec::new(),
            meta: PolicyMeta { stride: 0, drop_other_ethertypes: false, stateful: false },
            rule_ids: Vec::new(),
        }
    }
}
