//! Design section 2, "Always passing", and that other frames on those ports and types are judged like any other.

use bridge_common::abi::{Drop, Punt};
use bridge_tests::Mac;
use bridge_tests::frame::{
    Arp, BROADCAST, Eth, ExtensionHeader, Icmp6, Ipv4, Ipv6, RawProto, Transport, Udp, dhcp4, dhcp6, ethertype,
};

use super::policy::link_local;
use crate::support::case::{Case, Want, enters};
use crate::support::world::*;

const CONTROL: Want = Want::Punt(Punt::Control);
const MULTICAST: Want = Want::Punt(Punt::Multicast);
const NO: Want = Want::Drop(Drop::Policy);

fn four(ips: ([u8; 4], [u8; 4]), body: &impl Transport) -> Vec<u8> {
    Eth::new(B, A).ipv4(&Ipv4::new(ips.0, ips.1).carry(body))
}
/// Outside to a unicast address, which the policy would drop.
fn nd(message: Icmp6) -> Vec<u8> {
    Eth::new(B, A).ipv6(&Ipv6::new(IP6_OUT, IP6_B).hop_limit(255).carry(&message))
}
fn six(ips: ([u8; 16], [u8; 16]), body: &impl Transport) -> Vec<u8> {
    Eth::new(B, A).ipv6(&Ipv6::new(ips.0, ips.1).carry(body))
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        enters("ARP request", PA, Eth::new(BROADCAST, A).arp(&Arp::request(A, IP_A, IP_B)), CONTROL),
        enters("ARP reply, unicast, known to known", PA, Eth::new(B, A).arp(&Arp::reply(A, IP_OUT, B, IP_B)), CONTROL),
        enters("ARP behind one tag", PA, Eth::new(B, A).vlan(7).arp(&Arp::reply(A, IP_A, B, IP_B)), CONTROL),
        enters("802.1X", PA, Eth::new(B, A).payload(ethertype::EAPOL, &[0; 46]), CONTROL),
        enters("LLDP", PA, Eth::new([1, 0x80, 0xc2, 0, 0, 0xe], A).payload(ethertype::LLDP, &[0; 46]), CONTROL),
        enters("LLC: spanning tree", PA, Eth::new([1, 0x80, 0xc2, 0, 0, 0], A).llc(0x42, 0x42, 3, &[0; 35]), CONTROL),
        enters("LLC: NetBIOS", PA, Eth::new(B, A).llc(0xf0, 0xf0, 3, &[0; 43]), CONTROL),
        enters(
            "SNAP: CDP",
            PA,
            Eth::new([1, 0, 0xc, 0xcc, 0xcc, 0xcc], A).snap([0, 0, 0xc], 0x2000, &[0; 40]),
            CONTROL,
        ),
        enters("SNAP: AppleTalk", PA, Eth::new(B, A).snap([8, 0, 7], 0x809b, &[0; 40]), CONTROL),
    ];
    let reserved: [(&str, Mac); 7] = [
        ("01-80-C2-00-00-00", [1, 0x80, 0xc2, 0, 0, 0]),
        ("01-80-C2-00-00-0F", [1, 0x80, 0xc2, 0, 0, 0xf]),
        ("Cisco CDP", [1, 0, 0xc, 0xcc, 0xcc, 0xcc]),
        ("Cisco PVST", [1, 0, 0xc, 0xcc, 0xcc, 0xcd]),
        ("Cisco CFM", [1, 0, 0xc, 0xcc, 0xcc, 0xc3]),
        ("Cisco uplink fast", [1, 0, 0xc, 0xcd, 0xcd, 0xcd]),
        ("Extreme EDP", [0, 0xe0, 0x2b, 0, 0, 0]),
    ];
    cases.extend(reserved.map(|(name, group)| {
        enters(&format!("to {name}"), PA, Eth::new(group, A).payload(0x9999, &[0; 46]), CONTROL).with(|w| {
            w.publish(1, policy(|p| p.other_ethertypes = bridge_user::topology::model::OtherEthertypes::Drop))
        })
    }));
    let next = Eth::new([1, 0x80, 0xc2, 0, 0, 0x10], A).payload(0x9999, &[0; 46]);
    cases.push(enters("01-80-C2-00-00-10 is not reserved", PA, next, Want::Punt(Punt::Ethertype)));
    cases.extend(v4());
    cases.extend(v6());
    cases
}

