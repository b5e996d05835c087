//! What a valid topology file says, with defaults filled in and names resolved. Plain data.

use std::net::{IpAddr, SocketAddr};

use bridge_common::abi::maps::Limits;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::source::PortVlan;

/// A whole, valid topology file.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// `[bridge]`
    pub bridge: Bridge,
    /// `[[port]]`, in the file's order: the first whose glob matches an interface wins.
    pub ports: Vec<PortRule>,
    /// `[[station]]`
    pub stations: Vec<StationEntry>,
    /// `[limits]`
    pub limits: Limits,
    /// `[metrics] listen`
    pub metrics: Option<SocketAddr>,
    /// `[libvirt]`
    pub libvirt: Option<Libvirt>,
    /// `[policy]`
    pub policy: Policy,
}

/// `[bridge]`
#[derive(Clone, Debug, PartialEq)]
pub struct Bridge {
    /// Name of an existing bridge.
    pub name: String,
    /// Which kind it is.
    pub slow_path: SlowPath,
    /// Learn stations in the kernel programs.
    pub learning: bool,
    /// Seconds.
    pub ageing_time: u32,
    /// Interface names or globs; none: every port of the bridge, and nothing that is not one yet.
    pub manage: Vec<String>,
    /// What SIGINT and SIGTERM leave behind.
    pub on_exit: OnExit,
}

/// `slow_path`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPath {
    /// Look at the bridge.
    Auto,
    /// Open vSwitch.
    Ovs,
    /// The Linux bridge.
    Linux,
}

/// `on_exit`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// Programs, pins and policy stay; forwarding stops.
    Keep,
    /// Everything of ours goes.
    Detach,
}

/// `[[port]]`
#[derive(Clone, Debug, PartialEq)]
pub struct PortRule {
    /// Interface name or glob.
    pub pattern: String,
    /// Which hook.
    pub hook: HookChoice,
    /// Station or uplink.
    pub role: Role,
    /// Only bound stations may send.
    pub guard: bool,
    /// The operator knows that it cannot be policed.
    pub unpoliced: bool,
    /// How the bridge should treat its tags; the bridge's own word holds.
    pub vlan: Option<PortVlan>,
}

/// `hook`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookChoice {
    /// By the slow path: TC, or XDP with TC egress beside OVS's userspace datapath.
    Auto,
    /// TC ingress and egress.
    Tc,
    /// XDP in front of TC.
    Xdp,
}

/// `role`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Uplink = neither tap nor veth.
    Auto,
    /// Machines' port: stations are limited.
    Station,
    /// Towards the rest of the network: stations unlimited.
    Uplink,
}

/// `[[station]]`
#[derive(Clone, Debug, PartialEq)]
pub struct StationEntry {
    /// Unique name.
    pub name: String,
    /// MAC address.
    pub mac: [u8; 6],
    /// Addresses.
    pub ip: Vec<IpAddr>,
    /// Bound to this interface, if given.
    pub port: Option<String>,
}

/// `[libvirt]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libvirt {
    /// Where libvirt is, such as `qemu:///system`.
    pub uri: String,
    /// Addresses that a guest's agent tells are the guest's.
    pub guest_agent: bool,
}

/// `[policy]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// When no rule matches.
    pub default: Action,
    /// Ethertypes that the policy does not judge.
    pub other_ethertypes: OtherEthertypes,
    /// Zones; the zone number in the maps is the index here + 1.
    pub zones: Vec<Zone>,
    /// Rules in the file's order; `both = true` stays one rule here.
    pub rules: Vec<Rule>,
}

/// `default`, `action`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Let it pass.
    Allow,
    /// Drop it.
    Deny,
}

/// `other_ethertypes`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OtherEthertypes {
    /// To the slow path.
    Punt,
    /// Drop.
    Drop,
}

/// `[[policy.zone]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// Unique name, not `any`.
    pub name: String,
    /// Prefixes, host bits zero.
    pub prefixes: Vec<IpNet>,
}

/// One end of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ZoneRef {
    /// Every address, also those in no zone.
    Any,
    /// Index into [`Policy::zones`].
    Zone(usize),
}

/// `[[policy.rule]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique id, 1-63 of `A-Z a-z 0-9 . _ -`, not `default`.
    pub id: String,
    /// Source zone.
    pub from: ZoneRef,
    /// Destination zone.
    pub to: ZoneRef,
    /// Also from `to` to `from`, with the same (destination) ports.
    pub both: bool,
    /// Replies pass.
    pub stateful: bool,
    /// What to do.
    pub action: Action,
    /// Protocols, by number; `None` = every one. `icmp` = 1 and 58.
    pub proto: Option<Vec<u8>>,
    /// Inclusive destination port ranges; empty = every port. Only with tcp or udp.
    pub ports: Vec<(u16, u16)>,
}
