//! Design section 1, "Policy first": the egress program.

use bridge_common::abi::{Control, Drop, Punt, REFRESH_ETHERTYPE, RESENT_FRAMES, Usage};
use bridge_tests::frame::{Arp, BROADCAST, Eth, Ipv4, ethertype};

use super::{ACK, SYN, tcp4, udp4, udp6};
use crate::support::case::{Case, Want, enters, leaves};
use crate::support::effects::Effect::{Forgot, Opened, Used};
use crate::support::world::*;

const DENIED: Want = Want::EgressDrop(Drop::Policy);

fn routed(ips: ([u8; 4], [u8; 4])) -> Vec<u8> {
    udp4(A, HOST, ips, (1, 2))
}

pub fn cases() -> Vec<Case> {
    let allowed = (IP_LAN, IP_A);
    let denied = (IP_OUT, IP_A);
    let mut cases = vec![
        leaves("came in by a managed port: judged there", PA, PB, udp4(A, B, denied, (1, 2)), Want::Skip),
        leaves("routed by the host from one of our ports, allowed", PA, BR, routed(allowed), Want::Pass),
        leaves("routed by the host from one of our ports, denied", PA, BR, routed(denied), DENIED),
        leaves("routed from another interface of the host, allowed", PA, OTHER, routed(allowed), Want::Pass)
            .under(TO_LAN),
        leaves("routed from another interface of the host, denied", PA, OTHER, routed(denied), DENIED).under(DEFAULT),
        leaves("made by the host, from its own address", PA, 0, routed((IP_HOST, IP_A)), Want::Pass),
        leaves(
            "made by the host, from its own address, to what nobody may reach",
            UP,
            0,
            routed((IP_HOST, IP_OUT)),
            Want::Pass,
        ),
        leaves("made by the host, IPv6", PA, 0, udp6(A, HOST, (IP6_HOST, IP6_A), (1, 2)), Want::Pass),
        leaves("made by the host, from another's address", PA, 0, routed(denied), DENIED).under(DEFAULT),
        leaves(
            "the host's address at another's MAC: judged",
            PA,
            OTHER,
            udp4(A, STRANGER, (IP_HOST, [10, 99, 0, 1]), (1, 2)),
            Want::Pass,
        )
        .under(OUTWARD)
        .changing([Opened(0), Used(0, 0, 1)]),
        leaves("ARP of the host", PA, 0, Eth::new(BROADCAST, HOST).arp(&Arp::request(HOST, IP_HOST, IP_A)), Want::Pass),
        leaves(
            "multicast of the host",
            PA,
            0,
            udp4([1, 0, 0x5e, 0, 0, 1], HOST, (IP_OUT, [224, 0, 0, 1]), (1, 2)),
            Want::Pass,
        ),
        leaves(
            "unreadable",
            PA,
            OTHER,
            Eth::new(A, STRANGER).payload(ethertype::MPLS, &[0; 46]),
            Want::EgressDrop(Drop::Ethertype),
        ),
        leaves(
            "two tags around IPv4",
            PA,
            OTHER,
            Eth::new(A, STRANGER).vlan(1).vlan(2).payload(ethertype::IPV4, &[0x45; 46]),
            Want::EgressDrop(Drop::VlanDepth),
        ),
        leaves("one tag: judged", PA, OTHER, Eth::new(A, STRANGER).vlan(1).ipv4(&routed(denied)[14..]), DENIED)
            .under(DEFAULT),
        leaves("a tag in metadata: judged, its bytes counted", PA, OTHER, routed(denied), DENIED)
            .under(DEFAULT)
            .metadata_tag(3),
        leaves("a super-frame", PA, OTHER, routed(allowed), Want::Pass).under(TO_LAN).gso(),
        leaves(
            "the refresh frame, by user space",
            PA,
            0,
            Eth::new(A, A).payload(REFRESH_ETHERTYPE, &[0; 46]),
            Want::EgressDrop(Drop::Refresh),
        ),
        leaves(
            "the refresh frame, from another port",
            PA,
            OTHER,
            Eth::new(A, A).payload(REFRESH_ETHERTYPE, &[0; 46]),
            Want::EgressDrop(Drop::Refresh),
        ),
        leaves("no generation yet", PA, 0, routed(allowed), Want::EgressDrop(Drop::NotReady))
            .with(|w| w.set(Control::Generation, 0)),
        leaves("a dead manager leaves the policy", PA, OTHER, routed(denied), DENIED)
            .with(|w| w.set(Control::Heartbeat, 0))
            .under(DEFAULT),
        leaves("out of an interface that is no port", OTHER, 0, routed(denied), DENIED).under(DEFAULT),
        leaves(
            "a station of ours comes from a port that is not ours",
            PB,
            OTHER,
            udp4(B, A, (IP_A, IP_B), (1, 2)),
            Want::Pass,
        )
        .under(INSIDE)
        .changing([Forgot(A), Used(1, -1, 0)]),
        leaves("a static one is not forgotten", PB, OTHER, udp4(B, G, (IP_G, IP_B), (1, 2)), Want::Pass).under(INSIDE),
        leaves("a denied frame makes nobody forgotten", PB, OTHER, udp4(B, A, (IP_OUT, IP_B), (1, 2)), DENIED)
            .under(DEFAULT),
    ];
    cases.extend(own_devices());
    cases.extend(resent());
    cases.extend(resent_twice());
    cases.extend(stateful());
    cases
}

