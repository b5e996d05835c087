//! Joins what libvirt says with the topology file: stations for the guests on this bridge, ports that must yield, notes. The one place
//! where the two meet; pure.
//!
//! The file wins: its name, its port and, if it lists any, its addresses. Bandwidth and VLANs of libvirt's are carried out by the bridge, not
//! by us; here they only take a port out of forwarding, or are told.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bridge_common::abi::PORT_MEMBER;

use super::{DesiredPort, vlan};
use crate::source::{GuestInterface, LibvirtSnapshot};
use crate::topology::model::{StationEntry, Topology};

/// The guests' interfaces on this bridge, with the file's words on them.
pub(super) struct Guests<'a> {
    /// The file's stations, bound where libvirt knows their port, then libvirt's own.
    pub(super) stations: Cow<'a, [StationEntry]>,
    /// Sentences for people.
    pub(super) notes: Vec<String>,
}

/// Joins them. Only interfaces count that libvirt put on this bridge, or, where it does not tell the bridge, whose tap is a port of it.
pub(super) fn join<'a>(
    topology: &'a Topology,
    told: Option<&LibvirtSnapshot>,
    ports: &mut BTreeMap<u32, DesiredPort>,
) -> Guests<'a> {
    let mut guests = Guests { stations: Cow::Borrowed(&topology.stations), notes: Vec::new() };
    let Some(told) = told else { return guests };
    let by_name: HashMap<String, u32> = ports.iter().map(|(ifindex, port)| (port.name.clone(), *ifindex)).collect();
    let listed: HashMap<[u8; 6], usize> =
        topology.stations.iter().enumerate().map(|(index, station)| (station.mac, index)).collect();
    let mut room = usize::try_from(topology.limits.stations).unwrap_or(usize::MAX);
    room = room.saturating_sub(topology.stations.len());
    for interface in &told.interfaces {
        let port = by_name.get(&interface.tap);
        if !interface.bridge.as_ref().map_or(port.is_some(), |bridge| *bridge == topology.bridge.name) {
            continue;
        }
        match listed.get(&interface.mac) {
            Some(index) => guests.complete(*index, interface),
            None if room == 0 => guests.notes.push(format!(
                "domain {}: its interface {} is not bound, because limits.stations = {} are reached; raise the limit",
                interface.domain, interface.tap, topology.limits.stations
            )),
            None => {
                room -= 1;
                guests.stations.to_mut().push(station(interface));
            }
        }
        guests.notes.extend(filter_note(interface));
        if let Some(port) = port.and_then(|port| ports.get(port)).filter(|port| port.port.is(PORT_MEMBER)) {
            guests.notes.extend(vlan::contradiction(
                &port.name,
                "libvirt",
                interface.vlan.as_ref(),
                port.vlan.as_ref(),
            ));
        }
        if let (Some(reason), Some(port)) = (&interface.bandwidth, port.and_then(|port| ports.get_mut(port))) {
            port.leave_out(reason.clone());
        }
    }
    guests
}

impl Guests<'_> {
    /// An entry of the file gets what it leaves open.
    fn complete(&mut self, index: usize, interface: &GuestInterface) {
        let station = &mut self.stations.to_mut()[index];
        match &station.port {
            Some(port) if *port != interface.tap => self.notes.push(format!(
                "station {}: the file binds it to {port}, and libvirt has it on {} (domain {}); the file wins",
                station.name, interface.tap, interface.domain
            )),
            Some(_) => {}
            None => station.port = Some(interface.tap.clone()),
        }
        if station.ip.is_empty() {
            station.ip = interface.addresses.iter().copied().collect();
        }
    }
}

fn station(interface: &GuestInterface) -> StationEntry {
    StationEntry {
        name: interface.domain.clone(),
        mac: interface.mac,
        ip: interface.addresses.iter().copied().collect(),
        port: Some(interface.tap.clone()),
    }
}

/// Its rules are ebtables' or nftables' and may change with the guest's behaviour; we do not read them.
fn filter_note(interface: &GuestInterface) -> Option<String> {
    let filter = interface.filter.as_ref()?.escape_debug();
    Some(format!(
        "port {}: libvirt filters domain {} there (nwfilter {filter}); those rules are libvirt's to enforce, and chains that it makes \
         for them take the port out of forwarding",
        interface.tap, interface.domain
    ))
}
