//! Ethernet, tags and LLC: what a frame carries, and where.

use network_types::{
    eth::{EthHdr, EtherType},
    vlan::VlanHdr,
};

use super::{Class, Frame, Packet, Tag, ip};
use crate::abi::{Drop, REFRESH_ETHERTYPE};

const ETH_LEN: u32 = EthHdr::LEN as u32;
const TAG_LEN: u32 = VlanHdr::LEN as u32;
/// Below this the field is a length and LLC follows (IEEE 802.3, 3.2.6).
const FIRST_ETHERTYPE: u16 = 0x0600;
/// LLC for frames longer than 1500 bytes (IEEE 802, 9.4).
const JUMBO_LLC: u16 = 0x8870;
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
const EAPOL: u16 = 0x888e;
const LLDP: u16 = 0x88cc;

/// Reads as much of the frame as the decision needs.
///
/// # Errors
/// The reason to drop a frame that the policy cannot read (design section 2): it is never waved through.
pub fn parse<F: Frame>(frame: &F) -> Result<Packet, Drop> {
    let mut packet = Packet::default();
    parse_into(frame, &mut packet)?;
    Ok(packet)
}

/// As [`parse`], into a default packet of the caller's: a BPF stack has no room for copies.
///
/// # Errors
/// As [`parse`].
#[inline(never)]
pub fn parse_into<F: Frame>(frame: &F, packet: &mut Packet) -> Result<(), Drop> {
    let eth: EthHdr = frame.read(0).ok_or(Drop::Malformed)?;
    let beside = frame.metadata_tag();
    let in_metadata = beside.is_some();
    let mut ethertype = u16::from_be(eth.ether_type);
    let mut l3 = ETH_LEN;
    let mut tags = u32::from(in_metadata);
    packet.tag = beside.unwrap_or_default();
    if is_tag(ethertype) {
        let tag: VlanHdr = frame.read(l3).ok_or(Drop::Malformed)?;
        if !in_metadata {
            packet.tag = Tag { tci: u16::from_be_bytes(tag.tci), service: ethertype == SERVICE_TAG };
        }
        (ethertype, l3) = (u16::from_be(tag.ether_type), l3 + TAG_LEN);
        tags += 1;
    }
    packet.destination.mac = eth.dst_addr;
    packet.source.mac = eth.src_addr;
    packet.len = frame.len() + if in_metadata { TAG_LEN } else { 0 };
    packet.payload_len = packet.len.saturating_sub(if tags > 0 { ETH_LEN + TAG_LEN } else { ETH_LEN });
    packet.l3 = l3;
    packet.tagged = tags > 0;
    packet.gso = frame.is_gso();
    packet.class =
        if tags > 1 || is_tag(ethertype) { stacked(frame, ethertype, l3)? } else { single(frame, ethertype, packet)? };
    Ok(())
}

#[inline(always)]
fn single<F: Frame>(frame: &F, ethertype: u16, packet: &mut Packet) -> Result<Class, Drop> {
    Ok(match ethertype {
        IPV4 => {
            ip::parse_v4(frame, packet.l3, &mut packet.ip)?;
            Class::Ip
        }
        IPV6 => {
            ip::parse_v6(frame, packet.l3, &mut packet.ip)?;
            Class::Ip
        }
        ARP => {
            frame.read::<network_types::arp::ArpHdr>(packet.l3).ok_or(Drop::Malformed)?;
            Class::Arp
        }
        EAPOL | LLDP => Class::Control,
        MPLS | MPLS_MULTICAST | PPPOE_SESSION => return Err(Drop::Ethertype),
        REFRESH_ETHERTYPE => Class::Refresh,
        _ if is_llc(ethertype) => llc(frame, packet.l3)?,
        _ => Class::Other,
    })
}

const IPV4: u16 = (EtherType::Ipv4 as u16).to_be();
const IPV6: u16 = (EtherType::Ipv6 as u16).to_be();
const ARP: u16 = (EtherType::Arp as u16).to_be();
const CUSTOMER_TAG: u16 = (EtherType::Ieee8021q as u16).to_be();
const SERVICE_TAG: u16 = (EtherType::Ieee8021ad as u16).to_be();

#[inline(always)]
const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, CUSTOMER_TAG | SERVICE_TAG)
}

#[inline(always)]
const fn is_llc(ethertype: u16) -> bool {
    ethertype < FIRST_ETHERTYPE || ethertype == JUMBO_LLC
}

/// More than one tag. What hides IPv4, IPv6, ARP or something unreadable is dropped (CERT VU#855201).
#[inline(always)]
fn stacked<F: Frame>(frame: &F, outer: u16, at: u32) -> Result<Class, Drop> {
    let mut inner = outer;
    if is_tag(outer) {
        let tag: VlanHdr = frame.read(at).ok_or(Drop::VlanDepth)?;
        inner = u16::from_be(tag.ether_type);
    }
    let hidden = is_tag(inner)
        || is_llc(inner)
        || matches!(inner, IPV4 | IPV6 | ARP | MPLS | MPLS_MULTICAST | PPPOE_SESSION | REFRESH_ETHERTYPE);
    if hidden { Err(Drop::VlanDepth) } else { Ok(Class::Stacked) }
}

/// LLC: SNAP around what the policy judges is dropped, everything else is control traffic. The OUIs are RFC 1042's
/// 00-00-00 and 802.1H's 00-00-F8; under another OUI the type field is no ethertype.
#[inline(always)]
fn llc<F: Frame>(frame: &F, at: u32) -> Result<Class, Drop> {
    let head: [u8; 3] = frame.read(at).ok_or(Drop::Malformed)?;
    // Unnumbered information with or without the poll bit (IEEE 802.2, 5.4.1): receivers look past it.
    let (dsap, ssap, control) = (head[0] & 0xfe, head[1] & 0xfe, head[2] & 0xef);
    if (dsap, ssap) != (0xaa, 0xaa) || control != 0x03 {
        return Ok(Class::Control);
    }
    let snap: [u8; 8] = frame.read(at).ok_or(Drop::Malformed)?;
    let inner = u16::from_be_bytes([snap[6], snap[7]]);
    let wraps = matches!([snap[3], snap[4], snap[5]], [0, 0, 0] | [0, 0, 0xf8]);
    let judged = is_tag(inner) || matches!(inner, IPV4 | IPV6 | ARP | MPLS | MPLS_MULTICAST | PPPOE_SESSION);
    if wraps && judged { Err(Drop::Llc) } else { Ok(Class::Control) }
}

/// Whether the I/G bit is set: multicast or broadcast.
#[inline(always)]
pub const fn is_group(mac: &[u8; 6]) -> bool {
    mac[0] & 1 == 1
}

/// Addresses that bridges keep to themselves: 01-80-C2-00-00-0x (IEEE 802.1Q, 8.6.3), and the Cisco and Extreme groups
/// that OVS reserves too (`eth_addr_is_reserved` in OVS's lib/packets.c).
#[inline(always)]
pub const fn is_reserved(mac: &[u8; 6]) -> bool {
    match *mac {
        [0x01, 0x80, 0xc2, 0, 0, last] => last & 0xf0 == 0,
        [0x01, 0x00, 0x0c, 0xcc, 0xcc, last] => last & 0xf0 == 0xc0,
        [0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xcd] | [0x01, 0x00, 0x0c, 0, 0, 0] => true,
        [0x00, 0xe0, 0x2b, 0, 0, last] => last & 0xf0 == 0,
        _ => false,
    }
}
