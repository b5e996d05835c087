//! What lies in the maps before a frame, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use bridge_common::abi::{
    Control, Flow, FlowKey, GuardKey, L4Data, Pair, PolicyMeta, Port, RuleWord, Station, StationKey, Usage, VlanSet,
    ZoneEntry, Zoneless, control,
};

/// The tables of one policy generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Prefix length, network in wire order, entry.
    pub zones4: Vec<(u32, [u8; 4], ZoneEntry)>,
    /// As `zones4`.
    pub zones6: Vec<(u32, [u8; 16], ZoneEntry)>,
    /// Row = from, column = to.
    pub pairs: Vec<Pair>,
    /// Prefix length, key, word.
    pub l4: Vec<(u32, L4Data, RuleWord)>,
    /// Stride and flags.
    pub meta: PolicyMeta,
}

/// All maps. Times are nanoseconds on the clock of `now_ns`; whoever fills a kernel's maps shifts them to its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What the clock says.
    pub now_ns: u64,
    /// Control words.
    pub control: [u64; control::SLOTS as usize],
    /// ifindex to port slot.
    pub slots: BTreeMap<u32, u16>,
    /// The bridge's own devices; none has a slot.
    pub own: BTreeSet<u32>,
    /// Port slot to port.
    pub ports: BTreeMap<u16, Port>,
    /// VLANs that ports list, by slot.
    pub vlans: BTreeMap<u16, VlanSet>,
    /// Slots of ports whose tags lie beside their frames.
    pub beside: BTreeSet<u16>,
    /// The FDB.
    pub stations: BTreeMap<StationKey, Station>,
    /// Addresses that guarded stations may use.
    pub guard: BTreeSet<GuardKey>,
    /// Policy generations by parity.
    pub generations: [Option<Generation>; 2],
    /// Open flows.
    pub flows: BTreeMap<FlowKey, Flow>,
    /// Quotas in use.
    pub usage: BTreeMap<u16, Usage>,
    /// Port slots that XDP can redirect to.
    pub targets: BTreeSet<u16>,
    /// Source addresses in no zone, with the slot of the station port that they were seen on.
    pub zoneless: BTreeMap<Zoneless, u16>,
    /// Room in the FDB.
    pub station_capacity: usize,
    /// Room in the flow table.
    pub flow_capacity: usize,
}

impl Default for Setup {
    /// Nothing filled in; the clock says one hour; room for 64 stations and flows.
    fn default() -> Self {
        Self {
            now_ns: 3600 * 1_000_000_000,
            control: [0; control::SLOTS as usize],
            slots: BTreeMap::new(),
            own: BTreeSet::new(),
            ports: BTreeMap::new(),
            vlans: BTreeMap::new(),
            beside: BTreeSet::new(),
            stations: BTreeMap::new(),
            guard: BTreeSet::new(),
            generations: [None, None],
            flows: BTreeMap::new(),
            usage: BTreeMap::new(),
            targets: BTreeSet::new(),
            zoneless: BTreeMap::new(),
            station_capacity: 64,
            flow_capacity: 64,
        }
    }
}

impl Setup {
    /// Writes a control word.
    pub fn set(&mut self, word: Control, value: u64) {
        self.control[word as usize] = value;
    }

    /// Makes `tables` the live generation, under this number.
    pub fn publish(&mut self, number: u32, tables: Generation) {
        let odd = number & 1 == 1;
        self.set(if odd { Control::MetaOdd } else { Control::MetaEven }, tables.meta.pack());
        self.generations[usize::from(odd)] = Some(tables);
        self.set(Control::Generation, u64::from(number));
    }

    /// Puts a port into a slot, where its interface finds it and XDP can redirect to it.
    pub fn add_port(&mut self, slot: u16, port: Port) {
        self.slots.insert(port.ifindex, slot);
        self.ports.insert(slot, port);
        self.targets.insert(slot);
    }

    /// Puts a station of VLAN 0 into the FDB.
    pub fn add_station(&mut self, mac: [u8; 6], slot: u16, flags: u16, seen_ns: u64) {
        self.add_station_in(0, mac, slot, flags, seen_ns);
    }

    /// Puts a station into the FDB.
    pub fn add_station_in(&mut self, vlan: u16, mac: [u8; 6], slot: u16, flags: u16, seen_ns: u64) {
        self.stations.insert(StationKey { mac, vlan }, Station { seen_ns, port: slot, flags, pad: 0 });
    }
}
