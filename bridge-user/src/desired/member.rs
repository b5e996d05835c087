//! Which interface belongs to the bridge, and why one of its ports may not forward.

use super::bridge::{Found, View};
use crate::source::{BridgePort, Link, LinkKind, LinuxBridge, OvsBridge, OvsInterface};

/// How an interface stands to the bridge.
#[derive(Debug, PartialEq)]
pub(super) enum Membership {
    /// A port of it. The reasons say why it must not take part in forwarding; none = eligible.
    Member(Vec<String>),
    /// A port of nothing yet, and a tap or veth: attached early, so that no frame passes before the policy is there.
    Early,
    /// None of our business: the bridge's own device, another bridge's port, or an interface that carries the host's
    /// own traffic (a NIC that is a port of nothing must not be dropped as `not-member`).
    Foreign,
}

/// Devices of OVS's datapaths, the second one a tap.
const NEVER: [&str; 3] = ["lo", "ovs-system", "ovs-netdev"];

impl View<'_> {
    /// How `link` stands to this bridge.
    pub(super) fn membership(&self, link: &Link) -> Membership {
        if link.name == self.name || NEVER.contains(&link.name.as_str()) {
            return Membership::Foreign;
        }
        match self.found {
            Found::Linux(bridge) if link.master == Some(bridge.ifindex) => {
                Membership::Member(linux_reasons(self.name, bridge.bridge, link))
            }
            Found::Linux(_) => self.early(link),
            Found::Ovs(bridge) => match self.interfaces.get(link.name.as_str()) {
                Some(row) if attachable(&row.kind) && self.master_is_ovs_or_none(link) => {
                    Membership::Member(ovs_reasons(bridge, row, link))
                }
                Some(_) => Membership::Foreign,
                None => self.early(link),
            },
        }
    }

    /// Whether the bridge hands frames to the host by `link`: its own device, or an internal port. One that was moved to another
    /// namespace may leave its name to a device of this one.
    pub(super) fn is_own(&self, link: &Link) -> bool {
        let internal = |row: &OvsInterface| row.kind == "internal" && row.ifindex == Some(link.ifindex);
        self.device.is_some_and(|device| device.ifindex == link.ifindex)
            || self.interfaces.get(link.name.as_str()).is_some_and(|row| internal(row))
    }

    fn early(&self, link: &Link) -> Membership {
        let unowned = link.master.is_none() && !self.elsewhere.contains(link.name.as_str());
        if unowned && matches!(link.kind, LinkKind::Tap | LinkKind::Veth) {
            Membership::Early
        } else {
            Membership::Foreign
        }
    }

    fn master_is_ovs_or_none(&self, link: &Link) -> bool {
        link.master.is_none() || link.master == self.ovs_system
    }

    /// Whether the netdev `link` is one of the bridge's ports (managed or not, the bridge's own device not included).
    pub(super) fn is_port(&self, link: &Link) -> bool {
        match self.found {
            Found::Linux(bridge) => link.master == Some(bridge.ifindex),
            Found::Ovs(_) => self.interfaces.contains_key(link.name.as_str()),
        }
    }
}

/// OVSDB interface types that are ordinary netdevs, seen from the outside.
fn attachable(kind: &str) -> bool {
    matches!(kind, "" | "system" | "tap")
}

/// OVSDB interface types whose frames meet no hook of the kernel.
pub(super) fn bypasses_hooks(kind: &str) -> bool {
    ["afxdp", "dpdk", "vhost"].iter().any(|prefix| kind.starts_with(prefix))
}

fn ovs_reasons(bridge: &OvsBridge, row: &OvsInterface, link: &Link) -> Vec<String> {
    let mut reasons = [&bridge.ineligible[..], &row.ineligible].concat();
    match row.ifindex {
        Some(ifindex) if ifindex == link.ifindex => {}
        Some(old) => reasons.push(format!("Open vSwitch still uses an earlier {} (interface index {old})", link.name)),
        None => reasons.push("Open vSwitch has not opened the interface".into()),
    }
    reasons.extend(device_reason(link));
    reasons
}

fn linux_reasons(name: &str, bridge: Option<LinuxBridge>, link: &Link) -> Vec<String> {
    let mut reasons = Vec::new();
    match bridge {
        Some(bridge) => {
            if bridge.vlan_filtering {
                reasons.extend(vlan_reasons(name, bridge, link));
            }
            if bridge.nf_call {
                reasons.push(format!("bridge {name} hands frames to iptables (its nf_call_* options, or the sysctls net.bridge.bridge-nf-call-*)"));
            }
        }
        None => reasons.push(format!("the kernel does not tell the settings of bridge {name}")),
    }
    match link.bridge_port {
        Some(port) => reasons.extend(port_reasons(port)),
        None => reasons.push("the kernel does not tell the port's settings".into()),
    }
    reasons.extend(device_reason(link));
    reasons
}

fn vlan_reasons(name: &str, bridge: LinuxBridge, link: &Link) -> Vec<String> {
    if bridge.service_vlans {
        return vec![format!("service tags name the VLANs of bridge {name} (vlan_protocol 802.1ad)")];
    }
    if bridge.mst {
        // The kernel tells nobody when one of these states changes (net/bridge/br_mst.c).
        return vec![format!("the VLANs of bridge {name} have spanning trees of their own (mst_enable)")];
    }
    match &link.vlans {
        Some(vlans) => vlans.ineligible.clone(),
        None => vec!["the port is in no VLAN of the bridge, which filters them".into()],
    }
}

/// BR_STATE_FORWARDING (linux/if_bridge.h).
const FORWARDING: u8 = 3;

fn port_reasons(port: BridgePort) -> impl Iterator<Item = String> {
    [
        (port.state != FORWARDING, "the bridge port's state is not forwarding"),
        (port.isolated, "the bridge port is isolated"),
        (port.locked, "the bridge port is locked"),
        (port.hairpin, "the bridge port is in hairpin mode"),
        (!port.learning, "the bridge port does not learn"),
        (port.neigh_suppress, "the bridge port suppresses neighbour discovery"),
    ]
    .into_iter()
    .filter(|(holds, _)| *holds)
    .map(|(_, why)| why.to_owned())
}

fn device_reason(link: &Link) -> Option<String> {
    link.mac.is_none().then(|| "it is no Ethernet device".into())
}
