//! The guard: from a port with bound stations, only those stations speak, and only for themselves (design section 2).

use super::{Scratch, Tables};
use crate::{
    abi::{Drop, GuardKey},
    wire::{
        Addr, Class, Frame, Ip, Packet, link_layer_option, neighbour_target,
        ports::{DHCP_CLIENT, DHCP_SERVER, DHCP6_CLIENT, DHCP6_SERVER},
        proto,
    },
};

/// Checks a frame of a station that is bound to the guarded port `slot`.
///
/// # Errors
/// The guard's reason to drop it.
#[inline(never)]
pub(super) fn check<T: Tables, F: Frame>(tables: &T, frame: &F, scratch: &mut Scratch, slot: u16) -> Result<(), Drop> {
    let Scratch { packet, guard, .. } = scratch;
    *guard = GuardKey { addr: [0; 16], mac: packet.source.mac, port: slot, family: 4 };
    match packet.class {
        Class::Arp => arp(tables, frame, packet, guard),
        Class::Ip => {
            roles(&packet.ip)?;
            guard.family = u32::from(packet.ip.family);
            source_address(tables, packet, guard)?;
            neighbour(tables, frame, packet, guard)
        }
        _ => Ok(()),
    }
}

/// Whether the guarded station may use `addr`.
#[inline(always)]
fn owns<T: Tables>(tables: &T, key: &mut GuardKey, addr: &Addr) -> bool {
    key.addr = addr.0;
    tables.guard(key)
}

/// The ARP sender must be the station: its MAC, and one of its addresses or, in a probe, none (RFC 5227).
#[inline(always)]
fn arp<T: Tables, F: Frame>(tables: &T, frame: &F, packet: &Packet, key: &mut GuardKey) -> Result<(), Drop> {
    let body: network_types::arp::ArpHdr = frame.read(packet.l3).ok_or(Drop::GuardArp)?;
    let ethernet_ipv4 = body.htype == [0, 1] && body.ptype == [8, 0] && body.hlen == 6 && body.plen == 4;
    let request = body.oper == [0, 1];
    let sender = Addr::v4(body.spa);
    let address = sender.is_unspecified() && request || owns(tables, key, &sender);
    if ethernet_ipv4 && body.sha == packet.source.mac && address { Ok(()) } else { Err(Drop::GuardArp) }
}

const ICMP_REDIRECT: u8 = 5;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const ICMPV6_REDIRECT: u8 = 137;

/// A station is no router and no DHCP server.
#[inline(always)]
fn roles(ip: &Ip) -> Result<(), Drop> {
    if ip.later_fragment {
        return Ok(());
    }
    match (ip.family, ip.proto) {
        // Clients look at the destination port only: a server's message is what goes to a client, whatever it comes from.
        (4, proto::UDP) if ip.sport == DHCP_SERVER || ip.dport == DHCP_CLIENT => Err(Drop::GuardDhcp),
        (6, proto::UDP) if ip.sport == DHCP6_SERVER || ip.dport == DHCP6_CLIENT => Err(Drop::GuardDhcp),
        (4, proto::ICMP) if ip.icmp_type == ICMP_REDIRECT => Err(Drop::GuardRedirect),
        (6, proto::ICMPV6) if ip.icmp_type == ICMPV6_REDIRECT => Err(Drop::GuardRedirect),
        (6, proto::ICMPV6) if ip.icmp_type == ROUTER_ADVERTISEMENT => Err(Drop::GuardRa),
        _ => Ok(()),
    }
}

#[inline(always)]
fn source_address<T: Tables>(tables: &T, packet: &Packet, key: &mut GuardKey) -> Result<(), Drop> {
    let ip = &packet.ip;
    let fine = if ip.src.is_unspecified() {
        may_be_unspecified(ip)
    } else {
        owns(tables, key, &ip.src) || ip.family == 6 && is_own_link_local(packet)
    };
    if fine { Ok(()) } else { Err(Drop::GuardIp) }
}

/// `0.0.0.0` asks for a lease; `::` solicits during duplicate address detection and reports its groups (RFC 4862, 3590).
#[inline(always)]
fn may_be_unspecified(ip: &Ip) -> bool {
    match (ip.family, ip.proto) {
        (4, proto::UDP) => !ip.later_fragment && (ip.sport, ip.dport) == (DHCP_CLIENT, DHCP_SERVER),
        (4, _) => false,
        (_, proto::ICMPV6) => {
            ip.is_icmp() && matches!(ip.icmp_type, ROUTER_SOLICITATION | NEIGHBOUR_SOLICITATION | 131 | 132 | 143)
        }
        _ => false,
    }
}

/// The link-local address that the MAC gives by modified EUI-64 (RFC 4291, appendix A).
#[inline(always)]
fn own_link_local(mac: &[u8; 6]) -> Addr {
    Addr([0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]])
}

#[inline(always)]
fn is_own_link_local(packet: &Packet) -> bool {
    packet.ip.src == own_link_local(&packet.source.mac)
}

/// Targets of advertisements and link-layer options of both must be the station's. A message that cannot be read to
/// its end is dropped: the receiver might read it differently.
#[inline(always)]
fn neighbour<T: Tables, F: Frame>(tables: &T, frame: &F, packet: &Packet, key: &mut GuardKey) -> Result<(), Drop> {
    let ip = &packet.ip;
    if ip.family != 6 || !ip.is_icmp() {
        return Ok(());
    }
    let body = match ip.icmp_type {
        ROUTER_SOLICITATION => 8,
        NEIGHBOUR_SOLICITATION | NEIGHBOUR_ADVERTISEMENT => 24,
        _ => return Ok(()),
    };
    // RFC 6980: such a message in a fragment must be ignored; it must not be believed either.
    if ip.fragment || link_layer_option(frame, ip, body, &packet.source.mac) != Some(true) {
        return Err(Drop::GuardNd);
    }
    if ip.icmp_type != NEIGHBOUR_ADVERTISEMENT {
        return Ok(());
    }
    match neighbour_target(frame, ip) {
        Some(target) if target == own_link_local(&packet.source.mac) || owns(tables, key, &target) => Ok(()),
        _ => Err(Drop::GuardNd),
    }
}
