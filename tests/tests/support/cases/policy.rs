//! Design section 2: what the policy judges, which rule decides, fragments, the host itself.

use bridge_common::abi::{Drop, Punt};
use bridge_tests::frame::{BROADCAST, Eth, ExtensionHeader, Icmp, Icmp6, Ipv4, Ipv6, RawProto, Tcp, Udp};

use super::{SYN, tcp4, udp4, udp6};
use crate::support::case::{Case, Want, enters};
use crate::support::effects::Effect::{Opened, Used};
use crate::support::world::*;

const OUT_WEB: ([u8; 4], [u8; 4]) = (IP_OUT, IP_WEB);

pub fn cases() -> Vec<Case> {
    let web = |name, port, want| enters(name, UP, tcp4(A, ROUTER, OUT_WEB, (5000, port), SYN), want);
    let mut cases = vec![
        web("a published port", 80, Want::Forward(PA)).under(WEB),
        web("first of a range", 443, Want::Forward(PA)).under(WEB),
        web("last of a range", 444, Want::Forward(PA)).under(WEB),
        web("past a range", 445, Want::Drop(Drop::Policy)).under(DEFAULT),
        web("before a range", 442, Want::Drop(Drop::Policy)).under(DEFAULT),
        web("source ports do not count", 81, Want::Drop(Drop::Policy)).under(DEFAULT),
        enters("another protocol on that port", UP, udp4(A, ROUTER, OUT_WEB, (5000, 80)), Want::Drop(Drop::Policy))
            .under(DEFAULT),
        enters("nobody's addresses", PA, udp4(B, A, (IP_OUT, IP_OUT), (1, 2)), Want::Drop(Drop::Policy))
            .under(DEFAULT)
            .zoneless(1),
        enters(
            "nobody's, from the uplink: the internet",
            UP,
            udp4(A, ROUTER, (IP_OUT, IP_A), (1, 2)),
            Want::Drop(Drop::Policy),
        )
        .under(DEFAULT),
        enters("nobody's, a second time", PA, udp4(B, A, (IP_OUT, IP_OUT), (1, 2)), Want::Drop(Drop::Policy))
            .under(DEFAULT)
            .zoneless(1)
            .then(PB, udp4(A, B, (IP_OUT, IP_OUT), (1, 2)), Want::Drop(Drop::Policy))
            .under(DEFAULT),
        enters("a rule of both directions", UP, udp4(A, ROUTER, (IP_LAN, IP_A), (1, 2)), Want::Forward(PA))
            .under(TO_LAN),
        enters(
            "a deny rule before an allowing one",
            PA,
            tcp4(ROUTER, A, (IP_A, IP_OUT), (1, 25), SYN),
            Want::Drop(Drop::Policy),
        )
        .under(NO_SMTP),
        enters("ICMP by its number", UP, ping4(A, ROUTER, OUT_WEB), Want::Forward(PA)).under(WEB_PING),
        enters("ICMPv6 is icmp too", UP, ping6(A, ROUTER, (IP6_OUT, IP6_WEB)), Want::Forward(PA)).under(WEB_PING),
        enters("a protocol by its number", UP, raw4(A, ROUTER, (IP_OUT, IP_A), 47), Want::Forward(PA)).under(GRE),
        enters("a protocol that no rule names", UP, raw4(A, ROUTER, (IP_OUT, IP_A), 50), Want::Drop(Drop::Policy))
            .under(DEFAULT),
        enters("protocol 0 is one like others", UP, raw4(A, ROUTER, (IP_OUT, IP_A), 0), Want::Drop(Drop::Policy))
            .under(DEFAULT),
        enters(
            "link-local is in no zone",
            PA,
            udp6(B, A, (link_local(1), link_local(2)), (1, 2)),
            Want::Drop(Drop::Policy),
        )
        .under(DEFAULT),
        enters(
            "IP multicast is not judged",
            PA,
            udp4([1, 0, 0x5e, 0, 0, 9], A, (IP_OUT, [224, 0, 0, 9]), (1, 2)),
            Want::Punt(Punt::Multicast),
        ),
        enters("nor in a unicast MAC", PA, udp4(B, A, (IP_OUT, [239, 1, 1, 1]), (1, 2)), Want::Punt(Punt::Multicast)),
        enters(
            "nor is the limited broadcast",
            PA,
            udp4(BROADCAST, A, (IP_OUT, [255; 4]), (1, 2)),
            Want::Punt(Punt::Multicast),
        ),
        enters(
            "nor IPv6 multicast",
            PA,
            udp6([0x33, 0x33, 0, 0, 0, 1], A, (IP6_OUT, ALL_NODES), (1, 2)),
            Want::Punt(Punt::Multicast),
        ),
        enters(
            "unicast IP in a broadcast MAC is judged",
            PA,
            udp4(BROADCAST, A, (IP_OUT, IP_B), (1, 2)),
            Want::Drop(Drop::Policy),
        )
        .under(DEFAULT)
        .zoneless(1),
        enters("other ethertypes", PA, Eth::new(B, A).payload(0x9999, &[0; 46]), Want::Punt(Punt::Ethertype)),
        enters(
            "other ethertypes, forbidden",
            PA,
            Eth::new(B, A).payload(0x9999, &[0; 46]),
            Want::Drop(Drop::Ethertype),
        )
        .with(|w| w.publish(1, policy(|p| p.other_ethertypes = bridge_user::topology::model::OtherEthertypes::Drop))),
    ];
    cases.extend(fragments());
    cases.extend(host());
    cases
}

