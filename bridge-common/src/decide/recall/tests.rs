//! What is recalled is what `ingress` decides, for every frame near a remembered one; and what ends a memo.
#![allow(clippy::unwrap_used)]

use std::{
    cell::{Cell, OnceCell},
    collections::HashMap,
    vec::Vec,
};

mod life;

use super::*;
use crate::{
    abi::{
        Flow, FlowKey, FlowedCell, GuardKey, L4Data, LEARNING, PAIR_REVERSE_STATEFUL, PORT_ELIGIBLE, PORT_MEMBER,
        PORT_RUNNING, PORT_VIRTUAL, PORT_VLAN_AWARE, PORT_XDP_TARGET, Pair, PolicyMeta, Port, RULE_ALLOW, RULE_VALID,
        RuleWord, Station, StationKey, Usage, ZoneEntry,
    },
    decide::{Learn, LearnOp, Verdict, commit, counted, ingress, settle},
    wire::{Bytes, Tag},
};

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];
const NOW: u64 = 1_000_000_000_000;
const MTU: u32 = 100;
/// The flows that a frame from A to B would answer.
const ANSWERED: [FlowedCell; 2] = {
    let addresses = u64::from_ne_bytes([10, 17, 4, 22, 10, 17, 4, 21]);
    [FlowedCell::of(addresses, 6), FlowedCell::of(addresses, 17)]
};

/// Two ports, a station behind each, everything allowed, or nothing. Stations are the key's last MAC byte.
struct Fake {
    now: Cell<u64>,
    window: Cell<u64>,
    epoch: Cell<u64>,
    moves: Cell<u64>,
    flow_changes: Cell<u64>,
    flowed: Cell<u32>,
    seen: Cell<u64>,
    beat: Cell<u64>,
    class: Cell<u16>,
    denies: bool,
    /// Whether flows the other way may be stateful ones.
    answers: bool,
    /// Frames of port 1 are in this VLAN, and leave through port 2 with its tag.
    vlan: Cell<u16>,
    /// The first that was remembered.
    memo: OnceCell<(u32, Memo)>,
    remembered: Cell<usize>,
    empty: Memo,
}

impl Fake {
    fn new() -> Self {
        Self {
            now: Cell::new(NOW),
            window: Cell::new(7),
            epoch: Cell::new(1),
            moves: Cell::new(0),
            flow_changes: Cell::new(0),
            flowed: Cell::new(0),
            seen: Cell::new(NOW),
            beat: Cell::new(NOW),
            class: Cell::new(0),
            denies: false,
            answers: false,
            vlan: Cell::new(0),
            memo: OnceCell::new(),
            remembered: Cell::new(0),
            empty: Memo::default(),
        }
    }

    /// What the hook would do with a frame that is not recalled.
    fn decide(&self, frame: &Bytes<'_>, hook: Hook) -> (Decision, Scratch) {
        let mut scratch = Scratch::used();
        let decision = ingress(self, frame, 11, hook, epoch(self), &mut scratch);
        (decision, scratch)
    }

    fn learn_of(frame: &[u8], hook: Hook) -> Self {
        Self::new().learning(frame, hook)
    }

    fn learning(self, frame: &[u8], hook: Hook) -> Self {
        let frame = Bytes::new(frame);
        let (decision, scratch) = self.decide(&frame, hook);
        match settle(&self, &decision, &scratch) {
            Verdict::Forward { slot: 2, ifindex: 12, .. } => assert!(!self.denies),
            verdict => assert_eq!((verdict, self.denies), (Verdict::Drop(Drop::Policy), true)),
        }
        remember(&self, &frame, 11, hook, &decision, &scratch);
        self
    }
}

