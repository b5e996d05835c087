//! The kernel's maps as the decision's tables.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_EXIST, BPF_NOEXIST},
    btf_maps::lpm_trie::Key,
    helpers::generated::{bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_coarse_ns},
};
use bridge_common::{
    abi::{
        Control, Flow, FlowKey, GuardKey, L4_BITS, L4Data, OWN_DEVICE, Pair, Port, RuleWord, Station, StationKey,
        Usage, ZoneEntry, Zoneless, maps::MEMOS, slot_of,
    },
    decide::{Memo, Tables, TablesMut},
};

use crate::{
    maps::{
        BESIDE, CONTROL, EPOCH, FDB, FLOW_CHANGES, FLOWED, FLOWS, FREED, GUARD, L4, MEMO, MOVES, NEAR_SLOTS, PAIRS,
        PORTS, SLOTS, USED, VLANS, ZONELESS, window_bits,
    },
    zones,
};

/// All maps together.
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn now_ns(&self) -> u64 {
        // SAFETY: no arguments, no preconditions.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline(always)]
    fn control(&self, word: Control) -> u64 {
        let at = match word {
            Control::Epoch => Some(EPOCH.get().cast_const()),
            Control::Moves => Some(MOVES.get().cast_const()),
            Control::FlowChanges => Some(FLOW_CHANGES.get().cast_const()),
            _ => CONTROL.get_ptr(word as u32),
        };
        match at {
            // SAFETY: an array element lives as long as its map; volatile because the manager writes it meanwhile.
            Some(word) => unsafe { word.read_volatile() },
            None => 0,
        }
    }

    #[inline(always)]
    fn slot(&self, ifindex: u32) -> Option<u16> {
        slot_of(interface(ifindex))
    }

    #[inline(always)]
    fn is_own(&self, ifindex: u32) -> bool {
        interface(ifindex) == OWN_DEVICE
    }

    #[inline(always)]
    fn port(&self, slot: u16) -> Option<Port> {
        PORTS.get(u32::from(slot)).copied()
    }

    #[inline(always)]
    fn tags_lie_beside(&self, slot: u16) -> bool {
        BESIDE.get(u32::from(slot)).is_some_and(|noted| *noted != 0)
    }

    #[inline(always)]
    fn carries(&self, slot: u16, vlan: u16) -> bool {
        VLANS.get(u32::from(slot)).is_some_and(|set| set.contains(vlan))
    }

    #[inline(always)]
    fn station(&self, key: &StationKey) -> Station {
        // SAFETY: copied at once. An entry that is replaced meanwhile gives one frame a stale answer.
        match unsafe { FDB.get(key) } {
            Some(station) => *station,
            None => Station::ABSENT,
        }
    }

    #[inline(always)]
    fn guard(&self, key: &GuardKey) -> bool {
        // SAFETY: only its presence counts.
        unsafe { GUARD.get(key) }.is_some()
    }

    #[inline(always)]
    fn zone(&self, generation: u32, family: u8, addr: &[u8; 16]) -> ZoneEntry {
        zones::zone(generation, family, addr)
    }

    #[inline(always)]
    fn pair(&self, generation: u32, index: u32) -> Option<Pair> {
        PAIRS.get_value(generation & 1, &index).map(|word| Pair::from_word(*word))
    }

    #[inline(always)]
    fn l4(&self, generation: u32, key: &L4Data) -> Option<RuleWord> {
        L4.get(generation & 1)?.get(&Key::new(L4_BITS, *key)).copied()
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<Flow> {
        // SAFETY: copied at once.
        unsafe { FLOWS.get(key) }.copied()
    }

    #[inline(always)]
    fn flowed(&self, index: u32) -> u32 {
        // SAFETY: an array element lives as long as its map; volatile because other CPUs write it.
        FLOWED.get_ptr(index).map_or(u32::MAX, |noted| unsafe { noted.read_volatile() })
    }

    #[inline(always)]
    fn window(&self) -> u64 {
        // SAFETY: no arguments, no preconditions. The verifier replaces it by a load.
        unsafe { bpf_jiffies64() >> window_bits() }
    }

    #[inline(always)]
    fn memo(&self, index: u32) -> Option<&Memo> {
        MEMO.get(of_this_cpu(index, MEMOS))
    }

    #[inline(always)]
    fn usage(&self, slot: u16) -> Usage {
        let slot = u32::from(slot);
        match (USED.get(slot), FREED.get(slot)) {
            (Some(used), Some(freed)) => Usage {
                stations: used.stations.wrapping_sub(freed.stations),
                flows: used.flows.wrapping_sub(freed.flows),
            },
            _ => Usage { stations: i64::MAX as u64, flows: i64::MAX as u64 },
        }
    }
}

impl TablesMut for Maps {
    #[inline(always)]
    fn add_station(&self, key: &StationKey, station: Station) -> bool {
        FDB.insert(key, station, u64::from(BPF_NOEXIST)).is_ok()
    }

    #[inline(always)]
    fn update_station(&self, key: &StationKey, station: Station) {
        // Never through a pointer into the table: the manager may remove the entry meanwhile, and the kernel gives its
        // memory to another station at once.
        let _gone_meanwhile = FDB.insert(key, station, u64::from(BPF_EXIST));
    }

    #[inline(always)]
    fn remove_station(&self, key: &StationKey) -> bool {
        FDB.remove(key).is_ok()
    }

    #[inline(always)]
    fn add_flow(&self, key: &FlowKey, flow: Flow) -> bool {
        FLOWS.insert(key, flow, u64::from(BPF_NOEXIST)).is_ok()
    }

    #[inline(always)]
    fn update_flow(&self, key: &FlowKey, flow: Flow) {
        // Not BPF_ANY: a flow that the manager removes meanwhile would come back without being charged to its port.
        let _gone_meanwhile = FLOWS.insert(key, flow, u64::from(BPF_EXIST));
    }

    #[inline(always)]
    fn remove_flow(&self, key: &FlowKey) -> bool {
        FLOWS.remove(key).is_ok()
    }

    #[inline(always)]
    fn note_flowed(&self, index: u32, noted: u32) {
        if let Some(cell) = FLOWED.get_ptr_mut(index) {
            // SAFETY: as in `charge`; CPUs that write at once write nearly the same.
            unsafe { cell.write_volatile(noted) };
        }
    }

    #[inline(always)]
    fn charge(&self, slot: u16, stations: i32, flows: i32) {
        let Some(used) = USED.get_ptr_mut(u32::from(slot)) else { return };
        // SAFETY: an array element lives as long as its map.
        unsafe {
            if stations != 0 {
                atomic_add(&raw mut (*used).stations, i64::from(stations));
            }
            if flows != 0 {
                atomic_add(&raw mut (*used).flows, i64::from(flows));
            }
        }
    }

    #[inline(always)]
    fn note_zoneless(&self, source: &Zoneless, slot: u16) {
        // SAFETY: only its presence counts. A look-up is cheaper than writing it again for every frame.
        if unsafe { ZONELESS.get(source) }.is_none() {
            let _not_remembered = ZONELESS.insert(source, u32::from(slot), u64::from(BPF_ANY));
        }
    }

    #[inline(always)]
    fn count_fdb_full(&self) {
        if let Some(word) = CONTROL.get_ptr_mut(Control::FdbFull as u32) {
            // SAFETY: as in `charge`.
            unsafe { atomic_add(word, 1) };
        }
    }

    #[inline(always)]
    fn note_tags_beside(&self, slot: u16) {
        if let Some(noted) = BESIDE.get_ptr_mut(u32::from(slot)) {
            // SAFETY: an array element lives as long as its map; every CPU writes the same.
            unsafe { noted.write_volatile(1) };
        }
    }

    #[inline(always)]
    fn raise_moves(&self) {
        // SAFETY: as in `charge`.
        unsafe { atomic_add(MOVES.get(), 1) };
    }

    #[inline(always)]
    fn raise_flow_changes(&self) {
        // SAFETY: as in `charge`.
        unsafe { atomic_add(FLOW_CHANGES.get(), 1) };
    }

    #[inline(always)]
    fn edit_memo(&self, index: u32, edit: impl FnOnce(&mut Memo)) {
        if let Some(memo) = MEMO.get_ptr_mut(of_this_cpu(index, MEMOS)) {
            // SAFETY: this CPU's own; programs of one kind do not nest on it, and the kinds keep to memos of their own.
            edit(unsafe { &mut *memo });
        }
    }
}

/// Where this CPU's element lies, of `each` for every CPU. Out of the map for a CPU that came after it was made: it remembers nothing.
#[inline(always)]
pub fn of_this_cpu(index: u32, each: u32) -> u32 {
    // SAFETY: no arguments, no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    cpu * each + index
}

/// What an interface is to the bridge, 0: nothing.
#[inline(always)]
fn interface(ifindex: u32) -> u32 {
    // An index in an array costs a tenth of a hash look-up, and out of range it finds nothing.
    match NEAR_SLOTS.get(ifindex) {
        Some(word) if *word != 0 => *word,
        // SAFETY: copied at once.
        _ => unsafe { SLOTS.get(ifindex) }.map_or(0, |word| *word),
    }
}

/// Adds to a word that other CPUs change too. The target has no compare-and-swap, so `core` offers no `fetch_add`.
///
/// # Safety
/// `word` must be valid and aligned.
#[inline(always)]
unsafe fn atomic_add(word: *mut u64, amount: i64) {
    // SAFETY: BPF's atomic add, on a word that the caller vouches for.
    #[cfg(target_arch = "bpf")]
    unsafe {
        core::arch::asm!("lock *(u64 *)({word} + 0) += {amount}", word = in(reg) word, amount = in(reg) amount);
    }
}
