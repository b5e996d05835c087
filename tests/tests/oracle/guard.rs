//! The guard of port PG, by the design's sentences.

use std::net::IpAddr;

use bridge_common::abi::Drop;
use bridge_tests::frame::link_local;

use super::spec::{Body, Fragment, Ip, Spec, Upper};
use crate::support::world::{G, IP_G, IP6_G};

fn owns(address: IpAddr) -> bool {
    address == IpAddr::from(IP_G) || address == IpAddr::from(IP6_G) || address == IpAddr::from(link_local(G))
}

/// What it has against a readable frame.
pub fn objection(spec: &Spec) -> Option<Drop> {
    if spec.from != G {
        return Some(Drop::GuardMac);
    }
    match &spec.body {
        Body::Arp(arp) => {
            let probe = arp.operation == 1 && arp.sender_ip == [0; 4];
            (arp.sender_mac != G || !probe && arp.sender_ip != IP_G).then_some(Drop::GuardArp)
        }
        Body::Ip(ip) if spec.tags.len() < 2 => roles(ip).or_else(|| address(ip)).or_else(|| neighbour(ip)),
        _ => None,
    }
}

fn roles(ip: &Ip) -> Option<Drop> {
    match (ip.icmp(), ip.is_v4()) {
        (Some((5, _)), true) | (Some((137, _)), false) => return Some(Drop::GuardRedirect),
        (Some((134, _)), false) => return Some(Drop::GuardRa),
        _ => {}
    }
    let (server, client) = if ip.is_v4() { (67, 68) } else { (547, 546) };
    let dhcp = ip.proto() == 17 && ip.ports().is_some_and(|(from, to)| from == server || to == client);
    dhcp.then_some(Drop::GuardDhcp)
}

fn address(ip: &Ip) -> Option<Drop> {
    let fine = if !ip.src.is_unspecified() {
        owns(ip.src)
    } else if ip.is_v4() {
        ip.proto() == 17 && ip.ports() == Some((68, 67))
    } else {
        matches!(ip.icmp(), Some((131 | 132 | 133 | 135 | 143, _)))
    };
    (!fine).then_some(Drop::GuardIp)
}

fn neighbour(ip: &Ip) -> Option<Drop> {
    let (kind, target, option) = match (&ip.upper, ip.is_v4()) {
        _ if ip.fragment == Fragment::Later => return None,
        (Upper::Nd(kind @ 135..=136, target, option), false) => (*kind, *target, *option),
        // Built without a body that could be read.
        (Upper::Icmp(133 | 135 | 136, ..), false) => return Some(Drop::GuardNd),
        _ => return None,
    };
    let lies = option.is_some_and(|mac| mac != G) || kind == 136 && !owns(IpAddr::from(target));
    (lies || ip.fragment == Fragment::First).then_some(Drop::GuardNd)
}
