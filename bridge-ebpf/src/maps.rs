//! The maps, declared once. Names and default capacities are those of `bridge_common::abi::maps`; the manager sets
//! the capacities of the topology file when it loads the object.

use aya_ebpf::{
    bindings::BPF_F_INNER_MAP,
    btf_maps::{Array, ArrayOfMaps, DevMap, HashMap, LpmTrie, LruHashMap, PerCpuArray},
    macros::btf_map,
};
use bridge_common::abi::{
    Cell, Flow, FlowKey, GuardKey, L4Data, Port, PortCounters, RuleWord, Station, StationKey, Usage, VlanSet,
    ZoneEntry, Zoned, Zoneless, control,
    maps::{
        DEFAULT_LIMITS, FLOWED_CELLS, GUARD_ENTRIES, HOST_ADDRESSES, L4_ENTRIES, MEMOS, NEAR_IFINDEX, OWN_DEVICES,
        ZONED_CELLS, ZONELESS_ENTRIES,
    },
};
use bridge_common::decide::{Memo, Scratch, Words};
use core::cell::UnsafeCell;

const STATIONS: usize = DEFAULT_LIMITS.stations as usize;
const SLOT_COUNT: usize = DEFAULT_LIMITS.ports as usize + 1;
const INTERFACES: usize = (DEFAULT_LIMITS.ports + OWN_DEVICES) as usize;
const FLOW_COUNT: usize = DEFAULT_LIMITS.flows as usize;
const PREFIXES: usize = (DEFAULT_LIMITS.prefixes + HOST_ADDRESSES) as usize;
const RULE_COUNT: usize = DEFAULT_LIMITS.rules as usize + 1;
const INNER_ARRAY: usize = BPF_F_INNER_MAP as usize;

type Zones4 = LpmTrie<[u8; 4], ZoneEntry, PREFIXES>;
type Zones6 = LpmTrie<[u8; 16], ZoneEntry, PREFIXES>;
type L4Trie = LpmTrie<L4Data, RuleWord, { L4_ENTRIES as usize }>;
/// Inner arrays of any length: each generation has as many pairs as it has zones. Words instead of `abi::Pair`s: Linux 6.1 looks for a
/// timer in a struct of the declared map's BTF and then takes no inner map without BTF for its like (`bpf_map_meta_equal`).
type Pairs = Array<u64, 1, INNER_ARRAY>;

#[btf_map]
pub static CONTROL: Array<u64, { control::SLOTS as usize }> = Array::new();
/// A `u64` at a fixed address, which needs no look-up.
pub struct Word(UnsafeCell<u64>);

// SAFETY: only ever read whole, or added to atomically.
unsafe impl Sync for Word {}

impl Word {
    /// Where it lies.
    #[inline(always)]
    pub fn get(&self) -> *mut u64 {
        self.0.get()
    }
}

