//! What happens to the bridge between frames: its table is flushed, a port loses its link and gets it back.

use fastrand::Rng;

use super::{Step, Stream};
use crate::error::Result;
use crate::lab::Lab;

/// A change of the bridge or of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The bridge forgets every station.
    Flush,
    /// The port of that machine loses its link; no frame may enter it until it is up again.
    Down(usize, End),
    /// It gets it back.
    Up(usize, End),
}

/// Which end of a veth is set down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The port itself.
    Port,
    /// The machine's: the port stays up, without carrier.
    Machine,
}

impl Change {
    /// Makes it happen.
    pub(super) fn apply(self, lab: &Lab) -> Result<()> {
        match self {
            Self::Flush => lab.flush_fdb(),
            Self::Down(at, end) => set_link(lab, at, end, false),
            Self::Up(at, end) => set_link(lab, at, end, true),
        }
    }
}

fn set_link(lab: &Lab, at: usize, end: End, up: bool) -> Result<()> {
    let name = lab.machines()[at].name();
    match end {
        End::Port => lab.set_link(name, up),
        End::Machine => lab.set_machine_link(name, up),
    }
}

/// Spreads flaps, and flushes if wanted, over a stream for that many ports: each twice, a flap at either end of the link. Frames that
/// would enter a port while it is down are left out.
pub fn disturb(stream: &mut Stream, ports: usize, flushes: bool) {
    let mut rng = Rng::with_seed(stream.seed ^ 0xd157);
    let mut changes = Vec::new();
    for end in [End::Machine, End::Port] {
        let port = rng.usize(..ports);
        changes.extend(flushes.then_some(Change::Flush));
        changes.extend([Change::Down(port, end), Change::Up(port, end)]);
    }
    let mut down = None;
    let part = stream.steps.len() / (changes.len() + 1);
    let mut changes = changes.into_iter();
    let old = std::mem::take(&mut stream.steps);
    for (number, step) in old.into_iter().enumerate() {
        if number > 0
            && number % part == 0
            && let Some(change) = changes.next()
        {
            down = if let Change::Down(port, _) = change { Some(port) } else { None };
            stream.steps.push(Step::Change(change));
        }
        let kept = if let Step::Frame(entry) = &step { down != Some(entry.port) } else { true };
        if kept {
            stream.steps.push(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::*;

    #[test]
    fn every_change_occurs_and_nothing_enters_a_port_that_is_down() {
        let entry = |number: usize| Step::Frame(Entry { port: number % 3, frame: vec![0; 60], denied: false });
        let mut stream = Stream { seed: 3, steps: (0..700).map(entry).collect() };
        disturb(&mut stream, 3, true);
        let (mut down, mut seen) = (None, Vec::new());
        for step in &stream.steps {
            match step {
                Step::Change(change) => {
                    down = if let Change::Down(port, _) = change { Some(*port) } else { None };
                    seen.push(*change);
                }
                Step::Frame(entry) => assert_ne!(down, Some(entry.port)),
            }
        }
        assert_eq!(seen.len(), 6, "{seen:?}");
        assert_eq!(seen.iter().filter(|change| **change == Change::Flush).count(), 2);
        assert!(stream.steps.len() > 550);
    }
}
