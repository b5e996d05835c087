//! One class's decisions for one protocol, by destination port.

use std::collections::BTreeMap;

use bridge_common::abi::{L4Data, RULE_NEEDS_PORTS, RULE_VALID, RuleWord};

use super::Words;
use crate::topology::model::Rule;

/// Bits of an [`L4Data`] key before the port.
const HEAD_BITS: u32 = 32;

/// Appends the entries of `class` for `proto`. `list`: indices of the class's rules in the order they are tried.
pub(super) fn push_entries(
    class: u16,
    proto: u8,
    list: &[usize],
    rules: &[Rule],
    words: &Words,
    l4: &mut Vec<(u32, L4Data, RuleWord)>,
) {
    let applicable = list.iter().filter(|&&index| rules[index].proto.as_ref().is_none_or(|p| p.contains(&proto)));
    let mut undecided = BTreeMap::from([(0, u16::MAX)]);
    let mut decided = Vec::new();
    let mut rest = words.default;
    for &index in applicable {
        if rules[index].ports.is_empty() {
            rest = words.rules[index];
            break;
        }
        for &(first, last) in &rules[index].ports {
            claim(&mut undecided, first, last, |first, last| decided.push((first, last, words.rules[index])));
        }
    }
    let mut outcomes = decided.iter().map(|&(_, _, word)| word).chain((!undecided.is_empty()).then_some(rest));
    let one = outcomes.next().unwrap_or(rest);
    let portless = if outcomes.all(|word| word == one) { one } else { RULE_NEEDS_PORTS | RULE_VALID };

    let key = |portless, port: u16| L4Data {
        class: class.to_be_bytes(),
        proto,
        portless,
        port: port.to_be_bytes(),
        pad: [0; 2],
    };
    l4.push((HEAD_BITS, key(1, 0), portless));
    l4.push((HEAD_BITS, key(0, 0), rest));
    for (first, last, word) in merged(decided) {
        cover(first, last, |bits, port| l4.push((HEAD_BITS + bits, key(0, port), word)));
    }
}

/// Moves what is left of `first..=last` out of `undecided` (start to end, disjoint), piece by piece.
fn claim(undecided: &mut BTreeMap<u16, u16>, first: u16, last: u16, mut taken: impl FnMut(u16, u16)) {
    while let Some((&start, &end)) = undecided.range(..=last).next_back() {
        if end < first || first > last {
            break;
        }
        undecided.remove(&start);
        if end > last {
            undecided.insert(last + 1, end);
        }
        taken(start.max(first), end.min(last));
        if start < first {
            undecided.insert(start, first - 1);
        }
    }
}

/// Disjoint intervals in order, neighbours with the same word made one.
fn merged(mut intervals: Vec<(u16, u16, RuleWord)>) -> Vec<(u16, u16, RuleWord)> {
    intervals.sort_unstable();
    intervals.dedup_by(|next, kept| {
        let joins = kept.2 == next.2 && kept.1.checked_add(1) == Some(next.0);
        if joins {
            kept.1 = next.1;
        }
        joins
    });
    intervals
}

/// The fewest prefixes (bits, port) that are exactly `first..=last`.
fn cover(first: u16, last: u16, mut prefix: impl FnMut(u32, u16)) {
    let (mut next, last) = (u32::from(first), u32::from(last));
    while next <= last {
        // The largest block that starts here: as aligned as its start, and not past the end.
        let aligned = if next == 0 { 16 } else { next.trailing_zeros() };
        let fitting = (last - next + 1).ilog2();
        let size = aligned.min(fitting);
        // `next` is at most 65535 here.
        prefix(16 - size, next as u16);
        next += 1 << size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(first: u16, last: u16) -> Vec<(u32, u16)> {
        let mut found = Vec::new();
        cover(first, last, |bits, port| found.push((bits, port)));
        found
    }

    #[test]
    fn fewest_prefixes() {
        assert_eq!(prefixes(6443, 6443), [(16, 6443)]);
        assert_eq!(prefixes(0, 65535), [(0, 0)]);
        assert_eq!(prefixes(65535, 65535), [(16, 65535)]);
        assert_eq!(prefixes(80, 83), [(14, 80)]);
        assert_eq!(prefixes(1, 4), [(16, 1), (15, 2), (16, 4)]);
        assert_eq!(prefixes(32768, 65535), [(1, 32768)]);
        // The worst that a range can be.
        assert_eq!(prefixes(1, 65534).len(), 30);
    }

    #[test]
    fn claims_are_disjoint_and_first_come() {
        let mut undecided = BTreeMap::from([(0, u16::MAX)]);
        let mut taken = Vec::new();
        for (first, last) in [(10, 20), (15, 30), (0, 65535), (5, 6), (9, 8)] {
            claim(&mut undecided, first, last, |first, last| taken.push((first, last)));
        }
        assert_eq!(taken, [(10, 20), (21, 30), (31, 65535), (0, 9)]);
        assert!(undecided.is_empty());
    }

    #[test]
    fn only_touching_neighbours_of_one_word_merge() {
        let merged = merged(vec![(5, 9, 1), (0, 4, 1), (10, 10, 2), (12, 13, 2)]);
        assert_eq!(merged, [(0, 9, 1), (10, 10, 2), (12, 13, 2)]);
    }
}
