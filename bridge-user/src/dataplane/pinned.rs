//! What is pinned: found again by a new manager, read by `show`, removed by `detach`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use bridge_common::abi::{
    Control, Port, STATION_HOST, STATION_STATIC, Station, StationKey, VlanSet,
    maps::{self, Limits},
    slot_of,
};

use super::{
    error::DataplaneError,
    links::{self, Attachment},
    maps::{Maps, failed},
    notes::{NoteMap, Notes},
    pins::Pins,
};
use crate::{
    desired::{ControlWords, HookPoint},
    plan::{Actual, StationEntry},
    policy::lowered::Lowered,
};

/// Links by interface and hook point; `true`: the link runs the programs of this build.
pub(super) type Links = BTreeMap<(u32, HookPoint), (Attachment, bool)>;

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

/// What was pinned before this manager came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Anything.
    pub(super) any: bool,
    /// Maps of this ABI.
    pub(super) maps: bool,
}

/// The notes in a directory of maps, if there are any.
fn noted(path: &Path) -> Option<Notes> {
    NoteMap::open(path).ok()?.read().ok().filter(|notes| *notes != Notes::default())
}

/// What the manager before noted, whatever its ABI.
pub(super) fn previous_notes(pins: &Pins) -> Notes {
    pins.all_maps().unwrap_or_default().iter().find_map(|path| noted(path)).unwrap_or_default()
}

/// Removes what a failed start made, and only that.
pub(super) fn give_up(pins: &Pins, maps: &Path, found: Found) -> Result<(), DataplaneError> {
    match found {
        Found { any: false, .. } => remove_all(pins),
        Found { maps: false, .. } => Pins::remove_dir(maps),
        Found { .. } => Ok(()),
    }
}

/// Removes every link, then every map.
pub(super) fn remove_all(pins: &Pins) -> Result<(), DataplaneError> {
    for (ifindex, point, path) in pins.all_links()? {
        match links::find(&path, ifindex, point) {
            Some(attachment) => links::detach(&path, ifindex, attachment, point)?,
            None => std::fs::remove_file(&path).map_err(super::error::at(&path))?,
        }
    }
    pins.remove()
}

/// The links that an earlier manager left; those of interfaces that are gone are removed.
pub(super) fn found_links(pins: &Pins) -> Result<Links, DataplaneError> {
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
pub(super) fn mirror(maps: &Maps, limits: &Limits, rule_ids: Vec<Option<String>>) -> Result<Actual, DataplaneError> {
    let mut mirror = Actual::default();
    for entry in maps.slots.iter() {
        let (ifindex, word) = entry.map_err(failed(maps::SLOTS))?;
        match slot_of(word) {
            Some(slot) => _ = mirror.slots.insert(ifindex, slot),
            None => _ = mirror.own.insert(ifindex),
        }
    }
    for slot in 1..=limits.ports {
        let port = maps.ports.get(&slot, 0).map_err(failed(maps::PORTS))?.0;
        if port != Port::default() {
            mirror.ports.insert(slot as u16, port);
        }
        let vlans = maps.vlans.get(&slot, 0).map_err(failed(maps::VLANS))?.0;
        if vlans != VlanSet::EMPTY {
            mirror.vlans.insert(slot as u16, vlans);
        }
        if let Ok(target) = maps.targets.get(slot, 0) {
            mirror.targets.insert(slot as u16, target.if_index);
        }
    }
    let known = |(_, station): &(StationKey, Station)| station.is(STATION_STATIC | STATION_HOST);
    let entry =
        |(key, station): (StationKey, Station)| (key, StationEntry { port: station.port, flags: station.flags });
    mirror.stations = maps.stations()?.into_iter().filter(known).map(entry).collect();
    // The manager before may have died between the two.
    mirror.contradicted = !mirror.stations.is_empty();
    let guard: Result<BTreeSet<_>, _> = maps.guard.keys().map(|key| key.map(|key| key.0)).collect();
    mirror.guard = guard.map_err(failed(maps::GUARD))?;
    mirror.control = ControlWords { ageing_ns: maps.control(Control::AgeingNs)?, flags: maps.control(Control::Flags)? };
    let generation = maps.control(Control::Generation)? as u32;
    mirror.policy = (generation != 0).then(|| (generation, Arc::new(Lowered { rule_ids, ..Lowered::unknown() })));
    Ok(mirror)
}
