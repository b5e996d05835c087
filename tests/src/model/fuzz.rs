//! One fuzz body for `cargo test`, which mutates known frames, and for cargo-fuzz (`tests/fuzz`), which looks for its own:
//! small tables and a frame out of arbitrary bytes, through parse, ingress, egress and commit.
//!
//! Panics when an invariant of the design does not hold. Must not need anything but `bridge-common`.

use bridge_common::abi::{
    Control, Drop, L4Data, LEARNING, PAIR_REVERSE_STATEFUL, PORT_ELIGIBLE, PORT_MEMBER, PORT_RUNNING, PORT_TC_BEHIND,
    Pair, PolicyMeta, Port, Punt, RESENT_FRAMES, RULE_ALLOW, RULE_NEEDS_PORTS, RULE_STATEFUL, RULE_VALID, STATION_HOST,
    STATION_STATIC, ZONE_HOST,
};
use bridge_common::decide::{EgressVerdict, Hook, Verdict};
use bridge_common::wire::{Bytes, Class, Tag, parse};

use super::{Action, Generation, HostTables, Setup};

/// Bytes of an input that make the tables; the frame follows.
pub const TABLE_BYTES: usize = 32;
const PORTS: u16 = 4;
const ZONES: u16 = 3;

/// Judges the frame of `input` on the tables of `input`. Shorter inputs mean nothing.
pub fn one(input: &[u8]) {
    let Some((seed, frame)) = input.split_first_chunk::<TABLE_BYTES>() else { return };
    let setup = tables(seed, frame);
    let gso = seed[0] & 1 == 1;
    let bytes = Bytes { bytes: frame, gso, tag: (seed[0] & 6 == 6).then_some(Tag::customer(u16::from(seed[1]))) };
    let ingress = u32::from(seed[2] % 6) + 100;
    let (tc, after) = ingress_holds(&setup, &bytes, ingress, Hook::Tc, seed);
    let (xdp, _) = ingress_holds(&setup, &Bytes { gso: false, tag: None, ..bytes }, ingress, Hook::Xdp, seed);
    if !gso && bytes.tag.is_none() {
        agree(tc, xdp);
    }
    egress_holds(&after, &bytes, tc, seed);
}

/// What `first` taught the programs to remember changes nothing for `second`, which may differ from it anywhere.
pub fn remembering_changes_nothing(setup: &Setup, first: &Bytes<'_>, second: &Bytes<'_>, ifindex: u32, hook: Hook) {
    let mut setup = setup.clone();
    setup.set(Control::Epoch, 1);
    let warm = HostTables::new(setup);
    warm.ingress(first, ifindex, hook);
    // New tables have the same contents and no memory.
    let cold = HostTables::new(warm.contents());
    let before = warm.counts();
    assert_eq!(warm.ingress(second, ifindex, hook), cold.ingress(second, ifindex, hook), "{second:02x?}");
    assert_eq!(warm.counts().since(&before), cold.counts(), "{second:02x?}");
    assert_eq!(warm.contents(), cold.contents(), "{second:02x?}");
}

fn ingress_holds(
    setup: &Setup,
    frame: &Bytes<'_>,
    ifindex: u32,
    hook: Hook,
    seed: &[u8; TABLE_BYTES],
) -> (Verdict, Setup) {
    let tables = HostTables::new(setup.clone());
    let (decision, action) = tables.ingress(frame, ifindex, hook);
    assert_eq!(tables.counts().frames(), u64::from(!decision.left_to_tc), "counted once, or left to TC");
    if decision.left_to_tc {
        assert!(hook == Hook::Xdp && action == Action::Pass && tables.contents() == *setup);
        return (decision.verdict, tables.contents());
    }
    if let Verdict::Drop(_) = decision.verdict {
        assert_eq!(tables.contents().stations, setup.stations, "learned from a dropped frame");
    }
    match parse(frame) {
        Err(_) => assert!(matches!(decision.verdict, Verdict::Drop(_)), "unreadable, and {:?}", decision.verdict),
        Ok(packet) => {
            if let Verdict::Forward { slot, ifindex: to, .. } = decision.verdict {
                let (from, egress) = (setup.ports[&decision.slot], setup.ports[&slot]);
                assert!(from.is(PORT_MEMBER | PORT_ELIGIBLE | PORT_RUNNING) && egress.is(PORT_ELIGIBLE | PORT_RUNNING));
                assert!(slot != decision.slot && egress.ifindex == to && to != ifindex);
                assert!(packet.payload_len <= egress.mtu || packet.gso && hook == Hook::Tc);
                assert!(packet.class == Class::Ip && !packet.tagged && packet.destination.mac[0] & 1 == 0);
                assert!(
                    setup.control[Control::Heartbeat as usize] != 0 && setup.control[Control::Generation as usize] != 0
                );
                assert!(!denies_all(seed), "forwarded under a policy that denies everything");
            }
        }
    }
    (decision.verdict, tables.contents())
}

/// XDP forwards only what TC would, and drops exactly what TC would.
fn agree(tc: Verdict, xdp: Verdict) {
    match (tc, xdp) {
        (Verdict::Drop(a), Verdict::Drop(b)) => assert_eq!(a, b),
        (Verdict::Forward { .. }, Verdict::Punt(Punt::PartialChecksum | Punt::NoXdpTarget | Punt::OverMtu)) => {}
        (tc, xdp) => assert_eq!(tc, xdp),
    }
}

