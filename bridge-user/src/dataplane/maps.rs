//! Typed handles to the maps, from a loaded object or from pins.

use std::{net::IpAddr, path::Path};

use aya::maps::of_maps::ArrayOfMaps;
use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, PerCpuValues, xdp::DevMap},
};
use bridge_common::abi::{
    CELLS, Cell, Control, Flow, FlowKey, GuardKey, L4Data, Pair, Port, PortCounters, Station, StationKey, Usage,
    VlanSet, Zoneless,
    maps::{self, NEAR_IFINDEX},
};

use super::{
    Pod,
    batch::{Batch, Single},
    error::DataplaneError,
};

pub(super) type Trie<K> = LpmTrie<MapData, K, u32>;
pub(super) type Pairs = Array<MapData, Pod<Pair>>;

/// Every map that user space reads or writes.
pub struct Maps {
    control: Array<MapData, u64>,
    epoch: Array<MapData, u64>,
    moves: Array<MapData, u64>,
    flow_changes: Array<MapData, u64>,
    pub(super) slots: HashMap<MapData, u32, u32>,
    pub(super) near_slots: Array<MapData, u32>,
    pub(super) ports: Array<MapData, Pod<Port>>,
    pub(super) vlans: Array<MapData, Pod<VlanSet>>,
    pub(super) fdb: Single<StationKey, Station>,
    pub(super) guard: HashMap<MapData, Pod<GuardKey>, u32>,
    pub(super) zones4: ArrayOfMaps<MapData, Trie<[u8; 4]>>,
    pub(super) zones6: ArrayOfMaps<MapData, Trie<[u8; 16]>>,
    pub(super) pairs: ArrayOfMaps<MapData, Pairs>,
    pub(super) l4: ArrayOfMaps<MapData, Trie<Pod<L4Data>>>,
    pub(super) flows: Single<FlowKey, Flow>,
    all_stations: Batch<StationKey, Station>,
    all_flows: Batch<FlowKey, Flow>,
    pub(super) used: Array<MapData, Pod<Usage>>,
    pub(super) freed: Array<MapData, Pod<Usage>>,
    pub(super) beside: Array<MapData, u32>,
    pub(super) counters: PerCpuArray<MapData, Pod<PortCounters>>,
    pub(super) rules: PerCpuArray<MapData, Pod<Cell>>,
    pub(super) targets: DevMap<MapData>,
    pub(super) zoneless: HashMap<MapData, Pod<Zoneless>, u32>,
}

