//! Counters: one per-CPU record for each port, indexed by verdict, and one cell for each rule.

use super::{Drop, Punt};

/// Packets and bytes (frame lengths without FCS).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Frames.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Room for punt reasons.
pub const PUNT_CELLS: usize = 24;
/// Room for drop reasons.
pub const DROP_CELLS: usize = 32;
const PUNT_AT: usize = 1;
const DROP_AT: usize = PUNT_AT + PUNT_CELLS;
const EGRESS_PASS_AT: usize = DROP_AT + DROP_CELLS;
const EGRESS_DROP_AT: usize = EGRESS_PASS_AT + 1;
/// Cells of one port.
pub const CELLS: usize = EGRESS_DROP_AT + DROP_CELLS;
const _: () = assert!(Punt::ALL.len() <= PUNT_CELLS && Drop::ALL.len() <= DROP_CELLS);

/// One port's counters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortCounters {
    /// Indexed by [`Counted::cell`].
    pub cells: [Cell; CELLS],
}
const _: () = assert!(size_of::<PortCounters>() == CELLS * 16);

impl Default for PortCounters {
    fn default() -> Self {
        Self { cells: [Cell { packets: 0, bytes: 0 }; CELLS] }
    }
}

/// What is counted about one frame at one port, exactly once for each judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    /// Ingress: forwarded by the fast path.
    Forward,
    /// Ingress: left to the slow path.
    Punt(Punt),
    /// Ingress: dropped.
    Drop(Drop),
    /// Egress: judged and let out.
    EgressPass,
    /// Egress: judged and dropped.
    EgressDrop(Drop),
}

impl Counted {
    /// Index into [`PortCounters::cells`].
    #[inline(always)]
    pub const fn cell(self) -> usize {
        match self {
            Self::Forward => 0,
            Self::Punt(reason) => PUNT_AT + reason as usize,
            Self::Drop(reason) => DROP_AT + reason as usize,
            Self::EgressPass => EGRESS_PASS_AT,
            Self::EgressDrop(reason) => EGRESS_DROP_AT + reason as usize,
        }
    }

    /// Everything that can be counted.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Forward, Self::EgressPass]
            .into_iter()
            .chain(Punt::ALL.iter().map(|&r| Self::Punt(r)))
            .chain(Drop::ALL.iter().flat_map(|&r| [Self::Drop(r), Self::EgressDrop(r)]))
    }
}
