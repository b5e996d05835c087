//! What generated frames carry: mostly sane packets between two stations, some fragments, options and extension headers, some nonsense.

use fastrand::Rng;

use super::generate::Station;
use crate::Mac;
use crate::frame::{Arp, ExtensionHeader, Icmp, Icmp6, Ipv4, Ipv6, RawProto, Tcp, Udp, ethertype};

/// How the body is announced.
pub(super) enum Kind {
    Type(u16),
    Llc,
    Snap(u16),
}

/// A body and its kind. IGMP and MLD queries do not occur: they change how a snooping bridge floods for minutes.
pub(super) fn any(rng: &mut Rng, from: &Station, to: &Station, destination: Mac) -> (Kind, Vec<u8>) {
    match rng.u32(..100) {
        0..50 => (Kind::Type(ethertype::IPV4), ipv4(rng, from, to, destination)),
        50..70 => (Kind::Type(ethertype::IPV6), ipv6(rng, from, to, destination)),
        70..80 => (Kind::Type(ethertype::ARP), arp(rng, from, to).bytes()),
        80..83 => (Kind::Llc, bytes(rng, 60)),
        83..85 => (Kind::Snap(ethertype::IPV4), ipv4(rng, from, to, destination)),
        85..88 => (Kind::Type(ethertype::IPV4), cut(rng, from, to, destination)),
        88..90 => (Kind::Type(ethertype::MPLS), bytes(rng, 100)),
        90..92 => (Kind::Type(ethertype::PPPOE_SESSION), bytes(rng, 100)),
        92..94 => (Kind::Type([ethertype::EAPOL, ethertype::LLDP, 0x8808][rng.usize(..3)]), bytes(rng, 100)),
        _ => (Kind::Type(ethertype::LOCAL_EXPERIMENTAL), bytes(rng, 1500)),
    }
}

/// Fewer than `limit` random bytes.
fn bytes(rng: &mut Rng, limit: usize) -> Vec<u8> {
    let length = rng.usize(..limit);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

/// Payloads are short, long or in between; each a third.
fn data(rng: &mut Rng) -> Vec<u8> {
    let limit = [30, 500, 1440][rng.usize(..3)];
    bytes(rng, limit)
}

fn port(rng: &mut Rng) -> u16 {
    [22, 53, 80, 443, 6443, rng.u16(1024..)][rng.usize(..6)]
}

fn ipv4(rng: &mut Rng, from: &Station, to: &Station, mac: Mac) -> Vec<u8> {
    let group = [224 | (mac[3] & 15), mac[3], mac[4], mac[5]];
    let destination = match mac {
        [0xff, ..] => [255; 4],
        [0x01, 0x00, 0x5e, ..] => group,
        _ => to.ip,
    };
    let header = Ipv4::new(from.ip, destination).id(rng.u16(..)).ttl(rng.u8(1..));
    let (source, target) = (rng.u16(1024..), port(rng));
    match rng.u32(..20) {
        0..8 => header.carry(&Udp::new(source, target, &data(rng))),
        8..14 => header.carry(&tcp(rng, source, target)),
        14..16 => header.carry(&Icmp::echo(rng.u16(..), 1, &data(rng))),
        16 => header.options(&[0x94, 4, 0, 0]).carry(&Udp::new(source, target, &bytes(rng, 100))),
        17 => header.fragment(0, true).carry(&Udp::new(source, target, &bytes(rng, 800))),
        18 => header.fragment(rng.u16(1..100), rng.bool()).raw(17, &bytes(rng, 800)),
        _ => header.carry(&RawProto([0, 47, 89, 132][rng.usize(..4)], bytes(rng, 200))),
    }
}

/// No two segments follow each other in sequence: GRO on the way would make one of them.
fn tcp(rng: &mut Rng, source: u16, target: u16) -> Tcp {
    let flags = [0x02, 0x12, 0x10, 0x18, 0x11, 0x04][rng.usize(..6)];
    Tcp { sequence: rng.u32(..), acknowledgement: rng.u32(..), ..Tcp::segment(source, target, flags, &data(rng)) }
}

fn ipv6(rng: &mut Rng, from: &Station, to: &Station, mac: Mac) -> Vec<u8> {
    let mut group = [0; 16];
    group[..2].copy_from_slice(&[0xff, 0x0e]);
    group[12..].copy_from_slice(&mac[2..]);
    let destination = if mac.starts_with(&[0x33, 0x33]) { group } else { to.ip6 };
    let header = Ipv6::new(from.ip6, destination);
    let (source, target) = (rng.u16(1024..), port(rng));
    match rng.u32(..20) {
        0..8 => header.carry(&Udp::new(source, target, &data(rng))),
        8..12 => header.carry(&tcp(rng, source, target)),
        12..14 => header.carry(&Icmp6::echo(rng.u16(..), 1, &data(rng))),
        14 => header.hop_limit(255).carry(&Icmp6::solicitation(to.ip6, Some(from.mac))),
        15 => header.hop_limit(255).carry(&Icmp6::advertisement(from.ip6, Some(from.mac))),
        16 => header.extension(ExtensionHeader::options(60, 1)).carry(&Udp::new(source, target, &bytes(rng, 100))),
        17 => {
            header.extension(ExtensionHeader::fragment(0, true, 7)).carry(&Udp::new(source, target, &bytes(rng, 100)))
        }
        18 => header.extension(ExtensionHeader::authentication()).carry(&Udp::new(source, target, &bytes(rng, 100))),
        _ => header.carry(&RawProto(rng.u8(60..), bytes(rng, 200))),
    }
}

/// Gratuitous ones occur as well: requests for one's own address, and replies to everybody.
fn arp(rng: &mut Rng, from: &Station, to: &Station) -> Arp {
    match rng.u32(..8) {
        0 => Arp::request(from.mac, from.ip, from.ip),
        1..4 => Arp::reply(from.mac, from.ip, to.mac, to.ip),
        _ => Arp::request(from.mac, from.ip, to.ip),
    }
}

/// An IPv4 packet that ends too early, anywhere.
fn cut(rng: &mut Rng, from: &Station, to: &Station, mac: Mac) -> Vec<u8> {
    let mut packet = ipv4(rng, from, to, mac);
    packet.truncate(rng.usize(..packet.len()));
    packet
}
