//! The one executor of ops on real maps and links, with a mirror of what they hold.
//!
//! The mirror is read from the maps once, at the start; after that only this executor changes what it mirrors, and
//! links are asked each time whether they still sit on their interface.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use aya::{
    Ebpf,
    maps::{MapError, xdp::XdpMapError},
};
use bridge_common::abi::{
    Control, NO_PORT, PORT_MEMBER, PORT_RUNNING, Port, STATION_HOST, STATION_STATIC, Station, StationKey,
    maps::{self, Limits},
};

use super::{
    Pod,
    error::DataplaneError,
    links::{self, Attachment},
    maps::{Maps, failed},
    notes::{NoteMap, Notes},
    object::{self, LoadOptions, abi_id},
    pins::{Lock, Pins},
};
use crate::{
    desired::{ControlWords, HookPoint},
    plan::{Actual, Op, StationEntry},
    policy::lowered::Lowered,
    reconcile::{Fault, Kernel},
};

/// Programs, maps and links of one bridge, owned by this manager.
pub struct Executor {
    ebpf: Ebpf,
    maps: Maps,
    notes: NoteMap,
    pins: Pins,
    abi: u64,
    limits: Limits,
    /// Every link of ours; `true`: it runs the programs of this build.
    links: Links,
    mirror: Actual,
    /// What the manager before noted.
    previous: Notes,
    /// Rule slots of the maps' live generation.
    rule_ids: Vec<Option<String>>,
    found: Found,
    _lock: Option<Lock>,
}

/// By interface and hook point; `true`: of this build.
type Links = BTreeMap<(u32, HookPoint), (Attachment, bool)>;

