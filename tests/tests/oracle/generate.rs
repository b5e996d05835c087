//! Random policies and frames, from a seed, out of small pools so that things meet.

use std::net::IpAddr;

use bridge_tests::Mac;
use bridge_tests::frame::{Arp, BROADCAST, ethertype, link_local};
use bridge_user::topology::model::{Action, OtherEthertypes, Policy, Rule, Zone, ZoneRef};
use fastrand::Rng;

use super::spec::{Body, Damage, Fragment, Ip, ROUTING_TO_GO, Spec, Sum, Upper};
use crate::support::world::*;

const PREFIXES: [&str; 11] = [
    "10.0.0.0/8",
    "10.17.0.0/16",
    "10.17.4.2/32",
    "192.168.0.0/24",
    "203.0.113.0/24",
    "0.0.0.0/0",
    "fd17::/16",
    "fd17::2/128",
    "2001::/16",
    "::/0",
    "fe80::/10",
];
const EDGES: [u16; 8] = [1, 53, 79, 80, 81, 443, 1024, 65535];

fn one<T: Clone>(rng: &mut Rng, pool: &[T]) -> T {
    pool[rng.usize(..pool.len())].clone()
}

pub fn policy(rng: &mut Rng) -> Policy {
    let count = rng.usize(1..5);
    let mut zones: Vec<Zone> = (0..count).map(|n| Zone { name: format!("z{n}"), prefixes: Vec::new() }).collect();
    for prefix in PREFIXES {
        if let Some(zone) = zones.get_mut(rng.usize(..6)) {
            zone.prefixes.push(prefix.parse().unwrap());
        }
    }
    let default = if rng.u8(..4) == 0 { Action::Allow } else { Action::Deny };
    let rules = (0..rng.usize(..9)).map(|number| rule(rng, number, count, default)).collect();
    let other_ethertypes = if rng.u8(..4) == 0 { OtherEthertypes::Drop } else { OtherEthertypes::Punt };
    Policy { default, other_ethertypes, zones, rules }
}

fn rule(rng: &mut Rng, number: usize, zones: usize, default: Action) -> Rule {
    let end = |rng: &mut Rng| if rng.u8(..3) == 0 { ZoneRef::Any } else { ZoneRef::Zone(rng.usize(..zones)) };
    let range = |rng: &mut Rng| {
        let (a, b) = (one(rng, &EDGES), one(rng, &EDGES));
        (a.min(b), a.max(b))
    };
    let (proto, ports) = match rng.u8(..6) {
        0 => (Some(vec![1, 58]), Vec::new()),
        1 => (Some(vec![one(rng, &[0, 2, 47, 132])]), Vec::new()),
        2 | 3 => (Some(vec![one(rng, &[6, 17])]), (0..rng.usize(..4)).map(|_| range(rng)).collect()),
        _ => (None, Vec::new()),
    };
    let action = if rng.u8(..3) == 0 { Action::Deny } else { Action::Allow };
    Rule {
        id: format!("r{number}"),
        from: end(rng),
        to: end(rng),
        both: rng.bool(),
        stateful: action == Action::Allow && default == Action::Deny && rng.bool(),
        action,
        proto,
        ports,
    }
}

fn station(rng: &mut Rng) -> Mac {
    match rng.u8(..16) {
        0 => SLEEPER,
        1 => OLD,
        2 => HOST,
        3 => mac(0x70 + rng.u8(..8)),
        // Enough nobodies to fill the FDB through the uplink.
        4 => [2, 0, 0, 0, 0, rng.u8(..)],
        _ => mac(rng.u8(1..11)),
    }
}

fn destination(rng: &mut Rng) -> Mac {
    match rng.u8(..16) {
        0 => BROADCAST,
        1 => [1, 0x80, 0xc2, 0, 0, rng.u8(..20)],
        2 => [0x33, 0x33, 0, 0, 0, 1],
        3 => [1, 0, 0xc, 0xcc, 0xcc, 0xcc],
        4 => HOST,
        _ => station(rng),
    }
}

/// Source MAC that a port's frames mostly have.
fn source(rng: &mut Rng, slot: Option<u16>) -> Mac {
    match (rng.u8(..16), slot) {
        (0, _) => one(rng, &[[0; 6], [3, 0, 0, 0, 0, 1]]),
        (1..=5, _) => station(rng),
        (_, Some(slot)) => mac(slot as u8),
        _ => A,
    }
}

fn addresses(rng: &mut Rng, v4: bool) -> IpAddr {
    let four = [IP_A, IP_B, IP_G, IP_LAN, IP_OUT, IP_HOST, [0; 4], [255; 4], [224, 0, 0, 5]];
    let six = [IP6_A, IP6_B, IP6_G, IP6_OUT, IP6_HOST, link_local(G), ip6(0xfe80, 7), [0; 16], ALL_NODES];
    if v4 { one(rng, &four).into() } else { one(rng, &six).into() }
}

fn port(rng: &mut Rng) -> u16 {
    one(rng, &[53, 79, 80, 81, 443, 1024, 67, 68, 546, 547, 4789])
}

