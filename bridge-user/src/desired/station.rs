//! Stations known beforehand: the host's own MACs, the bound ones, and what the guard knows of these.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use bridge_common::abi::{self, GuardKey, StationKey};

use super::bridge::View;
use super::{DesiredPort, GuardAddress, StationOwner};
use crate::source::HostSnapshot;
use crate::topology::model::StationEntry;

/// What is known beforehand.
pub(super) struct Known {
    pub(super) stations: BTreeMap<StationKey, StationOwner>,
    pub(super) notes: Vec<String>,
}

/// The host's MACs: those of the bridge, of every netdev among its ports, and of every managed one.
pub(super) fn host(view: &View<'_>, host: &HostSnapshot, ports: &BTreeMap<u32, DesiredPort>) -> Known {
    let device = view.device.map(|link| link.ifindex);
    let stations = host
        .links
        .iter()
        .filter(|link| Some(link.ifindex) == device || ports.contains_key(&link.ifindex) || view.is_port(link))
        .filter_map(|link| link.mac)
        .filter(|mac| is_station(*mac))
        .map(|mac| (StationKey { mac, vlan: 0 }, StationOwner::Host))
        .collect();
    Known { stations, notes: Vec::new() }
}

/// Binds the file's stations to the ports that are there, and fills those ports' guard addresses.
///
/// A station with one of the host's MACs is not bound: the host wins. Frames to that MAC then reach the slow path,
/// which knows whose it is, where the other choice would hand the host's frames to a machine.
pub(super) fn bind(known: &mut Known, entries: &[StationEntry], ports: &mut BTreeMap<u32, DesiredPort>) {
    let mut names: HashMap<String, u32> = HashMap::new();
    for (ifindex, port) in &*ports {
        names.entry(port.name.clone()).or_insert(*ifindex);
    }
    for entry in entries {
        let Some(name) = &entry.port else { continue };
        let key = StationKey { mac: entry.mac, vlan: 0 };
        let found = names.get(name).and_then(|ifindex| Some((ifindex, ports.get_mut(ifindex)?)));
        let Some((ifindex, port)) = found else {
            known.notes.push(format!("station {}: its port {name} is not there, or not a managed port", entry.name));
            continue;
        };
        match known.stations.get(&key) {
            None => {}
            Some(StationOwner::Host) => {
                known.notes.push(format!(
                    "station {}: its MAC is also the host's (the bridge's or a port's device has it), so the station is \
                     not bound and what it sends is dropped as station-elsewhere; give that device another MAC",
                    entry.name
                ));
                continue;
            }
            Some(StationOwner::Port(_)) => {
                known.notes.push(format!("station {}: its MAC is already bound by an earlier entry", entry.name));
                continue;
            }
        }
        known.stations.insert(key, StationOwner::Port(*ifindex));
        if port.port.is(abi::PORT_GUARD) {
            port.guard.extend(entry.ip.iter().map(|ip| GuardAddress::new(entry.mac, *ip)));
        }
    }
    warn_about_empty_guards(known, ports);
}

/// A glob with `guard = true` may cover a port that has no station: it then sends nothing, which someone must be told.
fn warn_about_empty_guards(known: &mut Known, ports: &BTreeMap<u32, DesiredPort>) {
    let owner = |owner: &StationOwner| match owner {
        StationOwner::Port(ifindex) => Some(*ifindex),
        StationOwner::Host => None,
    };
    let bound: HashSet<u32> = known.stations.values().filter_map(owner).collect();
    for (ifindex, port) in ports {
        if port.port.is(abi::PORT_GUARD) && !bound.contains(ifindex) {
            let name = &port.name;
            known.notes.push(format!("port {name}: guard = true but no station is bound to it: it can send nothing"));
        }
    }
}

impl GuardAddress {
    /// `ip` as the station with `mac` may use it.
    pub fn new(mac: [u8; 6], ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let mut addr = [0; 16];
                addr[..4].copy_from_slice(&ip.octets());
                Self { mac, addr, family: 4 }
            }
            IpAddr::V6(ip) => Self { mac, addr: ip.octets(), family: 6 },
        }
    }

    /// As the map's key, for the port in `slot`.
    pub fn at(&self, slot: u16) -> GuardKey {
        GuardKey { addr: self.addr, mac: self.mac, port: slot, family: self.family }
    }
}

/// Neither all zeros nor a group address.
fn is_station(mac: [u8; 6]) -> bool {
    mac != [0; 6] && mac[0] & 1 == 0
}
