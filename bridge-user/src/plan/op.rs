//! One step towards the desired state. Plain data; whoever executes it finds everything in it.
//!
//! Every op is idempotent: storing what is stored, attaching what is attached and removing what is not there succeed.

use std::sync::Arc;

use bridge_common::abi::{Control, GuardKey, Port, StationKey, VlanSet};

use crate::desired::HookPoint;
use crate::policy::lowered::Lowered;

/// A station as the plan sees it: an FDB entry without its age. `seen_ns` of an existing entry is the programs' own and
/// survives a [`Op::PutStation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StationEntry {
    /// Port slot, `NO_PORT` for the host's own.
    pub port: u16,
    /// `STATION_STATIC` or `STATION_HOST`.
    pub flags: u16,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Stores one control word.
    SetControl(Control, u64),
    /// Fills the inner maps of this generation's parity, then its meta word, and publishes it by storing
    /// `Control::Generation`. Failed anywhere before that store: the old generation is live and whole.
    PublishPolicy {
        /// The new number; its parity differs from the live one's.
        generation: u32,
        /// What it holds.
        policy: Arc<Lowered>,
    },
    /// Stores a port's entry; the default value frees the slot.
    SetPort {
        /// Slot.
        slot: u16,
        /// Entry.
        port: Port,
    },
    /// Stores the VLANs that a port lists.
    SetVlans {
        /// Slot.
        slot: u16,
        /// The VLANs; none for a port that lists none.
        vlans: Box<VlanSet>,
    },
    /// Gives an interface its slot.
    MapIfindex {
        /// Slot.
        slot: u16,
        /// Interface.
        ifindex: u32,
    },
    /// Takes an interface's slot away.
    UnmapIfindex {
        /// Slot it had.
        slot: u16,
        /// Interface.
        ifindex: u32,
    },
    /// Marks an interface as one of the bridge's own devices.
    MarkOwn {
        /// Slot that it had as a port, `NO_PORT` if it was none.
        slot: u16,
        /// Interface.
        ifindex: u32,
    },
    /// Takes the mark away.
    UnmarkOwn {
        /// Interface.
        ifindex: u32,
    },
    /// Attaches our program. The name is only for the look that ifindex and name still belong together and for people.
    Attach {
        /// Slot of the port.
        slot: u16,
        /// Interface.
        ifindex: u32,
        /// Its name.
        name: String,
        /// Where.
        point: HookPoint,
    },
    /// Detaches our program; an interface that is gone has none, which is success.
    Detach {
        /// Slot of the port, `NO_PORT` if it has none.
        slot: u16,
        /// Interface.
        ifindex: u32,
        /// Where.
        point: HookPoint,
    },
    /// Lets XDP redirect to the interface by this slot.
    SetTarget {
        /// Slot.
        slot: u16,
        /// Interface.
        ifindex: u32,
    },
    /// Takes it back.
    ClearTarget {
        /// Slot.
        slot: u16,
    },
    /// Stores a static or host station, over a learned one too.
    PutStation {
        /// Key.
        key: StationKey,
        /// Whose it is.
        station: StationEntry,
    },
    /// Removes what was learned, in whatever VLAN, of static and host stations at other ports than theirs: it must not outlive the binding.
    ForgetContradicted,
    /// Removes a static or host station.
    RemoveStation {
        /// Key.
        key: StationKey,
        /// Whose it was.
        station: StationEntry,
    },
    /// Lets a guarded station use an address.
    PutGuard(GuardKey),
    /// Takes it back.
    RemoveGuard(GuardKey),
    /// Makes the slot fit for another port: waits until no program that started before still runs (an RCU grace
    /// period; `membarrier(MEMBARRIER_CMD_GLOBAL)` is one), then removes the slot's learned stations and
    /// its flows, sets its quotas to nothing in use, and zeroes its counters.
    ForgetPort {
        /// Slot.
        slot: u16,
    },
}

/// What else must not be done once an op has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything after it.
    Global,
    /// The later ops of this slot.
    Slot(u16),
    /// Nothing.
    Alone,
}

impl Op {
    /// What depends on this op.
    pub fn scope(&self) -> Scope {
        match self {
            Self::SetControl(..) | Self::PublishPolicy { .. } => Scope::Global,
            Self::SetPort { slot, .. }
            | Self::SetVlans { slot, .. }
            | Self::MapIfindex { slot, .. }
            | Self::UnmapIfindex { slot, .. }
            | Self::MarkOwn { slot, .. }
            | Self::Attach { slot, .. }
            | Self::Detach { slot, .. }
            | Self::SetTarget { slot, .. }
            | Self::ClearTarget { slot }
            | Self::ForgetPort { slot } => Scope::of(*slot),
            Self::PutStation { station, .. } | Self::RemoveStation { station, .. } => Scope::of(station.port),
            Self::UnmarkOwn { .. } | Self::ForgetContradicted => Scope::Alone,
            Self::PutGuard(key) | Self::RemoveGuard(key) => Scope::of(key.port),
        }
    }
}

impl Scope {
    fn of(slot: u16) -> Self {
        if slot == bridge_common::abi::NO_PORT { Self::Alone } else { Self::Slot(slot) }
    }
}