/// `bridge_common::abi::maps::EPOCH`.
#[unsafe(link_section = ".bss.epoch")]
pub static EPOCH: Word = Word(UnsafeCell::new(0));
/// `bridge_common::abi::maps::MOVES`.
#[unsafe(link_section = ".bss.moves")]
pub static MOVES: Word = Word(UnsafeCell::new(0));
/// `bridge_common::abi::maps::FLOW_CHANGES`.
#[unsafe(link_section = ".bss.flows")]
pub static FLOW_CHANGES: Word = Word(UnsafeCell::new(0));
#[btf_map]
pub static SLOTS: HashMap<u32, u32, INTERFACES> = HashMap::new();
#[btf_map]
pub static NEAR_SLOTS: Array<u32, { NEAR_IFINDEX as usize }> = Array::new();
#[btf_map]
pub static PORTS: Array<Port, SLOT_COUNT> = Array::new();
#[btf_map]
pub static VLANS: Array<VlanSet, SLOT_COUNT> = Array::new();
#[btf_map]
pub static FDB: HashMap<StationKey, Station, STATIONS> = HashMap::new();
#[btf_map]
pub static GUARD: HashMap<GuardKey, u32, { GUARD_ENTRIES as usize }> = HashMap::new();
#[btf_map]
pub static ZONES4: ArrayOfMaps<Zones4, 2> = ArrayOfMaps::new();
#[btf_map]
pub static ZONES6: ArrayOfMaps<Zones6, 2> = ArrayOfMaps::new();
#[btf_map]
pub static PAIRS: ArrayOfMaps<Pairs, 2> = ArrayOfMaps::new();
#[btf_map]
pub static L4: ArrayOfMaps<L4Trie, 2> = ArrayOfMaps::new();
#[btf_map]
pub static FLOWS: HashMap<FlowKey, Flow, FLOW_COUNT> = HashMap::new();
#[btf_map]
pub static FLOWED: Array<u32, { FLOWED_CELLS as usize }> = Array::new();
#[btf_map]
pub static USED: Array<Usage, SLOT_COUNT> = Array::new();
#[btf_map]
pub static FREED: Array<Usage, SLOT_COUNT> = Array::new();
#[btf_map]
pub static BESIDE: Array<u32, SLOT_COUNT> = Array::new();
#[btf_map]
pub static COUNTERS: PerCpuArray<PortCounters, SLOT_COUNT> = PerCpuArray::new();
#[btf_map]
pub static RULES: PerCpuArray<Cell, RULE_COUNT> = PerCpuArray::new();
#[btf_map]
pub static TARGETS: DevMap<SLOT_COUNT> = DevMap::new();
#[btf_map]
pub static ZONELESS: LruHashMap<Zoneless, u32, { ZONELESS_ENTRIES as usize }> = LruHashMap::new();
#[btf_map]
pub static MEMO: Array<Memo, { MEMOS as usize }> = Array::new();
#[btf_map]
pub static ZONED: Array<Zoned, { ZONED_CELLS as usize }> = Array::new();
#[btf_map]
pub static LAST_VERDICT: PerCpuArray<u64, 1> = PerCpuArray::new();

/// What a program needs for one frame and has no stack for.
#[repr(C)]
pub struct Room {
    pub scratch: Scratch,
    pub words: Words,
}

/// One for each hook, so that a program which is interrupted by another kind of program keeps its own.
#[btf_map]
static ROOM: PerCpuArray<Room, 3> = PerCpuArray::new();

/// Which room.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Space {
    Xdp,
    Ingress,
    Egress,
}

/// This CPU's room of a hook, its scratch space fresh. `None` cannot happen, but the verifier wants to see it handled.
#[inline(always)]
pub fn room(space: Space) -> Option<&'static mut Room> {
    let room = ROOM.get_ptr_mut(space as u32)?;
    let words = room.cast::<u64>();
    for word in 0..Scratch::FRESH / 8 {
        // SAFETY: inside the element, at whose start the scratch space lies. Volatile, or the compiler calls memset, which loops over bytes.
        unsafe { words.add(word).write_volatile(0) };
    }
    // SAFETY: programs of one kind do not nest on a CPU: the kernel runs them with bottom halves disabled. The rest
    // holds what an earlier frame left: values of its types, or the zeros that the map began with.
    Some(unsafe { &mut *room })
}

/// log2 of the kernel's timer ticks in one [`window`](bridge_common::decide::Tables::window): short enough for every kernel, unless the loader,
/// which knows how long a tick is, says otherwise. A constant for the verifier.
#[unsafe(no_mangle)]
static WINDOW_BITS: u32 = 3;

/// What the loader says.
#[inline(always)]
pub fn window_bits() -> u32 {
    // SAFETY: a static of ours; volatile because the loader sets it after compilation.
    unsafe { core::ptr::read_volatile(&raw const WINDOW_BITS) }
}

/// Set to 1 at load by tests: the last verdict of each CPU goes into `LAST_VERDICT`. 0 costs nothing: the verifier
/// removes the branch.
#[unsafe(no_mangle)]
static RECORD_VERDICT: u32 = 0;

/// Whether this load records verdicts.
#[inline(always)]
pub fn records_verdict() -> bool {
    // SAFETY: a static of ours; volatile because the loader sets it after compilation.
    unsafe { core::ptr::read_volatile(&raw const RECORD_VERDICT) != 0 }
}
