//! The one decision: from a parsed frame and look-ups to a verdict. Pure: reads tables, changes nothing.
//!
//! [`ingress`] and [`egress`] are compiled into the XDP and TC programs and into every host tool and test. What a
//! verdict entails (a station learned, a flow opened) comes back as data in [`Scratch`]; [`commit`] carries it out.
//!
//! Order at ingress: maps ready, port a member, frame readable, guard, source station, policy, learning, forwarding.

mod commit;
mod egress;
mod flow;
mod forward;
mod guard;
mod ingress;
mod learn;
mod policy;
mod recall;
mod settle;
mod vlan;
mod words;

use ingress::At;
use recall::Hold;

pub use commit::commit;
pub use egress::{egress, judged_at_ingress};
pub use ingress::ingress;
pub use recall::{Memo, Recalled, epoch, recall, remember};
pub use settle::{counted, settle, settle_egress};
pub use vlan::{Retag, watch};
pub use words::Words;

use crate::{
    abi::{
        Control, Drop, Flow, FlowKey, GuardKey, L4Data, Pair, Port, Punt, RuleWord, Station, StationKey, Usage,
        ZoneEntry, Zoneless,
    },
    wire::{Ip, Packet},
};

/// The look-ups that a decision reads. `generation` arguments select one policy generation by parity.
pub trait Tables {
    /// CLOCK_MONOTONIC (coarse is enough), nanoseconds.
    fn now_ns(&self) -> u64;
    /// A control word; 0 when not written.
    fn control(&self, word: Control) -> u64;
    /// Port slot of an interface.
    fn slot(&self, ifindex: u32) -> Option<u16>;
    /// Whether the interface is one of the bridge's own devices, which are no ports.
    fn is_own(&self, ifindex: u32) -> bool;
    /// A port's configuration.
    fn port(&self, slot: u16) -> Option<Port>;
    /// Whether a frame came in through the port in this slot whose tag lay beside it, where XDP does not see it.
    fn tags_lie_beside(&self, _slot: u16) -> bool {
        false
    }
    /// Whether the port in this slot lists the VLAN: asked of ports with [`crate::abi::PORT_VLAN_LISTED`] only.
    fn carries(&self, slot: u16, vlan: u16) -> bool;
    /// A station, or [`Station::ABSENT`].
    fn station(&self, key: &StationKey) -> Station;
    /// Whether the guard knows this address.
    fn guard(&self, key: &GuardKey) -> bool;
    /// Zone of an address (IPv4 in the first four bytes), 0 when in none. `family` is 4 or 6.
    fn zone(&self, generation: u32, family: u8, addr: &[u8; 16]) -> ZoneEntry;
    /// The pair at `index` of the matrix.
    fn pair(&self, generation: u32, index: u32) -> Option<Pair>;
    /// Longest match of a full-length key.
    fn l4(&self, generation: u32, key: &L4Data) -> Option<RuleWord>;
    /// A flow.
    fn flow(&self, key: &FlowKey) -> Option<Flow>;
    /// What a [`crate::abi::FlowedCell`] holds.
    fn flowed(&self, index: u32) -> u32;
    /// Quota in use: learned stations and flows of a port.
    fn usage(&self, slot: u16) -> Usage;
    /// A number that rises every 50 to 100 ms, and never falls.
    fn window(&self) -> u64 {
        0
    }
    /// A remembered decision; tables need not remember.
    fn memo(&self, _index: u32) -> Option<&Memo> {
        None
    }
}

/// The changes that a decision may entail. Each is atomic for its entry.
pub trait TablesMut: Tables {
    /// Adds a station that is not there; `false` if the table is full or somebody was faster.
    fn add_station(&self, key: &StationKey, station: Station) -> bool;
    /// Overwrites an existing station's port and time.
    fn update_station(&self, key: &StationKey, station: Station);
    /// Forgets a station; whether it was there.
    fn remove_station(&self, key: &StationKey) -> bool;
    /// Adds a flow that is not there; `false` if the table is full or somebody was faster.
    fn add_flow(&self, key: &FlowKey, flow: Flow) -> bool;
    /// Overwrites an existing flow.
    fn update_flow(&self, key: &FlowKey, flow: Flow);
    /// Forgets a flow; whether it was there.
    fn remove_flow(&self, key: &FlowKey) -> bool;
    /// Writes into a [`crate::abi::FlowedCell`], before the flow is added or overwritten.
    fn note_flowed(&self, index: u32, noted: u32);
    /// Adds to the programs' usage counters of a port; negative numbers give back.
    fn charge(&self, slot: u16, stations: i32, flows: i32);
    /// Counts a station that found the FDB full.
    fn count_fdb_full(&self);
    /// Remembers a source address in no zone, seen on a port.
    fn note_zoneless(&self, source: &Zoneless, slot: u16);
    /// From now on [`Tables::tags_lie_beside`] for this slot.
    fn note_tags_beside(&self, _slot: u16) {}
    /// Raises [`Control::Moves`], after a known station has moved or was forgotten.
    fn raise_moves(&self) {}
    /// Raises [`Control::FlowChanges`], after each change of a flow.
    fn raise_flow_changes(&self) {}
    /// Changes a remembered decision of this CPU.
    fn edit_memo(&self, _index: u32, _edit: impl FnOnce(&mut Memo)) {}
}