/// What was pinned before this manager came.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Anything.
    any: bool,
    /// Maps of this ABI.
    maps: bool,
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
        Ok(Self { ebpf, maps, notes, pins, abi, limits, links, mirror, previous, rule_ids, found, _lock: None })
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

    fn detach(&mut self, ifindex: u32, point: HookPoint) -> Result<(), DataplaneError> {
        if let Some((attachment, _)) = self.links.remove(&(ifindex, point)) {
            links::detach(&self.pins.link(ifindex, point), ifindex, attachment, point)?;
        }
        self.mirror.attached.remove(&(ifindex, point));
        Ok(())
    }

    fn attach(&mut self, ifindex: u32, name: &str, point: HookPoint) -> Result<(), Fault<DataplaneError>> {
        let old = self.links.remove(&(ifindex, point)).map(|(attachment, _)| attachment);
        let attached = links::attach(&mut self.ebpf, &self.pins, (ifindex, name), point, old).inspect_err(|_| {
            // What could not be updated is still there.
            if let Some(found) = links::find(&self.pins.link(ifindex, point), ifindex, point) {
                self.links.insert((ifindex, point), (found, false));
            }
        })?;
        self.links.insert((ifindex, point), (attached, true));
        self.mirror.attached.insert((ifindex, point));
        Ok(())
    }

    fn publish(&mut self, generation: u32, policy: &Arc<Lowered>) -> Result<(), DataplaneError> {
        let before = self.mirror.policy.as_ref().map(|(_, policy)| policy.rule_ids.clone()).unwrap_or_default();
        for (slot, id) in policy.rule_ids.iter().enumerate() {
            let held = before.get(slot).and_then(Option::as_ref);
            // A slot that was free may hold what a removed rule counted.
            if id.is_some() && held != id.as_ref() {
                self.maps.zero_rule(slot as u32)?;
            }
        }
        self.maps.publish(generation, policy, &self.limits)?;
        self.mirror.policy = Some((generation, Arc::clone(policy)));
        Ok(())
    }

    fn put_station(&mut self, key: StationKey, entry: StationEntry) -> Result<(), DataplaneError> {
        let old = self.maps.fdb.get(&Pod(key), 0).ok().map(|station| station.0);
        let same_port = old.is_some_and(|old| old.port == entry.port);
        let seen_ns = old.filter(|_| same_port).map_or(0, |old| old.seen_ns);
        let station = Station { seen_ns, port: entry.port, flags: entry.flags, pad: 0 };
        self.maps.fdb.insert(Pod(key), Pod(station), 0).map_err(full(maps::FDB, "stations"))?;
        if let Some(old) = old.filter(Station::is_learned) {
            self.maps.give_back(old.port, 1, 0)?;
        }
        self.mirror.stations.insert(key, entry);
        Ok(())
    }

    fn set_port(&mut self, slot: u16, port: Port) -> Result<(), DataplaneError> {
        self.maps.ports.set(u32::from(slot), Pod(port), 0).map_err(failed(maps::PORTS))?;
        let ran = self.mirror.ports.get(&slot).is_some_and(|old| old.is(PORT_RUNNING));
        if ran && !port.is(PORT_RUNNING) {
            // A Linux bridge forgets the stations of a port that goes down, and floods once it is back. Forgetting is
            // right beside Open vSwitch too, which remembers them: the frames go to it.
            self.maps.purge_stations(slot)?;
        }
        if port == Port::default() {
            self.mirror.ports.remove(&slot)
        } else {
            self.mirror.ports.insert(slot, port)
        };
        Ok(())
    }

    fn set_control(&mut self, word: Control, value: u64) -> Result<(), DataplaneError> {
        self.maps.set_control(word, value)?;
        let words = &mut self.mirror.control;
        match word {
            Control::AgeingNs => words.ageing_ns = value,
            Control::Flags => words.flags = value,
            Control::BridgeIfindex => words.bridge_ifindex = value,
            _ => {}
        }
        Ok(())
    }

    fn forget(&mut self, slot: u16) -> Result<(), DataplaneError> {
        grace_period();
        self.maps.purge(slot)?;
        self.maps.zero_counters(slot)
    }

    fn execute(&mut self, op: &Op) -> Result<(), DataplaneError> {
        match op {
            Op::SetControl(word, value) => self.set_control(*word, *value)?,
            Op::PublishPolicy { generation, policy } => self.publish(*generation, policy)?,
            Op::SetPort { slot, port } => self.set_port(*slot, *port)?,
            Op::MapIfindex { slot, ifindex } => {
                self.maps.slots.insert(ifindex, u32::from(*slot), 0).map_err(full(maps::SLOTS, "ports"))?;
                self.mirror.slots.insert(*ifindex, *slot);
            }
            Op::UnmapIfindex { ifindex, .. } => {
                absent_is_fine(self.maps.slots.remove(ifindex)).map_err(failed(maps::SLOTS))?;
                self.mirror.slots.remove(ifindex);
            }
            Op::Detach { ifindex, point, .. } => self.detach(*ifindex, *point)?,
            Op::ClearTarget { slot } => {
                // ifindex 0 empties the entry (dev_map_update_elem in kernel/bpf/devmap.c).
                self.put_target(*slot, 0)?;
                self.mirror.targets.remove(slot);
            }
            Op::PutStation { key, station } => self.put_station(*key, *station)?,
            Op::RemoveStation { key, .. } => {
                absent_is_fine(self.maps.fdb.remove(&Pod(*key))).map_err(failed(maps::FDB))?;
                self.mirror.stations.remove(key);
            }
            Op::PutGuard(key) => {
                self.maps.guard.insert(Pod(*key), 1, 0).map_err(failed(maps::GUARD))?;
                self.mirror.guard.insert(*key);
            }
            Op::RemoveGuard(key) => {
                absent_is_fine(self.maps.guard.remove(&Pod(*key))).map_err(failed(maps::GUARD))?;
                self.mirror.guard.remove(key);
            }
            Op::ForgetPort { slot } => self.forget(*slot)?,
            Op::Attach { .. } | Op::SetTarget { .. } => {}
        }
        Ok(())
    }

    fn set_target(&mut self, slot: u16, ifindex: u32) -> Result<(), Fault<DataplaneError>> {
        match self.put_target(slot, ifindex) {
            Ok(()) => {
                self.mirror.targets.insert(slot, ifindex);
                Ok(())
            }
            // dev_map_update_elem in kernel/bpf/devmap.c: no such device.
            Err(DataplaneError::Map { error, .. }) if map_errno(&error) == Some(libc::EINVAL) => {
                Err(Fault::Gone(ifindex))
            }
            Err(error) => Err(Fault::Failed(error)),
        }
    }

    fn put_target(&mut self, slot: u16, ifindex: u32) -> Result<(), DataplaneError> {
        self.maps.targets.set(u32::from(slot), ifindex, None, 0).map_err(|error| match error {
            XdpMapError::MapError(error) => failed(maps::TARGETS)(error),
            other => DataplaneError::Notes(other.to_string()),
        })
    }
}

impl Kernel for Executor {
    type Error = DataplaneError;

    fn observe(&mut self) -> Result<Actual, DataplaneError> {
        let dead: Vec<_> = self
            .links
            .iter()
            .filter(|((ifindex, point), (link, _))| {
                !links::is_alive(link, &self.pins.link(*ifindex, *point), *ifindex, *point)
            })
            .map(|(key, _)| *key)
            .collect();
        for (ifindex, point) in dead {
            // The interface is gone, or somebody detached us. Either way nothing of ours sits there.
            self.detach(ifindex, point)?;
        }
        Ok(self.mirror.clone())
    }

    fn apply(&mut self, op: &Op) -> Result<(), Fault<DataplaneError>> {
        match op {
            Op::Attach { ifindex, name, point, .. } => self.attach(*ifindex, name, *point),
            Op::SetTarget { slot, ifindex } => self.set_target(*slot, *ifindex),
            other => self.execute(other).map_err(Fault::Failed),
        }
    }
}

