//! Design section 1: forward only what is known.

use bridge_common::abi::{Control, Drop, Punt};
use bridge_tests::frame::{BROADCAST, Eth, Ipv4, Udp};

use super::{a_to_b, udp4, udp6};
use crate::support::case::{Case, Want, enters};
use crate::support::effects::Effect;
use crate::support::world::*;

fn sized(to: bridge_tests::Mac, length: usize) -> Vec<u8> {
    Eth::new(to, A).ipv4(&Ipv4::new(IP_A, IP_B).carry(&Udp::new(1, 2, &vec![7; length - 14 - 28])))
}

pub fn cases() -> Vec<Case> {
    let known = |name, to, want| enters(name, PA, udp4(to, A, (IP_A, IP_B), (1, 2)), want).under(INSIDE);
    let mut cases = vec![
        enters("known to known, IPv4", PA, a_to_b(), Want::Forward(PB)).under(INSIDE),
        enters("known to known, IPv6", PA, udp6(B, A, (IP6_A, IP6_B), (1, 2)), Want::Forward(PB)).under(INSIDE),
        enters("to the uplink", PA, udp4(ROUTER, A, (IP_A, IP_LAN), (1, 2)), Want::Forward(UP)).under(TO_LAN),
        known("destination nobody knows", STRANGER, Want::Punt(Punt::UnknownDestination)),
        known("static destination not seen yet", SLEEPER, Want::Punt(Punt::UnknownDestination)),
        known("aged destination", OLD, Want::Punt(Punt::UnknownDestination)),
        known("broadcast MAC", BROADCAST, Want::Punt(Punt::Multicast)),
        known("multicast MAC around unicast IP is judged", [1, 0, 0x5e, 0, 0, 1], Want::Punt(Punt::Multicast)),
        known("reserved MAC around unicast IP is judged", [1, 0x80, 0xc2, 0, 0, 0], Want::Punt(Punt::Control)),
        known("to a MAC of the host", HOST, Want::Punt(Punt::OwnMac)),
        known("to its own port", A, Want::Punt(Punt::SamePort)),
        known("to a port that is not eligible", mac(5), Want::Punt(Punt::Ineligible)),
        known("to a port that is down", mac(6), Want::Punt(Punt::EgressDown)),
        enters(
            "from a port that is not eligible",
            PI,
            udp4(B, mac(5), (IP_A, IP_B), (1, 2)),
            Want::Punt(Punt::Ineligible),
        )
        .under(INSIDE),
        enters(
            "from a port that is not running",
            PD,
            udp4(B, mac(6), (IP_A, IP_B), (1, 2)),
            Want::Punt(Punt::Ineligible),
        )
        .under(INSIDE),
        enters(
            "denied from a port that is not eligible",
            PI,
            udp4(B, mac(5), (IP_OUT, IP_B), (1, 2)),
            Want::Drop(Drop::Policy),
        )
        .under(DEFAULT)
        .zoneless(5),
        enters("from a port that is no member", PX, udp4(B, mac(7), (IP_A, IP_B), (1, 2)), Want::Drop(Drop::NotMember)),
        enters("from an interface that is no port", OTHER, a_to_b(), Want::Drop(Drop::NotReady)),
        enters("exactly the egress MTU", PA, sized(mac(8), 614), Want::Forward(PM)).under(INSIDE),
        enters("one byte over the egress MTU", PA, sized(mac(8), 615), Want::Punt(Punt::OverMtu)).under(INSIDE),
        enters("a super-frame over the MTU, at TC", PA, sized(mac(8), 1400), Want::Forward(PM)).under(INSIDE).gso(),
        enters("over the MTU of both ports", PA, sized(B, 1515), Want::Punt(Punt::OverMtu)).under(INSIDE),
        enters("tagged is left to the slow path", PA, tagged(0x2005), Want::Punt(Punt::Vlan)).under(INSIDE),
        enters("priority-tagged too", PA, tagged(0xe000), Want::Punt(Punt::Vlan)).under(INSIDE),
        enters("a tag in metadata too, its bytes counted", PA, a_to_b(), Want::Punt(Punt::Vlan))
            .under(INSIDE)
            .metadata_tag(5),
        enters("tagged and denied", PA, denied_tagged(), Want::Drop(Drop::Policy)).under(DEFAULT).zoneless(1),
    ];
    cases.extend(manager());
    cases
}

fn tagged(tci: u16) -> Vec<u8> {
    Eth::new(B, A).tag(0x8100, tci).ipv4(&Ipv4::new(IP_A, IP_B).carry(&Udp::new(1, 2, b"x")))
}

fn denied_tagged() -> Vec<u8> {
    Eth::new(B, A).vlan(5).ipv4(&Ipv4::new(IP_OUT, IP_B).carry(&Udp::new(1, 2, b"x")))
}

/// The manager, and maps that are not filled.
fn manager() -> Vec<Case> {
    let beat = |name, age: u64, want| {
        let case = enters(name, PA, a_to_b(), want).under(INSIDE);
        case.with(|w| w.set(Control::Heartbeat, if age == 0 { 0 } else { w.now_ns - age }))
    };
    let denied = || udp4(B, A, (IP_OUT, IP_B), (1, 2));
    vec![
        beat("a heartbeat of four seconds", 4 * SECOND, Want::Forward(PB)),
        beat("a heartbeat of five seconds", 5 * SECOND, Want::Punt(Punt::NoManager)),
        beat("told to stop forwarding", 0, Want::Punt(Punt::NoManager)),
        enters("the policy stays when the manager is dead", PA, denied(), Want::Drop(Drop::Policy))
            .with(|w| w.set(Control::Heartbeat, 0))
            .under(DEFAULT)
            .zoneless(1),
        enters(
            "learning goes on when the manager is dead",
            PA,
            udp4(B, STRANGER, (IP_A, IP_B), (1, 2)),
            Want::Punt(Punt::UnknownSource),
        )
        .with(|w| w.set(Control::Heartbeat, 0))
        .under(INSIDE)
        .changing([Effect::Learned(STRANGER, 1), Effect::Used(1, 1, 0)]),
        enters("no generation yet", PA, a_to_b(), Want::Drop(Drop::NotReady)).with(|w| w.set(Control::Generation, 0)),
        enters("a generation without tables", PA, a_to_b(), Want::Drop(Drop::NotReady))
            .with(|w| w.set(Control::Generation, 2))
            .zoneless(1),
        enters("the other generation", PA, denied(), Want::Forward(PB))
            .with(|w| w.publish(2, policy(|p| p.default = bridge_user::topology::model::Action::Allow)))
            .under(DEFAULT)
            .zoneless(1),
    ]
}
