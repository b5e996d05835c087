//! The one executor of ops on real maps and links, with a mirror of what they hold.
//!
//! The mirror is read from the maps once, at the start; after that only this executor changes what it mirrors, and
//! links are asked each time whether they still sit on their interface.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use aya::Ebpf;
use bridge_common::abi::{
    Control, NO_PORT, PORT_MEMBER, PORT_TAG_BESIDE, Port, Station, StationKey,
    maps::{self, Limits},
};

use super::{
    Pod,
    error::DataplaneError,
    glimpse::Glimpse,
    links::Attachment,
    maps::{Maps, failed},
    notes::{NoteMap, Notes},
    object::{self, LoadOptions, abi_id},
    pinned::{Found, Links, found_links, give_up, mirror, previous_notes, remove_all},
    pins::{Lock, Pins},
};
use crate::{desired::HookPoint, plan::Actual};

/// Programs, maps and links of one bridge, owned by this manager.
pub struct Executor {
    pub(super) ebpf: Ebpf,
    pub(super) maps: Maps,
    pub(super) notes: NoteMap,
    pub(super) pins: Pins,
    abi: u64,
    pub(super) limits: Limits,
    /// Every link of ours.
    pub(super) links: Links,
    pub(super) mirror: Actual,
    /// The last [`Control::Epoch`].
    epoch: u64,
    /// What the manager before noted.
    previous: Notes,
    /// Rule slots of the maps' live generation.
    rule_ids: Vec<Option<String>>,
    found: Found,
    glimpsed: Option<Glimpse>,
    /// See [`Executor::tags_beside`].
    beside: BTreeSet<u32>,
    /// [`Control::Moves`] when that was last looked at; `None`: never, or a port has gone since.
    pub(super) beside_at: Option<u64>,
    _lock: Option<Lock>,
}

impl Executor {
    /// Takes the bridge: loads the programs, reusing maps of the same ABI, and finds the links that are there. No frame
    /// is judged differently yet.
    ///
    /// # Errors
    /// [`DataplaneError`]: no bpffs, another manager, or the kernel refuses.
    pub fn open(dir: &Path, bridge: &str, limits: Limits) -> Result<Self, DataplaneError> {
        let pins = Pins::new(dir, bridge);
        pins.create()?;
        let lock = pins.lock()?;
        let any = !pins.all_maps()?.is_empty() || !pins.all_links()?.is_empty();
        let maps = pins.create_maps(abi_id(&limits))?;
        let found = Found { any, maps };
        let taken = Self::take(pins.clone(), limits, found).inspect_err(|_| {
            // The error that is told is the first one.
            let _left_behind = give_up(&pins, &pins.maps(abi_id(&limits)), found);
        })?;
        Ok(Self { _lock: Some(lock), ..taken })
    }

    fn take(pins: Pins, limits: Limits, found: Found) -> Result<Self, DataplaneError> {
        let abi = abi_id(&limits);
        let path = pins.maps(abi);
        let previous = previous_notes(&pins);
        let mut ebpf = object::load(LoadOptions { limits, pins: Some(&path), record_verdict: false })?;
        let mut maps = Maps::take(&mut ebpf)?;
        let notes = NoteMap::open_or_create(&path)?;
        let rule_ids = notes.read().unwrap_or_default().rule_ids;
        let host = Port { flow_limit: limits.flows / 8, flags: PORT_MEMBER, ..Port::default() };
        maps.ports.set(u32::from(NO_PORT), Pod(host), 0).map_err(failed(maps::PORTS))?;
        let links = found_links(&pins)?;
        // Whose counter is whose is noted, even if what the generation holds is not.
        let mirror = mirror(&maps, &limits, rule_ids.clone())?;
        let epoch = maps.control(Control::Epoch)?;
        Ok(Self {
            ebpf,
            maps,
            notes,
            pins,
            abi,
            epoch,
            limits,
            links,
            mirror,
            previous,
            rule_ids,
            found,
            glimpsed: None,
            beside: BTreeSet::new(),
            beside_at: None,
            _lock: None,
        })
    }

    /// The maps.
    pub fn maps(&mut self) -> &mut Maps {
        &mut self.maps
    }

    /// What the manager before this one noted, whatever its ABI; empty if there was none.
    pub fn previous(&self) -> &Notes {
        &self.previous
    }

    /// Rule slots of these maps as the manager before noted them.
    pub fn rule_ids(&self) -> &[Option<String>] {
        &self.rule_ids
    }

    /// Notes names and words for `show`.
    ///
    /// # Errors
    /// [`DataplaneError::Notes`], [`DataplaneError::Map`].
    pub fn write_notes(&mut self, notes: &Notes) -> Result<(), DataplaneError> {
        self.notes.write(notes)
    }

    /// The ABI id of the maps.
    pub fn abi(&self) -> u64 {
        self.abi
    }

    /// ifindex to slot.
    pub fn slots(&self) -> &BTreeMap<u32, u16> {
        &self.mirror.slots
    }

    /// Live policy generation, 0 = none.
    pub fn generation(&self) -> u32 {
        self.mirror.policy.as_ref().map_or(0, |(generation, _)| *generation)
    }

    /// Whether every one of `points` is attached to the interface.
    pub fn is_attached(&self, ifindex: u32, points: &[HookPoint]) -> bool {
        points.iter().all(|point| self.mirror.attached.contains(&(ifindex, *point)))
    }

