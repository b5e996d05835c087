//! The zone of an address. Must not: know what a zone is for.

use aya_ebpf::btf_maps::lpm_trie::Key;
use bridge_common::{
    abi::{Control, ZoneEntry, Zoned, maps::ZONED_CELLS},
    decide::Tables as _,
};

use crate::{
    maps::{ZONED, ZONES4, ZONES6},
    tables::{Maps, of_this_cpu},
};

/// As [`Tables::zone`](bridge_common::decide::Tables::zone). Out of line: its keys would take 32 bytes of every caller's stack.
#[inline(never)]
pub fn zone(generation: u32, family: u8, addr: &[u8; 16]) -> ZoneEntry {
    if family == 4 { zone4(generation, [addr[0], addr[1], addr[2], addr[3]]) } else { zone6(generation, addr) }
}

#[inline(always)]
fn zone6(generation: u32, addr: &[u8; 16]) -> ZoneEntry {
    ZONES6.get(generation & 1).and_then(|trie| trie.get(&Key::new(128, *addr))).copied().unwrap_or(0)
}

#[inline(always)]
fn zone4(generation: u32, addr: [u8; 4]) -> ZoneEntry {
    let word = u32::from_ne_bytes(addr);
    // Before the look-up: what changes after it raises it.
    let epoch = Maps.control(Control::Epoch) as u32;
    let kept = ZONED.get_ptr_mut(of_this_cpu(Zoned::index(word), ZONED_CELLS));
    // SAFETY: this CPU's own; what somebody has written half over another is no address's.
    if let Some(entry) = kept.and_then(|kept| unsafe { *kept }.get(word, generation, epoch)) {
        return entry;
    }
    let entry = ZONES4.get(generation & 1).and_then(|trie| trie.get(&Key::new(32, addr))).copied().unwrap_or(0);
    if let Some(kept) = kept {
        // SAFETY: as above.
        unsafe { *kept = Zoned::new(word, generation, epoch, entry) };
    }
    entry
}
