//! Design section 1: learning comes after guard and policy, and never from a dropped frame.

use bridge_common::abi::{Control, Drop, Punt, Usage};
use bridge_tests::frame::{Arp, BROADCAST, Eth, ethertype};

use super::{a_to_b, udp4};
use crate::support::case::{Case, Want, enters};
use crate::support::effects::Effect::{FdbFull, Forgot, Learned, Moved, Seen, Used};
use crate::support::world::*;

const NEW: bridge_tests::Mac = STRANGER;

fn hello(from: bridge_tests::Mac) -> Vec<u8> {
    udp4(B, from, (IP_A, IP_B), (1, 2))
}

pub fn cases() -> Vec<Case> {
    let arp = Eth::new(BROADCAST, NEW).arp(&Arp::request(NEW, IP_A, IP_B));
    let mut cases = vec![
        enters("a new station is learned, and then forwarded", PA, hello(NEW), Want::Punt(Punt::UnknownSource))
            .under(INSIDE)
            .changing([Learned(NEW, 1), Used(1, 1, 0)])
            .then(PA, hello(NEW), Want::Forward(PB))
            .under(INSIDE)
            .then(PB, udp4(NEW, B, (IP_B, IP_A), (2, 1)), Want::Forward(PA))
            .under(INSIDE),
        enters("ARP teaches", PA, arp, Want::Punt(Punt::Control)).changing([Learned(NEW, 1), Used(1, 1, 0)]),
        enters("other ethertypes teach", PA, Eth::new(B, NEW).payload(0x9999, &[1; 46]), Want::Punt(Punt::Ethertype))
            .changing([Learned(NEW, 1), Used(1, 1, 0)]),
        enters("a denied frame does not teach", PA, udp4(B, NEW, (IP_OUT, IP_B), (1, 2)), Want::Drop(Drop::Policy))
            .under(DEFAULT)
            .zoneless(1),
        enters(
            "an unreadable frame does not teach",
            PA,
            Eth::new(B, NEW).payload(ethertype::MPLS, &[0; 46]),
            Want::Drop(Drop::Ethertype),
        ),
        enters("a denied frame does not move", PB, udp4(B, A, (IP_OUT, IP_B), (1, 2)), Want::Drop(Drop::Policy))
            .under(DEFAULT)
            .zoneless(2),
        enters("learning off", PA, hello(NEW), Want::Punt(Punt::UnknownSource))
            .with(|w| w.set(Control::Flags, 0))
            .under(INSIDE),
        enters("a station moves, and then is forwarded to", PB, hello(A), Want::Punt(Punt::StationMoved))
            .with(|w| _ = w.usage.insert(1, Usage { stations: 1, flows: 0 }))
            .under(INSIDE)
            .changing([Moved(A, 2), Used(1, -1, 0), Used(2, 1, 0)])
            .then(UP, udp4(A, ROUTER, (IP_LAN, IP_A), (2, 1)), Want::Forward(PB))
            .under(TO_LAN),
        enters("a station not heard for two seconds is renewed", PA, a_to_b(), Want::Forward(PB))
            .after(2)
            .under(INSIDE)
            .changing([Seen(A)]),
        enters(
            "an aged source is learned anew by both",
            PB,
            udp4(A, OLD, (IP_B, IP_A), (1, 2)),
            Want::Punt(Punt::UnknownSource),
        )
        .under(INSIDE)
        .changing([Seen(OLD)])
        .then(PB, udp4(A, OLD, (IP_B, IP_A), (1, 2)), Want::Forward(PA))
        .under(INSIDE),
        enters(
            "a static station is heard for the first time",
            PB,
            udp4(A, SLEEPER, (IP_B, IP_A), (1, 2)),
            Want::Punt(Punt::UnknownSource),
        )
        .under(INSIDE)
        .changing([Seen(SLEEPER)])
        .then(PA, udp4(SLEEPER, A, (IP_A, IP_B), (1, 2)), Want::Forward(PB))
        .under(INSIDE),
        enters("a static station does not age", PA, udp4(G, A, (IP_A, IP_G), (1, 2)), Want::Forward(PG))
            .after(400)
            .with(|w| w.add_station(A, 1, 0, w.now_ns + 400 * SECOND))
            .under(INSIDE),
        enters("a static station elsewhere", PA, hello(SLEEPER), Want::Drop(Drop::StationElsewhere)),
        enters("a MAC of the host as source", PA, hello(HOST), Want::Drop(Drop::StationElsewhere)),
        enters("a group address as source", PA, hello([3, 0, 0, 0, 0, 1]), Want::Punt(Punt::BadSourceMac))
            .under(INSIDE),
        enters("zeros as source", PA, hello([0; 6]), Want::Punt(Punt::BadSourceMac)).under(INSIDE),
        enters("an ineligible port does not teach", PI, hello(NEW), Want::Punt(Punt::Ineligible)).under(INSIDE),
        enters("but it shows that a station has left", PI, hello(A), Want::Punt(Punt::Ineligible))
            .under(INSIDE)
            .changing([Forgot(A), Used(1, -1, 0)]),
        enters(
            "so does a tagged frame",
            PB,
            Eth::new(B, A).vlan(9).payload(0x9999, &[0; 46]),
            Want::Punt(Punt::Ethertype),
        )
        .changing([Forgot(A), Used(1, -1, 0)]),
        enters(
            "and one to a reserved address",
            PB,
            Eth::new([1, 0x80, 0xc2, 0, 0, 0xe], A).payload(ethertype::LLDP, &[0; 46]),
            Want::Punt(Punt::Control),
        )
        .changing([Forgot(A), Used(1, -1, 0)]),
        enters(
            "LLDP does not teach",
            PA,
            Eth::new([1, 0x80, 0xc2, 0, 0, 0xe], NEW).payload(ethertype::LLDP, &[0; 46]),
            Want::Punt(Punt::Control),
        ),
    ];
    cases.extend(limits());
    cases
}