impl Tables for Fake {
    fn now_ns(&self) -> u64 {
        self.now.get()
    }
    fn control(&self, word: Control) -> u64 {
        match word {
            Control::Heartbeat => self.beat.get(),
            Control::Generation => 1,
            Control::AgeingNs => 300_000_000_000,
            Control::Flags => LEARNING,
            Control::MetaOdd => PolicyMeta { stride: 1, drop_other_ethertypes: false, stateful: true }.pack(),
            Control::Epoch => self.epoch.get(),
            Control::Moves => self.moves.get(),
            Control::FlowChanges => self.flow_changes.get(),
            _ => 0,
        }
    }
    fn slot(&self, ifindex: u32) -> Option<u16> {
        (ifindex == 11).then_some(1)
    }
    fn is_own(&self, _: u32) -> bool {
        false
    }
    fn port(&self, slot: u16) -> Option<Port> {
        let aware = if self.vlan.get() == 0 { 0 } else { PORT_VLAN_AWARE };
        let flags = PORT_MEMBER | PORT_ELIGIBLE | PORT_RUNNING | PORT_VIRTUAL | PORT_XDP_TARGET | aware;
        Some(Port {
            ifindex: 10 + u32::from(slot),
            mtu: MTU,
            flags,
            station_limit: 9,
            flow_limit: 9,
            pvid: if slot == 1 { self.vlan.get() } else { 0 },
            ..Port::default()
        })
    }
    fn station(&self, key: &StationKey) -> Station {
        let stations = HashMap::from([(A, 1), (B, 2)]);
        match stations.get(&key.mac) {
            Some(&port) if key.vlan == self.vlan.get() => Station { seen_ns: self.seen.get(), port, flags: 0, pad: 0 },
            _ => Station::ABSENT,
        }
    }
    fn carries(&self, _: u16, _: u16) -> bool {
        false
    }
    fn guard(&self, _: &GuardKey) -> bool {
        true
    }
    fn zone(&self, _: u32, _: u8, _: &[u8; 16]) -> ZoneEntry {
        0
    }
    fn pair(&self, _: u32, _: u32) -> Option<Pair> {
        let allow = if self.denies { 0 } else { RULE_ALLOW };
        Some(Pair {
            word: RULE_VALID | allow | 3,
            class: self.class.get(),
            flags: if self.answers { PAIR_REVERSE_STATEFUL } else { 0 },
        })
    }
    fn l4(&self, _: u32, _: &L4Data) -> Option<RuleWord> {
        None
    }
    fn flow(&self, _: &FlowKey) -> Option<Flow> {
        None
    }
    fn flowed(&self, index: u32) -> u32 {
        if ANSWERED.iter().any(|cell| cell.index == index) { self.flowed.get() } else { 0 }
    }
    fn usage(&self, _: u16) -> Usage {
        Usage::default()
    }
    fn window(&self) -> u64 {
        self.window.get()
    }
    fn memo(&self, index: u32) -> Option<&Memo> {
        let kept = self.memo.get().filter(|(at, _)| *at == index);
        Some(kept.map_or(&self.empty, |(_, memo)| memo))
    }
}

impl TablesMut for Fake {
    fn add_station(&self, _: &StationKey, _: Station) -> bool {
        true
    }
    fn update_station(&self, _: &StationKey, _: Station) {}
    fn remove_station(&self, _: &StationKey) -> bool {
        true
    }
    fn add_flow(&self, _: &FlowKey, _: Flow) -> bool {
        true
    }
    fn update_flow(&self, _: &FlowKey, _: Flow) {}
    fn remove_flow(&self, _: &FlowKey) -> bool {
        true
    }
    fn note_flowed(&self, index: u32, noted: u32) {
        assert!(ANSWERED.iter().any(|cell| cell.index == index));
        self.flowed.set(noted);
    }
    fn charge(&self, _: u16, _: i32, _: i32) {}
    fn note_zoneless(&self, _: &crate::abi::Zoneless, _: u16) {}
    fn count_fdb_full(&self) {}
    fn raise_moves(&self) {
        self.moves.set(self.moves.get() + 1);
    }
    fn raise_flow_changes(&self) {
        self.flow_changes.set(self.flow_changes.get() + 1);
    }
    fn edit_memo(&self, index: u32, edit: impl FnOnce(&mut Memo)) {
        let before = *self.memo(index).unwrap();
        let mut memo = before;
        edit(&mut memo);
        if memo != before {
            self.memo.get_or_init(|| (index, memo));
            self.remembered.set(self.remembered.get() + 1);
        }
    }
}

