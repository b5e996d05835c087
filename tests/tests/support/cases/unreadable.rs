//! Design section 2, "What the policy cannot read it does not wave through", and IPv6 extension headers.

use bridge_common::abi::{Drop, Punt, REFRESH_ETHERTYPE};
use bridge_tests::frame::{Arp, Eth, ExtensionHeader, Ipv4, Ipv6, Tcp, Udp, ethertype, pad};

use super::a_to_b;
use crate::support::case::{Case, Want, enters};
use crate::support::world::*;

const DEPTH: Want = Want::Drop(Drop::VlanDepth);
const MALFORMED: Want = Want::Drop(Drop::Malformed);
const LLC: Want = Want::Drop(Drop::Llc);
const OK: Want = Want::Forward(PB);

/// A to B, allowed, and behind it what is not said.
fn packet() -> Vec<u8> {
    Ipv4::new(IP_A, IP_B).carry(&Udp::new(1, 2, b"payload"))
}

pub fn cases() -> Vec<Case> {
    [tags(), llc(), headers(), extensions()].concat()
}

fn tags() -> Vec<Case> {
    let eth = || Eth::new(B, A);
    let twice = || eth().vlan(5).vlan(6);
    vec![
        enters("two tags around IPv4", PA, twice().ipv4(&packet()), DEPTH),
        enters("two tags around IPv6", PA, twice().payload(ethertype::IPV6, &[0x60; 40]), DEPTH),
        enters("two tags around ARP", PA, twice().arp(&Arp::request(A, IP_A, IP_B)), DEPTH),
        enters("802.1ad around IPv4", PA, eth().tag(0x88a8, 5).vlan(6).ipv4(&packet()), DEPTH),
        enters("two tags around MPLS", PA, twice().payload(ethertype::MPLS, &[0; 40]), DEPTH),
        enters("two tags around PPPoE", PA, twice().payload(ethertype::PPPOE_SESSION, &[0; 40]), DEPTH),
        enters("two tags around LLC", PA, twice().llc(0x42, 0x42, 3, &[0; 40]), DEPTH),
        enters("two tags around our refresh frame", PA, twice().payload(REFRESH_ETHERTYPE, &[0; 40]), DEPTH),
        enters("three tags", PA, twice().vlan(7).payload(0x9999, &[0; 40]), DEPTH),
        enters("a second tag that is cut", PA, pad(eth().vlan(5).payload(0x8100, &[0, 6]), 20), DEPTH),
        enters("two tags around something else", PA, twice().payload(0x9999, &[0; 40]), Want::Punt(Punt::Vlan)),
        enters("a tag in metadata and one in the frame", PA, eth().vlan(5).ipv4(&packet()), DEPTH).metadata_tag(6),
        enters(
            "a tag in metadata and one around something else",
            PA,
            eth().vlan(5).payload(0x9999, &[0; 40]),
            Want::Punt(Punt::Vlan),
        )
        .metadata_tag(6),
        enters("MPLS", PA, eth().payload(ethertype::MPLS, &[0; 46]), Want::Drop(Drop::Ethertype)),
        enters("MPLS multicast", PA, eth().payload(0x8848, &[0; 46]), Want::Drop(Drop::Ethertype)),
        enters("PPPoE session", PA, eth().payload(ethertype::PPPOE_SESSION, &[0; 46]), Want::Drop(Drop::Ethertype)),
        enters(
            "PPPoE session behind a tag",
            PA,
            eth().vlan(5).payload(ethertype::PPPOE_SESSION, &[0; 46]),
            Want::Drop(Drop::Ethertype),
        ),
        enters("PPPoE discovery", PA, eth().payload(0x8863, &[0; 46]), Want::Punt(Punt::Ethertype)),
        enters("our refresh frame", PA, eth().payload(REFRESH_ETHERTYPE, &[0; 46]), Want::Drop(Drop::Refresh)),
        enters(
            "our refresh frame behind a tag",
            PA,
            eth().vlan(5).payload(REFRESH_ETHERTYPE, &[0; 46]),
            Want::Drop(Drop::Refresh),
        ),
    ]
}

fn llc() -> Vec<Case> {
    let rfc1042 = [0, 0, 0];
    let mut cases = vec![
        enters("SNAP under 802.1H's OUI", PA, Eth::new(B, A).snap([0, 0, 0xf8], ethertype::IPV4, &packet()), LLC),
        enters("SNAP behind a tag", PA, Eth::new(B, A).vlan(5).snap(rfc1042, ethertype::IPV4, &packet()), LLC),
        enters("SNAP with the poll bit", PA, with_control(0x13), LLC),
        enters("SNAP in a jumbo LLC frame", PA, jumbo(), LLC),
        enters("SNAP cut", PA, pad(Eth::new(B, A).llc(0xaa, 0xaa, 3, &[0, 0]), 19), MALFORMED),
        enters("LLC cut", PA, Eth::new(B, A).payload(3, &[0x42, 0x42]), MALFORMED),
    ];
    let inner = [ethertype::IPV4, ethertype::IPV6, ethertype::ARP, ethertype::VLAN, ethertype::QINQ];
    cases.extend(inner.map(|kind| {
        enters(&format!("SNAP around {kind:04x}"), PA, Eth::new(B, A).snap(rfc1042, kind, &packet()), LLC)
    }));
    cases
}

