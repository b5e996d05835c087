//! The parsed frame: small, `Copy`, no pointers, everything the decision needs but the frame's own bytes.

use crate::abi::StationKey;

/// IP protocol numbers that the parser looks into (IANA protocol numbers).
pub mod proto {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IGMP.
    pub const IGMP: u8 = 2;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
}

/// An address of either family: IPv4 in the first four bytes and zeros after, wire order.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Addr(pub [u8; 16]);

impl Addr {
    /// From an IPv4 address.
    #[inline(always)]
    pub const fn v4(a: [u8; 4]) -> Self {
        // Two words: twelve zero bytes become a call of a memset that loops over bytes.
        Self((u32::from_le_bytes(a) as u128).to_le_bytes())
    }

    /// The IPv4 address in it.
    #[inline(always)]
    pub const fn as_v4(&self) -> [u8; 4] {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }

    /// All zeros.
    #[inline(always)]
    pub fn is_unspecified(&self) -> bool {
        u128::from_ne_bytes(self.0) == 0
    }
}

/// What kind of frame it is, as far as the decision cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Neither of the others: an ethertype that is not judged.
    #[default]
    Other,
    /// IPv4 or IPv6; [`Packet::ip`] is filled.
    Ip,
    /// ARP; its body lies at [`Packet::l3`].
    Arp,
    /// Link-level control: 802.1X, LLDP, LLC that is not SNAP-wrapped IP.
    Control,
    /// Several tags around something that the policy does not judge.
    Stacked,
    /// Our own refresh frame.
    Refresh,
}

/// The IP part of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ip {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// 4 or 6.
    pub family: u8,
    /// The upper layer's protocol number.
    pub proto: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TCP flags byte, else 0.
    pub tcp_flags: u8,
    /// A fragment of any kind.
    pub fragment: bool,
    /// A fragment that does not start the datagram: the upper header is not there.
    pub later_fragment: bool,
    /// IPv6 extension headers lie before the upper layer.
    pub extensions: bool,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// ICMP or ICMPv6 code.
    pub icmp_code: u8,
    /// TCP and UDP source port; the identifier of an ICMP query. Host byte order.
    pub sport: u16,
    /// TCP and UDP destination port, host byte order.
    pub dport: u16,
    /// The upper layer's checksum as in the frame, host byte order (TCP, UDP).
    pub checksum: u16,
    /// Offset of the upper layer in the frame.
    pub l4: u32,
    /// Bytes of the upper layer, by the IP header.
    pub l4_len: u32,
}

impl Ip {
    /// Whether [`Ip::sport`] and [`Ip::dport`] are there.
    #[inline(always)]
    pub fn has_ports(&self) -> bool {
        (self.proto == proto::TCP || self.proto == proto::UDP) && !self.later_fragment
    }

    /// Whether it is ICMP of its own family, with the type in reach.
    #[inline(always)]
    pub fn is_icmp(&self) -> bool {
        let own = if self.family == 4 { proto::ICMP } else { proto::ICMPV6 };
        self.proto == own && !self.later_fragment
    }

    /// Multicast, or IPv4's limited broadcast.
    #[inline(always)]
    pub fn to_group(&self) -> bool {
        match self.family {
            4 => self.dst.0[0] & 0xf0 == 0xe0 || self.dst.as_v4() == [255; 4],
            _ => self.dst.0[0] == 0xff,
        }
    }
}

/// A VLAN tag (IEEE 802.1Q, 9.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Priority in bits 13 to 15, drop eligible in bit 12, VID below. Host byte order.
    pub tci: u16,
    /// A service tag (802.1ad, 0x88a8) and no customer tag (802.1Q, 0x8100).
    pub service: bool,
}

impl Tag {
    /// An 802.1Q tag.
    #[must_use]
    pub const fn customer(tci: u16) -> Self {
        Self { tci, service: false }
    }

    /// The VLAN that it names, 0 = none.
    #[inline(always)]
    pub const fn vid(self) -> u16 {
        self.tci & 0x0fff
    }
}

/// A parsed frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Destination MAC, as FDB key; its VLAN is not the parser's to tell.
    pub destination: StationKey,
    /// Source MAC, likewise.
    pub source: StationKey,
    /// Frame length without FCS, a tag in metadata included.
    pub len: u32,
    /// Bytes that an egress MTU is compared with: without Ethernet header and without one tag.
    pub payload_len: u32,
    /// Offset of what follows the Ethernet header and the tags.
    pub l3: u32,
    /// What it is.
    pub class: Class,
    /// Carries at least one tag.
    pub tagged: bool,
    /// The outermost tag, if `tagged`.
    pub tag: Tag,
    /// See [`super::Frame::is_gso`].
    pub gso: bool,
    /// Meaningful when `class` is [`Class::Ip`].
    pub ip: Ip,
}
