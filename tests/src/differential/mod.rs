//! Equivalence, byte for byte: runs a stream of frames through a lab of raw ports and collects the multiset of frames that leaves each
//! port; two such outcomes are compared. Must not judge what is right: the slow path alone is the measure.
//!
//! A slow path learns a little later than it forwards, and ports are not read in the order in which they were written to. The runner
//! therefore keeps a model of what the bridge knows and puts a *barrier* between two frames whose order could matter (a station is
//! learned or moves, and is then spoken to). At a barrier every port sends two rounds of sentinels, ARP probes for an address nobody has,
//! and all have arrived everywhere before the stream goes on.

mod change;
mod compare;
mod generate;
mod model;
mod payload;
mod runner;
mod sentinel;
mod tags;

pub use change::{Change, End, disturb};
pub use compare::{Difference, Multiset, Outcome, compare};
pub use generate::{World, generate};
pub use runner::{Runner, run};

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A frame comes in.
    Frame(Entry),
    /// The bridge, or a link, changes.
    Change(Change),
}

/// One frame into one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Index of the machine (see [`crate::lab::Lab::machines`]) through whose `eth0` it enters the bridge.
    pub port: usize,
    /// The whole frame without FCS.
    pub frame: Vec<u8>,
    /// Whether the policy or a guard is expected to drop it; such a frame teaches the slow path nothing.
    pub denied: bool,
}

/// A reproducible series of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// What made it; print it with every failure.
    pub seed: u64,
    /// In the order in which they are taken.
    pub steps: Vec<Step>,
}

impl Stream {
    /// Its frames.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.steps.iter().filter_map(|step| if let Step::Frame(entry) = step { Some(entry) } else { None })
    }

    /// Its frames, to change them.
    pub fn entries_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Entry> {
        self.steps.iter_mut().filter_map(|step| if let Step::Frame(entry) = step { Some(entry) } else { None })
    }

    /// Leaves frames out that are not wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&Entry) -> bool) {
        self.steps.retain(|step| if let Step::Frame(entry) = step { wanted(entry) } else { true });
    }

    /// The stream "had the denied ones never come in": what the slow path alone is fed.
    #[must_use]
    pub fn without_denied(&self) -> Self {
        let mut stream = self.clone();
        stream.retain(|entry| !entry.denied);
        stream
    }
}