/// A frame that ingress let pass and user space re-sends passes: judging twice is idempotent.
fn egress_holds(setup: &Setup, frame: &Bytes<'_>, at_ingress: Verdict, seed: &[u8; TABLE_BYTES]) {
    let tables = HostTables::new(setup.clone());
    let from = if seed[3] & 1 == 0 { 0 } else { u32::from(seed[3] % 8) + 98 };
    let (decision, action) = tables.egress(frame, 101, from);
    let managed = setup.slots.contains_key(&from);
    assert_eq!(decision.verdict == EgressVerdict::Skip, managed, "skips what a managed port judged, nothing else");
    assert_eq!(tables.counts().frames(), u64::from(!managed));
    if parse(frame).is_err() && !managed {
        assert_eq!(action, Action::Drop);
    }
    let own = matches!(at_ingress, Verdict::Punt(Punt::OwnMac)) || frame.bytes.get(..6) == Some(&HOST_MAC);
    if !matches!(at_ingress, Verdict::Drop(_)) && !own && !managed {
        let quota = EgressVerdict::Drop(Drop::FlowTableFull);
        assert!(decision.verdict == EgressVerdict::Pass || decision.verdict == quota, "{:?}", decision.verdict);
    }
}

const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];

fn denies_all(seed: &[u8; TABLE_BYTES]) -> bool {
    seed[4] & 7 == 0
}

fn tables(seed: &[u8; TABLE_BYTES], frame: &[u8]) -> Setup {
    let mut setup = Setup { station_capacity: 6, flow_capacity: 2, ..Setup::default() };
    let now = setup.now_ns;
    for slot in 1..=PORTS {
        let byte = u32::from(seed[4 + usize::from(slot)]);
        // Mostly as it should be, each bit missing now and then.
        let missing = if byte & 0xc0 == 0 { byte & 0x1f } else { 0 };
        let extra = if byte & 0x20 == 0 { 0 } else { PORT_TC_BEHIND | byte & 0x18 };
        let flags = (0x37 & !missing) | extra;
        let mtu = if byte & 1 == 0 { 1500 } else { 64 };
        setup.add_port(
            slot,
            Port {
                ifindex: 100 + u32::from(slot),
                mtu,
                flags,
                station_limit: byte & 3,
                flow_limit: byte & 1,
                pvid: 0,
                pad: 0,
            },
        );
    }
    let alive = seed[9] & 7 != 0;
    setup.set(Control::Heartbeat, if alive { now } else { 0 });
    setup.set(Control::AgeingNs, 300_000_000_000);
    setup.set(Control::Flags, if seed[9] & 8 == 0 { LEARNING } else { RESENT_FRAMES });
    setup.own.insert(99);
    setup.add_station(HOST_MAC, 0, STATION_HOST, 0);
    for (at, byte) in [(0, seed[10]), (6, seed[11])] {
        if let Some(mac) = frame.get(at..at + 6).and_then(|mac| mac.try_into().ok())
            && byte & 7 != 0
            && mac != HOST_MAC
        {
            let bound = if byte & 0x70 == 0x70 { STATION_STATIC } else { 0 };
            let seen = if byte & 8 == 0 { now } else { now - u64::from(byte) * 2_000_000_000 };
            setup.add_station(mac, u16::from(byte >> 4 & 3) + 1, bound, seen);
        }
    }
    if seed[9] & 0x70 != 0x70 {
        setup.publish(u32::from(seed[9] >> 7) + 1, generation(seed));
    }
    setup
}

fn generation(seed: &[u8; TABLE_BYTES]) -> Generation {
    let deny = denies_all(seed);
    let word = |byte: u8, slot: u32| {
        let allow = if byte & 3 == 0 || deny { 0 } else { RULE_ALLOW };
        let stateful = if byte & 4 == 0 || allow == 0 { 0 } else { RULE_STATEFUL };
        RULE_VALID | allow | stateful | slot
    };
    let pairs = (0..usize::from(ZONES * ZONES)).map(|index| {
        let byte = seed[12 + index];
        Pair { word: word(byte, u32::from(byte >> 5)), class: u16::from(byte & 8 != 0), flags: PAIR_REVERSE_STATEFUL }
    });
    let entry = |proto: u8, portless: u8, port: u16, bits, value| {
        (bits, L4Data { class: [0, 1], proto, portless, port: port.to_be_bytes(), pad: [0; 2] }, value)
    };
    let l4 = [6, 17]
        .into_iter()
        .flat_map(|proto| {
            [
                entry(proto, 0, 0, 32, word(seed[21], 1)),
                entry(proto, 0, 0x0400, 38, word(seed[22], 2)),
                entry(proto, 1, 0, 32, RULE_VALID | RULE_NEEDS_PORTS),
            ]
        })
        .collect();
    let meta = PolicyMeta { stride: ZONES, drop_other_ethertypes: seed[23] & 1 == 1, stateful: seed[23] & 2 == 2 };
    Generation {
        zones4: vec![(8, [10, 0, 0, 0], 1), (24, [10, 17, 4, 0], 2), (32, [10, 17, 4, 254], 2 | ZONE_HOST)],
        zones6: vec![(8, [0xfd; 16], 1), (0, [0; 16], 2)],
        pairs: pairs.collect(),
        l4,
        meta,
    }
}
