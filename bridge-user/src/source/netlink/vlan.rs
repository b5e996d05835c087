//! VLANs of the ports of Linux bridges, each with its state (RTM_GETVLAN; net/bridge/br_vlan.c, `br_vlan_dump_dev`).
//!
//! Layouts: `struct br_vlan_msg` and BRIDGE_VLANDB_* in linux/if_bridge.h. Must not: say which bridges filter.

use std::collections::{BTreeMap, BTreeSet};

use super::raw::{Raw, attributes, find};
use super::{NetlinkError, channel::Channel};
use crate::source::{BridgeVlans, Carries, PortVlan};

const RTM_GETVLAN: u16 = 114;
/// `struct br_vlan_msg`: family, three bytes of nothing, ifindex.
const HEADER_LEN: usize = 8;
const IFINDEX: usize = 4;
const AF_BRIDGE: u8 = 7;
const ENTRY: u16 = 1;
const ENTRY_INFO: u16 = 1;
const ENTRY_RANGE: u16 = 2;
const ENTRY_STATE: u16 = 3;
const ENTRY_TUNNEL: u16 = 4;
const ENTRY_NEIGH_SUPPRESS: u16 = 9;
const FLAG_PVID: u16 = 2;
const FLAG_UNTAGGED: u16 = 4;
/// BR_STATE_FORWARDING (linux/if_bridge.h).
const FORWARDING: u8 = 3;
/// The kind of an attribute, without the bit that says that it is nested.
const KIND: u16 = 0x3fff;

/// VLANs of every bridge port, by ifindex. Bridges themselves are among them.
pub(super) async fn look(channel: &Channel<Raw>) -> Result<BTreeMap<u32, BridgeVlans>, NetlinkError> {
    let mut body = vec![0; HEADER_LEN];
    body[0] = AF_BRIDGE;
    let rows = channel.dump(Raw { kind: RTM_GETVLAN, body }).await?;
    let mut found: BTreeMap<u32, Vec<Entry>> = BTreeMap::new();
    for row in &rows {
        let entries =
            row.attributes(HEADER_LEN).filter(|(kind, _)| kind & KIND == ENTRY).map(|(_, value)| entry(value));
        found.entry(row.word(IFINDEX)?).or_default().extend(entries.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found.into_iter().map(|(ifindex, entries)| (ifindex, vlans(&entries))).collect())
}

/// A range of VLANs with all in common.
#[derive(Debug)]
struct Entry {
    first: u16,
    last: u16,
    flags: u16,
    /// What we cannot do identically, in words.
    odd: Option<&'static str>,
}

fn entry(value: &[u8]) -> Result<Entry, NetlinkError> {
    let unreadable = || NetlinkError::Unreadable("a VLAN of a bridge port without flags and VID".into());
    let get = |kind| find(attributes(value).map(|(found, value)| (found & KIND, value)), kind);
    let number = |kind, at: usize| get(kind)?.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes);
    let flags = number(ENTRY_INFO, 0).ok_or_else(unreadable)?;
    let first = number(ENTRY_INFO, 2).ok_or_else(unreadable)?;
    let set = |kind| get(kind).is_some_and(|value| value.first().is_some_and(|byte| *byte != 0));
    let odd = if get(ENTRY_STATE).is_some_and(|state| state.first() != Some(&FORWARDING)) {
        Some("is not in state forwarding")
    } else if get(ENTRY_TUNNEL).is_some_and(|tunnel| !tunnel.is_empty()) {
        Some("is mapped to a tunnel")
    } else if set(ENTRY_NEIGH_SUPPRESS) {
        Some("suppresses neighbour discovery")
    } else {
        None
    };
    Ok(Entry { first, last: number(ENTRY_RANGE, 0).unwrap_or(first), flags, odd })
}

/// What the entries of one port come to.
fn vlans(entries: &[Entry]) -> BridgeVlans {
    let mut listed = BTreeSet::new();
    let (mut pvid, mut pvid_tagged, mut ineligible) = (None, false, Vec::new());
    for entry in entries {
        listed.extend(entry.first..=entry.last);
        let (is_pvid, untagged) = (entry.flags & FLAG_PVID != 0, entry.flags & FLAG_UNTAGGED != 0);
        if is_pvid {
            (pvid, pvid_tagged) = (Some(entry.first), !untagged);
        } else if untagged {
            ineligible.push(format!("VLAN {} leaves the port untagged and is not its PVID", entry.first));
        }
        ineligible.extend(entry.odd.map(|odd| format!("VLAN {} of the port {odd}", entry.first)));
    }
    BridgeVlans { vlan: PortVlan { pvid, pvid_tagged, carries: Carries::Listed(listed) }, ineligible }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::raw::attribute;
    use super::*;

    fn info(flags: u16, vid: u16) -> Vec<u8> {
        attribute(ENTRY_INFO, &[flags.to_ne_bytes(), vid.to_ne_bytes()].concat())
    }

    fn read(entries: &[Vec<u8>]) -> BridgeVlans {
        vlans(&entries.iter().map(|bytes| entry(bytes).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn a_pvid_and_a_range_of_tagged_vlans() {
        let state = attribute(ENTRY_STATE, &[3]);
        let range = [info(0, 10), attribute(ENTRY_RANGE, &12_u16.to_ne_bytes()), state.clone()].concat();
        let found = read(&[[info(FLAG_PVID | FLAG_UNTAGGED, 1), state].concat(), range]);
        assert_eq!(found.ineligible, Vec::<String>::new());
        assert_eq!((found.vlan.pvid, found.vlan.pvid_tagged), (Some(1), false));
        assert_eq!(found.vlan.carries, Carries::Listed([1, 10, 11, 12].into()));
        assert!(read(&[info(FLAG_PVID, 7)]).vlan.tags(7));
        assert_eq!(read(&[info(0, 7)]).vlan.pvid, None);
    }

    #[test]
    fn what_cannot_be_done_identically_is_told() {
        for (odd, word) in [
            (attribute(ENTRY_STATE, &[0]), "forwarding"),
            (attribute(ENTRY_TUNNEL | 0x8000, &[1, 0, 0, 0]), "tunnel"),
            (attribute(ENTRY_NEIGH_SUPPRESS, &[1]), "neighbour"),
        ] {
            let found = read(&[[info(0, 7), odd].concat()]);
            assert!(found.ineligible.len() == 1 && found.ineligible[0].contains(word), "{:?}", found.ineligible);
        }
        assert!(read(&[info(FLAG_UNTAGGED, 7)]).ineligible[0].contains("not its PVID"));
        assert!(entry(&attribute(ENTRY_INFO, &[0, 0, 1])).is_err());
    }
}
