//! Housekeeping that the programs leave to the manager: aged stations and idle flows go, with what they had in use.
//!
//! An entry may be renewed between the look and the removal. For a station that costs one frame to the slow path; a
//! flow is opened again by the opener's next frame.

use std::collections::BTreeMap;

use bridge_common::abi::{Station, StationKey, maps};

use super::{
    Pod,
    error::DataplaneError,
    maps::{Maps, failed},
};
use crate::plan::StationEntry;

/// A station's age that the slow path should be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its MAC and VLAN.
    pub station: StationKey,
    /// Its port's slot.
    pub slot: u16,
    /// When it was last seen.
    pub seen_ns: u64,
}

/// What one sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Stations that are alive, static and learned; the host's left out.
    pub seen: Vec<Seen>,
    /// Stations removed.
    pub aged: usize,
    /// Flows removed.
    pub idle: usize,
    /// Flows that live.
    pub flows: usize,
}

impl Maps {
    /// Removes what has expired by `now_ns` (CLOCK_MONOTONIC), a station after `ageing_ns`.
    ///
    /// # Errors
    /// [`DataplaneError::Map`]; what was removed until then is accounted for.
    pub fn sweep(&mut self, now_ns: u64, ageing_ns: u64) -> Result<Sweep, DataplaneError> {
        let mut sweep = Sweep::default();
        let aged = |(_, station): &(StationKey, Station)| {
            station.is_learned() && now_ns.saturating_sub(station.seen_ns) >= ageing_ns
        };
        let (aged, alive): (Vec<_>, Vec<_>) = self.stations()?.into_iter().partition(aged);
        sweep.aged = self.forget(aged)?;
        sweep.seen = alive.iter().filter_map(seen).collect();
        let mut freed: BTreeMap<u16, u64> = BTreeMap::new();
        for (key, flow) in self.flows()? {
            if flow.is_live(key.proto, now_ns) {
                sweep.flows += 1;
            } else if self.flows.remove(&Pod(key)).is_ok() {
                *freed.entry(flow.port).or_default() += 1;
                sweep.idle += 1;
            }
        }
        for (slot, flows) in freed {
            self.give_back(slot, 0, flows)?;
        }
        Ok(sweep)
    }

    /// Forgets these stations, learned ones all; how many of them were still there.
    pub(super) fn forget(&mut self, stations: Vec<(StationKey, Station)>) -> Result<usize, DataplaneError> {
        let mut gone: BTreeMap<u16, u64> = BTreeMap::new();
        for (key, station) in stations {
            if self.fdb.remove(&Pod(key)).is_ok() {
                *gone.entry(station.port).or_default() += 1;
            }
        }
        for (slot, stations) in &gone {
            self.give_back(*slot, *stations, 0)?;
        }
        Ok(gone.values().sum::<u64>() as usize)
    }

    /// Forgets the learned stations of a port.
    pub(super) fn purge_stations(&mut self, slot: u16) -> Result<(), DataplaneError> {
        let of_port = |(_, station): &(StationKey, Station)| station.is_learned() && station.port == slot;
        let stations = self.stations()?.into_iter().filter(of_port).collect();
        self.forget(stations).map(drop)
    }

    /// Those of these stations that are there.
    pub(super) fn some_stations(&self, keys: &[StationKey]) -> Vec<(StationKey, Station)> {
        keys.iter().filter_map(|key| Some((*key, self.fdb.get(&Pod(*key), 0).ok()?.0))).collect()
    }

    /// Removes what was learned in VLANs of these stations, static and host ones, at other ports than theirs.
    pub(super) fn purge_contradicted(
        &mut self,
        bound: &BTreeMap<StationKey, StationEntry>,
    ) -> Result<(), DataplaneError> {
        let elsewhere = |(key, station): &(StationKey, Station)| {
            let owner = bound.get(&StationKey { mac: key.mac, vlan: 0 });
            station.is_learned() && owner.is_some_and(|owner| owner.port != station.port)
        };
        let contradicted = self.stations()?.into_iter().filter(elsewhere).collect();
        self.forget(contradicted).map(drop)
    }

    /// The next port in the slot must not be blamed for them.
    fn purge_zoneless(&mut self, slot: u16) -> Result<(), DataplaneError> {
        let noted: Result<Vec<_>, _> = self.zoneless.iter().collect();
        for (source, _) in noted.map_err(failed(maps::ZONELESS))?.iter().filter(|(_, at)| *at == u32::from(slot)) {
            let _gone_already = self.zoneless.remove(source);
        }
        Ok(())
    }

    /// Removes every learned station, every flow and every noted address of a port that goes; nothing of its quotas is in use after.
    pub(super) fn purge(&mut self, slot: u16) -> Result<(), DataplaneError> {
        self.purge_stations(slot)?;
        let flows = self.flows()?;
        for (key, _) in flows.iter().filter(|(_, flow)| flow.port == slot) {
            let _gone_already = self.flows.remove(&Pod(*key));
        }
        self.purge_zoneless(slot)?;
        let used = self.used.get(&u32::from(slot), 0).map_err(failed(maps::USED))?;
        self.freed.set(u32::from(slot), used, 0).map_err(failed(maps::FREED))
    }
}

fn seen((key, station): &(StationKey, Station)) -> Option<Seen> {
    let ours = station.port != bridge_common::abi::NO_PORT && station.seen_ns != 0;
    ours.then_some(Seen { station: *key, slot: station.port, seen_ns: station.seen_ns })
}