fn with_control(control: u8) -> Vec<u8> {
    Eth::new(B, A).llc(0xaa, 0xaa, control, &[&[0, 0, 0, 8, 0], &packet()[..]].concat())
}

fn jumbo() -> Vec<u8> {
    Eth::new(B, A).payload(0x8870, &[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &packet()[..]].concat())
}

/// A frame of A to B with one byte after the Ethernet header replaced.
fn patched(name: &str, offset: usize, byte: u8, want: Want) -> Case {
    let mut frame = a_to_b();
    frame[14 + offset] = byte;
    enters(name, PA, frame, want)
}

fn headers() -> Vec<Case> {
    let six = || Eth::new(B, A).ipv6(&Ipv6::new(IP6_A, IP6_B).carry(&Udp::new(1, 2, b"payload")));
    let mut long6 = six();
    long6[14 + 5] += 1;
    let mut version6 = six();
    version6[14] = 0x50;
    let mut tcp = Eth::new(B, A).ipv4(&Ipv4::new(IP_A, IP_B).carry(&Tcp::syn(1, 2)));
    tcp[14 + 20 + 12] = 0x40;
    let mut tcp_past = Eth::new(B, A).ipv4(&Ipv4::new(IP_A, IP_B).carry(&Tcp::syn(1, 2)));
    tcp_past[14 + 20 + 12] = 0x60;
    vec![
        patched("IHL 4", 0, 0x44, MALFORMED),
        patched("IHL past the end", 0, 0x4f, MALFORMED),
        patched("version 5", 0, 0x55, MALFORMED),
        patched("total length past the end", 3, 36, MALFORMED),
        patched("total length below the header's", 3, 19, MALFORMED),
        patched("total length that cuts UDP", 3, 27, MALFORMED),
        patched("total length 0", 3, 0, MALFORMED),
        patched("UDP length past the end", 20 + 5, 16, MALFORMED),
        patched("UDP length below its header's", 20 + 5, 7, MALFORMED),
        enters("IPv6 length past the end", PA, long6, MALFORMED),
        enters("IPv6 with version 5", PA, version6, MALFORMED),
        enters("TCP data offset 4", PA, tcp, MALFORMED),
        enters("TCP data offset past the end", PA, tcp_past, MALFORMED),
        enters("ARP cut", PA, Eth::new(B, A).payload(ethertype::ARP, &[0; 27]), MALFORMED),
        enters("padding after a short packet is fine", PA, pad(a_to_b(), 60), OK).under(INSIDE),
        enters("padding after IPv6 is fine", PA, pad(six(), 90), OK).under(INSIDE),
        enters(
            "options are fine",
            PA,
            Eth::new(B, A).ipv4(&Ipv4::new(IP_A, IP_B).options(&[7, 7, 4, 0, 0, 0, 0]).carry(&Udp::new(1, 2, b"x"))),
            OK,
        )
        .under(INSIDE),
    ]
}

fn extensions() -> Vec<Case> {
    let chain = |headers: &[ExtensionHeader]| {
        let packet =
            headers.iter().fold(Ipv6::new(IP6_OUT, IP6_WEB), |packet, header| packet.extension(header.clone()));
        Eth::new(B, A).ipv6(&packet.carry(&Tcp::syn(1, 443)))
    };
    let options = |kind| ExtensionHeader::options(kind, 1);
    let mut to_go = ExtensionHeader::options(43, 0);
    to_go.body[2] = 1;
    let mut routing = ExtensionHeader::options(43, 0);
    routing.body[2] = 0;
    let no = Want::Drop(Drop::Ipv6Extension);
    let mut past = chain(&[options(60)]);
    past[14 + 41] = 200;
    let good = [
        ("hop-by-hop", vec![options(0)]),
        ("destination options", vec![options(60)]),
        ("routing, arrived", vec![routing]),
        ("AH", vec![ExtensionHeader::authentication()]),
        ("four in a row", vec![options(0), options(60), ExtensionHeader::authentication(), options(60)]),
        ("six in a row", vec![options(60); 6]),
    ];
    let mut cases: Vec<Case> = good
        .into_iter()
        .map(|(name, headers)| enters(&format!("IPv6 chain: {name}"), PA, chain(&headers), OK).under(WEB).zoneless(1))
        .collect();
    cases
        .extend([135, 139, 140, 253, 254].map(|kind| {
            enters(&format!("IPv6 extension {kind}"), PA, chain(&[ExtensionHeader::options(kind, 0)]), no)
        }));
    cases.extend([
        enters("seven in a row", PA, chain(&vec![options(60); 7]), no),
        enters("routing, not arrived", PA, chain(&[to_go]), no),
        enters(
            "two fragment headers",
            PA,
            chain(&[ExtensionHeader::fragment(0, true, 1), ExtensionHeader::fragment(0, true, 1)]),
            no,
        ),
        enters("an extension past the end", PA, past, MALFORMED),
        enters(
            "the rule is found behind the chain",
            PA,
            {
                let packet = Ipv6::new(IP6_OUT, IP6_WEB).extension(options(60)).carry(&Tcp::syn(1, 22));
                Eth::new(B, A).ipv6(&packet)
            },
            Want::Drop(Drop::Policy),
        )
        .under(DEFAULT)
        .zoneless(1),
    ]);
    cases
}
