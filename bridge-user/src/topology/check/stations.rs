//! `[[station]]`, and what binds stations to ports and zones.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;

use bridge_common::abi::maps::GUARD_ENTRIES;
use globset::GlobSet;
use toml::Spanned;

use super::super::model::{StationEntry, Zone};
use super::super::{diagnostic::Report, raw};
use super::ports::Ports;
use super::{bad_interface_name, required};
use crate::mac;

/// One `[[station]]`, with places for later reports.
pub(super) struct CheckedStation {
    /// What it says.
    pub(super) entry: StationEntry,
    /// Where its port is named.
    port_at: Range<usize>,
    /// Where each of its addresses stands.
    ip_at: Vec<Range<usize>>,
}

/// What earlier stations took; MACs and addresses with the name of the station that has them.
#[derive(Default)]
struct Taken<'a> {
    names: HashSet<&'a str>,
    macs: HashMap<[u8; 6], &'a str>,
    ips: HashMap<IpAddr, &'a str>,
}

/// Reads every `[[station]]`.
pub(super) fn check(tables: &raw::Tables<raw::Station>, limit: u32, report: &mut Report) -> Vec<CheckedStation> {
    let mut taken = Taken::default();
    let mut bound = tables.iter().filter(|table| table.get_ref().0.port.is_some());
    if let Some(first_over) = bound.nth(limit as usize) {
        let message = format!("more stations with a `port` than limits.stations = {limit}; raise the limit");
        report.error(first_over.span(), message);
    }
    tables.iter().filter_map(|table| station(&table.get_ref().0, table.span(), &mut taken, report)).collect()
}

fn station<'a>(
    raw: &'a raw::Station,
    place: Range<usize>,
    taken: &mut Taken<'a>,
    report: &mut Report,
) -> Option<CheckedStation> {
    let name = required(&raw.name, "name", "[[station]]", place.clone(), report);
    let mac = required(&raw.mac, "mac", "[[station]]", place.clone(), report);
    let name_text = name.map_or("", |name| name.get_ref().as_str());
    if let Some(name) = name {
        if name_text.trim().is_empty() {
            report.error(name.span(), "the station's name is empty; give it one");
        } else if !taken.names.insert(name_text) {
            report.error(name.span(), format!("another station is named `{name_text}` already; names are unique"));
        }
    }
    let mac = mac.and_then(|mac| station_mac(mac, name_text, taken, report));
    let addresses: Vec<_> =
        raw.ip.iter().filter_map(|ip| Some((station_ip(ip, name_text, taken, report)?, ip.span()))).collect();
    let (ip, ip_at) = addresses.into_iter().unzip();
    let port_at = raw.port.as_ref().map_or(place, Spanned::span);
    let port = raw.port.as_ref().map(|port| port.get_ref().clone());
    Some(CheckedStation { entry: StationEntry { name: name?.get_ref().clone(), mac: mac?, ip, port }, port_at, ip_at })
}

fn station_mac<'a>(
    given: &Spanned<String>,
    station: &'a str,
    taken: &mut Taken<'a>,
    report: &mut Report,
) -> Option<[u8; 6]> {
    let text = given.get_ref();
    let Some(mac) = mac::parse(text) else {
        report.error(given.span(), format!("`{text}` is no MAC address; write it like \"52:54:00:04:00:21\""));
        return None;
    };
    if let Some(why) = mac::unfit(mac) {
        report.error(given.span(), format!("`{text}` {why}, which no station has; give the station's own MAC"));
    } else if let Some(other) = taken.macs.insert(mac, station) {
        report.error(given.span(), format!("station `{other}` has the MAC `{text}` already; MACs are unique"));
    }
    Some(mac)
}

fn station_ip<'a>(
    given: &Spanned<String>,
    station: &'a str,
    taken: &mut Taken<'a>,
    report: &mut Report,
) -> Option<IpAddr> {
    let text = given.get_ref();
    let Ok(ip) = text.parse::<IpAddr>() else {
        let message = format!("`{text}` is no IP address; write it like \"10.17.4.21\", without a prefix length");
        report.error(given.span(), message);
        return None;
    };
    let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if mapped || broadcast || ip.is_unspecified() || ip.is_multicast() {
        report.error(given.span(), format!("`{text}` is no address of a machine; give the station's own addresses"));
    } else if let Some(other) = taken.ips.insert(ip, station) {
        let owner = if other == station { "this station".to_owned() } else { format!("station `{other}`") };
        report.error(given.span(), format!("{owner} has the address {ip} already; an address has one owner"));
    }
    Some(ip)
}

