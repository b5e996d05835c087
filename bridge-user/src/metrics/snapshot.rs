//! What there is to tell at one moment. Plain data, no aya types, no clock: ages are computed by whoever fills it.

use std::collections::BTreeMap;

use bridge_common::abi::{Cell, Counted, Drop, HEARTBEAT_STALE_NS, PortCounters, Punt};
use serde::Serialize;

use crate::dataplane::notes::LibvirtNote;

/// Everything that `/metrics` and `show` tell of one bridge.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// What was built.
    pub build: Build,
    /// Name of the bridge.
    pub bridge: String,
    /// Its kind, e.g. `ovs`, `ovs-userspace`, `linux`.
    pub slow_path: String,
    /// Live policy generation, 0 = none yet.
    pub generation: u64,
    /// Seconds since the manager's last heartbeat; `None`: it was told to stop, or never ran.
    pub heartbeat_age_seconds: Option<f64>,
    /// What the manager says of its own work; `None` when the maps were read without it.
    pub reconcile: Option<Reconcile>,
    /// Managed ports.
    pub ports: Vec<Port>,
    /// Rules in the policy's order, `default` last.
    pub rules: Vec<RuleCount>,
    /// Stations bound to a port by the topology.
    pub static_stations: u64,
    /// Flows in use.
    pub flows: u64,
    /// How full the sized maps are.
    pub maps: Vec<MapFill>,
    /// Ports of the bridge without a hook of ours, which the policy cannot reach.
    pub unpoliced_ports: Vec<String>,
    /// Stations that found the FDB full.
    pub fdb_full: u64,
    /// libvirt, if it is a source.
    pub libvirt: Option<LibvirtNote>,
    /// Sentences for people.
    pub remarks: Vec<String>,
}

/// What was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Build {
    /// Crate version.
    pub version: String,
    /// The ABI id of the pinned maps, in hexadecimal.
    pub abi: String,
}

/// The manager's loop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reconcile {
    /// Where it stands.
    pub state: ReconcileState,
    /// Seconds since the maps last agreed with what is wanted; `None`: never yet.
    pub last_success_age_seconds: Option<f64>,
    /// Rounds that ended in an error.
    pub failures: u64,
}

/// Where the manager's loop stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReconcileState {
    /// No round has ended yet.
    Starting,
    /// The maps are as wanted.
    InSync,
    /// The last round failed; the state before it stands.
    Failing,
}

impl ReconcileState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Starting, Self::InSync, Self::Failing];

    /// The name that operators see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::InSync => "in-sync",
            Self::Failing => "failing",
        }
    }
}

/// Which programs judge a port's ingress; egress is always TC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Hook {
    /// TC alone.
    #[serde(rename = "tc")]
    Tc,
    /// XDP alone (beside Open vSwitch's userspace datapath).
    #[serde(rename = "xdp")]
    Xdp,
    /// XDP, and TC behind it for what XDP leaves.
    #[serde(rename = "xdp+tc")]
    XdpTc,
}

impl Hook {
    /// The name that operators see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::XdpTc => "xdp+tc",
        }
    }
}

/// One managed port.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Port {
    /// Interface name.
    pub name: String,
    /// Interface index.
    pub ifindex: u32,
    /// Its hook, attached or wanted.
    pub hook: Hook,
    /// Towards the rest of the network: its stations are not limited.
    pub uplink: bool,
    /// Our programs are on it.
    pub attached: bool,
    /// It takes part in forwarding.
    pub eligible: bool,
    /// Why it does not, in words.
    pub reasons: Vec<String>,
    /// How the bridge treats tags there, in words; empty: they mean nothing to it.
    pub vlan: String,
    /// Its counters.
    #[serde(flatten)]
    pub tallies: PortTallies,
    /// Stations learned on it.
    pub stations: u64,
    /// Frames that it had received before our programs were attached, and that nobody judged.
    pub before_attach: u64,
}

