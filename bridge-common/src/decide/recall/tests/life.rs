//! What ends a memo, and what is not remembered at all.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn changes_and_time_end_a_memo() {
    let origin = frame(17, 70);
    let recalls = |change: &dyn Fn(&Fake)| {
        let fake = Fake::learn_of(&origin, Hook::Tc);
        change(&fake);
        recall(&fake, &Bytes::new(&origin), 11, Hook::Tc, epoch(&fake)).is_some()
    };
    assert!(recalls(&|_| {}));
    assert!(!recalls(&|fake| fake.window.set(8)));
    assert!(!recalls(&|fake| fake.epoch.set(2)));
    assert!(!recalls(&|fake| fake.epoch.set(0)));
    assert!(!recalls(&|fake| fake.raise_moves()));
    let fake = Fake::learn_of(&origin, Hook::Tc);
    assert!(recall(&fake, &Bytes::new(&origin), 12, Hook::Tc, epoch(&fake)).is_none());
    assert!(recall(&fake, &Bytes::new(&origin), 11, Hook::Xdp, epoch(&fake)).is_none());
}

#[test]
fn what_will_change_soon_is_not_remembered() {
    let origin = frame(17, 70);
    let remembers = |change: &dyn Fn(&Fake)| {
        let fake = Fake::new();
        change(&fake);
        let frame = Bytes::new(&origin);
        let (decision, scratch) = fake.decide(&frame, Hook::Tc);
        assert!(matches!(decision.verdict, Verdict::Forward { .. }));
        remember(&fake, &frame, 11, Hook::Tc, &decision, &scratch);
        fake.memo.get().is_some()
    };
    assert!(remembers(&|_| {}));
    assert!(!remembers(&|fake| fake.epoch.set(0)), "nobody would end it");
    assert!(remembers(&|fake| fake.seen.set(NOW - 960_000_000)), "its next note may be late");
    assert!(remembers(&|fake| fake.seen.set(NOW - 1_200_000_000)), "it is written now");
    assert!(!remembers(&|fake| fake.seen.set(NOW - 299_960_000_000)), "a station has aged in 40 ms");
    assert!(!remembers(&|fake| fake.beat.set(NOW - 4_960_000_000)), "the heartbeat is stale in 40 ms");
}

/// Two frames that would lie in the same place: the first stays while it is good.
#[test]
fn a_good_memo_is_not_put_out() {
    let origin = frame(17, 70);
    let place = |frame: &[u8]| index(&Head::of(&Bytes::new(frame)).unwrap(), 0, Hook::Tc);
    let other = (0..=u16::MAX).map(|host| {
        let mut other = origin.clone();
        other[28..30].copy_from_slice(&host.to_be_bytes());
        other
    });
    let other = other.filter(|other| *other != origin).find(|other| place(other) == place(&origin)).unwrap();
    type Change = fn(&Fake);
    let ends: [Change; 3] = [|fake| fake.window.set(8), |fake| fake.epoch.set(2), |fake| fake.raise_moves()];
    let stays: [Change; 2] = [|_| {}, |fake| fake.raise_flow_changes()];
    for (change, remembered) in ends.map(|end| (end, 2)).into_iter().chain(stays.map(|change| (change, 1))) {
        let fake = Fake::learn_of(&origin, Hook::Tc);
        change(&fake);
        let fake = fake.learning(&other, Hook::Tc);
        assert_eq!(fake.remembered.get(), remembered);
    }
    // One with ports ends with a flow's change as well.
    let fake = Fake { class: Cell::new(1), ..Fake::new() }.learning(&origin, Hook::Tc);
    assert_eq!(fake.learning(&origin, Hook::Tc).remembered.get(), 1);
    let fake = Fake { class: Cell::new(1), ..Fake::new() }.learning(&origin, Hook::Tc);
    fake.raise_flow_changes();
    assert_eq!(fake.learning(&origin, Hook::Tc).remembered.get(), 2);
}

