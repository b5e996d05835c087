//! Puts the parts of the desired state together.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridge_common::abi;

use super::bridge::{Found, View};
use super::member::bypasses_hooks;
use super::port::Patterns;
use super::{
    ControlWords, Desired, DesiredError, DesiredPort, SlowPathKind, Unpoliced, guests, others, own, port, station, vlan,
};
use crate::policy::lowered::Lowered;
use crate::source::{HostSnapshot, LibvirtSnapshot, OvsSnapshot};
use crate::topology::model::Topology;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// What the dataplane should hold, given a valid file, one look at the host and (when there are such) one at OVSDB and one at
/// libvirt.
///
/// A port is an interface that `manage` matches (or any, without it) and that is a member of the bridge. One that `manage` matches and that is a member of nothing is
/// taken early if it is a tap or a veth (its frames drop as `not-member`); anything else that is a member of nothing
/// carries the host's own traffic and is left alone, as is a member of another bridge.
///
/// What the file asks for and would do harm is left out and told in `refused` (see [`Desired::harmless`]).
///
/// Errors: no such bridge, an ambiguous one, a glob that does not parse.
pub fn build(
    topology: &Topology,
    host: &HostSnapshot,
    ovs: Option<&OvsSnapshot>,
    told: Option<&LibvirtSnapshot>,
    lowered: &Arc<Lowered>,
) -> Result<Desired, DesiredError> {
    let view = View::find(&topology.bridge, host, ovs)?;
    let patterns = Patterns::compile(topology)?;
    let Ports { mut ports, refused, notes } = ports(topology, host, &view, &patterns);
    others::yield_to(&mut ports, &host.others, view.slow_path());
    let mut known = station::host(&view, host, &ports);
    let guests = guests::join(topology, told, &mut ports);
    known.notes.extend(notes.into_iter().chain(guests.notes));
    station::bind(&mut known, &guests.stations, &mut ports);
    Ok(Desired {
        bridge: topology.bridge.name.clone(),
        slow_path: view.slow_path(),
        max_slot: u16::try_from(topology.limits.ports).unwrap_or(u16::MAX),
        device: view.device.map(|link| link.ifindex),
        own: own::devices(&view, host, &ports),
        ports,
        stations: known.stations,
        control: control(topology, &view),
        policy: Arc::clone(lowered),
        unpoliced: unpoliced(&view, &patterns),
        refused,
        notes: known.notes,
    })
}

/// Managed ports, what of the file they cannot have, and what people should know of them.
#[derive(Default)]
struct Ports {
    ports: BTreeMap<u32, DesiredPort>,
    refused: Vec<String>,
    notes: Vec<String>,
}

fn ports(topology: &Topology, host: &HostSnapshot, view: &View<'_>, patterns: &Patterns<'_>) -> Ports {
    let mut found = Ports::default();
    for link in &host.links {
        let membership = view.membership(link);
        if !patterns.manages(&link.name, &membership) {
            continue;
        }
        let rule = patterns.rule(&link.name);
        let (port, harm) = port::port(link, membership, rule, view, &topology.limits);
        if port.port.is(abi::PORT_MEMBER) {
            let file = rule.and_then(|rule| rule.vlan.as_ref());
            found.notes.extend(vlan::contradiction(&link.name, "the file", file, port.vlan.as_ref()));
        }
        found.ports.insert(link.ifindex, port);
        found.refused.extend(harm);
    }
    found
}

fn control(topology: &Topology, view: &View<'_>) -> ControlWords {
    let file = topology.bridge.ageing_time;
    let ageing = view.ageing_time().map_or(file, |slow_path| slow_path.min(file));
    let learning = if topology.bridge.learning { abi::LEARNING } else { 0 };
    let resent = if view.slow_path() == SlowPathKind::Linux { 0 } else { abi::RESENT_FRAMES };
    ControlWords { ageing_ns: u64::from(ageing) * NS_PER_SECOND, flags: learning | resent }
}

/// Whether `manage` matches does not matter here: such a port reaches every other one past the policy.
fn unpoliced(view: &View<'_>, patterns: &Patterns<'_>) -> Vec<Unpoliced> {
    let Found::Ovs(bridge) = view.found else { return Vec::new() };
    bridge
        .interfaces
        .iter()
        .filter(|row| bypasses_hooks(&row.kind))
        .map(|row| Unpoliced {
            name: row.name.clone(),
            kind: row.kind.clone(),
            allowed: patterns.rule(&row.name).is_some_and(|rule| rule.unpoliced),
        })
        .collect()
}
