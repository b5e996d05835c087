//! Finds the bridge and says which kind it is.

use std::collections::{HashMap, HashSet};

use super::{DesiredError, SlowPathKind};
use crate::source::{HostSnapshot, Link, LinkKind, OvsBridge, OvsInterface, OvsSnapshot};
use crate::topology::model::{Bridge, SlowPath};

/// The bridge as its own kind shows it.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    /// A Linux bridge's device.
    Linux(&'a Link),
    /// A bridge of OVSDB.
    Ovs(&'a OvsBridge),
}

/// The bridge, and what else is needed to tell who belongs to whom.
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    pub(super) found: Found<'a>,
    /// The device named like the bridge. OVS's may be missing.
    pub(super) device: Option<&'a Link>,
    /// ifindex of `ovs-system`, the master of every port of OVS's kernel datapath, whatever its bridge.
    pub(super) ovs_system: Option<u32>,
    /// Interfaces of an OVS bridge, by name.
    pub(super) interfaces: HashMap<&'a str, &'a OvsInterface>,
    /// Interfaces of other OVS bridges.
    pub(super) elsewhere: HashSet<&'a str>,
}

impl<'a> View<'a> {
    /// Looks for the bridge that `bridge` names. Errors: none there, or two of different kinds.
    pub(super) fn find(
        bridge: &'a Bridge,
        host: &'a HostSnapshot,
        ovs: Option<&'a OvsSnapshot>,
    ) -> Result<Self, DesiredError> {
        let device = host.links.iter().find(|link| link.name == bridge.name);
        let linux = device.filter(|link| link.kind == LinkKind::Bridge).map(Found::Linux);
        let ovsdb = ovs.and_then(|ovs| ovs.bridge.as_ref()).map(Found::Ovs);
        let found = match (bridge.slow_path, linux, ovsdb) {
            (SlowPath::Auto, Some(_), Some(_)) => return Err(DesiredError::Ambiguous(bridge.name.clone())),
            (SlowPath::Auto, linux, ovsdb) => linux.or(ovsdb),
            (SlowPath::Linux, linux, _) => linux,
            (SlowPath::Ovs, _, ovsdb) => ovsdb,
        };
        let found = found.ok_or_else(|| missing(bridge, ovs.is_some()))?;
        let ovs_system = host.links.iter().find(|link| link.name == "ovs-system").map(|link| link.ifindex);
        let elsewhere = ovs.iter().flat_map(|ovs| &ovs.elsewhere).map(String::as_str).collect();
        Ok(Self { name: &bridge.name, found, device, ovs_system, interfaces: interfaces(found), elsewhere })
    }

    pub(super) fn slow_path(&self) -> SlowPathKind {
        match self.found {
            Found::Linux(_) => SlowPathKind::Linux,
            Found::Ovs(bridge) if bridge.userspace => SlowPathKind::OvsUserspace,
            Found::Ovs(_) => SlowPathKind::OvsKernel,
        }
    }

    pub(super) fn userspace(&self) -> bool {
        self.slow_path() == SlowPathKind::OvsUserspace
    }

    /// The slow path's ageing time in seconds; `None`: it does not tell.
    pub(super) fn ageing_time(&self) -> Option<u32> {
        match self.found {
            Found::Linux(link) => link.bridge.map(|bridge| bridge.ageing_time),
            Found::Ovs(bridge) => Some(bridge.ageing_time),
        }
    }
}

/// The first of each name.
fn interfaces(found: Found<'_>) -> HashMap<&str, &OvsInterface> {
    let Found::Ovs(bridge) = found else { return HashMap::new() };
    bridge.interfaces.iter().rev().map(|row| (row.name.as_str(), row)).collect()
}

fn missing(bridge: &Bridge, ovsdb: bool) -> DesiredError {
    let why = match (bridge.slow_path, ovsdb) {
        (SlowPath::Linux, _) => "the host has no Linux bridge of that name; create it, or correct [bridge] name",
        (SlowPath::Ovs, true) => "OVSDB has no bridge of that name; create it, or correct [bridge] name",
        (SlowPath::Ovs, false) => "ovsdb-server does not answer; start Open vSwitch",
        (SlowPath::Auto, true) => {
            "neither the host nor OVSDB has a bridge of that name; create it, or correct [bridge] name"
        }
        (SlowPath::Auto, false) => {
            "the host has no Linux bridge of that name, and ovsdb-server does not answer; create the bridge, start Open \
             vSwitch, or correct [bridge] name"
        }
    };
    DesiredError::NoSuchBridge { name: bridge.name.clone(), why }
}
