//! Design section 2, "Guard". Port PG binds station G with one IPv4 and one IPv6 address.

use bridge_common::abi::{Drop, Punt};
use bridge_tests::frame::{
    Arp, BROADCAST, Eth, ExtensionHeader, Icmp, Icmp6, Ipv4, Ipv6, Transport, Udp, dhcp4, dhcp6, ethertype,
    link_layer_option, link_local,
};

use super::{udp4, udp6};
use crate::support::case::{Case, Want, enters};
use crate::support::world::*;

const CONTROL: Want = Want::Punt(Punt::Control);
const IP: Want = Want::Drop(Drop::GuardIp);
const ARP: Want = Want::Drop(Drop::GuardArp);
const ND: Want = Want::Drop(Drop::GuardNd);

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        enters("the bound station", PG, udp4(A, G, (IP_G, IP_A), (1, 2)), Want::Forward(PA)).under(INSIDE),
        enters("its IPv6 address", PG, udp6(A, G, (IP6_G, IP6_A), (1, 2)), Want::Forward(PA)).under(INSIDE),
        enters("another MAC", PG, udp4(A, STRANGER, (IP_G, IP_A), (1, 2)), Want::Drop(Drop::GuardMac)),
        enters("the MAC of a learned station", PG, udp4(A, B, (IP_G, IP_A), (1, 2)), Want::Drop(Drop::GuardMac)),
        enters(
            "the MAC of a station that was learned before there was a guard",
            PG,
            udp4(A, STRANGER, (IP_G, IP_A), (1, 2)),
            Want::Drop(Drop::GuardMac),
        )
        .with(|w| w.add_station(STRANGER, 4, 0, w.now_ns)),
        enters(
            "the MAC of a static station of another port",
            PG,
            udp4(A, SLEEPER, (IP_G, IP_A), (1, 2)),
            Want::Drop(Drop::GuardMac),
        ),
        enters("the gateway's MAC", PG, udp4(A, HOST, (IP_G, IP_A), (1, 2)), Want::Drop(Drop::GuardMac)),
        enters(
            "another MAC, any ethertype",
            PG,
            Eth::new(A, STRANGER).payload(0x9999, &[0; 46]),
            Want::Drop(Drop::GuardMac),
        ),
        enters("another address", PG, udp4(A, G, (IP_B, IP_A), (1, 2)), IP),
        enters("another address to a group", PG, udp4(BROADCAST, G, (IP_B, [255; 4]), (1, 2)), IP),
        enters(
            "another address behind a tag",
            PG,
            Eth::new(A, G).vlan(5).ipv4(&Ipv4::new(IP_B, IP_A).carry(&Udp::new(1, 2, b"x"))),
            IP,
        ),
        enters("another IPv6 address", PG, udp6(A, G, (IP6_B, IP6_A), (1, 2)), IP),
        enters(
            "the MAC's link-local address",
            PG,
            udp6(A, G, (link_local(G), IP6_A), (1, 2)),
            Want::Drop(Drop::Policy),
        )
        .under(DEFAULT),
        enters("another link-local address", PG, udp6(A, G, (link_local(A), IP6_A), (1, 2)), IP),
        enters("0.0.0.0 but for DHCP", PG, udp4(BROADCAST, G, ([0; 4], [255; 4]), (1, 2)), IP),
        enters(
            "another address in a later fragment",
            PG,
            Eth::new(A, G).ipv4(&Ipv4::new(IP_B, IP_A).fragment(9, false).raw(17, &[0; 16])),
            IP,
        ),
        enters("the guard comes before the policy", PG, udp4(A, G, (IP_OUT, IP_A), (1, 2)), IP),
        enters(
            "LLC from the bound station",
            PG,
            Eth::new([1, 0x80, 0xc2, 0, 0, 0], G).llc(0x42, 0x42, 3, &[0; 40]),
            CONTROL,
        ),
    ];
    cases.extend(arp());
    cases.extend(nd());
    cases.extend(roles());
    cases
}

