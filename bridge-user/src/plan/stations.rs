//! Stations by MAC, and for each slot which they are: many stations on many ports must not be gone through once for each port.

use std::collections::{BTreeMap, BTreeSet};

use bridge_common::abi::StationKey;

use super::StationEntry;

/// Each station once; those of one slot in the order of their keys.
#[derive(Default)]
pub(super) struct Stations {
    entries: BTreeMap<StationKey, StationEntry>,
    slots: BTreeMap<u16, BTreeSet<StationKey>>,
}

impl Stations {
    /// Puts a station there, in the place of what was known of it, which is returned.
    pub(super) fn insert(&mut self, key: StationKey, station: StationEntry) -> Option<StationEntry> {
        let before = self.entries.insert(key, station);
        if let Some(moved) = before.filter(|before| before.port != station.port)
            && let Some(keys) = self.slots.get_mut(&moved.port)
        {
            keys.remove(&key);
        }
        if before.is_none_or(|before| before.port != station.port) {
            self.slots.entry(station.port).or_default().insert(key);
        }
        before
    }

    /// The slot's stations.
    pub(super) fn of(&self, slot: u16) -> impl Iterator<Item = (StationKey, StationEntry)> {
        let keys = self.slots.get(&slot).into_iter().flatten();
        keys.filter_map(|key| Some((*key, *self.entries.get(key)?)))
    }

    /// Whether the station is known, on whatever slot.
    pub(super) fn contains(&self, key: &StationKey) -> bool {
        self.entries.contains_key(key)
    }

    /// Takes away those of the slot that `goes` says, and returns them.
    pub(super) fn remove(&mut self, slot: u16, goes: impl Fn(&StationKey) -> bool) -> Vec<(StationKey, StationEntry)> {
        let gone: Vec<_> = self.of(slot).filter(|(key, _)| goes(key)).collect();
        let keys = self.slots.entry(slot).or_default();
        for (key, _) in &gone {
            keys.remove(key);
            self.entries.remove(key);
        }
        gone
    }
}

impl FromIterator<(StationKey, StationEntry)> for Stations {
    fn from_iter<I: IntoIterator<Item = (StationKey, StationEntry)>>(stations: I) -> Self {
        let mut all = Self::default();
        for (key, station) in stations {
            all.insert(key, station);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u8) -> StationKey {
        StationKey { mac: [2, 0, 0, 0, 0, last], vlan: 0 }
    }

    fn on(slot: u16) -> StationEntry {
        StationEntry { port: slot, flags: 1 }
    }

    fn keys(stations: &Stations, slot: u16) -> Vec<StationKey> {
        stations.of(slot).map(|(key, _)| key).collect()
    }

    #[test]
    fn a_station_is_on_the_slot_where_it_was_put_last() {
        let mut stations: Stations = [(key(2), on(1)), (key(1), on(1)), (key(3), on(2))].into_iter().collect();
        assert_eq!(keys(&stations, 1), [key(1), key(2)]);
        assert_eq!(stations.insert(key(1), on(2)), Some(on(1)));
        assert_eq!(stations.insert(key(1), on(2)), Some(on(2)));
        assert_eq!((keys(&stations, 1), keys(&stations, 2)), (vec![key(2)], vec![key(1), key(3)]));
    }

    #[test]
    fn what_is_removed_is_on_no_slot() {
        let mut stations: Stations = [(key(1), on(1)), (key(2), on(1)), (key(3), on(2))].into_iter().collect();
        assert_eq!(stations.remove(1, |gone| *gone == key(2) || *gone == key(3)), [(key(2), on(1))]);
        assert_eq!((keys(&stations, 1), keys(&stations, 2)), (vec![key(1)], vec![key(3)]));
        assert!(stations.contains(&key(1)) && !stations.contains(&key(2)));
        assert_eq!(stations.insert(key(2), on(3)), None);
        assert!(keys(&stations, 4).is_empty());
    }
}
