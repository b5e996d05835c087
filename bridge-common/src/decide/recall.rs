//! What was decided for one frame holds for the next one like it, for a few hundredths of a second.
//!
//! [`remember`] keeps a decision to forward or to drop in a small table of this CPU; [`recall`] finds it there, without another look-up. It
//! gives what [`ingress`](super::ingress) would give, because
//! * only IPv4 TCP and UDP without options and fragments is remembered, without a tag when it comes in. A memo stands for all flows between two stations'
//!   addresses, or, where a flow or a rule with ports had a say, for frames with the same ports;
//! * what the decision read from such a frame is compared (MACs, addresses, protocol) or judged again (well-known ports, lengths, and, to
//!   forward it, MTU and checksum);
//! * what it read from tables stands under the epoch: the manager raises it after each change, the programs when a station moves, and for
//!   memos with ports when any flow changes; what may change a flow itself is decided anew. A drop that rests on there being no flow between two
//!   addresses, whatever the ports, asks for that again ([`Tables::flowed`]);
//! * what time changes (heartbeat, ageing, the next note of a station's or a flow's time) was good for longer than a memo is; a frame that is dropped
//!   asks for none of it, and teaches nothing.
//!
//! A table that nobody raises an epoch for stays empty. Must not: change anything else than a memo.

#[cfg(test)]
mod tests;

use super::{Decision, FlowOp, Hook, NO_RULE, Retag, Scratch, Tables, TablesMut, Verdict};
use crate::{
    abi::{Control, Counted, Drop, NO_PORT, maps::MEMOS},
    wire::{Alike, Frame, Head, is_full_checksum},
};

/// At the time of a decision to forward that is remembered, nothing in it may change by itself for so long: the longest [`Tables::window`], and
/// a tick that the coarse clock may be late.
pub(super) const LASTS_NS: u64 = 110_000_000;
const INDEX_BITS: u32 = (MEMOS / 2).trailing_zeros();
const FORWARD: u16 = Counted::Forward.cell() as u16;
/// Stands for [`NO_RULE`]. No rule has this slot: a topology file has 16,384 rules at most, and a swap needs twice their slots.
const NONE: u16 = u16::MAX;
/// Ethernet header.
const HEADER: u32 = 14;

/// What a decision that may be remembered rests on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    /// Under what the tables were read, see `recall`.
    pub(crate) epoch: u64,
    /// [`Control::FlowChanges`], read before them.
    pub(crate) flow_changes: u64,
    /// When time alone changes it.
    pub(crate) until: u64,
    /// One more than what the cell of the flows that this frame would answer held; 0: that was not asked. Of drops: what passes has its ports in the
    /// key where flows may be asked for, as a flow has to see its answers.
    pub(crate) flowed: u32,
    /// MTU of the egress port.
    pub(crate) mtu: u32,
    /// What becomes of the frame's tag there.
    pub(crate) retag: Retag,
    /// Checksums matter.
    pub(crate) sums: bool,
    /// A rule asked for the frame's ports, or flows were looked for: frames with other ports may fare differently.
    pub(crate) ports_read: bool,
    /// `until` is late enough.
    pub(crate) lasting: bool,
}

/// One remembered decision. All zeros: none, as no frame has such a head.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memo {
    alike: Alike,
    epoch: u64,
    /// Both as they lie in memory; 0: whatever they are.
    ports: u32,
    /// Of the egress port. Of a drop that stands for all ports: [`Hold::flowed`].
    ifindex: u32,
    rule: u16,
    slot: u16,
    to: u16,
    /// How it counts.
    cell: u16,
    /// Of the egress port, and no more than a frame of 64 KiB needs.
    mtu: u16,
    /// Of the pseudo-header; 0 where checksums do not matter.
    address_sum: u16,
    retag: Retag,
}
// A cache line.
const _: () = assert!(size_of::<Memo>() == 64 && MEMOS.is_power_of_two());

/// A frame to forward or to drop, as decided before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// Slot of the ingress port.
    pub slot: u16,
    /// How it counts, see [`Counted::cell`].
    pub cell: u16,
    /// Slot of the egress port, if it is to be forwarded.
    pub to: u16,
    /// Interface index of the egress port, if it is to be forwarded.
    pub ifindex: u32,
    /// What becomes of its tag there.
    pub retag: Retag,
    /// Frame length to count.
    pub len: u32,
    /// Rule slot that the frame counts under, or [`NO_RULE`].
    pub rule: u32,
}

impl Recalled {
    /// Whether it is to be forwarded; else it is dropped.
    #[inline(always)]
    pub const fn forwards(&self) -> bool {
        self.cell == FORWARD
    }
}

/// Under what tables are read: the manager's count of changes, the programs' own, and the window of time. Each only rises, so that the sum is
/// the same only while all of them are; until the sum of 32 bits comes round, after years.
#[inline(always)]
pub fn epoch<T: Tables>(tables: &T) -> u64 {
    let rare = tables.control(Control::Epoch).wrapping_add(tables.window());
    (rare << 32).wrapping_add(tables.control(Control::Moves))
}