fn arp() -> Vec<Case> {
    let send = |arp: &Arp| Eth::new(BROADCAST, G).arp(arp);
    let mut other_hardware = send(&Arp::request(G, IP_G, IP_A));
    other_hardware[14 + 1] = 6;
    vec![
        enters("its ARP request", PG, send(&Arp::request(G, IP_G, IP_A)), CONTROL),
        enters("its gratuitous ARP", PG, send(&Arp::request(G, IP_G, IP_G)), CONTROL),
        enters("its ARP probe", PG, send(&Arp::request(G, [0; 4], IP_G)), CONTROL),
        enters("its ARP reply", PG, send(&Arp::reply(G, IP_G, A, IP_A)), CONTROL),
        enters("a reply for 0.0.0.0", PG, send(&Arp::reply(G, [0; 4], A, IP_A)), ARP),
        enters("a reply for the gateway", PG, send(&Arp::reply(G, IP_HOST, A, IP_A)), ARP),
        enters("a request for another's address", PG, send(&Arp::request(G, IP_B, IP_B)), ARP),
        enters("a sender MAC that contradicts the frame's", PG, send(&Arp::reply(A, IP_G, A, IP_A)), ARP),
        enters("ARP that is not for Ethernet", PG, other_hardware, ARP),
    ]
}

fn icmp6(source: [u8; 16], message: &impl Transport) -> Vec<u8> {
    Eth::new([0x33, 0x33, 0, 0, 0, 1], G).ipv6(&Ipv6::new(source, ALL_NODES).hop_limit(255).carry(message))
}

fn nd() -> Vec<Case> {
    let own = link_local(G);
    let both = |first, second| Icmp6 {
        body: [Icmp6::advertisement(IP6_G, None).body, link_layer_option(2, first), link_layer_option(2, second)]
            .concat(),
        ..Icmp6::advertisement(IP6_G, None)
    };
    let cut = Icmp6 { body: vec![0; 10], ..Icmp6::advertisement(IP6_G, None) };
    let empty_option = Icmp6 {
        body: [Icmp6::advertisement(IP6_G, None).body, vec![2, 0, 0, 0, 0, 0, 0, 0]].concat(),
        ..Icmp6::advertisement(IP6_G, None)
    };
    let router = |mac| Icmp6 { kind: 133, code: 0, body: [vec![0; 4], link_layer_option(1, mac)].concat() };
    let fragment = Ipv6::new(IP6_G, ALL_NODES).hop_limit(255).extension(ExtensionHeader::fragment(0, false, 1));
    vec![
        enters("its advertisement", PG, icmp6(IP6_G, &Icmp6::advertisement(IP6_G, Some(G))), CONTROL),
        enters("its advertisement without option", PG, icmp6(IP6_G, &Icmp6::advertisement(IP6_G, None)), CONTROL),
        enters("its link-local advertisement", PG, icmp6(own, &Icmp6::advertisement(own, Some(G))), CONTROL),
        enters("advertises another's address", PG, icmp6(IP6_G, &Icmp6::advertisement(IP6_B, Some(G))), ND),
        enters("advertises another MAC", PG, icmp6(IP6_G, &Icmp6::advertisement(IP6_G, Some(A))), ND),
        enters("advertises another MAC in a second option", PG, icmp6(IP6_G, &both(G, A)), ND),
        enters("advertises from another's address", PG, icmp6(IP6_B, &Icmp6::advertisement(IP6_G, Some(G))), IP),
        enters("its solicitation", PG, icmp6(IP6_G, &Icmp6::solicitation(IP6_A, Some(G))), CONTROL),
        enters("solicits with another MAC", PG, icmp6(IP6_G, &Icmp6::solicitation(IP6_A, Some(A))), ND),
        enters("solicits from another's address", PG, icmp6(IP6_B, &Icmp6::solicitation(IP6_A, Some(G))), IP),
        enters("duplicate address detection", PG, icmp6([0; 16], &Icmp6::solicitation(IP6_G, None)), CONTROL),
        enters("advertises from nowhere", PG, icmp6([0; 16], &Icmp6::advertisement(IP6_G, Some(G))), IP),
        enters("router solicitation", PG, icmp6(own, &router(G)), CONTROL),
        enters("router solicitation with another MAC", PG, icmp6(own, &router(A)), ND),
        enters("an advertisement that is cut", PG, icmp6(IP6_G, &cut), ND),
        enters("an option of length 0", PG, icmp6(IP6_G, &empty_option), ND),
        enters("ND in a fragment", PG, Eth::new(A, G).ipv6(&fragment.carry(&Icmp6::advertisement(IP6_G, Some(G)))), ND),
        enters("MLD from nowhere", PG, icmp6([0; 16], &Icmp6::mld(143, ALL_NODES)), CONTROL),
        enters("echo from nowhere", PG, icmp6([0; 16], &Icmp6::echo(1, 1, b"")), IP),
    ]
}