/// What the stations mean for one `[[port]]`.
#[derive(Clone, Default)]
struct Binding<'a> {
    /// Some station is bound to it.
    bound: bool,
    /// An interface with a bound station that it matches, but an earlier `[[port]]` (its index) takes.
    taken: Option<(&'a str, usize)>,
    /// A bound station that lists no address.
    without_ip: Option<&'a str>,
}

/// Checks that each bound station's port is managed, and that each guarded port has a station.
pub(super) fn bind(stations: &[CheckedStation], manage: Option<&GlobSet>, ports: &Ports, report: &mut Report) {
    let mut bindings = vec![Binding::default(); ports.rules.len()];
    let mut guarded = 0;
    for station in stations {
        let Some(port) = &station.entry.port else { continue };
        check_port_name(port, station, manage, report);
        let matching = ports.matching(port);
        let Some((&first, later)) = matching.split_first() else { continue };
        later.iter().for_each(|&index| bindings[index].taken = Some((port, first)));
        bindings[first].bound = true;
        if station.entry.ip.is_empty() {
            bindings[first].without_ip.get_or_insert(&station.entry.name);
        }
        if ports.rules[first].rule.guard {
            let before = guarded;
            guarded += station.entry.ip.len();
            if before <= GUARD_ENTRIES as usize && guarded > GUARD_ENTRIES as usize {
                let message = format!("stations on guarded ports have more than {GUARD_ENTRIES} addresses; list fewer");
                report.error(station.port_at.clone(), message);
            }
        }
    }
    for (port, binding) in ports.rules.iter().zip(&bindings).filter(|(port, _)| port.rule.guard) {
        let (pattern, place) = (&port.rule.pattern, port.guard_at.clone());
        match (binding.bound, binding.taken, binding.without_ip) {
            (false, Some((interface, first)), _) => {
                let winner = &ports.rules[first].rule.pattern;
                report.error(
                    place,
                    format!(
                        "guard = true has no effect: `{interface}` is matched by the earlier [[port]] `{winner}`; \
                         put `{pattern}` before it"
                    ),
                );
            }
            (false, None, _) => report.error(
                place,
                format!(
                    "guard = true on `{pattern}`, but no [[station]] has a `port` that it matches; \
                     bind a station with `port`, or leave out guard"
                ),
            ),
            (true, _, Some(name)) => report.warning(
                place,
                format!(
                    "guard = true on `{pattern}`, but station `{name}` there has no `ip`, so it may use no address \
                     but its link-local one; list its addresses"
                ),
            ),
            (true, _, None) => {}
        }
    }
}

fn check_port_name(port: &str, station: &CheckedStation, manage: Option<&GlobSet>, report: &mut Report) {
    let place = station.port_at.clone();
    if port.contains(['*', '?', '[', '{']) {
        report.error(place, format!("`{port}` is a glob; a station is bound to one interface, so give its name"));
    } else if let Some(why) = bad_interface_name(port) {
        report.error(place, format!("`{port}` {why}; give the interface that the station is on"));
    } else if manage.is_some_and(|manage| !manage.is_match(port)) {
        report.error(place, format!("the port `{port}` is matched by nothing in [bridge] manage; add it there"));
    }
}

/// Warns of addresses that only rules with `any` can match. IPv6 link-local addresses are in no zone by definition.
pub(super) fn warn_without_zone(stations: &[CheckedStation], zones: &[Zone], report: &mut Report) {
    let index = super::zones::Index::new(zones);
    for station in stations {
        for (ip, place) in station.entry.ip.iter().zip(&station.ip_at) {
            let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if !link_local && !index.contains(*ip) {
                let name = &station.entry.name;
                let message = format!(
                    "{ip} of station `{name}` is in no zone, so only rules with \"any\" match it; add it to a zone"
                );
                report.warning(place.clone(), message);
            }
        }
    }
}