fn upper(rng: &mut Rng, v4: bool, history: &[Ip]) -> Upper {
    let about = history.iter().rev().take(64).filter(|ip| ip.is_v4() == v4 && ip.damage == Damage::No);
    let about: Vec<&Ip> = about.filter(|ip| !matches!(ip.upper, Upper::Error(_))).collect();
    match rng.u8(..16) {
        0..=4 => Upper::Tcp(port(rng), port(rng)),
        5..=9 => Upper::Udp(port(rng), port(rng)),
        10 | 11 if v4 => Upper::Icmp(one(rng, &[0, 8, 8, 5, 9]), 0, rng.u16(..3)),
        10 | 11 => Upper::Icmp(one(rng, &[128, 128, 129, 131, 134, 137, 138, 143]), rng.u8(..8) / 7, rng.u16(..3)),
        12 if !v4 => {
            let target = one(rng, &[IP6_G, IP6_A, link_local(G)]);
            Upper::Nd(rng.u8(135..137), target, one(rng, &[None, Some(G), Some(G), Some(A)]))
        }
        13 | 14 if !about.is_empty() => Upper::Error(Box::new((*one(rng, &about)).clone())),
        _ => Upper::Raw(one(rng, &[2, 47, 132])),
    }
}

fn ip(rng: &mut Rng, slot: Option<u16>, history: &[Ip]) -> Ip {
    // An answer to something earlier, every fourth time.
    if let (0, Some(earlier)) = (rng.u8(..4), history.last())
        && !matches!(earlier.upper, Upper::Nd(..) | Upper::Error(_))
    {
        let upper = match earlier.upper {
            Upper::Tcp(a, b) => Upper::Tcp(b, a),
            Upper::Udp(a, b) => Upper::Udp(b, a),
            Upper::Icmp(8, code, id) => Upper::Icmp(0, code, id),
            Upper::Icmp(128, code, id) => Upper::Icmp(129, code, id),
            ref same => same.clone(),
        };
        return Ip { src: earlier.dst, dst: earlier.src, upper, ..earlier.clone() };
    }
    let v4 = rng.bool();
    let bound: [IpAddr; 2] = [IP_G.into(), IP6_G.into()];
    let own = slot == Some(4) && rng.u8(..4) != 0;
    let src = if own { bound[usize::from(!v4)] } else { addresses(rng, v4) };
    let upper = upper(rng, v4, history);
    let dst = match &upper {
        Upper::Error(about) if rng.u8(..4) != 0 => about.src,
        _ => addresses(rng, v4),
    };
    let chained = !v4 && rng.u8(..4) == 0;
    let kinds = [0, 60, 51, 43, 60, 60, 60, 0, 60, 60, 51, 43, 60, 60, 60, 135, ROUTING_TO_GO];
    let chain = (0..if chained { rng.usize(1..9) } else { 0 }).map(|_| one(rng, &kinds)).collect::<Vec<u8>>();
    let damage = match rng.u8(..40) {
        0 if chain.is_empty() => Damage::Header,
        1 if chain.is_empty() => Damage::Length,
        _ => Damage::No,
    };
    Ip {
        src,
        dst,
        hop_limit: if rng.u8(..4) == 0 { 64 } else { 255 },
        chain,
        fragment: match rng.u8(..12) {
            0 => Fragment::First,
            1 => Fragment::Later,
            _ => Fragment::No,
        },
        upper,
        sum: match rng.u8(..10) {
            0 => Sum::Zero,
            1 => Sum::Partial,
            _ => Sum::Whole,
        },
        damage,
    }
}

/// A frame for the port in `slot`. `crowded`: often from a station that nobody has seen.
pub fn frame(rng: &mut Rng, slot: Option<u16>, crowded: bool, history: &[Ip]) -> Spec {
    let from = if crowded && rng.bool() { [2, 0, 0, 0, 1, rng.u8(..)] } else { source(rng, slot) };
    let body = match rng.u8(..24) {
        0 | 1 => {
            let arp = Arp::request(one(rng, &[from, from, A]), one(rng, &[IP_G, IP_A, [0; 4]]), IP_B);
            Body::Arp(Arp { operation: rng.u16(1..3), ..arp })
        }
        2 => Body::Other(one(rng, &[0x9999, 0x8847, 0x8864, 0x88b6, 0x8863, ethertype::EAPOL, ethertype::LLDP])),
        3 => Body::Llc(one(rng, &[0x42, 0xf0])),
        4 => Body::Snap(one(rng, &[[0, 0, 0], [0, 0, 0xf8], [0, 0, 0xc]]), one(rng, &[0x0800, 0x86dd, 0x8100, 0x2000])),
        _ => Body::Ip(ip(rng, slot, history)),
    };
    let tags = match rng.u8(..24) {
        0 => vec![0x8100],
        1 => vec![0x88a8, 0x8100],
        2 => vec![0x8100; 3],
        _ => Vec::new(),
    };
    Spec { to: destination(rng), from, tags, body }
}
