//! The one executor of ops on real maps and links, with a mirror of what they hold.
//!
//! The mirror is read from the maps once, at the start; after that only this executor changes what it mirrors, and
//! links are asked each time whether they still sit on their interface.

use std::{collections::BTreeMap, path::Path};

use aya::Ebpf;
use bridge_common::abi::{
    Control, NO_PORT, PORT_MEMBER, Port,
    maps::{self, Limits},
};

use super::{
    Pod,
    error::DataplaneError,
    maps::{Maps, failed},
    notes::{NoteMap, Notes},
    object::{self, LoadOptions, abi_id},
    pinned::{Links, found_links, mirror, remove_all},
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
    _lock: Lock,
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
        let abi = abi_id(&limits);
        pins.create_maps(abi)?;
        let path = pins.maps(abi);
        let mut ebpf = object::load(LoadOptions { limits, pins: Some(&path), record_verdict: false })?;
        let mut maps = Maps::take(&mut ebpf)?;
        let notes = NoteMap::open_or_create(&path)?;
        let host = Port { flow_limit: limits.flows / 8, flags: PORT_MEMBER, ..Port::default() };
        maps.ports.set(u32::from(NO_PORT), Pod(host), 0).map_err(failed(maps::PORTS))?;
        let links = found_links(&pins)?;
        let mirror = mirror(&maps, &limits)?;
        Ok(Self { ebpf, maps, notes, pins, abi, limits, links, mirror, _lock: lock })
    }

    /// The maps.
    pub fn maps(&mut self) -> &mut Maps {
        &mut self.maps
    }

    /// What the manager before this one noted; empty if there was none.
    ///
    /// # Errors
    /// [`DataplaneError::Notes`].
    pub fn notes(&self) -> Result<Notes, DataplaneError> {
        self.notes.read()
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

    /// Stores the heartbeat: CLOCK_MONOTONIC in nanoseconds, 0 to stop forwarding now.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn beat(&mut self, now_ns: u64) -> Result<(), DataplaneError> {
        self.maps.set_control(Control::Heartbeat, now_ns)
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
        self.take_back()
    }

    /// After a first round that failed: everything that it made goes, as if it had not been.
    ///
    /// # Errors
    /// [`DataplaneError::Io`].
    pub fn take_back(&mut self) -> Result<(), DataplaneError> {
        self.links.clear();
        remove_all(&self.pins)
    }
}
