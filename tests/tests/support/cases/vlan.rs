//! VLANs, both hooks: which VLAN a frame is in, who carries it, with which tag it leaves.

use bridge_common::abi::{
    Drop, NO_PVID, PORT_PVID_TAGGED, PORT_SERVICE_TAGS, PORT_VLAN_ACCESS, PORT_VLAN_AWARE, PORT_VLAN_LISTED, Punt,
    VlanSet,
};
use bridge_common::decide::Retag;
use bridge_tests::Mac;
use bridge_tests::frame::{Arp, BROADCAST, Eth, Ipv4, Udp, ethertype};
use bridge_tests::model::Setup;

use super::{a_to_b, udp4};
use crate::support::case::{Case, Want, enters, leaves};
use crate::support::effects::Effect::{Forgot, LearnedIn, Moved, Used};
use crate::support::world::*;

const OVS: u32 = PORT_VLAN_AWARE | PORT_SERVICE_TAGS;
pub(super) const VLAN: Want = Want::Punt(Punt::Vlan);
const UNKNOWN: Want = Want::Punt(Punt::UnknownDestination);

pub(super) fn set(w: &mut Setup, slot: u16, flags: u32, pvid: u16) {
    let port = w.ports.get_mut(&slot).unwrap();
    port.flags |= flags;
    port.pvid = pvid;
}

/// Beside Open vSwitch: A on an access port of VLAN 10, B behind a trunk of all, the uplink a trunk of 10 and 20, PM native-untagged
/// and PN native-tagged in 10; everybody was seen in VLAN 10, B in 20 and 0 too.
pub(super) fn vlans(w: &mut Setup) {
    w.ports
        .keys()
        .copied()
        .filter(|slot| *slot != 0)
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|slot| set(w, slot, OVS, 0));
    set(w, 1, PORT_VLAN_ACCESS, 10);
    set(w, 3, PORT_VLAN_LISTED, NO_PVID);
    set(w, 4, PORT_VLAN_ACCESS, 10);
    set(w, 8, 0, 10);
    set(w, 9, PORT_PVID_TAGGED, 10);
    w.vlans.insert(3, [10, 20].into_iter().collect());
    // In VLAN 0 lie those bound, and B.
    w.stations.retain(|key, station| station.flags != 0 || key.mac == B);
    for slot in [1, 2, 3, 8, 9] {
        w.add_station_in(10, mac(slot as u8), slot, 0, w.now_ns);
    }
    w.add_station_in(20, B, 2, 0, w.now_ns);
}

fn datagram(eth: Eth) -> Vec<u8> {
    eth.ipv4(&Ipv4::new(IP_A, IP_B).carry(&Udp::new(1000, 2000, b"payload")))
}

pub(super) fn tagged(to: Mac, from: Mac, tci: u16) -> Vec<u8> {
    datagram(Eth::new(to, from).tag(ethertype::VLAN, tci))
}

pub(super) fn plain(to: Mac, from: Mac) -> Vec<u8> {
    datagram(Eth::new(to, from))
}

fn case(name: &str, ifindex: u32, frame: Vec<u8>, want: Want) -> Case {
    enters(name, ifindex, frame, want).with(vlans).under(INSIDE)
}