/// As installers number them. Seen to fail with the sum of the products: 2451 places.
#[test]
fn stations_that_count_up_share_few_places() {
    let places = |frame: &dyn Fn(u16) -> Vec<u8>| {
        let index = |host| index(&Head::of(&Bytes::new(&frame(host))).unwrap(), 0, Hook::Tc);
        (0..4096).map(index).collect::<std::collections::HashSet<_>>().len()
    };
    for (mac, address) in [(10, 28), (4, 32)] {
        let both = places(&|host| {
            let mut frame = frame(17, 70);
            frame[mac..mac + 2].copy_from_slice(&host.to_be_bytes());
            frame[address..address + 2].copy_from_slice(&host.to_be_bytes());
            frame
        });
        // By chance 3625 of 16384.
        assert!(both > 3400, "{both} places");
    }
}

/// A rule with ports is asked: nothing is known of frames with other ports, nor once any flow has changed, nor of a frame that may change one.
#[test]
fn where_ports_matter_it_is_remembered_with_them() {
    for (proto, flags) in [(17, 0x11), (6, 0x10), (6, 0x18), (6, 0x11), (6, 0x12), (6, 0x14)] {
        let origin = frame(proto, 70);
        let fake = Fake { class: Cell::new(1), ..Fake::new() }.learning(&origin, Hook::Tc);
        let recalls = |frame: &[u8]| recall(&fake, &Bytes::new(frame), 11, Hook::Tc, epoch(&fake)).is_some();
        assert!(recalls(&origin));
        for at in 34..38 {
            let mut other = origin.clone();
            other[at] ^= 1;
            assert!(!recalls(&other), "byte {at}");
        }
        let mut other = origin.clone();
        other[47] = flags;
        assert_eq!(recalls(&other), proto == 17 || flags & 7 == 0, "{flags:#x}");
        fake.raise_flow_changes();
        assert!(!recalls(&origin));
    }
    let mut portless = frame(17, 70);
    portless[34..38].fill(0);
    let fake = Fake { class: Cell::new(1), ..Fake::new() }.learning(&portless, Hook::Tc);
    assert!(fake.memo.get().is_none(), "it would stand for all ports");
}

/// A frame is denied that might answer a flow, if there were one: whatever its ports, until one is opened between these addresses.
#[test]
fn a_denied_answer_is_remembered_without_ports_until_there_is_a_flow() {
    for (proto, hook) in [(17, Hook::Tc), (17, Hook::Xdp), (6, Hook::Tc), (6, Hook::Xdp)] {
        let origin = frame(proto, 70);
        let mut other = origin.clone();
        other[34..38].copy_from_slice(&[0x77, 1, 0x78, 2]);
        let key = |src: [u8; 4], dst: [u8; 4]| {
            let mut key = FlowKey { proto, family: 4, ..FlowKey::default() };
            key.src[..4].copy_from_slice(&src);
            key.dst[..4].copy_from_slice(&dst);
            key
        };
        let open = |fake: &Fake, key: FlowKey| {
            let mut scratch = Scratch::default();
            let flow = Flow { seen_ns: NOW, ..Flow::default() };
            scratch.flow = crate::decide::FlowChange { op: FlowOp::Open, key, flow };
            commit(fake, &scratch).unwrap();
        };
        let denies = |flowed| Fake { denies: true, answers: true, flowed: Cell::new(flowed), ..Fake::new() };
        let recalls = |fake: &Fake, frame: &[u8]| agrees(fake, &Bytes::new(frame), hook);

        // Never, or longer ago than any flow lives.
        let long_ago = FlowedCell::note(NOW - 183_000_000_000);
        for flowed in [0, long_ago].into_iter().take(if proto == 17 { 2 } else { 1 }) {
            let fake = denies(flowed).learning(&origin, hook);
            assert!(recalls(&fake, &origin) && recalls(&fake, &other), "{proto} {hook:?} {flowed}");
            fake.raise_flow_changes();
            assert!(recalls(&fake, &other), "other flows do not matter");
            open(&fake, key([10, 17, 4, 22], [10, 17, 4, 21]));
            assert!(!recalls(&fake, &origin) && !recalls(&fake, &other), "{proto} {hook:?} {flowed}");
        }
        // A flow may be there: with its ports only.
        let fake = denies(FlowedCell::note(NOW - 170_000_000_000)).learning(&origin, hook);
        assert!(recalls(&fake, &origin) && !recalls(&fake, &other), "{proto} {hook:?}");
        fake.raise_flow_changes();
        assert!(!recalls(&fake, &origin));
        // What passes is seen by the flow that it may answer: with its ports only, and not if it may change one.
        let fake = Fake { answers: true, ..Fake::new() }.learning(&origin, hook);
        assert!(recalls(&fake, &origin) && !recalls(&fake, &other), "{proto} {hook:?}");
        open(&fake, key([10, 17, 4, 22], [10, 17, 4, 21]));
        assert!(!recalls(&fake, &origin), "{proto} {hook:?}");
        // No answer is denied here: nobody asks.
        let fake = Fake { denies: true, ..Fake::new() }.learning(&origin, hook);
        open(&fake, key([10, 17, 4, 22], [10, 17, 4, 21]));
        assert!(recalls(&fake, &other));
    }
}

