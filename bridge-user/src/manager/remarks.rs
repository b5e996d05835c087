//! Sentences that an operator should read: what the host does that will surprise, and what no zone covers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::inputs::Inputs;
use bridge_common::abi::{PORT_VIRTUAL, PORT_XDP_TARGET};

use crate::{
    desired::{Desired, HookPoint},
    source::sysctl,
    topology::model::Topology,
};

/// Source addresses in no zone that were seen, by port name.
pub(super) type Seen = BTreeMap<String, BTreeSet<IpAddr>>;

/// How many addresses one remark names.
const NAMED: usize = 8;

/// All remarks of this moment.
pub(super) fn remarks(topology: &Topology, desired: &Desired, inputs: &Inputs, seen: &Seen) -> Vec<String> {
    let mut remarks = desired.notes.clone();
    remarks.extend(redirects(&topology.bridge.name, inputs));
    remarks.extend(zoneless(topology, inputs));
    remarks.extend(seen.iter().filter_map(|(port, addresses)| zoneless_behind(topology, port, addresses)));
    // Linux 6.3 tells of every link, even if it is no target.
    let told = inputs.host.links.iter().any(|link| link.xdp_target.is_some());
    remarks.extend(no_targets(desired, told));
    remarks.extend(nics(desired));
    remarks
}

/// A host that routes between subnets of one bridge tells its machines to talk to each other directly; their replies
/// then come back through the host, which sees half of each connection.
fn redirects(bridge: &str, inputs: &Inputs) -> Option<String> {
    let subnets: BTreeSet<_> = inputs.host.addresses.iter().filter(|address| address.is_ipv4()).collect();
    (subnets.len() > 1 && sysctl::redirects(bridge)).then(|| {
        format!(
            "{bridge} routes several subnets and sends ICMP redirects, which lead its machines around the host for half \
             of each connection; set net.ipv4.conf.all.send_redirects and net.ipv4.conf.{bridge}.send_redirects to 0"
        )
    })
}

/// Addresses of the host that no zone holds: what the host routes for them meets only rules with `any`.
fn zoneless(topology: &Topology, inputs: &Inputs) -> Option<String> {
    let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let outside: Vec<_> = inputs
        .host
        .addresses
        .iter()
        .filter(|address| !in_zone(topology, address) && !link_local(address))
        .map(ToString::to_string)
        .collect();
    (!outside.is_empty())
        .then(|| format!("in no zone of the policy, so that only rules with `any` match: {}", outside.join(", ")))
}

/// Ports to which XDP cannot redirect: a veth whose peer polls nothing drops such frames without a word. `told`: the kernel says which take them.
fn no_targets(desired: &Desired, told: bool) -> Option<String> {
    if !desired.ports.values().any(|port| port.hook.wants(HookPoint::Xdp)) {
        return None;
    }
    let deaf = desired.ports.values().filter(|port| !port.port.is(PORT_XDP_TARGET));
    let names: Vec<_> = deaf.map(|port| port.name.as_str()).collect();
    let why = if told {
        "a veth needs GRO switched on at its other end (ethtool -K eth0 gro on)"
    } else {
        "before Linux 6.3 the kernel does not tell which interfaces take frames from XDP, and only taps are known to"
    };
    let sentence = "frames to there take the slow path (no-xdp-target)";
    (!names.is_empty()).then(|| format!("XDP cannot redirect to {}: {sentence}; {why}", names.join(", ")))
}

/// Attaching XDP may reset a NIC's link for seconds (once; a restart updates in place).
fn nics(desired: &Desired) -> Option<String> {
    let nics = desired.ports.values().filter(|port| port.hook.wants(HookPoint::Xdp) && !port.port.is(PORT_VIRTUAL));
    let names: Vec<_> = nics.map(|port| port.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "XDP on {}: its driver may reset the link for seconds when XDP is first attached or detached",
            names.join(", ")
        )
    })
}

/// What looks untagged there may be in any VLAN, and is left to others.
pub(super) fn tags_beside(desired: &Desired, noted: &BTreeSet<u32>) -> Option<String> {
    let ports = noted.iter().filter_map(|ifindex| desired.ports.get(ifindex));
    let names: Vec<_> = ports.map(|port| port.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "VLAN tags come in through {} beside the frame, where XDP does not see them, so that it leaves every frame without a visible tag \
             there to others; at a veth's other end `ethtool -K eth0 txvlan off`, for a card `ethtool -K eno1 rxvlan off` puts them into the \
             frame, and once the port has been taken out of the bridge and back XDP forwards all it can",
            names.join(", ")
        )
    })
}