pub fn cases() -> Vec<Case> {
    let forward = Want::Forward;
    let mut cases = vec![
        case("access to access", PA, plain(mac(6), A), forward(PD)).with(|w| {
            set(w, 6, PORT_VLAN_ACCESS | bridge_common::abi::PORT_RUNNING, 10);
            w.add_station_in(10, mac(6), 6, 0, w.now_ns);
        }),
        case("access to trunk", PA, plain(B, A), forward(PB)).retagged(Retag::push(10)),
        case("access to a trunk that lists the VLAN", PA, plain(ROUTER, A), forward(UP)).retagged(Retag::push(10)),
        case("trunk to access", PB, tagged(A, B, 10), forward(PA)).retagged(Retag::POP),
        case("trunk to access, with a priority", PB, tagged(A, B, 0xb00a), forward(PA)).retagged(Retag::POP),
        case("trunk to trunk keeps the priority", PB, tagged(ROUTER, B, 0xe00a), forward(UP)),
        case("drop eligible, some slow paths clear the bit", PB, tagged(ROUTER, B, 0xf00a), VLAN),
        case("it goes with the tag", PB, tagged(A, B, 0xf00a), forward(PA)).retagged(Retag::POP),
        case("access to native-untagged", PA, plain(mac(8), A), forward(PM)),
        case("access to native-tagged", PA, plain(mac(9), A), forward(PN))
            .at_xdp(Want::Punt(Punt::NoXdpTarget))
            .retagged(Retag::push(10)),
        case("native-untagged to access", PM, plain(A, mac(8)), forward(PA)),
        case("native-untagged to access, tagged", PM, tagged(A, mac(8), 10), forward(PA)).retagged(Retag::POP),
        case("native-untagged to trunk", PM, plain(B, mac(8)), forward(PB)).retagged(Retag::push(10)),
        case("native-tagged takes untagged frames in", PN, plain(A, mac(9)), forward(PA)),
        case("trunk to native-untagged", PB, tagged(mac(8), B, 10), forward(PM)).retagged(Retag::POP),
        case("a trunk's untagged frames are in VLAN 0", PB, plain(A, B), UNKNOWN),
        case("the tag travels as metadata", PB, plain(A, B), forward(PA)).metadata_tag(0x600a).retagged(Retag::POP),
        case("a service tag in metadata", PB, plain(A, B), VLAN).metadata_service_tag(10),
        case("a super-frame gets a tag", PA, plain(B, A), forward(PB)).gso().retagged(Retag::push(10)),
        // Who does not carry it.
        case("a tagged frame on an access port", PA, tagged(B, A, 10), VLAN),
        case("and of another VLAN", PA, tagged(B, A, 20), VLAN),
        case("a VLAN that the trunk does not list", UP, tagged(B, ROUTER, 30), VLAN),
        case("an untagged frame on a trunk without VLAN 0", UP, plain(B, ROUTER), VLAN),
        case("VLAN 20 does not reach an access port of 10", PB, tagged(A, B, 20), UNKNOWN),
        case("even if the station was seen there", PB, tagged(A, B, 20), VLAN)
            .with(|w| w.add_station_in(20, A, 1, 0, w.now_ns)),
        case("nor a trunk that does not list it", PB, tagged(ROUTER, B, 30), VLAN).with(|w| {
            w.add_station_in(30, ROUTER, 3, 0, w.now_ns);
            w.add_station_in(30, B, 2, 0, w.now_ns);
        }),
        case("VID 4095 is a VLAN to a trunk of all", PB, tagged(A, B, 0xfff), Want::Punt(Punt::UnknownSource))
            .changing([LearnedIn(4095, B, 2), Used(2, 1, 0)]),
        // Priority tags.
        case("priority-tagged to access", PA, tagged(mac(8), A, 0xa000), forward(PM)).retagged(Retag::POP),
        case("priority-tagged to a trunk would need another tag", PA, tagged(B, A, 0xa000), VLAN),
        case("priority-tagged in VLAN 0", PB, tagged(mac(5), B, 0), Want::Punt(Punt::Vlan)).with(|w| {
            w.ports.get_mut(&5).unwrap().flags |= bridge_common::abi::PORT_ELIGIBLE;
            w.add_station_in(0, mac(5), 5, 0, w.now_ns);
        }),
        // What the slow paths read differently.
        case("a service tag", PB, datagram(Eth::new(A, B).tag(ethertype::QINQ, 10)), VLAN),
        enters(
            "two tags",
            PB,
            Eth::new(A, B).tag(ethertype::VLAN, 10).tag(ethertype::VLAN, 7).payload(0x9999, &[1; 46]),
            VLAN,
        )
        .with(vlans),
        // An opaque bridge's port beside them, while they change.
        case("to a port that does not read tags yet", PA, plain(mac(5), A), VLAN).with(|w| {
            let port = w.ports.get_mut(&5).unwrap();
            port.flags = port.flags & !OVS | bridge_common::abi::PORT_ELIGIBLE;
            w.add_station_in(10, mac(5), 5, 0, w.now_ns);
        }),
        case("a trunk of no VLAN", PB, tagged(ROUTER, B, 10), VLAN).with(|w| _ = w.vlans.insert(3, VlanSet::EMPTY)),
        case("denied, in whatever VLAN", PB, tagged_denied(), Want::Drop(Drop::Policy)).under(DEFAULT).zoneless(2),
    ];
    cases.extend(learning());
    cases.extend(bound());
    cases.extend(at_egress());
    cases
}

fn tagged_denied() -> Vec<u8> {
    Eth::new(A, B).vlan(10).ipv4(&Ipv4::new(IP_OUT, IP_B).carry(&Udp::new(1, 2, b"x")))
}

fn two_tags(from: Mac) -> Vec<u8> {
    Eth::new(B, from).tag(ethertype::VLAN, 10).tag(ethertype::VLAN, 7).payload(0x9999, &[1; 46])
}