fn roles() -> Vec<Case> {
    let dhcp = Want::Drop(Drop::GuardDhcp);
    let four = |ips: ([u8; 4], [u8; 4]), body: &Udp| Eth::new(BROADCAST, G).ipv4(&Ipv4::new(ips.0, ips.1).carry(body));
    let redirect = Eth::new(A, G).ipv4(&Ipv4::new(IP_G, IP_A).carry(&Icmp::error(5, 1, &[0x45; 28])));
    let behind =
        Ipv6::new(IP6_G, ALL_NODES).extension(ExtensionHeader::options(60, 0)).carry(&Icmp6::router_advertisement());
    vec![
        enters("asks for a lease", PG, four(([0; 4], [255; 4]), &dhcp4(1, G, 1)), CONTROL),
        enters("offers a lease", PG, four((IP_G, [255; 4]), &dhcp4(2, G, 1)), dhcp),
        enters("offers a lease from another port", PG, four((IP_G, [255; 4]), &Udp::new(1067, 68, b"offer")), dhcp),
        enters("a DHCP server's message to a relay", PG, four((IP_G, [255; 4]), &Udp::new(67, 67, b"offer")), dhcp),
        enters(
            "a DHCPv6 server's message to a relay",
            PG,
            Eth::new(A, G).ipv6(&Ipv6::new(link_local(G), link_local(A)).carry(&Udp::new(547, 547, b"x"))),
            dhcp,
        ),
        enters(
            "asks for a DHCPv6 lease",
            PG,
            Eth::new(A, G).ipv6(&Ipv6::new(link_local(G), ip6(0xff02, 2)).carry(&dhcp6(1, 1))),
            CONTROL,
        ),
        enters(
            "offers a DHCPv6 lease",
            PG,
            Eth::new(A, G).ipv6(&Ipv6::new(link_local(G), link_local(A)).carry(&dhcp6(2, 1))),
            dhcp,
        ),
        enters(
            "offers a DHCPv6 lease from another port",
            PG,
            Eth::new(A, G).ipv6(&Ipv6::new(link_local(G), link_local(A)).carry(&Udp::new(1, 546, b"x"))),
            dhcp,
        ),
        enters(
            "router advertisement",
            PG,
            icmp6(link_local(G), &Icmp6::router_advertisement()),
            Want::Drop(Drop::GuardRa),
        ),
        enters(
            "router advertisement behind an extension header",
            PG,
            Eth::new(A, G).ipv6(&behind),
            Want::Drop(Drop::GuardRa),
        ),
        enters(
            "router advertisement in SNAP",
            PG,
            Eth::new(A, G).snap([0, 0, 0], ethertype::IPV6, &[0; 60]),
            Want::Drop(Drop::Llc),
        ),
        enters(
            "ICMPv6 redirect",
            PG,
            icmp6(link_local(G), &Icmp6::redirect(IP6_A, IP6_B)),
            Want::Drop(Drop::GuardRedirect),
        ),
        enters("ICMP redirect", PG, redirect, Want::Drop(Drop::GuardRedirect)),
    ]
}
