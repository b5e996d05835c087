//! Housekeeping that the programs leave to the manager: aged stations and idle flows go, with what they had in use.
//!
//! An entry may be renewed between the look and the removal. For a station that costs one frame to the slow path; a
//! flow is opened again by the opener's next frame.

use std::collections::BTreeMap;

use bridge_common::abi::{Station, StationKey, Usage, maps};

use super::{
    Pod,
    error::DataplaneError,
    maps::{Maps, failed},
};

/// A station's age that the slow path should be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its MAC.
    pub mac: [u8; 6],
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
        let mut freed: BTreeMap<u16, Usage> = BTreeMap::new();
        for (key, station) in self.stations()? {
            if station.is_learned() && now_ns.saturating_sub(station.seen_ns) >= ageing_ns {
                if self.fdb.remove(&Pod(key)).is_ok() {
                    freed.entry(station.port).or_default().stations += 1;
                    sweep.aged += 1;
                }
            } else if let Some(seen) = seen(&key, &station) {
                sweep.seen.push(seen);
            }
        }
        for (key, flow) in self.flows()? {
            if flow.is_live(key.proto, now_ns) {
                sweep.flows += 1;
            } else if self.flows.remove(&Pod(key)).is_ok() {
                freed.entry(flow.port).or_default().flows += 1;
                sweep.idle += 1;
            }
        }
        for (slot, usage) in freed {
            self.give_back(slot, usage.stations, usage.flows)?;
        }
        Ok(sweep)
    }

    /// Forgets the learned stations of a port.
    pub(super) fn purge_stations(&mut self, slot: u16) -> Result<(), DataplaneError> {
        let learned = |(_, station): &(StationKey, Station)| station.is_learned() && station.port == slot;
        let mut gone = 0;
        for (key, _) in self.stations()?.into_iter().filter(learned) {
            gone += u64::from(self.fdb.remove(&Pod(key)).is_ok());
        }
        self.give_back(slot, gone, 0)
    }

    /// Removes what was learned of a MAC in VLANs at other ports than this one.
    pub(super) fn purge_vlans_of(&mut self, mac: [u8; 6], slot: u16) -> Result<(), DataplaneError> {
        let elsewhere =
            |(key, station): &(StationKey, Station)| key.mac == mac && key.vlan != 0 && station.port != slot;
        for (key, station) in self.stations()?.into_iter().filter(elsewhere) {
            if self.fdb.remove(&Pod(key)).is_ok() {
                self.give_back(station.port, 1, 0)?;
            }
        }
        Ok(())
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

fn seen(key: &StationKey, station: &Station) -> Option<Seen> {
    let ours = station.port != bridge_common::abi::NO_PORT && station.seen_ns != 0 && key.vlan == 0;
    ours.then_some(Seen { mac: key.mac, slot: station.port, seen_ns: station.seen_ns })
}
