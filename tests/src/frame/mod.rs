//! Builds frames for tests: small parts that compose, lengths and checksums filled in. Writes what it is told, also what no sane stack
//! would send; must not share code with the product's parser, which it tests.
//!
//! ```
//! use bridge_tests::frame::{Eth, Ipv4, Udp};
//! let (a, b) = ([0x52, 0x54, 0, 0, 0, 1], [0x52, 0x54, 0, 0, 0, 2]);
//! let packet = Ipv4::new([10, 17, 4, 21], [10, 17, 3, 11]).carry(&Udp::new(1000, 53, b"question"));
//! let frame = Eth::new(b, a).vlan(5).ipv4(&packet);
//! assert_eq!(frame.len(), 14 + 4 + 20 + 8 + 8);
//! ```

mod arp;
mod dhcp;
mod icmp6;
mod ipv4;
mod ipv6;
mod transport;

pub use arp::Arp;
pub use dhcp::{dhcp4, dhcp6};
pub use icmp6::{Icmp6, link_layer_option, link_local};
pub use ipv4::Ipv4;
pub use ipv6::{ExtensionHeader, Ipv6};
pub use transport::{Icmp, RawProto, Tcp, Transport, Udp};

use crate::Mac;

/// ff:ff:ff:ff:ff:ff.
pub const BROADCAST: Mac = [0xff; 6];

/// Ethertypes used in tests.
pub mod ethertype {
    #![allow(missing_docs)]
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const VLAN: u16 = 0x8100;
    pub const QINQ: u16 = 0x88a8;
    pub const IPV6: u16 = 0x86dd;
    pub const MPLS: u16 = 0x8847;
    pub const PPPOE_SESSION: u16 = 0x8864;
    pub const EAPOL: u16 = 0x888e;
    pub const LLDP: u16 = 0x88cc;
    pub const LOCAL_EXPERIMENTAL: u16 = 0x88b5;
}

/// An Ethernet header: MACs and up to any number of tags. Not padded: a test sees the length it asked for.
#[derive(Debug, Clone)]
pub struct Eth {
    header: Vec<u8>,
}

impl Eth {
    /// Destination first, as on the wire.
    #[must_use]
    pub fn new(destination: Mac, source: Mac) -> Self {
        Self { header: [destination, source].concat() }
    }

    /// Adds an 802.1Q tag with this VID, priority 0.
    #[must_use]
    pub fn vlan(self, vid: u16) -> Self {
        self.tag(ethertype::VLAN, vid)
    }

    /// Adds any tag: TPID and whole TCI (PCP, DEI, VID). The first one added is the outer one.
    #[must_use]
    pub fn tag(mut self, tpid: u16, tci: u16) -> Self {
        self.header.extend(tpid.to_be_bytes());
        self.header.extend(tci.to_be_bytes());
        self
    }

    /// Any ethertype and payload.
    #[must_use]
    pub fn payload(self, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        [&self.header, &ethertype.to_be_bytes()[..], payload].concat()
    }

    /// An IPv4 packet.
    #[must_use]
    pub fn ipv4(self, packet: &[u8]) -> Vec<u8> {
        self.payload(ethertype::IPV4, packet)
    }

    /// An IPv6 packet.
    #[must_use]
    pub fn ipv6(self, packet: &[u8]) -> Vec<u8> {
        self.payload(ethertype::IPV6, packet)
    }

    /// An ARP body.
    #[must_use]
    pub fn arp(self, arp: &Arp) -> Vec<u8> {
        self.payload(ethertype::ARP, &arp.bytes())
    }

    /// An 802.3 frame: length, then DSAP, SSAP and control, then the payload.
    #[must_use]
    pub fn llc(self, dsap: u8, ssap: u8, control: u8, payload: &[u8]) -> Vec<u8> {
        let body = [&[dsap, ssap, control], payload].concat();
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
        self.payload(length, &body)
    }

    /// LLC/SNAP (RFC 1042 with OUI 00-00-00): an ethertype hidden behind an 802.3 length.
    #[must_use]
    pub fn snap(self, oui: [u8; 3], ethertype: u16, payload: &[u8]) -> Vec<u8> {
        self.llc(0xaa, 0xaa, 0x03, &[&oui, &ethertype.to_be_bytes()[..], payload].concat())
    }
}

/// The Internet checksum (RFC 1071) over the concatenation of parts, each of which but the last has even length.
#[must_use]
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Fills a frame with zeros up to `length` (60 is Ethernet's least without FCS).
#[must_use]
pub fn pad(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    frame.resize(frame.len().max(length), 0);
    frame
}