/// The decision for a frame like this one, if it was to forward or to drop and still holds.
#[inline(always)]
pub fn recall<T: Tables, F: Frame>(tables: &T, frame: &F, ifindex: u32, hook: Hook, epoch: u64) -> Option<Recalled> {
    let head = Head::of(frame)?;
    let mut memo = tables.memo(index(&head, 0, hook))?;
    if !holds(memo, &head, ifindex, 0, epoch) || !no_flow_since(tables, memo, &head) {
        let ports = head.both_ports();
        memo = tables.memo(index(&head, ports, hook))?;
        let epoch = epoch.wrapping_add(tables.control(Control::FlowChanges));
        if ports == 0 || !holds(memo, &head, ifindex, ports, epoch) {
            return None;
        }
        if memo.cell == FORWARD && head.may_change_flow(frame) {
            return None;
        }
    }
    if head.may_be_dhcp() || frame.metadata_tag().is_some() || frame.is_fragmented_buffer() {
        return None;
    }
    let (checksum, length) = head.transport(frame)?;
    let len = frame.len();
    let Memo { slot, cell, to, ifindex, retag, rule, .. } = *memo;
    let rule = if rule == NONE { NO_RULE } else { u32::from(rule) };
    let known = Recalled { slot, cell, to, ifindex, retag, len, rule };
    if !known.forwards() {
        return Some(known);
    }
    let small = u64::from(len) <= u64::from(memo.mtu) + u64::from(HEADER) || hook == Hook::Tc && frame.is_gso();
    // TC knows of a checksum that is still to be finished.
    let sum = memo.address_sum;
    let whole = hook == Hook::Tc || sum == 0 || !head.may_be_tunnel() && is_full_checksum(checksum, sum, length);
    if small && whole { Some(known) } else { None }
}

/// Whether the memo is one for frames like this, and still good.
#[inline(always)]
fn holds(memo: &Memo, head: &Head<'_>, ifindex: u32, ports: u32, epoch: u64) -> bool {
    head.is(&memo.alike, ifindex) && memo.ports == ports && memo.epoch == epoch
}

/// Whether a drop that stands for all ports may: what the frame would answer has no flow still.
#[inline(always)]
fn no_flow_since<T: Tables>(tables: &T, memo: &Memo, head: &Head<'_>) -> bool {
    memo.cell == FORWARD
        || memo.ifindex == 0
        || tables.flowed(head.flows_answered().index).wrapping_add(1) == memo.ifindex
}

/// Keeps a settled decision that will hold for a while. `scratch` is the one that [`ingress`](super::ingress) left.
#[inline(always)]
pub fn remember<T: TablesMut, F: Frame>(
    tables: &T,
    frame: &F,
    from: u32,
    hook: Hook,
    decision: &Decision,
    scratch: &Scratch,
) {
    let Hold { epoch, flow_changes, flowed, mtu, sums, ports_read, lasting, .. } = scratch.hold;
    // Without a manager's first change there is nobody who would tell of the next.
    if tables.control(Control::Epoch) == 0 || scratch.flow.op != FlowOp::Keep {
        return;
    }
    let (to, ifindex, retag, cell) = match decision.verdict {
        Verdict::Forward { slot, ifindex, retag } if lasting && slot != NO_PORT => (slot, ifindex, retag, FORWARD),
        Verdict::Drop(reason) if is_kept(reason) => {
            (NO_PORT, if ports_read { 0 } else { flowed }, Retag::KEEP, Counted::Drop(reason).cell() as u16)
        }
        _ => return,
    };
    let Some(head) = Head::of(frame) else { return };
    if !head.is_common() || head.may_be_dhcp() || frame.metadata_tag().is_some() {
        return;
    }
    let with_ports = epoch.wrapping_add(flow_changes);
    let (ports, epoch) = if ports_read { (head.both_ports(), with_ports) } else { (0, epoch) };
    if ports_read && ports == 0 {
        return;
    }
    tables.edit_memo(index(&head, ports, hook), |memo| {
        // One that is good stays until its window ends: of more frames than there is room for, in turn, each would else put out one that is asked
        // for again.
        if memo.epoch == if memo.ports == 0 { scratch.hold.epoch } else { with_ports } {
            return;
        }
        *memo = Memo {
            alike: head.alike(from),
            epoch,
            ports,
            ifindex,
            rule: if decision.rule == NO_RULE { NONE } else { decision.rule as u16 },
            slot: decision.slot,
            to,
            cell,
            mtu: if mtu > u32::from(u16::MAX) { u16::MAX } else { mtu as u16 },
            address_sum: if sums { head.address_sum() } else { 0 },
            retag,
        };
    });
}

/// Reasons that stand in what alike frames share, and in tables.
#[inline(always)]
const fn is_kept(reason: Drop) -> bool {
    matches!(reason, Drop::Policy | Drop::HostSpoof | Drop::StationElsewhere | Drop::GuardMac | Drop::GuardIp)
}

/// The two hooks decide differently: each has a half of the table.
#[inline(always)]
fn index(head: &Head<'_>, ports: u32, hook: Hook) -> u32 {
    let half = if hook == Hook::Xdp { MEMOS / 2 } else { 0 };
    half + (head.hash(ports) >> (64 - INDEX_BITS)) as u32
}