/// What the bridge handed to the host by another device than the one that is named like it.
fn own_devices() -> Vec<Case> {
    let (allowed, denied) = ((IP_LAN, IP_A), (IP_OUT, IP_A));
    let forgotten = |case: Case| case.with(|w| _ = w.own.remove(&GW));
    vec![
        leaves("routed in from an own device, allowed: its rule is counted", PA, GW, routed(allowed), Want::Pass),
        leaves("routed in from an own device, denied: dropped all the same", PA, GW, routed(denied), DENIED),
        userspace(leaves("routed in from an internal port, allowed", PA, GW, routed(allowed), Want::Pass)),
        userspace(leaves("routed in from an internal port, denied", PA, GW, routed(denied), DENIED)),
        forgotten(leaves("a device that the bridge no longer has", PA, GW, routed(allowed), Want::Pass)).under(TO_LAN),
        enters(
            "judged at ingress and, routed by an own device, at egress",
            PA,
            udp4(HOST, A, (IP_A, IP_B), (1, 2)),
            Want::Punt(Punt::OwnMac),
        )
        .under(INSIDE)
        .then_leaves(PB, GW, udp4(B, HOST, (IP_A, IP_B), (1, 2)), Want::Pass),
        leaves("an own device is no port: nothing is skipped", PB, GW, udp4(B, A, (IP_OUT, IP_B), (1, 2)), DENIED),
        leaves("out of an own device", GW, 0, routed(denied), DENIED).under(DEFAULT),
        enters("from an own device", GW, udp4(B, A, (IP_A, IP_B), (1, 2)), Want::Drop(Drop::NotReady)),
    ]
}

/// Beside Open vSwitch, whose user space re-sends frames.
fn userspace(case: Case) -> Case {
    case.with(|w| w.control[Control::Flags as usize] |= RESENT_FRAMES)
}

fn resent() -> Vec<Case> {
    let (allowed, denied) = ((IP_LAN, IP_A), (IP_OUT, IP_A));
    vec![
        userspace(leaves(
            "re-sent by user space, from a station of ours: its rule is counted",
            PB,
            0,
            udp4(B, A, (IP_A, IP_B), (1, 2)),
            Want::Pass,
        )),
        userspace(leaves("re-sent and denied", PB, 0, udp4(B, A, (IP_OUT, IP_B), (1, 2)), DENIED)),
        userspace(leaves(
            "re-sent, from a station of nobody's",
            PB,
            0,
            udp4(B, STRANGER, (IP_A, IP_B), (1, 2)),
            Want::Pass,
        ))
        .under(INSIDE),
        userspace(leaves(
            "not re-sent: it came by an interface that is not ours",
            PB,
            OTHER,
            udp4(B, A, (IP_A, IP_B), (1, 2)),
            Want::Pass,
        ))
        .under(INSIDE)
        .changing([Forgot(A), Used(1, -1, 0)]),
        userspace(leaves("routed in from another interface, beside user space", PA, OTHER, routed(denied), DENIED))
            .under(DEFAULT),
        userspace(leaves(
            "routed by the host and re-sent, allowed: its rule is counted",
            PA,
            0,
            routed(allowed),
            Want::Pass,
        )),
        userspace(leaves("routed by the host and re-sent, denied", PA, 0, routed(denied), DENIED)),
        userspace(leaves("made by the host and re-sent", PA, 0, routed((IP_HOST, IP_A)), Want::Pass)),
        leaves(
            "ingress 0 beside a Linux bridge: nobody has judged it",
            PB,
            0,
            udp4(B, A, (IP_A, IP_B), (1, 2)),
            Want::Pass,
        )
        .under(INSIDE)
        .changing([Forgot(A), Used(1, -1, 0)]),
    ]
}

