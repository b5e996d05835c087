#![allow(clippy::unwrap_used)]

mod guests;
mod refuse;
mod select;
mod shape;
mod vlan;

use bridge_common::abi::maps::DEFAULT_LIMITS;
use bridge_common::abi::{PolicyMeta, Port};

use super::*;
use crate::source::{
    BridgePort, BridgeVlans, HostSnapshot, Link, LinkKind, LinuxBridge, Others, OvsBridge, OvsInterface, OvsSnapshot,
    PortVlan,
};
use crate::topology::model::{
    Action, Bridge, HookChoice, OnExit, OtherEthertypes, Policy, PortRule, Role, SlowPath, StationEntry, Topology,
};

const BRIDGE: u32 = 10;
const SYSTEM: u32 = 11;

fn topology(manage: &[&str]) -> Topology {
    Topology {
        bridge: Bridge {
            name: "br0".into(),
            slow_path: SlowPath::Auto,
            learning: true,
            ageing_time: 300,
            manage: manage.iter().map(|pattern| (*pattern).to_owned()).collect(),
            on_exit: OnExit::Keep,
        },
        ports: Vec::new(),
        stations: Vec::new(),
        limits: DEFAULT_LIMITS,
        metrics: None,
        libvirt: None,
        policy: Policy {
            default: Action::Deny,
            other_ethertypes: OtherEthertypes::Punt,
            zones: Vec::new(),
            rules: Vec::new(),
        },
    }
}

fn rule(pattern: &str) -> PortRule {
    PortRule {
        pattern: pattern.into(),
        hook: HookChoice::Auto,
        role: Role::Auto,
        guard: false,
        unpoliced: false,
        vlan: None,
    }
}

fn station(name: &str, mac: [u8; 6], ip: &[&str], port: Option<&str>) -> StationEntry {
    let ip = ip.iter().map(|ip| ip.parse().unwrap()).collect();
    StationEntry { name: name.into(), mac, ip, port: port.map(Into::into) }
}

fn mac(ifindex: u32) -> [u8; 6] {
    [0xfe, 0x54, 0, 0, 0, ifindex as u8]
}

fn link(ifindex: u32, name: &str, kind: LinkKind, master: Option<u32>) -> Link {
    Link {
        ifindex,
        name: name.into(),
        mac: Some(mac(ifindex)),
        mtu: 1500,
        running: true,
        master,
        kind,
        vlan_of: None,
        bridge_port: None,
        bridge: None,
        rx_packets: 0,
        vlans: None,
        xdp_target: None,
    }
}

fn bridge_port() -> BridgePort {
    BridgePort { state: 3, isolated: false, locked: false, hairpin: false, learning: true, neigh_suppress: false }
}

/// br0 (a Linux bridge) with the links given; those whose master it is get a port in good order.
fn linux(links: Vec<Link>) -> HostSnapshot {
    let mut bridge = link(BRIDGE, "br0", LinkKind::Bridge, None);
    bridge.bridge = Some(LinuxBridge { ageing_time: 300, ..LinuxBridge::default() });
    let links = std::iter::once(bridge)
        .chain(links)
        .map(|mut link| {
            link.bridge_port = (link.master == Some(BRIDGE)).then(bridge_port);
            link
        })
        .collect();
    HostSnapshot { links, addresses: Vec::new(), others: Others::default() }
}

/// br0 as OVS shows it: an internal device, and `ovs-system` beside the kernel datapath.
fn ovs_host(links: Vec<Link>) -> HostSnapshot {
    let own = [link(BRIDGE, "br0", LinkKind::Other, Some(SYSTEM)), link(SYSTEM, "ovs-system", LinkKind::Other, None)];
    HostSnapshot { links: own.into_iter().chain(links).collect(), addresses: Vec::new(), others: Others::default() }
}

fn row(name: &str, kind: &str, ifindex: Option<u32>) -> OvsInterface {
    OvsInterface {
        name: name.into(),
        kind: kind.into(),
        ifindex,
        ofport: None,
        vlan: PortVlan::PLAIN,
        ineligible: Vec::new(),
    }
}

fn ovsdb(userspace: bool, interfaces: Vec<OvsInterface>) -> OvsSnapshot {
    let bridge = OvsBridge { userspace, ageing_time: 300, interfaces, ineligible: Vec::new() };
    OvsSnapshot { bridge: Some(bridge), ..OvsSnapshot::default() }
}

fn lowered() -> Arc<Lowered> {
    let meta = PolicyMeta { stride: 1, drop_other_ethertypes: false, stateful: false };
    Arc::new(Lowered {
        zones4: Vec::new(),
        zones6: Vec::new(),
        pairs: Vec::new(),
        l4: Vec::new(),
        meta,
        rule_ids: vec![Some("default".into())],
    })
}

fn built(topology: &Topology, host: &HostSnapshot, ovs: Option<&OvsSnapshot>) -> Desired {
    build(topology, host, ovs, None, &lowered()).unwrap()
}

fn names(desired: &Desired) -> Vec<&str> {
    desired.ports.values().map(|port| port.name.as_str()).collect()
}
