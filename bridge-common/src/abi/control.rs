//! The control words: an `Array<u64>`, and three maps of one such word; each its own aligned store, so that a reader never sees half of one.

/// A control word: its index in the map `CONTROL`; [`Control::Epoch`], [`Control::Moves`] and
/// [`Control::FlowChanges`] lie in maps of their own.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// CLOCK_MONOTONIC, nanoseconds, of the manager's last reconcile; 0 = told to stop forwarding.
    Heartbeat = 0,
    /// Live policy generation; 0 = none yet, everything is `not-ready`. Its parity selects the inner maps.
    Generation = 1,
    /// Effective ageing time in nanoseconds.
    AgeingNs = 2,
    /// Bits: [`LEARNING`], [`RESENT_FRAMES`].
    Flags = 3,
    /// [`PolicyMeta`] of even generations.
    MetaEven = 4,
    /// [`PolicyMeta`] of odd generations.
    MetaOdd = 5,
    // 6 was the bridge's one device, until layout 3.
    /// Stations that found the FDB full (not their port's quota), counted by the programs.
    FdbFull = 7,
    /// Raised by the manager after each change that a decision may see; 0 = nothing may be remembered
    /// (`bridge_common::decide::recall`).
    Epoch = 8,
    /// Raised by the programs when a known station moves or is forgotten.
    Moves = 9,
    /// Raised by the programs when a flow is opened, renewed or closed.
    FlowChanges = 10,
}

/// Number of control words.
pub const SLOTS: u32 = 11;
/// `Flags`: learn stations in the kernel programs.
pub const LEARNING: u64 = 1;
/// `Flags`: the slow path re-sends frames from user space, so that they reach egress with `ingress_ifindex` 0: Open
/// vSwitch's userspace datapath every one, its kernel datapath the first of each of its flows.
pub const RESENT_FRAMES: u64 = 2;
/// A heartbeat older than this means that the manager is gone (design section 1).
pub const HEARTBEAT_STALE_NS: u64 = 5_000_000_000;

/// What goes with one policy generation besides its maps, packed into one control word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyMeta {
    /// Row length of the pair matrix: number of zones + 1.
    pub stride: u16,
    /// `other_ethertypes = "drop"`.
    pub drop_other_ethertypes: bool,
    /// Some rule is stateful: flows need looking up.
    pub stateful: bool,
}

impl PolicyMeta {
    /// The control word.
    #[inline(always)]
    pub const fn pack(self) -> u64 {
        self.stride as u64 | (self.drop_other_ethertypes as u64) << 16 | (self.stateful as u64) << 17
    }

    /// From the control word.
    #[inline(always)]
    pub const fn unpack(word: u64) -> Self {
        Self { stride: word as u16, drop_other_ethertypes: word >> 16 & 1 == 1, stateful: word >> 17 & 1 == 1 }
    }
}
