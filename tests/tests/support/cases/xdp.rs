//! Design section 3: what XDP may forward where TC may forward more.

use bridge_common::abi::{Drop, Punt};
use bridge_tests::frame::{Eth, Ipv4, Ipv6, Tcp, Udp, checksum};

use super::policy::{ping4, ping6};
use super::{a_to_b, udp4};
use crate::support::case::{Case, Want, enters};
use crate::support::effects::Effect::{Learned, Opened, Used};
use crate::support::world::*;

const OK: Want = Want::Forward(PB);
const PARTIAL: Want = Want::Punt(Punt::PartialChecksum);

fn udp_with(sum: u16) -> Vec<u8> {
    Eth::new(B, A).ipv4(&Ipv4::new(IP_A, IP_B).carry(&Udp::new(1, 2, b"payload").with_checksum(sum)))
}

/// The folded sum of the pseudo-header, as Linux leaves it in a frame whose checksum is to be finished by a device.
fn partial4(proto: u8, length: u16) -> u16 {
    let [a, b] = length.to_be_bytes();
    !checksum(&[&IP_A, &IP_B, &[0, proto, a, b]])
}

pub fn cases() -> Vec<Case> {
    let inside = |name: &str, frame| enters(name, PA, frame, OK).under(INSIDE);
    let tunnel = |port| Eth::new(B, A).ipv4(&Ipv4::new(IP_A, IP_B).carry(&Udp::new(1, port, b"inner")));
    let mut tcp = Eth::new(B, A).ipv4(&Ipv4::new(IP_A, IP_B).carry(&Tcp::segment(1, 2, 16, b"data")));
    let whole_tcp = tcp.clone();
    tcp[14 + 20 + 16..][..2].copy_from_slice(&partial4(6, 24).to_be_bytes());
    let mut udp6 = Eth::new(B, A).ipv6(&Ipv6::new(IP6_A, IP6_B).carry(&Udp::new(1, 2, b"payload")));
    let sum = !checksum(&[&IP6_A, &IP6_B, &[0, 0, 0, 15, 0, 0, 0, 17]]);
    udp6[14 + 40 + 6..][..2].copy_from_slice(&sum.to_be_bytes());
    let fragment = Eth::new(B, A).ipv4(&Ipv4::new(IP_A, IP_B).fragment(0, true).carry(&Udp::new(1, 2, &[0; 24])));
    let esp = Eth::new(B, A).ipv4(&Ipv4::new(IP_A, IP_B).raw(50, &[7; 24]));
    let from_uplink = Eth::new(A, ROUTER).ipv4(&Ipv4::new(IP_LAN, IP_A).carry(&Udp::new(1, 2, b"x").with_checksum(0)));
    let mut cases = vec![
        inside("TCP with a whole checksum", whole_tcp),
        inside("TCP with a partial one", tcp).at_xdp(PARTIAL),
        inside("UDP without checksum", udp_with(0)).at_xdp(PARTIAL),
        inside("UDP with a partial one", udp_with(partial4(17, 15))).at_xdp(PARTIAL),
        inside("UDP with a wrong one is somebody else's business", udp_with(partial4(17, 15) ^ 1)),
        inside("UDP with a partial one, IPv6", udp6).at_xdp(PARTIAL),
        inside("ICMP", ping4(B, A, (IP_A, IP_B))),
        inside("ICMPv6", ping6(B, A, (IP6_A, IP6_B))),
        inside("a fragment", fragment).at_xdp(PARTIAL),
        inside("another protocol", esp).at_xdp(PARTIAL),
        enters("no partial checksums come from a wire", UP, from_uplink, Want::Forward(PA)).under(TO_LAN),
        enters("a device that takes nothing from XDP", PA, udp4(mac(9), A, (IP_A, IP_B), (1, 2)), Want::Forward(PN))
            .at_xdp(Want::Punt(Punt::NoXdpTarget))
            .under(INSIDE),
        inside("a device that has left the map", a_to_b())
            .with(|w| _ = w.targets.remove(&2))
            .at_xdp(Want::Punt(Punt::EgressDown)),
    ];
    cases.extend([4789, 8472, 6081, 4754].map(|port| inside(&format!("tunnel {port}"), tunnel(port)).at_xdp(PARTIAL)));
    cases.extend(with_tc_behind());
    cases
}

fn with_tc_behind() -> Vec<Case> {
    let t = mac(10);
    let to = Want::ToTc;
    vec![
        enters("XDP takes what it can prove safe", PT, udp4(B, t, (IP_A, IP_B), (1, 2)), OK).under(INSIDE),
        enters("and drops what is denied", PT, udp4(B, t, (IP_OUT, IP_B), (1, 2)), Want::Drop(Drop::Policy))
            .under(DEFAULT)
            .zoneless(10),
        enters(
            "what it leaves to TC counts and teaches only there",
            PT,
            udp4(B, STRANGER, (IP_A, IP_B), (1, 2)),
            Want::Punt(Punt::UnknownSource),
        )
        .at_xdp(to)
        .under(INSIDE)
        .changing([Learned(STRANGER, 10), Used(10, 1, 0)]),
        enters("and opens flows only there", PT, udp4(HOST, t, (IP_A, IP_OUT), (1, 53)), Want::Punt(Punt::OwnMac))
            .at_xdp(to)
            .under(OUTWARD)
            .changing([Opened(10), Used(10, 0, 1)]),
        enters(
            "a partial checksum is left to TC, which forwards",
            PT,
            {
                let packet = Ipv4::new(IP_A, IP_B).carry(&Udp::new(1, 2, b"x").with_checksum(0));
                Eth::new(B, t).ipv4(&packet)
            },
            OK,
        )
        .at_xdp(to)
        .under(INSIDE),
    ]
}