/// Every port that the decision knows by itself, one that only rules know, and the ends.
const PORTS: [u16; 11] = [0, 67, 68, 546, 547, 4754, 4789, 6081, 6443, 8472, 65535];

fn frame(proto: u8, len: usize) -> Vec<u8> {
    let mut frame = [&B[..], &A, &[8, 0, 0x45, 0]].concat();
    frame.extend(((len - 14) as u16).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, proto, 0, 0, 10, 17, 4, 21, 10, 17, 4, 22, 0x10, 0, 0x20, 0]);
    frame.extend(((len - 34) as u16).to_be_bytes()); // UDP: its length; TCP: a part of the sequence number
    frame.extend([0x12, 0x34, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0x43, 0x21]);
    frame.resize(len, 0x5a);
    frame
}

/// Recalled or not, the answer is that of `ingress`.
fn agrees(fake: &Fake, frame: &Bytes<'_>, hook: Hook) -> bool {
    let Some(recalled) = recall(fake, frame, 11, hook, epoch(fake)) else { return false };
    let (decision, scratch) = fake.decide(frame, hook);
    let forward = Verdict::Forward { slot: recalled.to, ifindex: recalled.ifindex, retag: recalled.retag };
    assert_eq!(decision.verdict, if recalled.forwards() { forward } else { Verdict::Drop(Drop::Policy) }, "{frame:?}");
    assert_eq!(usize::from(recalled.cell), counted(decision.verdict).cell(), "{frame:?}");
    assert_eq!((decision.slot, decision.rule, decision.len), (recalled.slot, recalled.rule, recalled.len), "{frame:?}");
    assert!(scratch.learn.op == Default::default() && scratch.flow.op == Default::default());
    true
}

#[test]
fn every_frame_near_a_remembered_one_is_judged_as_ingress_judges_it() {
    let (mut recalled, mut ported) = (0, 0);
    let hooks = [(17, Hook::Tc), (17, Hook::Xdp), (6, Hook::Tc), (6, Hook::Xdp)];
    for (proto, hook, denies) in hooks.into_iter().flat_map(|(proto, hook)| [(proto, hook, false), (proto, hook, true)])
    {
        let origin = frame(proto, 70);
        let fake = Fake { denies, ..Fake::new() }.learning(&origin, hook);
        assert!(agrees(&fake, &Bytes::new(&origin), hook), "{proto} {hook:?}");
        for bit in 0..origin.len() * 8 {
            let mut near = origin.clone();
            near[bit / 8] ^= 1 << (bit % 8);
            for (gso, tag) in [(false, None), (true, None), (false, Some(Tag::customer(5)))] {
                recalled += usize::from(agrees(&fake, &Bytes { bytes: &near, gso, tag }, hook));
            }
        }
        for (sport, dport) in PORTS.iter().flat_map(|&sport| PORTS.iter().map(move |&dport| (sport, dport))) {
            let mut other = origin.clone();
            other[34..36].copy_from_slice(&u16::to_be_bytes(sport));
            other[36..38].copy_from_slice(&u16::to_be_bytes(dport));
            ported += usize::from(agrees(&fake, &Bytes::new(&other), hook));
        }
        for len in 0..origin.len() {
            agrees(&fake, &Bytes::new(&origin[..len]), hook);
        }
        for len in 55..=130 {
            let other = frame(proto, len);
            agrees(&fake, &Bytes::new(&other), hook);
            // Every checksum, the partial one among them.
            for checksum in [0, 0xffff].into_iter().chain(0xa800..0xaa00_u16) {
                let mut other = origin.clone();
                let at = if proto == 17 { 40 } else { 50 };
                other[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
                agrees(&fake, &Bytes::new(&other), hook);
            }
        }
    }
    assert!(recalled > 1000 && ported > 100, "{recalled}, {ported}: the test reached too little");
}