pub fn link_local(last: u8) -> [u8; 16] {
    ip6(0xfe80, last)
}

pub fn ping4(to: bridge_tests::Mac, from: bridge_tests::Mac, ips: ([u8; 4], [u8; 4])) -> Vec<u8> {
    Eth::new(to, from).ipv4(&Ipv4::new(ips.0, ips.1).carry(&Icmp::echo(7, 1, b"abcd")))
}

pub fn ping6(to: bridge_tests::Mac, from: bridge_tests::Mac, ips: ([u8; 16], [u8; 16])) -> Vec<u8> {
    Eth::new(to, from).ipv6(&Ipv6::new(ips.0, ips.1).carry(&Icmp6::echo(7, 1, b"abcd")))
}

fn raw4(to: bridge_tests::Mac, from: bridge_tests::Mac, ips: ([u8; 4], [u8; 4]), proto: u8) -> Vec<u8> {
    // At TC only: XDP does not know where such a protocol keeps its checksum.
    Eth::new(to, from).ipv4(&Ipv4::new(ips.0, ips.1).carry(&RawProto(proto, vec![0xab; 24])))
}

fn fragments() -> Vec<Case> {
    let piece = |ips: ([u8; 4], [u8; 4]), offset, more, proto| {
        Eth::new(A, ROUTER).ipv4(&Ipv4::new(ips.0, ips.1).fragment(offset, more).raw(proto, &[9; 32]))
    };
    let first = |ips: ([u8; 4], [u8; 4]), port| {
        Eth::new(A, ROUTER).ipv4(&Ipv4::new(ips.0, ips.1).fragment(0, true).carry(&Tcp::syn(5000, port)))
    };
    let six = |offset, more| Ipv6::new(IP6_OUT, IP6_WEB).extension(ExtensionHeader::fragment(offset, more, 7));
    let later6 = |ips: ([u8; 16], [u8; 16]), proto| {
        Eth::new(A, ROUTER)
            .ipv6(&Ipv6::new(ips.0, ips.1).extension(ExtensionHeader::fragment(9, false, 7)).raw(proto, &[9; 16]))
    };
    let ok = Want::Forward(PA);
    let no_ports = Want::Drop(Drop::FragmentNoPorts);
    vec![
        enters("later fragment under a rule without ports", UP, piece((IP_LAN, IP_A), 9, false, 6), ok).under(TO_LAN),
        enters("middle fragment under a rule without ports", UP, piece((IP_LAN, IP_A), 9, true, 17), ok).under(TO_LAN),
        enters("first fragment shows its ports", UP, first(OUT_WEB, 80), ok).under(WEB),
        enters("first fragment to another port", UP, first(OUT_WEB, 81), Want::Drop(Drop::Policy)).under(DEFAULT),
        enters("later fragment under rules with ports", UP, piece(OUT_WEB, 9, false, 6), no_ports),
        enters("middle fragment under rules with ports", UP, piece(OUT_WEB, 9, true, 6), no_ports),
        enters(
            "later fragment of a protocol that no rule looks into",
            UP,
            piece(OUT_WEB, 9, false, 17),
            Want::Drop(Drop::Policy),
        )
        .under(DEFAULT),
        enters("later fragment of ICMP needs no ports", UP, piece(OUT_WEB, 9, false, 1), ok).under(WEB_PING),
        enters(
            "a fragment that would rewrite TCP's flags",
            UP,
            piece((IP_LAN, IP_A), 1, false, 6),
            Want::Drop(Drop::Malformed),
        ),
        enters(
            "a tiny first fragment",
            UP,
            Eth::new(A, ROUTER).ipv4(&Ipv4::new(IP_LAN, IP_A).fragment(0, true).raw(6, &[0; 8])),
            Want::Drop(Drop::Malformed),
        ),
        enters("IPv6 first fragment", UP, Eth::new(A, ROUTER).ipv6(&six(0, true).carry(&Tcp::syn(1, 443))), ok)
            .under(WEB),
        enters("IPv6 atomic fragment", UP, Eth::new(A, ROUTER).ipv6(&six(0, false).carry(&Tcp::syn(1, 443))), ok)
            .under(WEB),
        enters("IPv6 later fragment", UP, later6((IP6_OUT, IP6_WEB), 6), no_ports),
        enters("IPv6 later fragment inside", UP, later6((IP6_B, IP6_A), 6), ok).under(INSIDE),
        enters("an IPv6 fragment that says IGMP is judged", UP, later6((IP6_OUT, IP6_B), 2), Want::Drop(Drop::Policy))
            .under(DEFAULT),
        enters(
            "IPv6 later fragment behind which a header chain goes on",
            UP,
            later6((IP6_B, IP6_A), 60),
            Want::Drop(Drop::Ipv6Extension),
        ),
    ]
}

