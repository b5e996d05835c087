//! Design section 2, "Stateful".

use bridge_common::abi::{Control, Drop, Punt, Usage};
use bridge_tests::frame::{Eth, Icmp, Icmp6, Ipv4, Ipv6, Tcp, Udp};
use bridge_user::topology::model::Policy;

use super::policy::{ping4, ping6};
use super::{ACK, FIN, RST, SYN, tcp4, udp4};
use crate::support::case::{Case, Want, enters};
use crate::support::effects::Effect::{Closed, Opened, Renewed, Seen, Used};
use crate::support::world::*;

const OUTWARDS: ([u8; 4], [u8; 4]) = (IP_A, IP_OUT);
const INWARDS: ([u8; 4], [u8; 4]) = (IP_OUT, IP_A);
const OUT: Want = Want::Forward(UP);
const IN: Want = Want::Forward(PA);
const NO: Want = Want::Drop(Drop::Policy);

fn out_udp() -> Vec<u8> {
    udp4(ROUTER, A, OUTWARDS, (1000, 53))
}
fn in_udp() -> Vec<u8> {
    udp4(A, ROUTER, INWARDS, (53, 1000))
}
fn out_tcp(flags: u8) -> Vec<u8> {
    tcp4(ROUTER, A, OUTWARDS, (1000, 443), flags)
}
fn in_tcp(flags: u8) -> Vec<u8> {
    tcp4(A, ROUTER, INWARDS, (443, 1000), flags)
}

/// `frame` goes out and opens a flow.
fn opened(name: &str, frame: Vec<u8>) -> Case {
    enters(name, PA, frame, OUT).under(OUTWARD).changing([Opened(1), Used(1, 0, 1)])
}
fn udp(name: &str) -> Case {
    opened(name, out_udp())
}
fn tcp(name: &str) -> Case {
    opened(name, out_tcp(SYN))
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        enters("nothing comes in by itself", UP, in_udp(), NO).under(DEFAULT),
        udp("the exact reverse passes, and counts under the opener's rule").then(UP, in_udp(), IN).under(OUTWARD),
        udp("another port is not the reverse").then(UP, udp4(A, ROUTER, INWARDS, (53, 1001)), NO).under(DEFAULT),
        udp("another address is not")
            .then(UP, udp4(A, ROUTER, ([203, 0, 113, 8], IP_A), (53, 1000)), NO)
            .under(DEFAULT),
        udp("another protocol is not").then(UP, tcp4(A, ROUTER, INWARDS, (53, 1000), ACK), NO).under(DEFAULT),
        udp("the same direction from outside is not")
            .then(UP, udp4(A, ROUTER, OUTWARDS, (1000, 53)), OUT_SPOOFED)
            .under(OUTWARD),
        tcp("a TCP reply").then(UP, in_tcp(SYN | ACK), IN).under(OUTWARD),
        opened("an echo reply", ping4(ROUTER, A, OUTWARDS)).then(UP, echo_reply(7), IN).under(OUTWARD),
        opened("another identifier", ping4(ROUTER, A, OUTWARDS)).then(UP, echo_reply(8), NO).under(DEFAULT),
        opened("an echo request is no reply", ping4(ROUTER, A, OUTWARDS))
            .then(UP, ping4(A, ROUTER, INWARDS), NO)
            .under(DEFAULT),
        opened("ICMPv6 echo", ping6(ROUTER, A, (IP6_A, IP6_OUT))).then(UP, echo_reply6(), IN).under(OUTWARD),
        enters(
            "ICMP that is no query opens nothing",
            PA,
            icmp(ROUTER, A, OUTWARDS, Icmp::error(3, 1, &quote(INWARDS))),
            OUT,
        )
        .under(OUTWARD),
        enters(
            "a later fragment opens nothing",
            PA,
            Eth::new(HOST, A).ipv4(&Ipv4::new(IP_A, IP_OUT).fragment(9, false).raw(17, &[0; 24])),
            Want::Punt(Punt::OwnMac),
        )
        .under(OUTWARD),
        opened("GRE has no ports", protocol(ROUTER, A, OUTWARDS, 132))
            .at_xdp(Want::Punt(Punt::PartialChecksum))
            .then(UP, protocol(A, ROUTER, INWARDS, 132), IN)
            .under(OUTWARD),
    ];
    cases.extend(errors());
    cases.extend(times());
    cases.extend(swaps());
    cases.extend(quotas());
    // Flows live longer than stations do elsewhere.
    let patient = |w: &mut bridge_tests::model::Setup| {
        w.set(Control::AgeingNs, w.control[Control::AgeingNs as usize].max(300 * SECOND));
    };
    cases.into_iter().map(|case| case.with(patient)).collect()
}

/// The opener's own frame, injected from outside: allowed by its rule, and no new flow. Its source MAC is the router's.
const OUT_SPOOFED: Want = Want::Forward(PA);

