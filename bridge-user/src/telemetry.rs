//! From pinned maps to what people see. Reads only; works with no manager alive.

use std::{collections::BTreeMap, path::Path};

use bridge_common::abi::{Control, Flow, FlowKey, NO_PORT, STATION_STATIC, Station, StationKey, maps};

use crate::{
    clock::monotonic_ns,
    dataplane::{
        DataplaneError,
        maps::Maps,
        notes::{NoteMap, Notes, PortNote},
        pinned::maps_of,
    },
    metrics::{Build, Hook, MapFill, Port, PortTallies, RuleCount, Snapshot, Tally},
};

/// Pinned maps of one bridge, opened for reading.
pub struct Reader {
    maps: Maps,
    /// Names and words that go with them.
    pub notes: Notes,
    abi: String,
}

impl Reader {
    /// Opens what is pinned for `bridge` under `dir`.
    ///
    /// # Errors
    /// [`DataplaneError::NothingPinned`], or what kept a map from being opened.
    pub fn open(dir: &Path, bridge: &str) -> Result<Self, DataplaneError> {
        let path = maps_of(dir, bridge)?;
        let notes = NoteMap::open(&path)?.read()?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let abi = name.trim_start_matches("maps-").to_owned();
        Ok(Self { maps: Maps::pinned(&path)?, notes, abi })
    }

    /// Everything that `/metrics` and `show` tell, without what only a living manager knows.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn snapshot(&self) -> Result<Snapshot, DataplaneError> {
        let stations = self.maps.stations()?;
        let flows = self.maps.flows()?.len() as u64;
        let ports: Result<_, _> = self.notes.ports.iter().map(|(slot, note)| self.port(*slot, note)).collect();
        Ok(Snapshot {
            build: Build { version: env!("CARGO_PKG_VERSION").into(), abi: self.abi.clone() },
            bridge: self.notes.bridge.clone(),
            slow_path: self.notes.slow_path.clone(),
            generation: self.maps.control(Control::Generation)?,
            heartbeat_age_seconds: self.heartbeat_age()?,
            reconcile: None,
            ports: ports?,
            rules: self.rules()?,
            static_stations: stations.iter().filter(|(_, station)| station.is(STATION_STATIC)).count() as u64,
            flows,
            maps: self.fills(stations.len() as u64, flows),
            unpoliced_ports: self.notes.unpoliced.clone(),
            fdb_full: self.maps.control(Control::FdbFull)?,
            libvirt: self.notes.libvirt.clone(),
            remarks: self.notes.remarks.clone(),
        })
    }

    /// Every station, sorted by MAC.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn stations(&self) -> Result<Vec<(StationKey, Station)>, DataplaneError> {
        let mut stations = self.maps.stations()?;
        stations.sort_by_key(|(key, _)| *key);
        Ok(stations)
    }

    /// Every flow, sorted by its key.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn flows(&self) -> Result<Vec<(FlowKey, Flow)>, DataplaneError> {
        let mut flows = self.maps.flows()?;
        flows.sort_by_key(|(key, _)| *key);
        Ok(flows)
    }

    /// Name of a port by its slot.
    pub fn port_name(&self, slot: u16) -> Option<&str> {
        self.notes.ports.get(&slot).map(|note| note.name.as_str())
    }

    /// Id of a rule by its slot.
    pub fn rule_id(&self, slot: u16) -> &str {
        self.notes.rule_ids.get(usize::from(slot)).and_then(Option::as_deref).unwrap_or("default")
    }

    fn heartbeat_age(&self) -> Result<Option<f64>, DataplaneError> {
        let beat = self.maps.control(Control::Heartbeat)?;
        Ok((beat != 0).then(|| monotonic_ns().saturating_sub(beat) as f64 / 1e9))
    }

    fn port(&self, slot: u16, note: &PortNote) -> Result<Port, DataplaneError> {
        let PortNote { name, ifindex, hook, uplink, vlan, attached, reasons, before_attach } = note.clone();
        Ok(Port {
            name,
            ifindex,
            hook: [Hook::Tc, Hook::XdpTc, Hook::Xdp].into_iter().find(|known| known.name() == hook).unwrap_or(Hook::Tc),
            uplink,
            attached,
            eligible: reasons.is_empty(),
            reasons,
            vlan,
            tallies: PortTallies::from(&self.maps.port_counters(slot)?),
            stations: self.maps.usage(slot)?.stations,
            before_attach,
        })
    }

    /// In the policy's order, `default` last.
    fn rules(&self) -> Result<Vec<RuleCount>, DataplaneError> {
        let slots: BTreeMap<&str, usize> =
            self.notes.rule_ids.iter().enumerate().filter_map(|(slot, id)| Some((id.as_deref()?, slot))).collect();
        let order = self.notes.policy.iter().flat_map(|policy| policy.rules.iter().map(|rule| rule.id.as_str()));
        let mut rules = Vec::new();
        for id in order.chain(["default"]) {
            let slot = slots.get(id).copied().unwrap_or_default();
            rules.push(RuleCount { id: id.into(), tally: Tally::from(self.maps.rule_counter(slot as u32)?) });
        }
        Ok(rules)
    }

    fn fills(&self, stations: u64, flows: u64) -> Vec<MapFill> {
        let Some(limits) = self.notes.limits else { return Vec::new() };
        let ports = self.notes.ports.keys().filter(|slot| **slot != NO_PORT).count() as u64;
        [(maps::FDB, stations, limits.stations), (maps::FLOWS, flows, limits.flows), (maps::PORTS, ports, limits.ports)]
            .map(|(name, used, capacity)| MapFill { name, used, capacity: u64::from(capacity) })
            .into()
    }
}