impl Maps {
    /// From a loaded object, which gives them away.
    ///
    /// # Errors
    /// [`DataplaneError::Map`] naming the map that is missing or of another type.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self, DataplaneError> {
        Self::open(|name| ebpf.take_map(maps::in_object(name)).ok_or(MapError::InvalidName { name: name.into() }))
    }

    /// From the pins in `dir`.
    ///
    /// # Errors
    /// [`DataplaneError::Map`] naming the map that is missing or of another type.
    pub fn pinned(dir: &Path) -> Result<Self, DataplaneError> {
        Self::open(|name| Map::from_map_data(MapData::from_pin(dir.join(name))?))
    }

    fn open(mut get: impl FnMut(&'static str) -> Result<Map, MapError>) -> Result<Self, DataplaneError> {
        let mut open = |name| get(name).map_err(failed(name));
        let (fdb, all_stations) = Batch::open(open(maps::FDB)?).map_err(failed(maps::FDB))?;
        let (flows, all_flows) = Batch::open(open(maps::FLOWS)?).map_err(failed(maps::FLOWS))?;
        Ok(Self {
            control: typed(maps::CONTROL, &mut open)?,
            epoch: typed(maps::EPOCH, &mut open)?,
            moves: typed(maps::MOVES, &mut open)?,
            flow_changes: typed(maps::FLOW_CHANGES, &mut open)?,
            slots: typed(maps::SLOTS, &mut open)?,
            near_slots: typed(maps::NEAR_SLOTS, &mut open)?,
            ports: typed(maps::PORTS, &mut open)?,
            vlans: typed(maps::VLANS, &mut open)?,
            fdb,
            guard: typed(maps::GUARD, &mut open)?,
            zones4: typed(maps::ZONES4, &mut open)?,
            zones6: typed(maps::ZONES6, &mut open)?,
            pairs: typed(maps::PAIRS, &mut open)?,
            l4: typed(maps::L4, &mut open)?,
            flows,
            all_stations,
            all_flows,
            used: typed(maps::USED, &mut open)?,
            freed: typed(maps::FREED, &mut open)?,
            beside: typed(maps::BESIDE, &mut open)?,
            counters: typed(maps::COUNTERS, &mut open)?,
            rules: typed(maps::RULES, &mut open)?,
            targets: typed(maps::TARGETS, &mut open)?,
            zoneless: typed(maps::ZONELESS, &mut open)?,
        })
    }

    /// A control word.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn control(&self, word: Control) -> Result<u64, DataplaneError> {
        let (array, index, name) = match word {
            Control::Epoch => (&self.epoch, 0, maps::EPOCH),
            Control::Moves => (&self.moves, 0, maps::MOVES),
            Control::FlowChanges => (&self.flow_changes, 0, maps::FLOW_CHANGES),
            _ => (&self.control, word as u32, maps::CONTROL),
        };
        array.get(&index, 0).map_err(failed(name))
    }

    /// Stores a control word.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn set_control(&mut self, word: Control, value: u64) -> Result<(), DataplaneError> {
        let (array, index, name) = match word {
            Control::Epoch => (&mut self.epoch, 0, maps::EPOCH),
            Control::Moves => (&mut self.moves, 0, maps::MOVES),
            Control::FlowChanges => (&mut self.flow_changes, 0, maps::FLOW_CHANGES),
            _ => (&mut self.control, word as u32, maps::CONTROL),
        };
        array.set(index, value, 0).map_err(failed(name))
    }

    /// Says what a near interface is; 0 = nothing. Others are in the hash only.
    pub(super) fn set_near(&mut self, ifindex: u32, word: u32) -> Result<(), DataplaneError> {
        if ifindex >= NEAR_IFINDEX {
            return Ok(());
        }
        self.near_slots.set(ifindex, word, 0).map_err(failed(maps::NEAR_SLOTS))
    }

    /// A port's counters, summed over the CPUs.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn port_counters(&self, slot: u16) -> Result<PortCounters, DataplaneError> {
        let values = self.counters.get(&u32::from(slot), 0).map_err(failed(maps::COUNTERS))?;
        let mut sum = PortCounters::default();
        for cpu in values.iter() {
            sum.cells.iter_mut().zip(&cpu.0.cells).for_each(|(sum, cell)| add(sum, cell));
        }
        Ok(sum)
    }

    /// A rule's counter, summed over the CPUs.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn rule_counter(&self, slot: u32) -> Result<Cell, DataplaneError> {
        let values = self.rules.get(&slot, 0).map_err(failed(maps::RULES))?;
        let mut sum = Cell::default();
        values.iter().for_each(|cpu| add(&mut sum, &cpu.0));
        Ok(sum)
    }

    /// What a port's quotas have in use.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn usage(&self, slot: u16) -> Result<Usage, DataplaneError> {
        let used = self.used.get(&u32::from(slot), 0).map_err(failed(maps::USED))?.0;
        let freed = self.freed.get(&u32::from(slot), 0).map_err(failed(maps::FREED))?.0;
        Ok(Usage { stations: used.stations.wrapping_sub(freed.stations), flows: used.flows.wrapping_sub(freed.flows) })
    }

    /// Gives back what entries of `slot` that user space removed had in use.
    pub(super) fn give_back(&mut self, slot: u16, stations: u64, flows: u64) -> Result<(), DataplaneError> {
        let slot = u32::from(slot);
        let mut freed = self.freed.get(&slot, 0).map_err(failed(maps::FREED))?;
        freed.0.stations = freed.0.stations.wrapping_add(stations);
        freed.0.flows = freed.0.flows.wrapping_add(flows);
        self.freed.set(slot, freed, 0).map_err(failed(maps::FREED))
    }

    /// Every station, at one walk; entries that come or go meanwhile may or may not be in it.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn stations(&self) -> Result<Vec<(StationKey, Station)>, DataplaneError> {
        self.all_stations.read().map_err(failed(maps::FDB))
    }

    /// Every flow, as [`Maps::stations`].
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn flows(&self) -> Result<Vec<(FlowKey, Flow)>, DataplaneError> {
        self.all_flows.read().map_err(failed(maps::FLOWS))
    }

    /// Source addresses in no zone that were seen on station ports, with the port's slot.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn zoneless(&self) -> Result<Vec<(IpAddr, u16)>, DataplaneError> {
        let entry = |(key, slot): (Pod<Zoneless>, u32)| (key.0.address(), slot as u16);
        self.zoneless.iter().map(|found| found.map(entry).map_err(failed(maps::ZONELESS))).collect()
    }

    /// Zeroes a port's counters.
    pub(super) fn zero_counters(&mut self, slot: u16) -> Result<(), DataplaneError> {
        let zero = Pod(PortCounters { cells: [Cell::default(); CELLS] });
        self.counters.set(u32::from(slot), everywhere(zero)?, 0).map_err(failed(maps::COUNTERS))
    }

    /// Zeroes a rule's counter.
    pub(super) fn zero_rule(&mut self, slot: u32) -> Result<(), DataplaneError> {
        self.rules.set(slot, everywhere(Pod(Cell::default()))?, 0).map_err(failed(maps::RULES))
    }
}

fn everywhere<T: aya::Pod>(value: T) -> Result<PerCpuValues<T>, DataplaneError> {
    let io = |error| DataplaneError::Io { path: "/sys/devices/system/cpu/possible".into(), error };
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| io(error))?;
    PerCpuValues::try_from(vec![value; cpus]).map_err(io)
}

fn add(sum: &mut Cell, cell: &Cell) {
    sum.packets += cell.packets;
    sum.bytes += cell.bytes;
}

fn typed<M: TryFrom<Map, Error = MapError>>(
    name: &'static str,
    open: &mut impl FnMut(&'static str) -> Result<Map, DataplaneError>,
) -> Result<M, DataplaneError> {
    open(name)?.try_into().map_err(failed(name))
}

/// Adds a map's name to an error.
pub(super) fn failed(map: &'static str) -> impl FnOnce(MapError) -> DataplaneError {
    move |error| DataplaneError::Map { map, error }
}
