//! What the dataplane should hold, from the topology and one look at the host. Pure: same input, same answer.
//!
//! * which interfaces are ports, with which programs and flags, and why one may not forward;
//! * the stations that are known beforehand, and the addresses that guarded ports may use;
//! * the control words and the policy.
//!
//! Ports are named by ifindex; the plan gives them slots. Must not: read a clock, the environment, a socket or a map.

mod bridge;
mod build;
mod guests;
mod hook;
mod member;
mod others;
mod own;
mod port;
mod station;
mod vlan;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridge_common::abi::{self, Port, StationKey};

pub use self::build::build;
pub use self::hook::{Hook, HookPoint};
use crate::policy::lowered::Lowered;
use crate::source::PortVlan;

/// Everything that the dataplane should hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Name of the bridge.
    pub bridge: String,
    /// What carries the frames that we do not.
    pub slow_path: SlowPathKind,
    /// Highest slot that a port may have: `limits.ports`.
    pub max_slot: u16,
    /// Managed ports by ifindex.
    pub ports: BTreeMap<u32, DesiredPort>,
    /// Stations known beforehand, each once.
    pub stations: BTreeMap<StationKey, StationOwner>,
    /// ifindex of the bridge's own device, if it has one.
    pub device: Option<u32>,
    /// All devices by which the bridge hands frames to the host; none is a port.
    pub own: BTreeSet<u32>,
    /// Control words.
    pub control: ControlWords,
    /// The policy, lowered.
    pub policy: Arc<Lowered>,
    /// Ports of the bridge that no program of ours can see.
    pub unpoliced: Vec<Unpoliced>,
    /// What the file asks for and would do harm, in words. Such a port has other programs than it asks for, so that it is policed.
    pub refused: Vec<String>,
    /// Sentences for people: what the file says and the host does not show, and the like.
    pub notes: Vec<String>,
}

/// The slow path, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPathKind {
    /// The Linux bridge.
    Linux,
    /// Open vSwitch, kernel datapath.
    OvsKernel,
    /// Open vSwitch, userspace datapath (`datapath_type=netdev`).
    OvsUserspace,
}

/// One managed port.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredPort {
    /// Interface name.
    pub name: String,
    /// Its programs.
    pub hook: Hook,
    /// Its entry in the map.
    pub port: Port,
    /// How the bridge treats tags there; `None`: they mean nothing to it.
    pub vlan: Option<PortVlan>,
    /// Why it is not eligible, in words; empty = eligible.
    pub ineligible: Vec<String>,
    /// What the guard lets it use; empty unless `PORT_GUARD` is set.
    pub guard: BTreeSet<GuardAddress>,
}

/// One address that a bound station may use on its port. As [`abi::GuardKey`], without the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuardAddress {
    /// The station's MAC, wire order.
    pub mac: [u8; 6],
    /// Address, IPv4 in the first four bytes and zeros after, wire order.
    pub addr: [u8; 16],
    /// 4 or 6.
    pub family: u32,
}

/// Whose a station known beforehand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StationOwner {
    /// The host's own MAC (`STATION_HOST`, no port).
    Host,
    /// Bound to the managed port with this ifindex (`STATION_STATIC`).
    Port(u32),
}

/// Control words that follow from the topology and the host. (Heartbeat and generation belong to the executor.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlWords {
    /// [`abi::Control::AgeingNs`]: the lesser of the file's and the slow path's.
    pub ageing_ns: u64,
    /// [`abi::Control::Flags`].
    pub flags: u64,
}

/// A port of the bridge that passes all our hooks by (AF_XDP, DPDK, vhost-user).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpoliced {
    /// Interface name in OVSDB.
    pub name: String,
    /// OVSDB `type`.
    pub kind: String,
    /// The operator knows: `[[port]] unpoliced = true`.
    pub allowed: bool,
}

/// Why there is no desired state.
#[derive(Debug, thiserror::Error)]
pub enum DesiredError {
    /// No bridge of that name and kind.
    #[error("no bridge {name}: {why}")]
    NoSuchBridge {
        /// `[bridge] name`.
        name: String,
        /// What was looked for, and what to do.
        why: &'static str,
    },
    /// Both kinds show a bridge of that name.
    #[error("{0} is both a Linux bridge and a bridge in OVSDB; say which one with slow_path = \"ovs\" or \"linux\"")]
    Ambiguous(String),
    /// The file asks for what would do harm.
    #[error("refused: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// A glob that does not parse.
    #[error("{0:?} is no interface name or glob: {1}")]
    Glob(String, globset::Error),
}

impl Desired {
    /// Itself, if the file asks for nothing that would do harm on this host.
    ///
    /// # Errors
    /// [`DesiredError::Refused`].
    pub fn harmless(self) -> Result<Self, DesiredError> {
        self.refusal().map_or(Ok(self), Err)
    }

    /// What the file asks for and cannot have.
    pub fn refusal(&self) -> Option<DesiredError> {
        (!self.refused.is_empty()).then(|| DesiredError::Refused(self.refused.clone()))
    }
}

impl DesiredPort {
    /// Takes it out of forwarding: its frames are policed and punted.
    fn leave_out(&mut self, reason: String) {
        self.port.flags &= !abi::PORT_ELIGIBLE;
        self.ineligible.push(reason);
    }
}