fn limits() -> Vec<Case> {
    let used = |slot, stations: u64| {
        move |w: &mut bridge_tests::model::Setup| _ = w.usage.insert(slot, Usage { stations, flows: 0 })
    };
    vec![
        enters("the port's share of stations is used up", PA, hello(NEW), Want::Punt(Punt::StationLimit))
            .with(used(1, 4))
            .under(INSIDE),
        enters("which is nobody else's loss", PB, udp4(A, NEW, (IP_B, IP_A), (1, 2)), Want::Punt(Punt::UnknownSource))
            .with(used(1, 4))
            .under(INSIDE)
            .changing([Learned(NEW, 2), Used(2, 1, 0)]),
        enters("one below the share", PA, hello(NEW), Want::Punt(Punt::UnknownSource))
            .with(used(1, 3))
            .under(INSIDE)
            .changing([Learned(NEW, 1), Used(1, 1, 0)]),
        enters("usage that a race drove below zero is no full quota", PA, hello(NEW), Want::Punt(Punt::UnknownSource))
            .with(used(1, u64::MAX))
            .under(INSIDE)
            .changing([Learned(NEW, 1), Used(1, 1, 0)]),
        enters("uplinks have no limit", UP, udp4(A, NEW, (IP_LAN, IP_A), (1, 2)), Want::Punt(Punt::UnknownSource))
            .with(used(3, 1 << 31))
            .under(TO_LAN)
            .changing([Learned(NEW, 3), Used(3, 1, 0)]),
        enters("the FDB is full", PA, hello(NEW), Want::Punt(Punt::StationLimit))
            .with(|w| {
                let now = w.now_ns;
                let missing = (w.station_capacity - w.stations.len()) as u8;
                (0..missing).for_each(|n| w.add_station([2, 1, 1, 1, 1, n], 2, 0, now));
            })
            .under(INSIDE)
            .changing([FdbFull(1)]),
    ]
}