/// Frames that OVS's user space re-sends are judged where they came in and where they leave: the same verdict, one count, one flow.
fn resent_twice() -> Vec<Case> {
    let twice = |name: &str, from: u32, to: u32, frame: Vec<u8>, (first, second): (Want, Want), rule: u32| {
        userspace(enters(name, from, frame.clone(), first)).under(rule).then_leaves(to, 0, frame, second)
    };
    let inside = || udp4(BROADCAST, A, (IP_A, IP_B), (1, 2));
    let web = |port| tcp4(B, A, (IP_A, IP_WEB), (1000, port), SYN);
    let later = || Eth::new(B, A).ipv4(&Ipv4::new(IP_A, IP_WEB).fragment(9, false).raw(6, &[0; 16]));
    let no_ports = (Want::Drop(Drop::FragmentNoPorts), Want::EgressDrop(Drop::FragmentNoPorts));
    let policy = (Want::Drop(Drop::Policy), DENIED);
    let punt = |reason| (Want::Punt(reason), Want::Pass);
    vec![
        twice("twice: allowed without ports", PA, PB, inside(), punt(Punt::Multicast), INSIDE),
        twice("twice: allowed by its port", PA, PB, web(443), (Want::Forward(PB), Want::Pass), WEB),
        twice("twice: denied by a rule", PA, UP, tcp4(ROUTER, A, (IP_A, IP_OUT), (1, 25), SYN), policy, NO_SMTP),
        twice("twice: denied by default", PA, PB, udp4(B, A, (IP_LAN, IP_OUT), (1, 2)), policy, DEFAULT),
        twice("twice: a later fragment", PA, PB, later(), no_ports, bridge_common::decide::NO_RULE),
    ]
}

fn stateful() -> Vec<Case> {
    let out = || tcp4(ROUTER, HOST, (IP_A, IP_OUT), (1000, 443), SYN);
    let opens = |case: Case| case.under(OUTWARD).changing([Opened(0), Used(0, 0, 1)]);
    let judged_at_ingress = tcp4(HOST, A, (IP_A, IP_OUT), (1000, 443), SYN);
    vec![
        opens(leaves("an opener that only egress sees uses the host's quota", UP, OTHER, out(), Want::Pass))
            .then(UP, tcp4(HOST, ROUTER, (IP_OUT, IP_A), (443, 1000), 16), Want::Punt(Punt::OwnMac))
            .under(OUTWARD)
            .then_leaves(PA, BR, tcp4(A, HOST, (IP_OUT, IP_A), (443, 1000), 16), Want::Pass),
        leaves("the host's quota is used up", UP, OTHER, out(), Want::EgressDrop(Drop::FlowTableFull))
            .with(|w| _ = w.usage.insert(0, Usage { stations: 0, flows: 8 }))
            .under(OUTWARD),
        enters(
            "judged at ingress and, routed, at egress: one flow, one count",
            PA,
            judged_at_ingress,
            Want::Punt(Punt::OwnMac),
        )
        .under(OUTWARD)
        .changing([Opened(1), Used(1, 0, 1)])
        .then_leaves(UP, BR, out(), Want::Pass),
        userspace(enters(
            "judged at ingress and, re-sent, at egress: one flow, one count, no room of the host's",
            PA,
            tcp4(STRANGER, A, (IP_A, IP_OUT), (1000, 443), SYN),
            Want::Punt(Punt::UnknownDestination),
        ))
        .with(|w| _ = w.usage.insert(0, Usage { stations: 0, flows: 8 }))
        .under(OUTWARD)
        .changing([Opened(1), Used(1, 0, 1)])
        .then_leaves(UP, 0, tcp4(STRANGER, A, (IP_A, IP_OUT), (1000, 443), SYN), Want::Pass)
        .then(UP, tcp4(A, ROUTER, (IP_OUT, IP_A), (443, 1000), ACK), Want::Forward(PA))
        .under(OUTWARD)
        .then_leaves(PA, 0, tcp4(A, ROUTER, (IP_OUT, IP_A), (443, 1000), ACK), Want::Pass),
    ]
}