/// Removes every program, pin and map of a bridge that no manager holds.
///
/// # Errors
/// [`DataplaneError::Locked`], [`DataplaneError::Io`].
pub fn detach_bridge(dir: &Path, bridge: &str) -> Result<(), DataplaneError> {
    let pins = Pins::new(dir, bridge);
    if !pins.root().exists() {
        return Ok(());
    }
    let _lock = pins.lock()?;
    remove_all(&pins)
}

/// Where the maps of a bridge are pinned, for reading.
///
/// # Errors
/// [`DataplaneError::NothingPinned`].
pub fn maps_of(dir: &Path, bridge: &str) -> Result<PathBuf, DataplaneError> {
    let pins = Pins::new(dir, bridge);
    let missing = || DataplaneError::NothingPinned(pins.root().into());
    // While an ABI is being replaced there are two; the complete one has notes.
    let mut found = pins.all_maps().map_err(|_| missing())?;
    found.sort_by_key(|path| noted(path).is_none());
    found.into_iter().next().ok_or_else(missing)
}

/// The notes in a directory of maps, if there are any.
fn noted(path: &Path) -> Option<Notes> {
    NoteMap::open(path).ok()?.read().ok().filter(|notes| *notes != Notes::default())
}

fn previous_notes(pins: &Pins) -> Notes {
    pins.all_maps().unwrap_or_default().iter().find_map(|path| noted(path)).unwrap_or_default()
}

fn give_up(pins: &Pins, maps: &Path, found: Found) -> Result<(), DataplaneError> {
    match found {
        Found { any: false, .. } => remove_all(pins),
        Found { maps: false, .. } => Pins::remove_dir(maps),
        Found { .. } => Ok(()),
    }
}

fn remove_all(pins: &Pins) -> Result<(), DataplaneError> {
    for (ifindex, point, path) in pins.all_links()? {
        match links::find(&path, ifindex, point) {
            Some(attachment) => links::detach(&path, ifindex, attachment, point)?,
            None => std::fs::remove_file(&path).map_err(super::error::at(&path))?,
        }
    }
    pins.remove()
}

fn found_links(pins: &Pins) -> Result<Links, DataplaneError> {
    let mut found = BTreeMap::new();
    for (ifindex, point, path) in pins.all_links()? {
        match links::find(&path, ifindex, point) {
            Some(attachment) => _ = found.insert((ifindex, point), (attachment, false)),
            None => std::fs::remove_file(&path).map_err(super::error::at(&path))?,
        }
    }
    Ok(found)
}

/// What the maps hold. The links of an older manager count as not attached: the plan then updates them in place.
fn mirror(maps: &Maps, limits: &Limits, rule_ids: Vec<Option<String>>) -> Result<Actual, DataplaneError> {
    let mut mirror = Actual::default();
    for entry in maps.slots.iter() {
        let (ifindex, slot) = entry.map_err(failed(maps::SLOTS))?;
        mirror.slots.insert(ifindex, slot as u16);
    }
    for slot in 1..=limits.ports {
        let port = maps.ports.get(&slot, 0).map_err(failed(maps::PORTS))?.0;
        if port != Port::default() {
            mirror.ports.insert(slot as u16, port);
        }
        if let Ok(target) = maps.targets.get(slot, 0) {
            mirror.targets.insert(slot as u16, target.if_index);
        }
    }
    let known = |(_, station): &(StationKey, Station)| station.is(STATION_STATIC | STATION_HOST);
    let entry =
        |(key, station): (StationKey, Station)| (key, StationEntry { port: station.port, flags: station.flags });
    mirror.stations = maps.stations()?.into_iter().filter(known).map(entry).collect();
    let guard: Result<BTreeSet<_>, _> = maps.guard.keys().map(|key| key.map(|key| key.0)).collect();
    mirror.guard = guard.map_err(failed(maps::GUARD))?;
    mirror.control = ControlWords {
        ageing_ns: maps.control(Control::AgeingNs)?,
        flags: maps.control(Control::Flags)?,
        bridge_ifindex: maps.control(Control::BridgeIfindex)?,
    };
    let generation = maps.control(Control::Generation)? as u32;
    mirror.policy = (generation != 0).then(|| (generation, Arc::new(Lowered { rule_ids, ..Lowered::unknown() })));
    Ok(mirror)
}

/// Waits until no program that runs now still runs.
fn grace_period() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers. Where the call is missing, the map operations before it have waited already in practice.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

fn absent_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(call)) if call.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

fn map_errno(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(call) => call.io_error.raw_os_error(),
        _ => None,
    }
}

fn full(map: &'static str, limit: &'static str) -> impl FnOnce(MapError) -> DataplaneError {
    move |error| match map_errno(&error) {
        Some(libc::E2BIG | libc::ENOSPC) => DataplaneError::Full { map, limit },
        _ => failed(map)(error),
    }
}