fn host() -> Vec<Case> {
    let out = (IP_OUT, IP_HOST);
    vec![
        enters(
            "to the host's address at its MAC: its own business",
            UP,
            tcp4(HOST, ROUTER, out, (1, 22), SYN),
            Want::Punt(Punt::OwnMac),
        ),
        enters(
            "to the host's address, IPv6",
            UP,
            udp6(HOST, ROUTER, (IP6_OUT, IP6_HOST), (1, 2)),
            Want::Punt(Punt::OwnMac),
        ),
        enters(
            "to the host's address at another's MAC: judged",
            UP,
            tcp4(A, ROUTER, out, (1, 22), SYN),
            Want::Drop(Drop::Policy),
        )
        .under(DEFAULT),
        enters(
            "through the host: judged",
            UP,
            tcp4(HOST, ROUTER, (IP_OUT, IP_A), (1, 22), SYN),
            Want::Drop(Drop::Policy),
        )
        .under(DEFAULT),
        enters("through the host, allowed", UP, udp4(HOST, ROUTER, (IP_LAN, IP_A), (1, 2)), Want::Punt(Punt::OwnMac))
            .under(TO_LAN),
        enters("from the host's address", PA, udp4(B, A, (IP_HOST, IP_B), (1, 2)), Want::Drop(Drop::HostSpoof)),
        enters(
            "from the host's address to a group",
            PA,
            udp4(BROADCAST, A, (IP_HOST, [224, 0, 0, 1]), (1, 2)),
            Want::Drop(Drop::HostSpoof),
        ),
        enters("from the host's IPv6 address", PA, udp6(B, A, (IP6_HOST, IP6_B), (1, 2)), Want::Drop(Drop::HostSpoof)),
        enters(
            "a stateful rule through the host opens its flow",
            PA,
            Eth::new(HOST, A).ipv4(&Ipv4::new(IP_A, IP_OUT).carry(&Udp::new(7, 53, b"q"))),
            Want::Punt(Punt::OwnMac),
        )
        .under(OUTWARD)
        .changing([Opened(1), Used(1, 0, 1)]),
    ]
}
