//! The bridge's own devices: what the host receives by them was handed to it by the bridge, so that a frame which the host then
//! routes out of a managed port carries the index of one of them.

use std::collections::{BTreeMap, BTreeSet};

use bridge_common::abi::maps::OWN_DEVICES;

use super::DesiredPort;
use super::bridge::View;
use crate::source::{HostSnapshot, Link};

/// The bridge's device, the internal ports of Open vSwitch, and the VLAN devices on top of them: the only ones that get their frames from
/// below alone. A macvlan would also show what its neighbours send, a VRF what comes from elsewhere. No managed port is among
/// them; what is more than [`OWN_DEVICES`] is left out, which costs rules that count twice.
pub(super) fn devices(view: &View<'_>, host: &HostSnapshot, ports: &BTreeMap<u32, DesiredPort>) -> BTreeSet<u32> {
    let devices = || host.links.iter().filter(|link| !ports.contains_key(&link.ifindex));
    let mut own = BTreeSet::new();
    let mut next: BTreeSet<u32> = devices().filter(|link| view.is_own(link)).map(|link| link.ifindex).collect();
    while !next.is_empty() {
        own.append(&mut next);
        let upper = |link: &&Link| link.vlan_of.is_some_and(|below| own.contains(&below));
        next = devices().filter(upper).map(|link| link.ifindex).filter(|ifindex| !own.contains(ifindex)).collect();
    }
    own.into_iter().take(OWN_DEVICES as usize).collect()
}