/// Where the decision is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// The XDP program: partial checksums and device limits matter.
    Xdp,
    /// The TC ingress program.
    Tc,
}

/// What happens to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Out of this port, by slot and ifindex.
    Forward {
        /// Port slot.
        slot: u16,
        /// Interface index.
        ifindex: u32,
        /// What becomes of its tag.
        retag: Retag,
    },
    /// Untouched to the slow path.
    Punt(Punt),
    /// Gone.
    Drop(Drop),
}

/// What becomes of the source station.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum LearnOp {
    /// Nothing.
    #[default]
    Keep,
    /// Not known: add it.
    Add,
    /// Known, with a new port or a newer time.
    Update,
    /// Known elsewhere, and this frame is none to learn from: believe nothing any more.
    Forget,
}

/// A change of the source station.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learn {
    /// What to do.
    pub op: LearnOp,
    /// Its new value; what it was, for [`LearnOp::Forget`].
    pub station: Station,
}

/// What becomes of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowOp {
    /// Nothing.
    #[default]
    Keep,
    /// Open it, at its port's expense.
    Open,
    /// Renew it.
    Renew,
    /// It is no longer allowed; given back to its port.
    Close,
}

/// A change of one flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowChange {
    /// What to do.
    pub op: FlowOp,
    /// Its new value.
    pub flow: Flow,
    /// Which flow.
    pub key: FlowKey,
}

/// Room for one frame's parsed header and keys: a BPF stack of 512 bytes has none, so that the programs keep it in a
/// per-CPU map; the verifier follows no values there, so that its states stay few. [`ingress`] and [`egress`] take a fresh one,
/// of which the first [`Scratch::FRESH`] bytes are zero, and leave the changes of station and flow in it.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Scratch {
    /// The parsed frame.
    pub packet: Packet,
    /// What becomes of the source station.
    pub learn: Learn,
    /// Its tag lies beside it, and XDP may not know of such frames yet.
    pub(crate) beside: bool,
    /// The source is in no zone, which people should know.
    pub(crate) zoneless: bool,
    /// How the bridge takes it in.
    pub(crate) entering: vlan::Entering,
    /// What is known beforehand of the source.
    pub(crate) owner: Station,
    /// Whether, and for how long, the decision may be remembered.
    pub(crate) hold: Hold,
    /// What becomes of a flow: only its `op` is fresh.
    pub flow: FlowChange,
    /// The flow that is looked up.
    pub(crate) key: FlowKey,
    /// The packet that an ICMP error quotes.
    pub(crate) inner: Ip,
    /// The address that the guard is asked about.
    pub(crate) guard: GuardKey,
}

impl Scratch {
    /// Bytes that must be zero at first, whole words. What follows is written before it is read.
    pub const FRESH: usize = core::mem::offset_of!(Scratch, flow) + core::mem::offset_of!(FlowChange, flow);

    /// Fresh for one frame, but with something left from another one behind [`Scratch::FRESH`]: for tests.
    #[must_use]
    pub fn used() -> Self {
        let key = FlowKey { src: [0xa5; 16], dst: [0xa5; 16], sport: 1, dport: 2, proto: 6, family: 4, pad: 0 };
        let flow = Flow { seen_ns: u64::MAX, generation: 1, rule: 1, port: 1, state: 7, pad: 0 };
        let addr = crate::wire::Addr([0xa5; 16]);
        let inner = Ip { src: addr, dst: addr, family: 6, proto: 6, later_fragment: true, sport: 3, ..Ip::default() };
        let guard = GuardKey { addr: [0xa5; 16], mac: [0xa5; 6], port: 9, family: 6 };
        Self { flow: FlowChange { op: FlowOp::Keep, key, flow }, key, inner, guard, ..Self::default() }
    }
}
const _: () = assert!(Scratch::FRESH.is_multiple_of(8));

/// No rule was asked.
pub const NO_RULE: u32 = u32::MAX;

/// A verdict; what it entails is left in [`Scratch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens to the frame.
    pub verdict: Verdict,
    /// Slot of the ingress port, [`crate::abi::NO_PORT`] if unknown.
    pub slot: u16,
    /// The XDP program leaves the frame to the TC program behind it: nothing is changed or counted here.
    pub left_to_tc: bool,
    /// XDP has seen a tag, which whoever comes behind it should know ([`crate::wire::Frame::was_seen_tagged`]) if the frame goes on.
    pub saw_tag: bool,
    /// Frame length to count.
    pub len: u32,
    /// Rule slot that the frame counts under, or [`NO_RULE`].
    pub rule: u32,
}

/// What happens to a frame that leaves a managed port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressVerdict {
    /// Came in through a managed port and was judged there.
    Skip,
    /// Judged here, passes.
    Pass,
    /// Judged here, dropped.
    Drop(Drop),
}

/// An egress verdict; what it entails is left in [`Scratch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressDecision {
    /// What happens to the frame.
    pub verdict: EgressVerdict,
    /// Slot of the egress port.
    pub slot: u16,
    /// Frame length to count.
    pub len: u32,
    /// Rule slot that the frame counts under, or [`NO_RULE`].
    pub rule: u32,
}
