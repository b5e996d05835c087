//! Every counter that a program may move.

use std::collections::BTreeMap;

use bridge_common::abi::{Cell, Counted};

/// Counters that are not zero. Two of them are equal only if *every* counter is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By port slot (0: no managed port) and what is counted.
    pub ports: BTreeMap<(u16, Counted), Cell>,
    /// By rule slot (0: the default).
    pub rules: BTreeMap<u32, Cell>,
}

impl Counts {
    /// One frame of `len` bytes at a port and, unless [`bridge_common::decide::NO_RULE`], at a rule.
    pub fn count(&mut self, slot: u16, counted: Counted, rule: u32, len: u32) {
        add(self.ports.entry((slot, counted)).or_default(), len);
        if rule != bridge_common::decide::NO_RULE {
            add(self.rules.entry(rule).or_default(), len);
        }
    }

    /// What moved since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self { ports: moved(&self.ports, &before.ports), rules: moved(&self.rules, &before.rules) }
    }

    /// Frames that were counted at ports.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.ports.values().map(|cell| cell.packets).sum()
    }
}

fn add(cell: &mut Cell, len: u32) {
    cell.packets += 1;
    cell.bytes += u64::from(len);
}

fn moved<K: Ord + Copy>(after: &BTreeMap<K, Cell>, before: &BTreeMap<K, Cell>) -> BTreeMap<K, Cell> {
    let since = |key, cell: &Cell| {
        let old = before.get(key).copied().unwrap_or_default();
        Cell { packets: cell.packets - old.packets, bytes: cell.bytes - old.bytes }
    };
    let all = after.iter().map(|(key, cell)| (*key, since(key, cell)));
    all.filter(|(_, cell)| *cell != Cell::default()).collect()
}