fn v4() -> Vec<Case> {
    let zero = [0; 4];
    let ports = |ips, from, to| four(ips, &Udp::new(from, to, b"data"));
    vec![
        enters("DHCP discover", PA, four((zero, [255; 4]), &dhcp4(1, A, 1)), CONTROL),
        enters("DHCP request to a server", PA, four((zero, IP_OUT), &dhcp4(3, A, 1)), CONTROL),
        enters("DHCP offer to the broadcast address", PA, four((IP_OUT, [255; 4]), &dhcp4(2, A, 1)), CONTROL),
        enters("DHCP renewal, unicast: judged", PA, four((IP_OUT, IP_B), &dhcp4(3, A, 1)), NO)
            .under(DEFAULT)
            .zoneless(1),
        enters("DHCP acknowledgement, unicast: judged", PA, four((IP_OUT, IP_B), &dhcp4(5, A, 1)), NO)
            .under(DEFAULT)
            .zoneless(1),
        enters("other ports from 0.0.0.0: judged", PA, ports((zero, IP_B), 68, 69), NO).under(DEFAULT),
        enters("TCP on DHCP's ports: judged", PA, four((zero, IP_B), &bridge_tests::frame::Tcp::syn(68, 67)), NO)
            .under(DEFAULT),
        enters("IGMP", PA, four((IP_OUT, [224, 0, 0, 22]), &RawProto(2, vec![0x22; 16])), CONTROL),
        enters("IGMP to a unicast address", PA, four((IP_OUT, IP_B), &RawProto(2, vec![0x11; 8])), CONTROL),
    ]
}

fn v6() -> Vec<Case> {
    let group = ip6(0xff02, 0x16);
    let advertisement = || Icmp6::advertisement(IP6_A, Some(A));
    let low = |limit| Eth::new(B, A).ipv6(&Ipv6::new(IP6_OUT, IP6_B).hop_limit(limit).carry(&advertisement()));
    let chained = |header| {
        Eth::new(B, A).ipv6(&Ipv6::new(IP6_OUT, IP6_B).hop_limit(255).extension(header).carry(&advertisement()))
    };
    let mld = |kind| {
        Ipv6::new(link_local(1), group)
            .hop_limit(1)
            .extension(ExtensionHeader::router_alert())
            .carry(&Icmp6::mld(kind, group))
    };
    let mut cases = vec![
        enters("neighbour solicitation", PA, nd(Icmp6::solicitation(IP6_B, Some(A))), CONTROL),
        enters("neighbour advertisement", PA, nd(advertisement()), CONTROL),
        enters("router advertisement from a port without guard", PA, nd(Icmp6::router_advertisement()), CONTROL),
        enters("redirect from a port without guard", PA, nd(Icmp6::redirect(IP6_A, IP6_B)), CONTROL),
        enters("router solicitation", PA, nd(Icmp6 { kind: 133, code: 0, body: vec![0; 4] }), CONTROL),
        enters("type 138 is no neighbour discovery", PA, nd(Icmp6 { kind: 138, code: 0, body: vec![0; 12] }), NO)
            .under(DEFAULT)
            .zoneless(1),
        enters("ND with a code: judged", PA, nd(Icmp6 { code: 1, ..advertisement() }), NO).under(DEFAULT).zoneless(1),
        enters("ND with hop limit 254: judged", PA, low(254), NO).under(DEFAULT).zoneless(1),
        enters("ND behind a hop-by-hop header: judged", PA, chained(ExtensionHeader::options(0, 0)), NO)
            .under(DEFAULT)
            .zoneless(1),
        enters("ND in a fragment: judged", PA, chained(ExtensionHeader::fragment(0, false, 1)), NO)
            .under(DEFAULT)
            .zoneless(1),
        enters("DHCPv6 to a group", PA, six((link_local(1), ip6(0xff02, 2)), &dhcp6(1, 1)), CONTROL),
        enters("DHCPv6 to a link-local address", PA, six((link_local(1), link_local(2)), &dhcp6(7, 1)), CONTROL),
        enters("DHCPv6 to another address: judged", PA, six((IP6_OUT, IP6_B), &dhcp6(7, 1)), NO)
            .under(DEFAULT)
            .zoneless(1),
        enters(
            "other ports to link-local: judged",
            PA,
            six((link_local(1), link_local(2)), &Udp::new(546, 548, b"x")),
            NO,
        )
        .under(DEFAULT),
        enters("other ports to a group: not judged", PA, six((link_local(1), group), &Udp::new(1, 2, b"x")), MULTICAST),
        enters("echo to a group: not judged", PA, six((IP6_OUT, group), &Icmp6::echo(1, 1, b"x")), MULTICAST),
    ];
    cases.extend(
        [130, 131, 132, 143]
            .map(|kind| enters(&format!("MLD type {kind}"), PA, Eth::new(B, A).ipv6(&mld(kind)), CONTROL)),
    );
    cases
}
