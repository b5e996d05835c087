//! Random desired states, small enough that ports, slots, stations and addresses meet again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridge_common::abi::{self, PolicyMeta, Port, StationKey};
use proptest::prelude::*;

use crate::desired::{ControlWords, Desired, DesiredPort, GuardAddress, Hook, SlowPathKind, StationOwner};
use crate::policy::lowered::Lowered;
use crate::source::PortVlan;
use crate::topology::model::HookChoice;

pub(super) const MAX_SLOT: u16 = 4;
const INTERFACES: u32 = 6;

pub(super) fn lowered(stride: u16) -> Arc<Lowered> {
    let meta = PolicyMeta { stride, drop_other_ethertypes: false, stateful: false };
    let (zones4, zones6, pairs, l4, rule_ids) = Default::default();
    Arc::new(Lowered { zones4, zones6, pairs, l4, meta, rule_ids })
}

pub(super) fn key(mac: u8) -> StationKey {
    StationKey { mac: [2, 0, 0, 0, 0, mac], vlan: 0 }
}

/// A port in good order, with these flags besides.
pub(super) fn port(ifindex: u32, hook: Hook, flags: u32) -> DesiredPort {
    let behind = if hook == Hook::XdpTc { abi::PORT_TC_BEHIND } else { 0 };
    let port =
        Port { ifindex, mtu: 1500, flags: flags | behind, station_limit: 1024, flow_limit: 16_384, ..Port::default() };
    DesiredPort { name: format!("p{ifindex}"), hook, port, vlan: None, ineligible: Vec::new(), guard: BTreeSet::new() }
}

/// Nothing on a Linux bridge.
pub(super) fn nothing() -> Desired {
    Desired {
        bridge: "br0".into(),
        slow_path: SlowPathKind::Linux,
        max_slot: MAX_SLOT,
        ports: BTreeMap::new(),
        stations: BTreeMap::new(),
        device: None,
        own: BTreeSet::new(),
        control: ControlWords::default(),
        policy: lowered(1),
        unpoliced: Vec::new(),
        refused: Vec::new(),
        notes: Vec::new(),
    }
}

/// Adds addresses of the stations bound to guarded ports: host parts out of `hosts`, a bit set.
fn add_guard(desired: &mut Desired, hosts: u8) {
    for (key, owner) in &desired.stations {
        let StationOwner::Port(ifindex) = owner else { continue };
        let Some(port) = desired.ports.get_mut(ifindex).filter(|port| port.port.is(abi::PORT_GUARD)) else { continue };
        let hosts = (0..4).filter(|host| hosts >> host & 1 == 1);
        port.guard.extend(hosts.map(|host| GuardAddress::new(key.mac, [10, 0, key.mac[5], host].into())));
    }
}

const FLAGS: [u32; 5] =
    [abi::PORT_MEMBER, abi::PORT_ELIGIBLE, abi::PORT_RUNNING, abi::PORT_GUARD, abi::PORT_XDP_TARGET];

fn flags() -> impl Strategy<Value = u32> {
    // Mostly in good order: every flag is there three times out of four.
    prop::collection::vec(prop::bool::weighted(0.75), FLAGS.len())
        .prop_map(|on| FLAGS.iter().zip(on).filter(|(_, on)| *on).fold(0, |flags, (bit, _)| flags | bit))
}

type RawPort = (bool, u32, bool);

fn ports() -> impl Strategy<Value = BTreeMap<u32, RawPort>> {
    prop::collection::btree_map(1..=INTERFACES, (any::<bool>(), flags(), any::<bool>()), 0..=INTERFACES as usize)
}

/// Owner 0 is the host, others an interface (which may be no port).
fn owners() -> impl Strategy<Value = BTreeMap<u8, u32>> {
    prop::collection::btree_map(0..5_u8, 0..=INTERFACES, 0..5)
}

/// Interfaces that may be the bridge's own devices: some are a port in another state, one never is.
fn own() -> impl Strategy<Value = BTreeSet<u32>> {
    prop::collection::btree_set(1..=INTERFACES + 1, 0..4)
}

/// Any desired state that `build` could give.
pub(super) fn desired() -> impl Strategy<Value = Desired> {
    (ports(), owners(), prop::bool::weighted(0.3), 1..4_u16, 0..16_u8, 0..3_u64, own()).prop_map(
        |(raw, owners, userspace, stride, hosts, ageing, own)| {
            let mut desired = nothing();
            desired.slow_path = if userspace { SlowPathKind::OvsUserspace } else { SlowPathKind::OvsKernel };
            for (ifindex, (xdp, flags, jumbo)) in raw {
                let choice = if xdp { HookChoice::Xdp } else { HookChoice::Auto };
                let mut port = port(ifindex, Hook::resolve(choice, userspace, ifindex % 2 == 0).unwrap(), flags);
                port.port.mtu = if jumbo { 9000 } else { 1500 };
                let vlans = [ifindex as u16, stride].into_iter().filter(|_| jumbo).collect();
                port.vlan = Some(PortVlan::trunk(&vlans));
                desired.ports.insert(ifindex, port);
            }
            for (mac, ifindex) in owners {
                let owner = if ifindex == 0 { StationOwner::Host } else { StationOwner::Port(ifindex) };
                if ifindex == 0 || desired.ports.contains_key(&ifindex) {
                    desired.stations.insert(key(mac), owner);
                }
            }
            add_guard(&mut desired, hosts);
            desired.policy = lowered(stride);
            desired.control = ControlWords { ageing_ns: ageing, flags: u64::from(userspace) };
            desired.own = own.into_iter().filter(|ifindex| !desired.ports.contains_key(ifindex)).collect();
            desired
        },
    )
}
