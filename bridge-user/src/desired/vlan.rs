//! VLANs of a port: whose word counts, what goes into its map entry, and where the file says otherwise.

use bridge_common::abi::{
    NO_PVID, PORT_PVID_TAGGED, PORT_SERVICE_TAGS, PORT_VLAN_ACCESS, PORT_VLAN_AWARE, PORT_VLAN_LISTED, VlanSet,
};

use super::DesiredPort;
use super::bridge::{Found, View};
use crate::source::{Carries, Link, PortVlan};

impl View<'_> {
    /// How the bridge treats tags at its port `link`; `None`: they mean nothing to it, or it is no port of it.
    pub(super) fn vlan(&self, link: &Link) -> Option<PortVlan> {
        match self.found {
            Found::Linux(bridge) => {
                let filters = bridge.bridge.is_some_and(|bridge| bridge.vlan_filtering);
                link.vlans.as_ref().filter(|_| filters).map(|vlans| vlans.vlan.clone())
            }
            Found::Ovs(bridge) => {
                bridge.interfaces.iter().find(|row| row.name == link.name).map(|row| row.vlan.clone())
            }
        }
    }
}

/// Flags and PVID of a port's entry. `ovs`: which bridge reads the tags.
pub(super) fn in_map(vlan: Option<&PortVlan>, ovs: bool) -> (u32, u16) {
    let Some(vlan) = vlan else { return (0, 0) };
    let carries = match vlan.carries {
        Carries::Access => PORT_VLAN_ACCESS,
        Carries::All => 0,
        Carries::Listed(_) => PORT_VLAN_LISTED,
    };
    let tagged = if vlan.pvid_tagged { PORT_PVID_TAGGED } else { 0 };
    let service = if ovs { PORT_SERVICE_TAGS } else { 0 };
    (PORT_VLAN_AWARE | carries | tagged | service, vlan.pvid.unwrap_or(NO_PVID))
}

impl DesiredPort {
    /// What lies beside the port's entry: the VLANs that it lists.
    pub fn listed_vlans(&self) -> VlanSet {
        match self.vlan.as_ref().map(|vlan| &vlan.carries) {
            Some(Carries::Listed(listed)) => listed.iter().copied().collect(),
            _ => VlanSet::EMPTY,
        }
    }
}

/// What somebody (`who`: the file, libvirt) says of a port and the bridge does not do, for people. The bridge wins: it is what frames meet.
pub(super) fn contradiction(
    name: &str,
    who: &str,
    said: Option<&PortVlan>,
    bridge: Option<&PortVlan>,
) -> Option<String> {
    let said = said?;
    match bridge {
        Some(bridge) if bridge == said => None,
        Some(bridge) => Some(format!(
            "port {name}: {who} says vlan {said}, but the bridge has {bridge}, which holds; correct one of the two"
        )),
        None => Some(format!(
            "port {name}: {who} says vlan {said}, but tags mean nothing to this bridge; turn on its vlan_filtering, or do not say so"
        )),
    }
}
