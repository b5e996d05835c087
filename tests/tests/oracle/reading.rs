//! What a frame is by the design's sentences, whatever stations, rules and flows there are.

use std::net::IpAddr;

use bridge_common::abi::Drop;
use bridge_tests::Mac;

use super::spec::{Body, Damage, Fragment, Ip, ROUTING_TO_GO, Spec, Sum, Upper};

/// What the policy cannot read.
pub fn unreadable(spec: &Spec) -> Option<Drop> {
    let hides = matches!(spec.ethertype(), None | Some(0x0800 | 0x0806 | 0x86dd | 0x8847 | 0x8848 | 0x8864 | 0x88b6));
    if spec.tags.len() > 2 || spec.tags.len() == 2 && hides {
        return Some(Drop::VlanDepth);
    }
    match &spec.body {
        Body::Snap([0, 0, 0 | 0xf8], 0x0800 | 0x0806 | 0x86dd | 0x8100 | 0x88a8) => Some(Drop::Llc),
        Body::Other(0x8847 | 0x8848 | 0x8864) => Some(Drop::Ethertype),
        Body::Ip(ip) if ip.damage != Damage::No => Some(Drop::Malformed),
        Body::Ip(ip) if !ip.is_v4() => {
            let count = ip.chain.len() + usize::from(ip.fragment != Fragment::No);
            let known = |kind: &u8| matches!(kind, 0 | 43 | 51 | 60);
            (count > 6 || !ip.chain.iter().all(known) || ip.chain.contains(&ROUTING_TO_GO))
                .then_some(Drop::Ipv6Extension)
        }
        _ => None,
    }
}

pub fn always_passes(ip: &Ip) -> bool {
    let IpAddr::V6(to) = ip.dst else {
        let dhcp = ip.proto() == 17 && matches!(ip.ports(), Some((67, 68) | (68, 67)));
        return ip.proto() == 2 || dhcp && (ip.src.is_unspecified() || ip.dst == IpAddr::from([255; 4]));
    };
    let plain = ip.chain.is_empty() && ip.fragment == Fragment::No && ip.hop_limit == 255;
    match ip.icmp() {
        Some((130 | 131 | 132 | 143, _)) => true,
        Some((133..=137, 0)) => plain,
        _ => {
            let dhcp = ip.proto() == 17 && matches!(ip.ports(), Some((546, 547) | (547, 546)));
            dhcp && (to.is_multicast() || to.segments()[0] & 0xffc0 == 0xfe80)
        }
    }
}

pub fn to_group(ip: &Ip) -> bool {
    ip.dst.is_multicast() || ip.dst == IpAddr::from([255; 4])
}

pub fn is_reserved(mac: Mac) -> bool {
    mac[..5] == [1, 0x80, 0xc2, 0, 0] && mac[5] < 16 || mac == [1, 0, 0xc, 0xcc, 0xcc, 0xcc]
}

/// Whether no device has still to finish a checksum in it.
pub fn surely_summed(spec: &Spec) -> bool {
    let Body::Ip(ip) = &spec.body else { return false };
    let summed = match ip.upper {
        Upper::Udp(_, 4789) | Upper::Raw(_) => false,
        Upper::Tcp(..) | Upper::Udp(..) => ip.sum == Sum::Whole,
        Upper::Icmp(..) | Upper::Nd(..) | Upper::Error(_) => true,
    };
    summed && ip.fragment == Fragment::No
}
