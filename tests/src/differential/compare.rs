//! Two outcomes side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Frames and how often each was seen.
pub type Multiset = BTreeMap<Vec<u8>, usize>;

/// What a run brought forth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Frames that left each bridge port, by port name; sentinels left out.
    pub left: BTreeMap<String, Multiset>,
    /// How many frames entered each bridge port, sentinels included: what ingress counters must add up to.
    pub entered: BTreeMap<String, u64>,
}

impl Outcome {
    /// How many frames left all ports together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.left.values().flat_map(BTreeMap::values).sum()
    }
}

/// A frame that left a port not as often as it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The port it left.
    pub port: String,
    /// The whole frame.
    pub frame: Vec<u8>,
    /// How often it left in the first outcome.
    pub expected: usize,
    /// How often it left in the second.
    pub seen: usize,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, frame, expected, seen } = self;
        write!(f, "{port}: expected {expected} x, seen {seen} x, {} bytes:", frame.len())?;
        frame.iter().take(64).try_for_each(|byte| write!(f, " {byte:02x}"))?;
        if frame.len() > 64 { write!(f, " ...") } else { Ok(()) }
    }
}

/// All differences between what should have left (`expected`) and what did; empty when they are equal.
#[must_use]
pub fn compare(expected: &Outcome, seen: &Outcome) -> Vec<Difference> {
    let none = Multiset::new();
    let ports: BTreeSet<&String> = expected.left.keys().chain(seen.left.keys()).collect();
    ports
        .into_iter()
        .flat_map(|port| {
            let (a, b) = (expected.left.get(port).unwrap_or(&none), seen.left.get(port).unwrap_or(&none));
            compare_port(port, a, b)
        })
        .collect()
}

fn compare_port(port: &str, expected: &Multiset, seen: &Multiset) -> Vec<Difference> {
    let count = |set: &Multiset, frame: &Vec<u8>| set.get(frame).copied().unwrap_or(0);
    let frames: BTreeSet<&Vec<u8>> = expected.keys().chain(seen.keys()).collect();
    frames
        .into_iter()
        .map(|frame| Difference {
            port: port.into(),
            frame: frame.clone(),
            expected: count(expected, frame),
            seen: count(seen, frame),
        })
        .filter(|difference| difference.expected != difference.seen)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(frames: &[(&str, &[u8], usize)]) -> Outcome {
        let mut outcome = Outcome::default();
        for (port, frame, count) in frames {
            outcome.left.entry((*port).into()).or_default().insert(frame.to_vec(), *count);
        }
        outcome
    }

    #[test]
    fn equal_outcomes_have_no_difference_and_the_order_does_not_matter() {
        let a = outcome(&[("vnet0", b"x", 2), ("vnet1", b"y", 1)]);
        assert_eq!(compare(&a, &outcome(&[("vnet1", b"y", 1), ("vnet0", b"x", 2)])), []);
    }

    #[test]
    fn duplicates_losses_and_wrong_ports_are_told() {
        let a = outcome(&[("vnet0", b"x", 1), ("vnet1", b"y", 1)]);
        let b = outcome(&[("vnet0", b"x", 2), ("vnet2", b"y", 1)]);
        let told: Vec<_> = compare(&a, &b).into_iter().map(|d| (d.port, d.expected, d.seen)).collect();
        assert_eq!(told, [("vnet0".into(), 1, 2), ("vnet1".into(), 1, 0), ("vnet2".into(), 0, 1)]);
    }
}
