//! What the bridge knows, as far as it matters for pacing: when does the order of two frames matter? Errs towards "it does".

use std::collections::{HashMap, HashSet};

use super::Entry;
use crate::Mac;
use crate::lab::Tagging;

/// The stations known, and those used since the last barrier.
#[derive(Debug, Default)]
pub(super) struct Model {
    ports: Vec<Tagging>,
    /// By MAC and VLAN, as VLAN-aware bridges learn; and with `None`, by MAC alone, as a bridge without VLAN filtering does.
    known: HashMap<(Mac, Option<u16>), usize>,
    used: HashSet<Mac>,
    changed: HashSet<Mac>,
}

/// What of a frame a bridge looks at.
struct Head {
    destination: Mac,
    source: Mac,
    /// `None`: the port drops it.
    vlan: Option<u16>,
}

impl Model {
    /// Of a bridge whose ports treat tags so.
    pub(super) fn new(ports: &[Tagging]) -> Self {
        Self { ports: ports.to_vec(), ..Self::default() }
    }

    /// Nothing is known any more.
    pub(super) fn forget_all(&mut self) {
        self.known.clear();
    }

    /// What was known of a port may be forgotten: the bridges differ.
    pub(super) fn forget(&mut self, port: usize) {
        self.known.retain(|_, at| *at != port);
    }

    /// Whether everything before must have come to rest before this step.
    pub(super) fn needs_barrier(&self, step: &Entry) -> bool {
        let Some(head) = self.head(step) else { return false };
        let moves = self.would_change(&head, step.port) && self.used.contains(&head.source);
        moves || self.changed.contains(&head.destination)
    }

    /// Notes that the step was injected.
    pub(super) fn note(&mut self, step: &Entry) {
        let Some(head) = self.head(step) else { return };
        if self.would_change(&head, step.port) {
            self.changed.insert(head.source);
            for key in head.keys() {
                // Bridges differ in whether they learn from control frames, and none learns from a denied one.
                if head.teaches() && !step.denied {
                    self.known.insert(key, step.port)
                } else {
                    self.known.remove(&key)
                };
            }
        }
        self.used.extend([head.source, head.destination]);
    }

    /// Everything has come to rest; the sentinels taught the bridge where these MACs are.
    pub(super) fn barrier(&mut self, sentinels: impl Iterator<Item = (usize, Mac)>) {
        self.used.clear();
        self.changed.clear();
        for (port, mac) in sentinels {
            self.known.insert((mac, None), port);
        }
    }

    fn head(&self, step: &Entry) -> Option<Head> {
        let destination = step.frame.get(0..6)?.try_into().ok()?;
        let source = step.frame.get(6..12)?.try_into().ok()?;
        Some(Head { destination, source, vlan: self.ports.get(step.port)?.vlan_of(&step.frame) })
    }

    fn would_change(&self, head: &Head, port: usize) -> bool {
        head.keys().iter().any(|key| self.known.get(key) != Some(&port))
    }
}

impl Head {
    fn keys(&self) -> [(Mac, Option<u16>); 2] {
        [(self.source, self.vlan), (self.source, None)]
    }

    /// Whether every bridge learns from it: an ordinary destination and a unicast source.
    fn teaches(&self) -> bool {
        let control = [[0x01, 0x80, 0xc2], [0x01, 0x00, 0x0c], [0x00, 0xe0, 0x2b]];
        let legal_source = self.source[0] & 1 == 0 && self.source != [0; 6];
        legal_source && self.vlan.is_some() && !control.iter().any(|prefix| self.destination.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::SlowPath;

    const A: Mac = [2, 0, 0, 0, 0, 1];
    const B: Mac = [2, 0, 0, 0, 0, 2];

    fn step(port: usize, destination: Mac, source: Mac) -> Entry {
        Entry { port, frame: [&destination[..], &source, &[8, 0]].concat(), denied: false }
    }

    fn after(steps: &[Entry]) -> Model {
        let mut model =
            Model::new(&[Tagging::of(SlowPath::OvsUserspace, None), Tagging::of(SlowPath::OvsUserspace, None)]);
        steps.iter().for_each(|s| model.note(s));
        model
    }

    #[test]
    fn speaking_to_a_station_just_learned_needs_a_barrier() {
        let mut model = after(&[step(0, B, A)]);
        assert!(model.needs_barrier(&step(1, A, B)));
        model.barrier(std::iter::empty());
        assert!(!model.needs_barrier(&step(1, A, B)));
    }

    #[test]
    fn a_known_station_may_go_on_without() {
        let mut model = after(&[step(0, B, A)]);
        model.barrier(std::iter::empty());
        model.note(&step(0, B, A));
        assert!(!model.needs_barrier(&step(0, B, A)));
        assert!(model.needs_barrier(&step(1, B, A)), "a move after use");
    }

    #[test]
    fn what_may_not_have_been_learned_counts_as_unknown() {
        for (destination, denied) in [([0x01, 0x80, 0xc2, 0, 0, 2], false), (B, true)] {
            let mut model = after(&[Entry { denied, ..step(0, destination, A) }]);
            model.barrier(std::iter::empty());
            model.note(&step(1, A, B));
            assert!(model.needs_barrier(&step(0, B, A)));
        }
    }
}