fn icmp(to: bridge_tests::Mac, from: bridge_tests::Mac, ips: ([u8; 4], [u8; 4]), message: Icmp) -> Vec<u8> {
    Eth::new(to, from).ipv4(&Ipv4::new(ips.0, ips.1).carry(&message))
}
fn echo_reply(id: u16) -> Vec<u8> {
    icmp(A, ROUTER, INWARDS, Icmp { kind: 0, ..Icmp::echo(id, 1, b"abcd") })
}
fn echo_reply6() -> Vec<u8> {
    let reply = Icmp6 { kind: 129, ..Icmp6::echo(7, 1, b"abcd") };
    Eth::new(A, ROUTER).ipv6(&Ipv6::new(IP6_OUT, IP6_A).carry(&reply))
}
fn protocol(to: bridge_tests::Mac, from: bridge_tests::Mac, ips: ([u8; 4], [u8; 4]), number: u8) -> Vec<u8> {
    Eth::new(to, from).ipv4(&Ipv4::new(ips.0, ips.1).raw(number, &[0; 24]))
}
fn quote(ips: ([u8; 4], [u8; 4])) -> Vec<u8> {
    Ipv4::new(ips.0, ips.1).carry(&Udp::new(1000, 53, b"payload"))
}

fn errors() -> Vec<Case> {
    let gateway = [198, 51, 100, 1];
    let about = |packet: &[u8], to| icmp(A, ROUTER, (gateway, to), Icmp::error(3, 3, packet));
    let reply = Ipv4::new(IP_OUT, IP_A).carry(&Udp::new(53, 1000, b"answer"));
    let quoted6 = Ipv6::new(IP6_A, IP6_OUT).carry(&Udp::new(1000, 53, b"payload"));
    let too_big = |quoted: &[u8]| Icmp6 { kind: 2, code: 0, body: [&[0, 0, 5, 0], quoted].concat() };
    let error6 = Eth::new(A, ROUTER).ipv6(&Ipv6::new(ip6(0x2001, 1), IP6_A).carry(&too_big(&quoted6)));
    let cut = Icmp { payload: quote(OUTWARDS)[..27].to_vec(), ..Icmp::error(11, 0, &quote(OUTWARDS)) };
    vec![
        udp("an error that quotes the opener's packet").then(UP, about(&quote(OUTWARDS), IP_A), IN).under(OUTWARD),
        udp("an error to somebody else").then(UP, about(&quote(OUTWARDS), IP_B), NO).under(DEFAULT),
        udp("an error about no flow").then(UP, about(&quote((IP_A, [203, 0, 113, 1])), IP_A), NO).under(DEFAULT),
        udp("an error that quotes less than eight bytes")
            .then(UP, icmp(A, ROUTER, (gateway, IP_A), cut), NO)
            .under(DEFAULT),
        udp("an error about a reply, to the responder")
            .then(PB, icmp(ROUTER, B, (IP_B, IP_OUT), Icmp::error(3, 3, &reply)), OUT)
            .under(OUTWARD),
        opened("packet too big", Eth::new(ROUTER, A).ipv6(&quoted6)).then(UP, error6, IN).under(OUTWARD),
        udp("a redirect is no error")
            .then(UP, icmp(A, ROUTER, (gateway, IP_A), Icmp::error(5, 1, &quote(OUTWARDS))), NO)
            .under(DEFAULT),
    ]
}

fn times() -> Vec<Case> {
    let renewed = |case: Case| case.changing([Renewed]).under(OUTWARD);
    let seen = |case: Case, mac| case.changing([Renewed, Seen(mac)]).under(OUTWARD);
    let closing = |case: Case| {
        let case = renewed(case.then(PA, out_tcp(FIN | ACK), OUT));
        renewed(case.then(UP, in_tcp(FIN | ACK), IN))
    };
    vec![
        seen(udp("UDP lives 179 s").then(UP, in_udp(), IN).after(179), ROUTER),
        udp("UDP is dead after 180 s").then(UP, in_udp(), NO).after(180).under(DEFAULT),
        seen(opened("ICMP lives 29 s", ping4(ROUTER, A, OUTWARDS)).then(UP, echo_reply(7), IN).after(29), ROUTER),
        opened("ICMP is dead after 30 s", ping4(ROUTER, A, OUTWARDS))
            .then(UP, echo_reply(7), NO)
            .after(30)
            .under(DEFAULT),
        seen(tcp("TCP lives 290 s").then(UP, in_tcp(ACK), IN).after(290), ROUTER),
        tcp("TCP lives 23 h")
            .with(|w| w.set(Control::AgeingNs, u64::MAX))
            .then(UP, in_tcp(ACK), IN)
            .after(23 * 3600)
            .changing([Renewed, Seen(ROUTER)])
            .under(OUTWARD),
        tcp("TCP is dead after 24 h")
            .with(|w| w.set(Control::AgeingNs, u64::MAX))
            .then(UP, in_tcp(ACK), NO)
            .after(24 * 3600)
            .under(DEFAULT),
        seen(closing(tcp("closed TCP lives 119 s")).then(UP, in_tcp(ACK), IN).after(119), ROUTER),
        closing(tcp("closed TCP is dead after 120 s")).then(UP, in_tcp(ACK), NO).after(120).under(DEFAULT),
        renewed(tcp("reset TCP is dead after 120 s").then(UP, in_tcp(RST), IN))
            .then(UP, in_tcp(ACK), NO)
            .after(120)
            .under(DEFAULT),
        seen(
            renewed(tcp("half-closed TCP is not closing").then(UP, in_tcp(FIN | ACK), IN))
                .then(UP, in_tcp(ACK), IN)
                .after(125),
            ROUTER,
        ),
        seen(
            renewed(closing(tcp("a new SYN reopens")).then(PA, out_tcp(SYN), OUT)).then(UP, in_tcp(ACK), IN).after(125),
            ROUTER,
        ),
    ]
}

