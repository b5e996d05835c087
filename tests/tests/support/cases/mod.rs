//! The golden cases, by chapter of the design.

mod beside;
mod egress;
mod flows;
mod forward;
mod guard;
mod learn;
mod passing;
mod policy;
mod unreadable;
mod vlan;
mod xdp;

use bridge_tests::Mac;
use bridge_tests::frame::{Eth, Ipv4, Ipv6, Tcp, Udp};

use super::case::Case;
use super::world::{A, B, IP_A, IP_B};

/// All of them, each named after its chapter.
pub fn all() -> Vec<Case> {
    let chapters = [
        ("forward", forward::cases()),
        ("learn", learn::cases()),
        ("policy", policy::cases()),
        ("flows", flows::cases()),
        ("passing", passing::cases()),
        ("unreadable", unreadable::cases()),
        ("guard", guard::cases()),
        ("egress", egress::cases()),
        ("xdp", xdp::cases()),
        ("vlan", vlan::cases()),
        ("beside", beside::cases()),
    ];
    let named = |(chapter, cases): (&'static str, Vec<Case>)| {
        cases.into_iter().map(move |case| Case { name: format!("{chapter}: {}", case.name), ..case })
    };
    chapters.into_iter().flat_map(named).collect()
}

pub const SYN: u8 = 2;
pub const ACK: u8 = 16;
pub const FIN: u8 = 1;
pub const RST: u8 = 4;

pub fn udp4(to: Mac, from: Mac, ips: ([u8; 4], [u8; 4]), ports: (u16, u16)) -> Vec<u8> {
    Eth::new(to, from).ipv4(&Ipv4::new(ips.0, ips.1).carry(&Udp::new(ports.0, ports.1, b"payload")))
}

pub fn udp6(to: Mac, from: Mac, ips: ([u8; 16], [u8; 16]), ports: (u16, u16)) -> Vec<u8> {
    Eth::new(to, from).ipv6(&Ipv6::new(ips.0, ips.1).carry(&Udp::new(ports.0, ports.1, b"payload")))
}

pub fn tcp4(to: Mac, from: Mac, ips: ([u8; 4], [u8; 4]), ports: (u16, u16), flags: u8) -> Vec<u8> {
    Eth::new(to, from).ipv4(&Ipv4::new(ips.0, ips.1).carry(&Tcp::segment(ports.0, ports.1, flags, b"x")))
}

/// What everybody may send: A to B.
pub fn a_to_b() -> Vec<u8> {
    udp4(B, A, (IP_A, IP_B), (1000, 2000))
}