fn in_zone(topology: &Topology, address: &IpAddr) -> bool {
    topology.policy.zones.iter().flat_map(|zone| &zone.prefixes).any(|prefix| prefix.contains(address))
}

/// Addresses behind a station port that no zone covers (now): pods, containers, or somebody's mistake.
fn zoneless_behind(topology: &Topology, port: &str, addresses: &BTreeSet<IpAddr>) -> Option<String> {
    let outside: Vec<_> = addresses.iter().filter(|address| !in_zone(topology, address)).collect();
    let named: Vec<_> = outside.iter().take(NAMED).map(ToString::to_string).collect();
    let more = outside.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| {
        format!(
            "seen on {port} from addresses in no zone: {}{more}; if they belong there (pods, containers), give them a zone",
            named.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bridge_common::abi::Port;

    use super::*;
    use crate::{
        desired::{ControlWords, DesiredPort, Hook, SlowPathKind},
        policy::lowered::Lowered,
    };

    const TAP: u32 = PORT_VIRTUAL | PORT_XDP_TARGET;

    /// Ports by name, programs and flags.
    fn desired(ports: &[(&str, Hook, u32)]) -> Desired {
        let port = |(ifindex, (name, hook, flags)): (u32, &(&str, Hook, u32))| {
            let port = Port { ifindex, flags: *flags, ..Port::default() };
            let port = DesiredPort {
                name: (*name).into(),
                hook: *hook,
                port,
                vlan: None,
                ineligible: Vec::new(),
                guard: BTreeSet::new(),
            };
            (ifindex, port)
        };
        Desired {
            bridge: "br0".into(),
            slow_path: SlowPathKind::Linux,
            max_slot: 8,
            ports: (7..).zip(ports).map(port).collect(),
            stations: BTreeMap::new(),
            device: None,
            own: BTreeSet::new(),
            control: ControlWords::default(),
            policy: Arc::new(Lowered::unknown()),
            unpoliced: Vec::new(),
            refused: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn xdp_on_a_nic_is_told_by_name() {
        let ports = desired(&[
            ("eno1", Hook::XdpTc, PORT_XDP_TARGET),
            ("eno2", Hook::Tc, PORT_XDP_TARGET),
            ("vnet0", Hook::XdpTc, TAP),
            ("eno3", Hook::XdpEgress, 0),
        ]);
        let told = nics(&ports).unwrap_or_default();
        assert!(told.starts_with("XDP on eno1, eno3: its driver may reset the link"), "{told}");
        assert_eq!(nics(&desired(&[("eno2", Hook::Tc, 0), ("vnet0", Hook::XdpEgress, PORT_VIRTUAL)])), None);
    }

    #[test]
    fn ports_with_tags_beside_their_frames_are_told_by_name() {
        let ports = desired(&[("veth0", Hook::XdpWatched, 0), ("veth1", Hook::XdpWatched, 0)]);
        let second = ports.ports.iter().filter(|(_, port)| port.name == "veth1").map(|(ifindex, _)| *ifindex);
        let told = tags_beside(&ports, &second.collect()).unwrap_or_default();
        assert!(told.starts_with("VLAN tags come in through veth1 beside the frame"), "{told}");
        // Nothing noted, or of an interface that is no port any more.
        assert_eq!(tags_beside(&ports, &BTreeSet::new()), None);
        assert_eq!(tags_beside(&ports, &[99].into()), None);
    }

    #[test]
    fn ports_that_take_nothing_from_xdp_are_told_by_name() {
        // Whatever their own programs: XDP on another port redirects to them.
        let ports =
            [("vnet0", Hook::XdpTc, TAP), ("vnet1", Hook::Tc, PORT_VIRTUAL), ("vnet2", Hook::XdpTc, PORT_VIRTUAL)];
        let told = no_targets(&desired(&ports), true).unwrap_or_default();
        assert!(told.starts_with("XDP cannot redirect to vnet1, vnet2: ") && told.contains("ethtool"), "{told}");
        let untold = no_targets(&desired(&ports), false).unwrap_or_default();
        assert!(untold.contains("vnet1, vnet2: ") && untold.contains("before Linux 6.3"), "{untold}");
        assert_eq!(no_targets(&desired(&ports[..1]), true), None);
        // Where nothing runs XDP nothing is redirected by it.
        assert_eq!(no_targets(&desired(&ports[1..2]), true), None);
    }
}