/// The FDB is by VLAN and MAC.
fn learning() -> Vec<Case> {
    let new = STRANGER;
    let arp = Eth::new(BROADCAST, new).vlan(20).arp(&Arp::request(new, IP_A, IP_B));
    let source = Want::Punt(Punt::UnknownSource);
    vec![
        case("learned in the access port's VLAN", PA, plain(B, new), source)
            .changing([LearnedIn(10, new, 1), Used(1, 1, 0)])
            .then(PB, tagged(new, B, 10), Want::Forward(PA))
            .under(INSIDE)
            .retagged(Retag::POP)
            .then(PB, tagged(new, B, 20), UNKNOWN)
            .under(INSIDE),
        enters("ARP teaches in its tag's VLAN", PB, arp, Want::Punt(Punt::Control))
            .with(vlans)
            .changing([LearnedIn(20, new, 2), Used(2, 1, 0)]),
        case("the same MAC in another VLAN is another station", PB, tagged(ROUTER, A, 20), source)
            .changing([LearnedIn(20, A, 2), Used(2, 1, 0)]),
        case("a station moves within its VLAN", PB, tagged(ROUTER, A, 10), Want::Punt(Punt::StationMoved)).changing([
            Moved(A, 2),
            Used(1, -1, 0),
            Used(2, 1, 0),
        ]),
        case("what the bridge drops for its VLAN teaches nothing", PA, tagged(B, new, 20), VLAN),
        case("and shows nothing", UP, tagged(B, A, 30), VLAN),
        case("a priority tag teaches in the port's VLAN", PA, tagged(B, new, 0xe000), source)
            .changing([LearnedIn(10, new, 1), Used(1, 1, 0)]),
        case("a service tag teaches nothing", PB, datagram(Eth::new(A, new).tag(ethertype::QINQ, 10)), VLAN),
        enters("two tags teach nothing", PB, two_tags(new), VLAN).with(vlans),
        enters("but they show that a station has left", PB, two_tags(A), VLAN)
            .with(vlans)
            .changing([Forgot(A), Used(1, -1, 0)]),
        case("so does a service tag", PB, datagram(Eth::new(B, A).tag(ethertype::QINQ, 10)), VLAN)
            .changing([Forgot(A), Used(1, -1, 0)]),
        case("to a Linux bridge it is an untagged frame", PB, datagram(Eth::new(B, A).tag(ethertype::QINQ, 7)), VLAN)
            .with(|w| {
                w.ports.get_mut(&2).unwrap().flags &= !PORT_SERVICE_TAGS;
                set(w, 2, 0, 10);
            })
            .changing([Forgot(A), Used(1, -1, 0)]),
    ]
}

/// Stations known beforehand are known in every VLAN.
fn bound() -> Vec<Case> {
    let elsewhere = Want::Drop(Drop::StationElsewhere);
    let unjudged = |name, ifindex, frame, want| enters(name, ifindex, frame, want).with(vlans);
    let from_g = |to, ip| udp4(to, G, (ip, IP_A), (1, 2));
    vec![
        unjudged("a static station elsewhere, in a VLAN", PA, plain(B, SLEEPER), elsewhere),
        unjudged("even where it was learned before it was bound", PA, plain(B, SLEEPER), elsewhere)
            .with(|w| w.add_station_in(10, SLEEPER, 2, 0, w.now_ns)),
        unjudged("a MAC of the host as source, in a VLAN", PB, tagged(A, HOST, 10), elsewhere),
        case(
            "a static station at home is learned in its VLAN",
            PB,
            tagged(A, SLEEPER, 10),
            Want::Punt(Punt::UnknownSource),
        )
        .changing([LearnedIn(10, SLEEPER, 2), Used(2, 1, 0)])
        .then(PA, plain(SLEEPER, A), Want::Forward(PB))
        .under(INSIDE)
        .retagged(Retag::push(10)),
        case("to a MAC of the host, in a VLAN", PA, plain(HOST, A), Want::Punt(Punt::OwnMac)),
        case("the guard knows its station in a VLAN", PG, from_g(A, IP_G), Want::Punt(Punt::UnknownSource))
            .changing([LearnedIn(10, G, 4), Used(4, 1, 0)])
            .then(PG, from_g(A, IP_G), Want::Forward(PA))
            .under(INSIDE),
        unjudged("and nobody else", PG, plain(A, STRANGER), Want::Drop(Drop::GuardMac)),
        unjudged("nor another's address", PG, from_g(A, IP_B), Want::Drop(Drop::GuardIp)),
        unjudged("nor behind a tag", PG, tagged(A, STRANGER, 10), Want::Drop(Drop::GuardMac)),
    ]
}

fn at_egress() -> Vec<Case> {
    let rule = |case: Case| case.with(vlans).under(INSIDE);
    let resent = |w: &mut Setup| w.set(bridge_common::abi::Control::Flags, 1 | bridge_common::abi::RESENT_FRAMES);
    vec![
        rule(leaves("a station of a VLAN that comes from outside has left", PB, OTHER, tagged(B, A, 10), Want::Pass))
            .changing([Forgot(A), Used(1, -1, 0)]),
        rule(leaves("as seen on an access port", PA, OTHER, plain(A, ROUTER), Want::Pass))
            .changing([Forgot(ROUTER), Used(3, -1, 0)]),
        rule(leaves("in another VLAN it says nothing", PB, OTHER, tagged(B, A, 20), Want::Pass)),
        leaves("a frame that user space re-sent counted at its port", PA, 0, a_to_b(), Want::Pass)
            .with(vlans)
            .with(resent),
        leaves("the host's own MAC too, in whatever VLAN", PA, 0, plain(A, HOST), Want::Pass).with(vlans).with(resent),
        rule(leaves("a stranger's did not", PA, 0, plain(A, STRANGER), Want::Pass)).with(resent),
    ]
}