/// A note, before the flow itself, of when it was seen: who finds none looks for no flow.
#[test]
fn a_flow_that_is_opened_or_renewed_is_noted() {
    for (op, noted) in [(FlowOp::Keep, 0), (FlowOp::Open, 8), (FlowOp::Renew, 8), (FlowOp::Close, 0)] {
        let mut key = FlowKey { proto: 17, family: 4, ..FlowKey::default() };
        key.src[..4].copy_from_slice(&[10, 17, 4, 22]);
        key.dst[..4].copy_from_slice(&[10, 17, 4, 21]);
        let mut scratch = Scratch::default();
        let flow = Flow { seen_ns: 7_900_000_000, ..Flow::default() };
        scratch.flow = crate::decide::FlowChange { op, key, flow };
        let fake = Fake::new();
        commit(&fake, &scratch).unwrap();
        assert_eq!(fake.flowed.get(), noted, "{op:?}");
    }
}

#[test]
fn a_flow_that_changes_is_told() {
    for (op, raised) in [(FlowOp::Keep, 0), (FlowOp::Open, 1), (FlowOp::Renew, 1), (FlowOp::Close, 1)] {
        let fake = Fake::new();
        let mut scratch = Scratch::default();
        scratch.flow.op = op;
        commit(&fake, &scratch).unwrap();
        assert_eq!(fake.flow_changes.get(), raised, "{op:?}");
    }
}

/// What leaves with a tag is recalled with it.
#[test]
fn the_tag_that_it_leaves_with_is_remembered() {
    let origin = frame(17, 70);
    for (hook, vlan) in [(Hook::Tc, 0), (Hook::Tc, 10), (Hook::Xdp, 10)] {
        let fake = Fake { vlan: Cell::new(vlan), ..Fake::new() }.learning(&origin, hook);
        let recalled = recall(&fake, &Bytes::new(&origin), 11, hook, epoch(&fake)).unwrap();
        assert_eq!(recalled.retag, Retag::push(vlan), "{hook:?} {vlan}");
        assert!(agrees(&fake, &Bytes::new(&origin), hook));
    }
}

#[test]
fn a_station_that_moves_or_is_forgotten_is_told() {
    for (op, port, raised) in
        [(LearnOp::Keep, 1, 0), (LearnOp::Update, 1, 0), (LearnOp::Update, 2, 1), (LearnOp::Forget, 1, 1)]
    {
        let fake = Fake::new();
        let learn = Learn { op, station: Station { seen_ns: NOW, port, flags: 0, pad: 0 } };
        let mut scratch = Scratch { learn, ..Scratch::default() };
        scratch.packet.source.mac = A;
        commit(&fake, &scratch).unwrap();
        assert_eq!(fake.moves.get(), raised, "{op:?} {port}");
    }
}
