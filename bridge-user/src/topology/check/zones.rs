//! `[[policy.zone]]`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;

use bridge_common::abi::maps::Limits;
use ipnet::{IpNet, Ipv6Net};
use toml::Spanned;

use super::super::model::Zone;
use super::super::{diagnostic::Report, raw};
use super::required;

/// Prefixes seen so far, and how many of each family.
#[derive(Default)]
struct Seen {
    owners: HashMap<IpNet, String>,
    ipv4: u32,
    ipv6: u32,
}

/// Reads every `[[policy.zone]]`.
pub(super) fn check(tables: &raw::Tables<raw::Zone>, limits: &Limits, report: &mut Report) -> Vec<Zone> {
    if let Some(first_over) = tables.get(limits.zones as usize) {
        let (count, limit) = (tables.len(), limits.zones);
        let message = format!("{count} zones are more than limits.zones = {limit}; raise the limit");
        report.error(first_over.span(), message);
    }
    let (mut names, mut seen) = (HashSet::new(), Seen::default());
    let mut zones = Vec::new();
    for table in tables {
        let (raw, place) = (&table.get_ref().0, table.span());
        let name = required(&raw.name, "name", "[[policy.zone]]", place.clone(), report);
        if let Some(name) = name {
            check_name(name, &mut names, report);
        }
        let name = name.map_or_else(String::new, |name| name.get_ref().clone());
        let prefixes = match required(&raw.prefixes, "prefixes", "[[policy.zone]]", place.clone(), report) {
            Some(given) => prefixes(given, &name, &mut seen, limits.prefixes, report),
            None => Vec::new(),
        };
        zones.push(Zone { name, prefixes });
    }
    zones
}

fn check_name<'a>(name: &'a Spanned<String>, names: &mut HashSet<&'a str>, report: &mut Report) {
    let text = name.get_ref().as_str();
    if text == "any" {
        report.error(name.span(), "a zone cannot be named `any`: rules mean every address by it; choose another name");
    } else if text.trim().is_empty() {
        report.error(name.span(), "the zone's name is empty; give it one");
    } else if !names.insert(text) {
        report.error(name.span(), format!("another zone is named `{text}` already; put the prefixes into one zone"));
    }
}

fn prefixes(
    given: &Spanned<Vec<Spanned<String>>>,
    zone: &str,
    seen: &mut Seen,
    limit: u32,
    report: &mut Report,
) -> Vec<IpNet> {
    if given.get_ref().is_empty() {
        report.warning(given.span(), format!("zone `{zone}` has no prefix, so no address is in it; add one"));
    }
    let mut prefixes = Vec::with_capacity(given.get_ref().len());
    for text in given.get_ref() {
        let Some(prefix) = prefix(text, report) else { continue };
        if let Some(owner) = seen.owners.insert(prefix, zone.to_owned()) {
            let owner = if owner == zone { "this zone".to_owned() } else { format!("zone `{owner}`") };
            report.error(text.span(), format!("{prefix} is in {owner} already; remove one of the two"));
        }
        let count = if matches!(prefix, IpNet::V4(_)) { &mut seen.ipv4 } else { &mut seen.ipv6 };
        *count += 1;
        if *count == limit.saturating_add(1) {
            let message =
                format!("more prefixes of one address family than limits.prefixes = {limit}; raise the limit");
            report.error(text.span(), message);
        }
        prefixes.push(prefix);
    }
    prefixes
}

fn prefix(given: &Spanned<String>, report: &mut Report) -> Option<IpNet> {
    let (text, place) = (given.get_ref(), given.span());
    let Ok(prefix) = text.parse::<IpNet>() else {
        let message = format!(
            "`{text}` is no prefix; write it like \"10.17.0.0/16\" or \"2001:db8::/32\", and one address like \
             \"10.17.4.21/32\""
        );
        report.error(place, message);
        return None;
    };
    if prefix.trunc() != prefix {
        let message =
            format!("{text} has bits set behind its prefix length; write {} if that is meant", prefix.trunc());
        report.error(place, message);
        return None;
    }
    if let IpNet::V6(v6) = prefix {
        check_v6(v6, place, report)?;
    }
    if prefix.addr().is_multicast() {
        report
            .warning(given.span(), format!("{prefix} is multicast, which the policy does not judge; it has no effect"));
    }
    Some(prefix)
}

/// IPv4-mapped prefixes (RFC 4291, 2.5.5.2) never match a frame, link-local ones (RFC 4291, 2.5.6) are in no zone.
fn check_v6(prefix: Ipv6Net, place: Range<usize>, report: &mut Report) -> Option<()> {
    if prefix.prefix_len() >= 96 && prefix.addr().to_ipv4_mapped().is_some() {
        report
            .error(place, format!("{prefix} is an IPv4-mapped prefix, which no frame carries; write the IPv4 prefix"));
        return None;
    }
    let link_local = prefix.prefix_len() >= 10 && prefix.addr().is_unicast_link_local();
    if link_local {
        let message =
            format!("{prefix} has no effect: IPv6 link-local addresses are in no zone, only \"any\" matches them");
        report.warning(place, message);
    }
    Some(())
}

/// Every zone's prefixes, to ask whether an address is in any.
pub(super) struct Index {
    prefixes: HashSet<IpNet>,
    lengths4: BTreeSet<u8>,
    lengths6: BTreeSet<u8>,
}

impl Index {
    /// Of valid zones.
    pub(super) fn new(zones: &[Zone]) -> Self {
        let prefixes: HashSet<_> = zones.iter().flat_map(|zone| zone.prefixes.iter().copied()).collect();
        let lengths = |ipv4| prefixes.iter().filter(|p| p.addr().is_ipv4() == ipv4).map(IpNet::prefix_len).collect();
        Self { lengths4: lengths(true), lengths6: lengths(false), prefixes }
    }

    /// Whether some zone has a prefix that covers `ip`.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        let lengths = if ip.is_ipv4() { &self.lengths4 } else { &self.lengths6 };
        lengths
            .iter()
            .any(|&length| IpNet::new(ip, length).is_ok_and(|network| self.prefixes.contains(&network.trunc())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn index_knows_both_families() {
        let zone = |text: &str| Zone { name: "z".into(), prefixes: vec![text.parse().unwrap()] };
        let index = Index::new(&[zone("10.0.0.0/8"), zone("2001:db8::/32")]);
        assert!(index.contains("10.1.2.3".parse().unwrap()));
        assert!(!index.contains("11.1.2.3".parse().unwrap()));
        assert!(index.contains("2001:db8::1".parse().unwrap()));
        assert!(!index.contains("2001:db9::1".parse().unwrap()));
    }
}