impl Port {
    /// `uplink` or `station`.
    pub const fn role(&self) -> &'static str {
        if self.uplink { "uplink" } else { "station" }
    }
}

/// Packets and bytes (frame lengths without FCS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Frames.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl From<Cell> for Tally {
    fn from(cell: Cell) -> Self {
        Self { packets: cell.packets, bytes: cell.bytes }
    }
}

/// Counters by the names of their reasons.
pub type ByReason = BTreeMap<&'static str, Tally>;

/// One port's counters, summed over the CPUs. Every reason is there, zeros included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PortTallies {
    /// Ingress, forwarded by the fast path.
    pub forward: Tally,
    /// Ingress, left to the slow path.
    pub punt: ByReason,
    /// Ingress, dropped.
    pub drop: ByReason,
    /// Egress, judged and let out.
    pub egress_pass: Tally,
    /// Egress, judged and dropped.
    pub egress_drop: ByReason,
}

impl From<&PortCounters> for PortTallies {
    fn from(counters: &PortCounters) -> Self {
        let at = |counted: Counted| Tally::from(counters.cells[counted.cell()]);
        Self {
            forward: at(Counted::Forward),
            punt: Punt::ALL.iter().map(|&reason| (reason.name(), at(Counted::Punt(reason)))).collect(),
            drop: Drop::ALL.iter().map(|&reason| (reason.name(), at(Counted::Drop(reason)))).collect(),
            egress_pass: at(Counted::EgressPass),
            egress_drop: Drop::ALL.iter().map(|&reason| (reason.name(), at(Counted::EgressDrop(reason)))).collect(),
        }
    }
}

/// Hits of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// Rule id, or `default`.
    pub id: String,
    /// Its hits.
    #[serde(flatten)]
    pub tally: Tally,
}

/// How full one map is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MapFill {
    /// Map name as in `bridge_common::abi::maps`.
    pub name: &'static str,
    /// Entries in use.
    pub used: u64,
    /// Entries it can hold.
    pub capacity: u64,
}

impl Snapshot {
    /// Whether the programs still believe in a living manager: the same threshold as theirs.
    pub fn manager_alive(&self) -> bool {
        self.heartbeat_age_seconds.is_some_and(|age| age * 1e9 <= HEARTBEAT_STALE_NS as f64)
    }
}

/// Packets over all reasons.
pub fn packets(by_reason: &ByReason) -> u64 {
    by_reason.values().map(|tally| tally.packets).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_cell_lands_under_its_own_name() {
        let mut counters = PortCounters::default();
        for (n, counted) in Counted::all().enumerate() {
            counters.cells[counted.cell()] = Cell { packets: n as u64 + 1, bytes: 100 * (n as u64 + 1) };
        }
        let tallies = PortTallies::from(&counters);
        for (n, counted) in Counted::all().enumerate() {
            let got = match counted {
                Counted::Forward => tallies.forward,
                Counted::Punt(reason) => tallies.punt[reason.name()],
                Counted::Drop(reason) => tallies.drop[reason.name()],
                Counted::EgressPass => tallies.egress_pass,
                Counted::EgressDrop(reason) => tallies.egress_drop[reason.name()],
            };
            assert_eq!(got, Tally { packets: n as u64 + 1, bytes: 100 * (n as u64 + 1) }, "{counted:?}");
        }
    }

    #[test]
    fn a_manager_is_alive_up_to_the_programs_own_threshold() {
        let at = |age| Snapshot { heartbeat_age_seconds: age, ..Snapshot::default() }.manager_alive();
        assert!(at(Some(0.0)) && at(Some(5.0)));
        assert!(!at(Some(5.001)) && !at(None));
    }

    #[test]
    fn states_and_hooks_serialize_under_the_names_that_operators_see() {
        for state in ReconcileState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        for hook in [Hook::Tc, Hook::Xdp, Hook::XdpTc] {
            assert_eq!(serde_json::to_value(hook).unwrap(), hook.name());
        }
    }
}
