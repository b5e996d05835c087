//! Tests of the lowering: an oracle that never sees the tables, and look-ups that never see the policy.
#![allow(clippy::unwrap_used)]

mod cases;
mod oracle;
mod property;

use std::net::IpAddr;

use bridge_common::abi::{
    L4_BITS, L4Data, PAIR_REVERSE_STATEFUL, RULE_ALLOW, RULE_NEEDS_PORTS, RULE_STATEFUL, RULE_VALID, RuleWord,
    ZONE_HOST, ZoneEntry,
};

use super::lowered::Lowered;

/// What is decided about a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Decision {
    /// By this rule, or `default`.
    Rule { id: String, allow: bool, stateful: bool },
    /// It varies with the port, which the packet does not show.
    NeedsPorts,
}

/// Look-ups in the lowered tables as the kernel does them.
impl Lowered {
    fn entry(&self, address: IpAddr) -> ZoneEntry {
        let found = match address {
            IpAddr::V4(v4) => longest(&self.zones4, 32, |network| (network.to_bits() ^ v4.to_bits()).leading_zeros()),
            IpAddr::V6(v6) => longest(&self.zones6, 128, |network| (network.to_bits() ^ v6.to_bits()).leading_zeros()),
        };
        found.unwrap_or(0)
    }

    fn pair(&self, from: IpAddr, to: IpAddr) -> bridge_common::abi::Pair {
        let zone = |address| usize::from(self.entry(address) as u16);
        self.pairs[zone(from) * usize::from(self.meta.stride) + zone(to)]
    }

    fn word(&self, from: IpAddr, to: IpAddr, proto: u8, port: Option<u16>) -> RuleWord {
        let pair = self.pair(from, to);
        if pair.class == 0 {
            return pair.word;
        }
        let (portless, port) = (u8::from(port.is_none()), port.unwrap_or(0).to_be_bytes());
        let key = bits(&L4Data { class: pair.class.to_be_bytes(), proto, portless, port, pad: [0; 2] });
        longest(&self.l4, L4_BITS, |data| (bits(data) ^ key).leading_zeros()).unwrap_or(pair.word)
    }

    fn decide(&self, from: IpAddr, to: IpAddr, proto: u8, port: Option<u16>) -> Decision {
        let word = self.word(from, to, proto, port);
        assert_ne!(word & RULE_VALID, 0, "an unfilled word");
        if word & RULE_NEEDS_PORTS != 0 {
            assert_eq!((word, port), (RULE_NEEDS_PORTS | RULE_VALID, None));
            return Decision::NeedsPorts;
        }
        let id = self.rule_ids[usize::from(word as u16)].clone().unwrap();
        Decision::Rule { id, allow: word & RULE_ALLOW != 0, stateful: word & RULE_STATEFUL != 0 }
    }

    fn reverse_stateful(&self, from: IpAddr, to: IpAddr) -> bool {
        self.pair(from, to).flags & PAIR_REVERSE_STATEFUL != 0
    }

    fn is_host(&self, address: IpAddr) -> bool {
        self.entry(address) & ZONE_HOST != 0
    }

    /// What the maps demand of every generation: keys without stray bits, none twice.
    fn assert_well_formed(&self) {
        for &(length, network, _) in &self.zones4 {
            assert!(length <= 32 && network.to_bits().checked_shl(length).unwrap_or(0) == 0, "{network}/{length}");
        }
        for &(length, network, _) in &self.zones6 {
            assert!(length <= 128 && network.to_bits().checked_shl(length).unwrap_or(0) == 0, "{network}/{length}");
        }
        for &(length, data, word) in &self.l4 {
            assert!((32..=L4_BITS).contains(&length) && bits(&data).checked_shl(16 + length).unwrap_or(0) == 0);
            assert_ne!(word & RULE_VALID, 0);
        }
        assert!(self.zones4.windows(2).all(|w| (w[0].1, w[0].0) < (w[1].1, w[1].0)));
        assert!(self.zones6.windows(2).all(|w| (w[0].1, w[0].0) < (w[1].1, w[1].0)));
        assert!(self.l4.windows(2).all(|w| (w[0].0, w[0].1) < (w[1].0, w[1].1)));
        assert_eq!(self.pairs.len(), usize::from(self.meta.stride).pow(2));
    }
}

/// Value of the longest key that matches, `common` giving the equal leading bits.
fn longest<K, V: Copy>(entries: &[(u32, K, V)], full: u32, common: impl Fn(&K) -> u32) -> Option<V> {
    let matching = entries.iter().filter(|(length, key, _)| common(key).min(full) >= *length);
    matching.max_by_key(|(length, ..)| *length).map(|(.., value)| *value)
}

/// The key's 48 bits, left-aligned.
fn bits(data: &L4Data) -> u64 {
    let [a, b] = data.class;
    let [c, d] = data.port;
    u64::from_be_bytes([a, b, data.proto, data.portless, c, d, 0, 0])
}
