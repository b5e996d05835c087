//! A frame as its author meant it, and its bytes.

use std::net::IpAddr;

use bridge_tests::Mac;
use bridge_tests::frame::{
    Arp, Eth, ExtensionHeader, Icmp, Icmp6, Ipv4, Ipv6, RawProto, Tcp, Transport, Udp, checksum, ethertype,
};

#[derive(Clone, Debug)]
pub struct Spec {
    pub to: Mac,
    pub from: Mac,
    /// Tag protocol identifiers, outermost first.
    pub tags: Vec<u16>,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub enum Body {
    Ip(Ip),
    Arp(Arp),
    /// Any ethertype.
    Other(u16),
    /// LLC with this SAP.
    Llc(u8),
    /// SNAP with this OUI around this ethertype.
    Snap([u8; 3], u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    No,
    First,
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    Whole,
    Zero,
    Partial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    No,
    /// IPv4: IHL 4; IPv6: version 4.
    Header,
    /// The length field says one more than there is.
    Length,
}

#[derive(Clone, Debug)]
pub enum Upper {
    Tcp(u16, u16),
    Udp(u16, u16),
    /// ICMP of the packet's family: type, code, identifier.
    Icmp(u8, u8, u16),
    /// Neighbour discovery with a target and a link-layer option: type, target, MAC.
    Nd(u8, [u8; 16], Option<Mac>),
    /// Destination unreachable about a packet.
    Error(Box<Ip>),
    Raw(u8),
}

#[derive(Clone, Debug)]
pub struct Ip {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub hop_limit: u8,
    /// IPv6 extension headers; 143 stands for a routing header with segments left.
    pub chain: Vec<u8>,
    pub fragment: Fragment,
    pub upper: Upper,
    pub sum: Sum,
    pub damage: Damage,
}

/// [`Ip::chain`]: a routing header that is not at its end.
pub const ROUTING_TO_GO: u8 = 143;

impl Ip {
    pub fn is_v4(&self) -> bool {
        self.src.is_ipv4()
    }

    /// Upper protocol number.
    pub fn proto(&self) -> u8 {
        match self.upper {
            Upper::Tcp(..) => 6,
            Upper::Udp(..) => 17,
            Upper::Icmp(..) | Upper::Nd(..) | Upper::Error(_) if self.is_v4() => 1,
            Upper::Icmp(..) | Upper::Nd(..) | Upper::Error(_) => 58,
            Upper::Raw(number) => number,
        }
    }

    /// ICMP type and code.
    pub fn icmp(&self) -> Option<(u8, u8)> {
        match (&self.upper, self.is_v4()) {
            _ if self.fragment == Fragment::Later => None,
            (Upper::Icmp(kind, code, _), _) => Some((*kind, *code)),
            (Upper::Nd(kind, ..), _) => Some((*kind, 0)),
            (Upper::Error(_), true) => Some((3, 1)),
            (Upper::Error(_), false) => Some((1, 0)),
            _ => None,
        }
    }

    /// TCP or UDP ports, where they can be seen.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.upper {
            Upper::Tcp(from, to) | Upper::Udp(from, to) if self.fragment != Fragment::Later => Some((from, to)),
            _ => None,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut packet = match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.v4(src.octets(), dst.octets()),
            (IpAddr::V6(src), IpAddr::V6(dst)) => self.v6(src.octets(), dst.octets()),
            _ => panic!("two families in one packet"),
        };
        match (self.damage, self.is_v4()) {
            (Damage::No, _) => {}
            (Damage::Header, true) => packet[0] = 0x44,
            (Damage::Header, false) => packet[0] = 0x40,
            (Damage::Length, true) => packet[3] += 1,
            (Damage::Length, false) => packet[5] += 1,
        }
        packet
    }

    fn v4(&self, src: [u8; 4], dst: [u8; 4]) -> Vec<u8> {
        let header = Ipv4::new(src, dst).ttl(self.hop_limit);
        let pseudo = |length: usize| [&src[..], &dst, &[0, self.proto()], &(length as u16).to_be_bytes()].concat();
        match self.fragment {
            Fragment::Later => header.fragment(99, false).raw(self.proto(), &[0x5a; 24]),
            Fragment::First => header.fragment(0, true).raw(self.proto(), &self.payload(pseudo)),
            Fragment::No => header.raw(self.proto(), &self.payload(pseudo)),
        }
    }