    /// Whether what sits at the hooks of our ports, ours or not, has changed since this was last asked. Cheap.
    pub fn disturbed(&mut self) -> bool {
        let glimpse = Glimpse::take(self.mirror.slots.keys().copied(), &self.links, &self.pins.links());
        let same = self.glimpsed.as_ref() == Some(&glimpse);
        self.glimpsed = Some(glimpse);
        !same
    }

    /// The kernel's numbers of our links.
    pub fn link_ids(&self) -> BTreeSet<u32> {
        let id = |attachment: &Attachment| match attachment {
            Attachment::Link(link) => link.info().map(|info| info.id),
            Attachment::Filter => None,
        };
        self.links.values().filter_map(|(attachment, _)| id(attachment)).collect()
    }

    /// Stores the heartbeat: CLOCK_MONOTONIC in nanoseconds, 0 to stop forwarding now.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn beat(&mut self, now_ns: u64) -> Result<(), DataplaneError> {
        self.maps.set_control(Control::Heartbeat, now_ns)?;
        if now_ns == 0 { self.raise_epoch() } else { Ok(()) }
    }

    /// Ends what the programs remember of decisions under the state before.
    pub(super) fn raise_epoch(&mut self) -> Result<(), DataplaneError> {
        // 32 bits count; 0 would mean that nothing may be remembered.
        self.epoch = self.epoch % u64::from(u32::MAX) + 1;
        self.maps.set_control(Control::Epoch, self.epoch)
    }

    /// The learned stations for which `gone` holds, given the ifindex of their port.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn stations_where(&self, gone: impl Fn(&StationKey, u32) -> bool) -> Result<Vec<StationKey>, DataplaneError> {
        Ok(self.learned(self.maps.stations()?, gone).into_iter().map(|(key, _)| key).collect())
    }

    /// Forgets those of `among` that are learned and for which `gone` holds, given the ifindex of their port; how many.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn forget_stations(
        &mut self,
        among: &[StationKey],
        gone: impl Fn(&StationKey, u32) -> bool,
    ) -> Result<usize, DataplaneError> {
        let gone = self.maps.forget(self.learned(self.maps.some_stations(among), gone))?;
        if gone > 0 {
            self.raise_epoch()?;
        }
        Ok(gone)
    }

    fn learned(
        &self,
        mut stations: Vec<(StationKey, Station)>,
        gone: impl Fn(&StationKey, u32) -> bool,
    ) -> Vec<(StationKey, Station)> {
        let at: HashMap<u16, u32> = self.mirror.slots.iter().map(|(ifindex, slot)| (*slot, *ifindex)).collect();
        stations.retain(|(key, station)| {
            station.is_learned() && at.get(&station.port).is_some_and(|ifindex| gone(key, *ifindex))
        });
        stations
    }

    /// Interfaces through which frames came whose tag lay beside them. What XDP has learned there, before it was told, may lie in the
    /// wrong VLAN and is forgotten when the first is found. The programs raise [`Control::Moves`] with it: without that nothing is looked at.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn tags_beside(&mut self) -> Result<&BTreeSet<u32>, DataplaneError> {
        let moves = Some(self.maps.control(Control::Moves)?);
        if self.beside_at == moves {
            return Ok(&self.beside);
        }
        let mut now = BTreeMap::new();
        for (slot, port) in self.mirror.ports.iter().filter(|(_, port)| port.is(PORT_TAG_BESIDE)) {
            if self.maps.beside.get(&u32::from(*slot), 0).map_err(failed(maps::BESIDE))? != 0 {
                now.insert(port.ifindex, *slot);
            }
        }
        let new: Vec<_> = now.iter().filter(|(ifindex, _)| !self.beside.contains(ifindex)).collect();
        for (_, slot) in &new {
            self.maps.purge_stations(**slot)?;
        }
        if !new.is_empty() {
            self.raise_epoch()?;
        }
        (self.beside, self.beside_at) = (now.into_keys().collect(), moves);
        Ok(&self.beside)
    }

    /// Once the dataplane is as desired: links of an older build, and maps of another ABI, go.
    ///
    /// # Errors
    /// [`DataplaneError::Io`].
    pub fn prune(&mut self) -> Result<(), DataplaneError> {
        let old: Vec<_> = self.links.iter().filter(|(_, (_, current))| !current).map(|(key, _)| *key).collect();
        for (ifindex, point) in old {
            self.detach(ifindex, point)?;
        }
        let ours = self.pins.maps(self.abi);
        for other in self.pins.all_maps()?.into_iter().filter(|path| *path != ours) {
            Pins::remove_dir(&other)?;
        }
        Ok(())
    }

    /// Removes every program, pin and map.
    ///
    /// # Errors
    /// [`DataplaneError::Io`].
    pub fn remove(mut self) -> Result<(), DataplaneError> {
        self.links.clear();
        remove_all(&self.pins)
    }

    /// After a first round that failed: what was there before stays, and if nothing was, nothing stays.
    ///
    /// # Errors
    /// [`DataplaneError::Io`].
    pub fn give_up(&mut self) -> Result<(), DataplaneError> {
        let in_use = self.links.values().any(|(_, current)| *current);
        self.links.clear();
        let found = Found { maps: self.found.maps || in_use, ..self.found };
        give_up(&self.pins, &self.pins.maps(self.abi), found)
    }
}
