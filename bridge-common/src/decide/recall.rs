//! What was decided for one frame holds for the next one like it, for a few milliseconds.
//!
//! [`remember`] keeps a decision to forward in a small table of this CPU; [`recall`] finds it there, without another look-up. It
//! gives what [`ingress`](super::ingress) would give, because
//! * only IPv4 TCP and UDP without options and fragments is remembered, untagged on both sides, and only where neither a flow nor a rule with
//!   ports had a say: a memo stands for all flows between two stations' addresses;
//! * what the decision read from such a frame is compared (MACs, addresses, protocol) or judged again (well-known ports, lengths,
//!   MTU, checksum);
//! * what it read from tables stands under the epoch: the manager raises it after each change, the programs when a station moves;
//! * what time changes (heartbeat, ageing, the next note of a station's time) was good for longer than a memo is.
//!
//! A table that nobody raises an epoch for stays empty. Must not: change anything else than a memo.

#[cfg(test)]
mod tests;

use super::{Decision, Hold, Hook, Retag, Scratch, Tables, TablesMut, Verdict};
use crate::{
    abi::{Control, NO_PORT, maps::MEMOS},
    wire::{Frame, Head, is_full_checksum},
};

/// A memo is good for less than this many of the kernel's ticks, of 1 to 10 ms.
const TICKS: u64 = 4;
/// At the time of a decision that is remembered, nothing in it may change by itself for so long: [`TICKS`] of the longest
/// kind, and one that the coarse clock may be late.
pub(super) const LASTS_NS: u64 = 50_000_000;
const INDEX_BITS: u32 = MEMOS.trailing_zeros();

/// One remembered decision. All zeros: none, as no frame has such a head.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memo {
    head: [u64; 4],
    /// ifindex and hook.
    from: u64,
    epoch: u64,
    ticks: u64,
    rule: u32,
    mtu: u32,
    ifindex: u32,
    slot: u16,
    to: u16,
    /// Of the pseudo-header; 0 where checksums do not matter.
    address_sum: u16,
    pad: [u16; 3],
}
const _: () = assert!(size_of::<Memo>() == 80 && MEMOS.is_power_of_two());

/// A frame to forward, as decided before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// Slot of the ingress port.
    pub slot: u16,
    /// Slot of the egress port.
    pub to: u16,
    /// Interface index of the egress port.
    pub ifindex: u32,
    /// Frame length to count.
    pub len: u32,
    /// Rule slot that the frame counts under.
    pub rule: u32,
}

/// Under what tables are read: the manager's and the programs' own count of changes; 0 = remember nothing.
#[inline(always)]
pub fn epoch<T: Tables>(tables: &T) -> u64 {
    let managers = tables.control(Control::Epoch);
    if managers == 0 { 0 } else { managers << 32 | tables.control(Control::Moves) & 0xffff_ffff }
}

/// The decision for a frame like this one, if it was to forward and still holds.
#[inline(always)]
pub fn recall<T: Tables, F: Frame>(tables: &T, frame: &F, ifindex: u32, hook: Hook, epoch: u64) -> Option<Recalled> {
    let head: Head = frame.peek(0)?;
    let alike = head.alike();
    let from = origin(ifindex, hook);
    let memo = tables.memo(index(&alike, from))?;
    if memo.from != from || !same(&memo.head, &alike) || memo.epoch != epoch {
        return None;
    }
    if tables.ticks().wrapping_sub(memo.ticks) >= TICKS || head.may_be_dhcp() {
        return None;
    }
    if frame.metadata_tag().is_some() || frame.is_fragmented_buffer() {
        return None;
    }
    let len = frame.len();
    let (checksum, length) = head.transport(frame)?;
    let small = len <= memo.mtu.saturating_add(14) || hook == Hook::Tc && frame.is_gso();
    let sum = memo.address_sum;
    let whole = sum == 0 || !head.may_be_tunnel() && is_full_checksum(checksum, sum, length);
    let Memo { slot, to, ifindex, rule, .. } = *memo;
    if small && whole { Some(Recalled { slot, to, ifindex, len, rule }) } else { None }
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
    let Verdict::Forward { slot: to, ifindex, retag } = decision.verdict else { return };
    let Hold { epoch, mtu, sums, ports_read, lasting, .. } = scratch.hold;
    if !lasting || ports_read || epoch == 0 || to == NO_PORT || retag != Retag::KEEP {
        return;
    }
    let Some(head) = frame.peek::<Head>(0) else { return };
    if !head.is_common() || head.may_be_dhcp() || frame.metadata_tag().is_some() {
        return;
    }
    let alike = head.alike();
    let from = origin(from, hook);
    tables.edit_memo(index(&alike, from), |memo| {
        *memo = Memo {
            head: alike,
            from,
            epoch,
            ticks: tables.ticks(),
            rule: decision.rule,
            mtu,
            ifindex,
            slot: decision.slot,
            to,
            address_sum: if sums { head.address_sum() } else { 0 },
            pad: [0; 3],
        };
    });
}

/// The two hooks decide differently.
#[inline(always)]
fn origin(ifindex: u32, hook: Hook) -> u64 {
    u64::from(ifindex) | if hook == Hook::Xdp { 1 << 32 } else { 0 }
}

/// Word by word. Comparing arrays would call a function.
#[inline(always)]
fn same(a: &[u64; 4], b: &[u64; 4]) -> bool {
    a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3]
}

/// Multiplicative hashing: the high bits of a product depend on all bits of its factor (Knuth, TAOCP 6.4).
#[inline(always)]
fn index(head: &[u64; 4], from: u64) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |hash: u64, word: u64| ((hash >> 29) ^ hash ^ word).wrapping_mul(FACTOR);
    let hash = fold(fold(head[0] ^ head[3], head[1]), from ^ head[2]);
    (hash >> (64 - INDEX_BITS)) as u32
}