    fn v6(&self, src: [u8; 16], dst: [u8; 16]) -> Vec<u8> {
        let mut header = Ipv6::new(src, dst).hop_limit(self.hop_limit);
        for &kind in &self.chain {
            header = header.extension(extension(kind));
        }
        let pseudo =
            |length: usize| [&src[..], &dst, &(length as u32).to_be_bytes(), &[0, 0, 0, self.proto()]].concat();
        match self.fragment {
            Fragment::Later => header.extension(ExtensionHeader::fragment(99, false, 5)).raw(self.proto(), &[0x5a; 24]),
            Fragment::First => {
                header.extension(ExtensionHeader::fragment(0, true, 5)).raw(self.proto(), &self.payload(pseudo))
            }
            Fragment::No => header.raw(self.proto(), &self.payload(pseudo)),
        }
    }

    fn payload(&self, pseudo: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = match &self.upper {
            Upper::Tcp(from, to) => Tcp::segment(*from, *to, 16, b"data").bytes(&pseudo),
            Upper::Udp(from, to) => Udp::new(*from, *to, b"data").bytes(&pseudo),
            Upper::Icmp(kind, code, id) if self.is_v4() => {
                Icmp { kind: *kind, code: *code, ..Icmp::echo(*id, 1, b"data") }.bytes(&pseudo)
            }
            Upper::Icmp(kind, code, id) => {
                Icmp6 { kind: *kind, code: *code, ..Icmp6::echo(*id, 1, &[0; 16]) }.bytes(&pseudo)
            }
            Upper::Nd(kind, target, mac) => Icmp6 { kind: *kind, ..Icmp6::advertisement(*target, *mac) }.bytes(&pseudo),
            Upper::Error(about) if self.is_v4() => Icmp::error(3, 1, &about.bytes()).bytes(&pseudo),
            Upper::Error(about) => {
                let body = [&[0; 4], &about.bytes()[..]].concat();
                Icmp6 { kind: 1, code: 0, body }.bytes(&pseudo)
            }
            Upper::Raw(number) => RawProto(*number, vec![0x77; 24]).bytes(&pseudo),
        };
        let at = match self.upper {
            Upper::Tcp(..) => 16,
            Upper::Udp(..) => 6,
            _ => return bytes,
        };
        let sum = match self.sum {
            Sum::Whole => return bytes,
            Sum::Zero => 0,
            Sum::Partial => !checksum(&[&pseudo(bytes.len())]),
        };
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

fn extension(kind: u8) -> ExtensionHeader {
    let mut header = match kind {
        51 => ExtensionHeader::authentication(),
        ROUTING_TO_GO => ExtensionHeader::options(43, 0),
        kind => ExtensionHeader::options(kind, 0),
    };
    match kind {
        ROUTING_TO_GO => header.body[2] = 3,
        43 => header.body[2] = 0,
        _ => {}
    }
    header
}

impl Spec {
    pub fn bytes(&self) -> Vec<u8> {
        let eth = self.tags.iter().fold(Eth::new(self.to, self.from), |eth, &tpid| eth.tag(tpid, 7));
        match &self.body {
            Body::Ip(ip) if ip.is_v4() => eth.ipv4(&ip.bytes()),
            Body::Ip(ip) => eth.ipv6(&ip.bytes()),
            Body::Arp(arp) => eth.arp(arp),
            Body::Other(kind) => eth.payload(*kind, &[0x33; 46]),
            Body::Llc(sap) => eth.llc(*sap, *sap, 3, &[0x33; 40]),
            Body::Snap(oui, kind) => eth.snap(*oui, *kind, &[0x33; 40]),
        }
    }

    /// The ethertype behind the tags, `None` for LLC.
    pub fn ethertype(&self) -> Option<u16> {
        match &self.body {
            Body::Ip(ip) => Some(if ip.is_v4() { ethertype::IPV4 } else { ethertype::IPV6 }),
            Body::Arp(_) => Some(ethertype::ARP),
            Body::Other(kind) => Some(*kind),
            Body::Llc(_) | Body::Snap(..) => None,
        }
    }
}
