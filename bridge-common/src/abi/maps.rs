//! Names of the maps (as in the BPF object and as pinned) and their default capacities.

/// Per-host control words, see [`super::control`], all but three. `Array<u64>`.
pub const CONTROL: &str = "CONTROL";
/// [`super::Control::Epoch`]: the one `u64` of a map of its own, which the programs read without a look-up. `Array`.
pub const EPOCH: &str = "EPOCH";
/// [`super::Control::Moves`], likewise.
pub const MOVES: &str = "MOVES";
/// [`super::Control::FlowChanges`], likewise.
pub const FLOW_CHANGES: &str = "FLOW_CHANGES";
/// ifindex (`u32`) to port slot or [`super::OWN_DEVICE`] (`u32`). `HashMap`.
pub const SLOTS: &str = "SLOTS";
/// ifindex below [`NEAR_IFINDEX`] to the same (`u32`), 0 = ask [`SLOTS`]: what holds there for the first interfaces, without
/// hashing. `Array`.
pub const NEAR_SLOTS: &str = "NEAR_SLOTS";
/// Port slot to [`super::Port`]. `Array`.
pub const PORTS: &str = "PORTS";
/// Port slot to the [`super::VlanSet`] of a port with [`super::PORT_VLAN_LISTED`]. `Array`.
pub const VLANS: &str = "VLANS";
/// [`super::StationKey`] to [`super::Station`]. `HashMap`.
pub const FDB: &str = "FDB";
/// [`super::GuardKey`] to `u32` 1: addresses that a guarded station may use. `HashMap`.
pub const GUARD: &str = "GUARD";
/// Two inner LPM tries, one for each generation parity: IPv4 prefix to [`super::ZoneEntry`].
pub const ZONES4: &str = "ZONES4";
/// As [`ZONES4`], for IPv6.
pub const ZONES6: &str = "ZONES6";
/// Two inner arrays of [`super::Pair`], indexed by `from * stride + to`.
pub const PAIRS: &str = "PAIRS";
/// Two inner LPM tries: [`super::L4Data`] to [`super::RuleWord`].
pub const L4: &str = "L4";
/// [`super::FlowKey`] to [`super::Flow`]. `HashMap`.
pub const FLOWS: &str = "FLOWS";
/// [`super::FlowedCell`] to when one of its flows was last opened or renewed, [`super::FlowedCell::note`] (`u32`); 0: never. Written by the
/// programs. Where no flow may live none is looked for, whatever a frame's ports. `Array` of [`FLOWED_CELLS`].
pub const FLOWED: &str = "FLOWED";
/// Port slot to [`super::Usage`], written by the programs only. `Array`.
pub const USED: &str = "USED";
/// Port slot to [`super::Usage`], written by the manager only. `Array`.
pub const FREED: &str = "FREED";
/// Port slot to `u32` 1 once a frame came in whose tag lay beside it; written by the programs, zeroed by the manager. `Array`.
pub const BESIDE: &str = "BESIDE";
/// Port slot to [`super::PortCounters`]. `PerCpuArray`.
pub const COUNTERS: &str = "COUNTERS";
/// Rule slot to [`super::Cell`]. `PerCpuArray`.
pub const RULES: &str = "RULES";
/// Port slot to the device that XDP redirects to. `DevMap`.
pub const TARGETS: &str = "TARGETS";
/// [`super::Zoneless`] to the port slot that it was seen on, the most recent ones. `LruHashMap`.
pub const ZONELESS: &str = "ZONELESS";
/// What the programs remember of decisions, see `bridge_common::decide::Memo`. `Array` of [`MEMOS`] for each CPU, one CPU after the other: a
/// per-CPU array would find each by a pointer of its own, and would not align them. User space neither reads nor writes it.
pub const MEMO: &str = "MEMO";
/// Zones of IPv4 addresses as the tries gave them, see [`super::Zoned`]: [`ZONED_CELLS`] for each CPU, one CPU after the other. `Array`.
pub const ZONED: &str = "ZONED";
/// The last verdict taken on this CPU, when `RECORD_VERDICT` is set at load. `PerCpuArray<u64>` of one.
pub const LAST_VERDICT: &str = "LAST_VERDICT";

/// Every map, in the order of their declaration.
pub const ALL: [&str; 26] = [
    CONTROL,
    EPOCH,
    MOVES,
    FLOW_CHANGES,
    SLOTS,
    NEAR_SLOTS,
    PORTS,
    VLANS,
    FDB,
    GUARD,
    ZONES4,
    ZONES6,
    PAIRS,
    L4,
    FLOWS,
    FLOWED,
    USED,
    FREED,
    BESIDE,
    COUNTERS,
    RULES,
    TARGETS,
    ZONELESS,
    MEMO,
    ZONED,
    LAST_VERDICT,
];

/// The section of [`EPOCH`] in the BPF object. Maps without a look-up are sections there, and bear the section's name; a pin's name has no dot.
pub const EPOCH_SECTION: &str = ".bss.epoch";
/// The section of [`MOVES`].
pub const MOVES_SECTION: &str = ".bss.moves";
/// The section of [`FLOW_CHANGES`].
pub const FLOW_CHANGES_SECTION: &str = ".bss.flows";

/// What a map is called in the BPF object, and by the kernel.
#[must_use]
pub fn in_object(name: &str) -> &str {
    match name {
        EPOCH => EPOCH_SECTION,
        MOVES => MOVES_SECTION,
        FLOW_CHANGES => FLOW_CHANGES_SECTION,
        _ => name,
    }
}

/// Capacities that the `[limits]` table of the topology file may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Stations in the FDB, static, host and learned together.
    pub stations: u32,
    /// Learned stations on one port; uplinks are not limited.
    pub stations_per_port: u32,
    /// Managed ports.
    pub ports: u32,
    /// Stateful flows; one port may hold an eighth of them.
    pub flows: u32,
    /// Prefixes of all zones, and the host's own addresses, for each address family.
    pub prefixes: u32,
    /// Named zones.
    pub zones: u32,
    /// Rules, the default not counted.
    pub rules: u32,
}

/// The defaults of design section 5.
pub const DEFAULT_LIMITS: Limits = Limits {
    stations: 65_536,
    stations_per_port: 1024,
    ports: 256,
    flows: 131_072,
    prefixes: 10_000,
    zones: 256,
    rules: 1024,
};

/// Length of [`FLOWED`], a power of two. Half of it is TCP's: room for each of the flows that fill half of [`FLOWS`] by default, were each between
/// a pair of its own.
pub const FLOWED_CELLS: u32 = 131_072;
/// What one CPU remembers in [`MEMO`], a power of two: half of it for each hook.
pub const MEMOS: u32 = 32_768;
/// Zones that one CPU keeps in [`ZONED`], a power of two.
pub const ZONED_CELLS: u32 = 8192;
/// The bridge's own devices that are known: itself and a device for each VLAN. They come on top of `limits.ports` in [`SLOTS`].
pub const OWN_DEVICES: u32 = 4096;
/// Length of [`NEAR_SLOTS`].
pub const NEAR_IFINDEX: u32 = 4096;
/// Largest number of [`super::L4Data`] entries of one generation.
pub const L4_ENTRIES: u32 = 1 << 20;
/// Stations that the guard knows addresses of, each address one entry.
pub const GUARD_ENTRIES: u32 = 65_536;
/// Host addresses come on top of `limits.prefixes` in the zone tries.
pub const HOST_ADDRESSES: u32 = 1024;
/// Source addresses in no zone that are remembered.
pub const ZONELESS_ENTRIES: u32 = 1024;