/// A policy swap while a flow is open.
fn swaps() -> Vec<Case> {
    let swapped = |name: &str, change: fn(&mut Policy)| {
        let case = udp(name);
        let tables = policy(change);
        // The second generation is there from the start; the store that makes it live comes between the frames, which
        // is the same as a flow that was opened under another generation.
        case.with(move |w| {
            w.publish(2, policy(|_| {}));
            w.publish(3, tables);
            w.set(Control::Generation, 3);
        })
    };
    let old_flow = |name: &str, change: fn(&mut Policy)| {
        let mut case = swapped(name, change);
        case.steps.clear();
        case.with(|w| {
            let tables = bridge_tests::model::HostTables::new(super::super::world::world());
            tables.ingress(&bridge_common::wire::Bytes::new(&out_udp()), PA, bridge_common::decide::Hook::Tc);
            (w.flows, w.usage) = {
                let after = tables.contents();
                (after.flows, after.usage)
            };
        })
    };
    let renamed: fn(&mut Policy) = |p| p.rules.swap(5, 6);
    let forbidden: fn(&mut Policy) = |p| p.rules[5].action = bridge_user::topology::model::Action::Deny;
    let stateless: fn(&mut Policy) = |p| p.rules[5].stateful = false;
    // Another stateful rule between these zones keeps the look-up of replies.
    let narrowed: fn(&mut Policy) = |p| p.rules[5].proto = Some(vec![6]);
    vec![
        old_flow("a flow that is still allowed lives on under its new rule", renamed)
            .then(UP, in_udp(), IN)
            .under(7)
            .changing([Renewed]),
        old_flow("a flow that is forbidden now", forbidden).then(UP, in_udp(), NO).under(DEFAULT),
        old_flow("a flow of a rule that is stateless now", stateless).then(UP, in_udp(), NO).under(DEFAULT),
        old_flow("a flow that is no longer allowed dies", narrowed)
            .then(UP, in_udp(), NO)
            .under(DEFAULT)
            .changing([Closed, Used(1, 0, -1)]),
        old_flow("its opener is judged again", narrowed).then(PA, out_udp(), NO).under(DEFAULT),
        old_flow("its opener renews it under the new generation", |_| {})
            .then(PA, out_udp(), OUT)
            .under(OUTWARD)
            .changing([Renewed]),
    ]
}

fn quotas() -> Vec<Case> {
    let full = |w: &mut bridge_tests::model::Setup| _ = w.usage.insert(1, Usage { stations: 0, flows: 8 });
    let table_full = |w: &mut bridge_tests::model::Setup| w.flow_capacity = w.flows.len();
    let syn = |port| Eth::new(ROUTER, B).ipv4(&Ipv4::new(IP_B, IP_OUT).carry(&Tcp::syn(port, 443)));
    vec![
        enters("a full quota drops the opener", PA, out_udp(), Want::Drop(Drop::FlowTableFull))
            .with(full)
            .under(OUTWARD),
        enters("and is nobody else's loss", PB, syn(1), OUT)
            .with(full)
            .under(OUTWARD)
            .changing([Opened(2), Used(2, 0, 1)]),
        udp("an open flow needs no new quota").then(PA, out_udp(), OUT).under(OUTWARD).with(|w| {
            w.ports.get_mut(&1).unwrap().flow_limit = 1;
        }),
        enters("a full table drops the opener", PB, syn(2), Want::Drop(Drop::FlowTableFull))
            .under(OUTWARD)
            .with(filled)
            .with(table_full),
        enters("flow usage below zero is no full quota", PA, out_udp(), OUT)
            .with(|w| _ = w.usage.insert(1, Usage { stations: 0, flows: u64::MAX }))
            .under(OUTWARD)
            .changing([Opened(1), Used(1, 0, 1)]),
        udp("an expired flow of the same port is taken over, its quota with it")
            .with(|w| w.ports.get_mut(&1).unwrap().flow_limit = 1)
            .then(PA, out_udp(), OUT)
            .after(200)
            .under(OUTWARD)
            .changing([Renewed, Seen(A)]),
    ]
}

/// As many flows as there is room for.
fn filled(w: &mut bridge_tests::model::Setup) {
    let (now, capacity) = (w.now_ns, w.flow_capacity);
    for sport in 0..capacity as u16 {
        let key = bridge_common::abi::FlowKey { sport, proto: 17, family: 4, ..Default::default() };
        w.flows.insert(key, bridge_common::abi::Flow { seen_ns: now, generation: 1, port: 3, ..Default::default() });
    }
}
