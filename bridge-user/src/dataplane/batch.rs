//! A hash map's entries, many for each system call: a walk by keys takes two calls for every entry, which 20,000 stations make felt.
//! aya has no such call.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::{
    maps::{HashMap, Map, MapData, MapError},
    sys::SyscallError,
};
use bridge_common::abi::Plain;

use super::Pod;

/// Entries for a call. The kernel gives whole buckets of its hash, so that this must be more than ever are in one.
const MANY: usize = 4096;

/// The map for single entries.
pub(super) type Single<K, V> = HashMap<MapData, Pod<K>, Pod<V>>;

/// Reads a hash map of keys `K` and values `V`.
pub(super) struct Batch<K, V> {
    map: OwnedFd,
    of: PhantomData<(K, V)>,
}

impl<K: Plain + Default, V: Plain + Default> Batch<K, V> {
    /// A map of theirs, once for single entries and once for all.
    ///
    /// # Errors
    /// It is of another kind, or of other sizes.
    pub(super) fn open(map: Map) -> Result<(Single<K, V>, Self), MapError> {
        let held = match &map {
            Map::HashMap(data) | Map::LruHashMap(data) => Some(data.fd().as_fd().try_clone_to_owned()?),
            _ => None,
        };
        let single = HashMap::try_from(map)?;
        // Any other kind has been refused by now.
        let map = held.ok_or(MapError::InvalidName { name: "no plain hash".into() })?;
        Ok((single, Self { map, of: PhantomData }))
    }

    /// Every entry; those that come or go meanwhile may or may not be in it.
    ///
    /// # Errors
    /// What bpf(2) says.
    pub(super) fn read(&self) -> Result<Vec<(K, V)>, MapError> {
        let (mut keys, mut values) = (vec![K::default(); MANY], vec![V::default(); MANY]);
        let (mut entries, mut cursor) = (Vec::new(), None);
        loop {
            let (count, next) = self
                .some(&mut keys, &mut values, cursor)
                .map_err(|io_error| SyscallError { call: "BPF_MAP_LOOKUP_BATCH", io_error })?;
            entries.extend(keys.iter().copied().zip(values.iter().copied()).take(count));
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// BPF_MAP_LOOKUP_BATCH (`struct { ... } batch` of `union bpf_attr` in linux/bpf.h) from a bucket on: how many entries, and where to
    /// go on; `None`: that was all.
    fn some(&self, keys: &mut [K], values: &mut [V], from: Option<u32>) -> io::Result<(usize, Option<u32>)> {
        const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
        let (mut start, mut next) = (from.unwrap_or_default(), 0_u32);
        let room = keys.len().min(values.len());
        let mut ask = [
            from.map_or(0, |_| (&raw mut start) as u64),
            (&raw mut next) as u64,
            keys.as_mut_ptr() as u64,
            values.as_mut_ptr() as u64,
            room as u64 | (self.map.as_raw_fd() as u64) << 32,
            0,
            0,
        ];
        // SAFETY: the attribute names two numbers and two arrays, of this map's keys and values and as many as it states, all of which
        // live through the call; every bit pattern is a valid key or value.
        let failed = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, ask.as_mut_ptr(), size_of_val(&ask)) };
        let count = (ask[4] as u32 as usize).min(room);
        match io::Error::last_os_error() {
            _ if failed == 0 => Ok((count, Some(next))),
            // The last bucket was read.
            error if error.raw_os_error() == Some(libc::ENOENT) => Ok((count, None)),
            error => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeSet, os::fd::FromRawFd as _};

    use bridge_common::abi::{Flow, FlowKey, Station, StationKey};

    use super::*;

    fn key(n: u32) -> StationKey {
        let [a, b, c, d] = n.to_be_bytes();
        StationKey { mac: [2, 0, a, b, c, d], vlan: 7 }
    }

    /// BPF_MAP_CREATE of a plain hash of stations. Needs root.
    fn made() -> Map {
        const BPF_MAP_CREATE: libc::c_int = 0;
        const BPF_MAP_TYPE_HASH: u32 = 1;
        let mut create =
            [BPF_MAP_TYPE_HASH, size_of::<StationKey>() as u32, size_of::<Station>() as u32, 65_536, 0, 0, 0, 0];
        // SAFETY: the attribute is as long as stated, and names no memory.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, create.as_mut_ptr(), size_of_val(&create)) };
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        // SAFETY: a descriptor that the call has just made, nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        Map::HashMap(MapData::from_fd(fd).unwrap())
    }

    #[test]
    fn every_entry_is_read_once_however_many_there_are() {
        for count in [0, 1, 3 * MANY as u32 + 17] {
            let (mut single, all) = Batch::<StationKey, Station>::open(made()).unwrap();
            for n in 0..count {
                let station = Station { seen_ns: u64::from(n), port: 3, ..Station::default() };
                single.insert(Pod(key(n)), Pod(station), 0).unwrap();
            }
            let entries = all.read().unwrap();
            assert_eq!(entries.len(), count as usize);
            assert_eq!(entries.iter().map(|(key, _)| *key).collect::<BTreeSet<_>>().len(), count as usize);
            for (key, station) in entries {
                assert_eq!(single.get(&Pod(key), 0).unwrap().0, station);
            }
        }
    }

    #[test]
    fn a_map_of_other_entries_is_refused() {
        assert!(Batch::<FlowKey, Flow>::open(made()).is_err());
    }
}
