//! Sentences that an operator should read: what the host does that will surprise, and what no zone covers.

use std::{collections::BTreeSet, fs, net::IpAddr};

use super::inputs::Inputs;
use crate::{desired::Desired, topology::model::Topology};

/// All remarks of this moment.
pub(super) fn remarks(topology: &Topology, desired: &Desired, inputs: &Inputs) -> Vec<String> {
    let mut remarks = desired.notes.clone();
    remarks.extend(redirects(&topology.bridge.name, inputs));
    remarks.extend(zoneless(topology, inputs));
    remarks
}

/// A host that routes between subnets of one bridge tells its machines to talk to each other directly; their replies
/// then come back through the host, which sees half of each connection.
fn redirects(bridge: &str, inputs: &Inputs) -> Option<String> {
    let subnets: BTreeSet<_> = inputs.host.addresses.iter().filter(|address| address.is_ipv4()).collect();
    let on = |name: &str| {
        fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/send_redirects"))
            .is_ok_and(|text| text.trim() == "1")
    };
    let forwards = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1");
    (forwards && subnets.len() > 1 && (on("all") || on(bridge))).then(|| {
        format!(
            "{bridge} routes several subnets and sends ICMP redirects, which lead its machines around the host for half \
             of each connection; set net.ipv4.conf.all.send_redirects and net.ipv4.conf.{bridge}.send_redirects to 0"
        )
    })
}

/// Addresses of the host that no zone holds: what the host routes for them meets only rules with `any`.
fn zoneless(topology: &Topology, inputs: &Inputs) -> Option<String> {
    let in_zone = |address: &IpAddr| {
        topology.policy.zones.iter().flat_map(|zone| &zone.prefixes).any(|net| net.contains(address))
    };
    let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let outside: Vec<_> = inputs
        .host
        .addresses
        .iter()
        .filter(|address| !in_zone(address) && !link_local(address))
        .map(ToString::to_string)
        .collect();
    (!outside.is_empty())
        .then(|| format!("in no zone of the policy, so that only rules with `any` match: {}", outside.join(", ")))
}
