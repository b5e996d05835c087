//! [`Setup`] as the decision's tables, and whole judgements on them with their accounting.

use std::cell::{RefCell, RefMut, UnsafeCell};
use std::collections::HashMap;

use bridge_common::abi::{
    Control, Counted, Flow, FlowKey, FlowedCell, GuardKey, L4_BITS, L4Data, Pair, Port, Punt, RuleWord, Station,
    StationKey, Usage, ZoneEntry, Zoneless,
};
use bridge_common::decide::{
    Decision, EgressDecision, Hook, Memo, Recalled, Scratch, Tables, TablesMut, Verdict, counted, egress, epoch,
    ingress, recall, remember, settle, settle_egress,
};
use bridge_common::wire::Frame;

use super::{Counts, Generation, Setup};

/// What a program does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Out of this interface.
    Redirect(u32),
    /// On to whatever comes next.
    Pass,
    /// Gone.
    Drop,
}

/// Ordinary maps, changed by what is judged on them.
#[derive(Debug)]
pub struct HostTables {
    setup: RefCell<Setup>,
    counts: RefCell<Counts>,
    memos: Memos,
}

/// Remembered decisions, by their place; an empty one for all other places.
#[derive(Default)]
struct Memos(UnsafeCell<HashMap<u32, Memo>>, Memo);

impl std::fmt::Debug for Memos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memos")
    }
}

impl HostTables {
    /// With this in the maps and all counters zero.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { setup: RefCell::new(setup), counts: RefCell::default(), memos: Memos::default() }
    }

    /// Changes the maps, as the manager would.
    pub fn manage<T>(&self, change: impl FnOnce(&mut Setup) -> T) -> T {
        change(&mut self.setup.borrow_mut())
    }

    /// What lies in the maps now.
    #[must_use]
    pub fn contents(&self) -> Setup {
        self.setup.borrow().clone()
    }

    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.borrow().clone()
    }

    /// As the XDP or TC ingress program: decides, carries out, counts.
    pub fn ingress<F: Frame>(&self, frame: &F, ifindex: u32, hook: Hook) -> (Decision, Action) {
        let epoch = epoch(self);
        if let Some(known) = recall(self, frame, ifindex, hook, epoch)
            && (hook == Hook::Tc || !known.forwards() || self.setup.borrow().targets.contains(&known.to))
        {
            let Recalled { slot, len, rule, .. } = known;
            let counted = Counted::all().find(|counted| counted.cell() == usize::from(known.cell));
            let (verdict, action) = match counted {
                Some(Counted::Drop(reason)) => (Verdict::Drop(reason), Action::Drop),
                _ => {
                    let verdict = Verdict::Forward { slot: known.to, ifindex: known.ifindex, retag: known.retag };
                    (verdict, Action::Redirect(known.ifindex))
                }
            };
            self.counts.borrow_mut().count(slot, counted.unwrap_or(Counted::Forward), rule, len);
            return (Decision { verdict, slot, left_to_tc: false, saw_tag: false, len, rule }, action);
        }
        let mut scratch = Scratch::used();
        let decision = ingress(self, frame, ifindex, hook, epoch, &mut scratch);
        if decision.left_to_tc {
            return (decision, Action::Pass);
        }
        let mut verdict = settle(self, &decision, &scratch);
        remember(self, frame, ifindex, hook, &decision, &scratch);
        if let (Verdict::Forward { slot, .. }, Hook::Xdp) = (verdict, hook)
            && !self.setup.borrow().targets.contains(&slot)
        {
            verdict = Verdict::Punt(Punt::EgressDown);
        }
        self.counts.borrow_mut().count(decision.slot, counted(verdict), decision.rule, decision.len);
        let action = match verdict {
            Verdict::Forward { ifindex, .. } => Action::Redirect(ifindex),
            Verdict::Punt(_) => Action::Pass,
            Verdict::Drop(_) => Action::Drop,
        };
        (Decision { verdict, ..decision }, action)
    }

    /// As the egress program: decides, carries out, counts.
    pub fn egress<F: Frame>(&self, frame: &F, ifindex: u32, ingress_ifindex: u32) -> (EgressDecision, Action) {
        let mut scratch = Scratch::used();
        let decision = egress(self, frame, ifindex, ingress_ifindex, &mut scratch);
        let Some(outcome) = settle_egress(self, &decision, &scratch) else { return (decision, Action::Pass) };
        self.counts.borrow_mut().count(decision.slot, outcome, decision.rule, decision.len);
        (decision, if matches!(outcome, Counted::EgressDrop(_)) { Action::Drop } else { Action::Pass })
    }

    fn of_generation<T>(&self, number: u32, read: impl FnOnce(&Generation) -> Option<T>) -> Option<T> {
        self.setup.borrow().generations[(number & 1) as usize].as_ref().and_then(read)
    }

    fn usage_mut(&self, slot: u16) -> RefMut<'_, Usage> {
        RefMut::map(self.setup.borrow_mut(), |setup| setup.usage.entry(slot).or_default())
    }
}

/// The value of the longest prefix that matches `key`.
fn longest<'a, K: 'a, V: Copy + 'a>(
    entries: impl IntoIterator<Item = &'a (u32, K, V)>,
    key: &[u8],
    bytes: impl Fn(&K) -> Vec<u8>,
) -> Option<V> {
    let matches = |length: u32, prefix: &[u8]| {
        (0..length as usize).all(|bit| (prefix[bit / 8] ^ key[bit / 8]) & (0x80 >> (bit % 8)) == 0)
    };
    let fitting = entries.into_iter().filter(|(length, prefix, _)| matches(*length, &bytes(prefix)));
    fitting.max_by_key(|(length, ..)| *length).map(|(.., value)| *value)
}

fn l4_bytes(data: &L4Data) -> Vec<u8> {
    [&data.class[..], &[data.proto, data.portless], &data.port].concat()
}

impl Tables for HostTables {
    fn now_ns(&self) -> u64 {
        self.setup.borrow().now_ns
    }

    fn control(&self, word: Control) -> u64 {
        self.setup.borrow().control[word as usize]
    }

    fn slot(&self, ifindex: u32) -> Option<u16> {
        self.setup.borrow().slots.get(&ifindex).copied()
    }

    fn is_own(&self, ifindex: u32) -> bool {
        self.setup.borrow().own.contains(&ifindex)
    }

    fn port(&self, slot: u16) -> Option<Port> {
        // An array: what is not filled in is zero.
        Some(self.setup.borrow().ports.get(&slot).copied().unwrap_or_default())
    }

    fn tags_lie_beside(&self, slot: u16) -> bool {
        self.setup.borrow().beside.contains(&slot)
    }

    fn carries(&self, slot: u16, vlan: u16) -> bool {
        self.setup.borrow().vlans.get(&slot).is_some_and(|set| set.contains(vlan))
    }

    fn station(&self, key: &StationKey) -> Station {
        self.setup.borrow().stations.get(key).copied().unwrap_or(Station::ABSENT)
    }

    fn guard(&self, key: &GuardKey) -> bool {
        self.setup.borrow().guard.contains(key)
    }

    fn zone(&self, generation: u32, family: u8, addr: &[u8; 16]) -> ZoneEntry {
        let found = self.of_generation(generation, |tables| match family {
            4 => longest(&tables.zones4, &addr[..4], |network| network.to_vec()),
            _ => longest(&tables.zones6, addr, |network| network.to_vec()),
        });
        found.unwrap_or(0)
    }

    fn pair(&self, generation: u32, index: u32) -> Option<Pair> {
        self.of_generation(generation, |tables| tables.pairs.get(index as usize).copied())
    }

    fn l4(&self, generation: u32, key: &L4Data) -> Option<RuleWord> {
        let key = l4_bytes(key);
        assert_eq!(key.len() * 8, L4_BITS as usize);
        self.of_generation(generation, |tables| longest(&tables.l4, &key, l4_bytes))
    }

    fn flow(&self, key: &FlowKey) -> Option<Flow> {
        self.setup.borrow().flows.get(key).copied()
    }

    // What the flows say that are there: the programs' notes stay when a flow has gone, which changes no verdict.
    fn flowed(&self, index: u32) -> u32 {
        let of_cell = |key: &&FlowKey| FlowedCell::of_flow(key).is_some_and(|cell| cell.index == index);
        let setup = self.setup.borrow();
        setup.flows.keys().filter(of_cell).map(|key| FlowedCell::note(setup.flows[key].seen_ns)).max().unwrap_or(0)
    }

    fn usage(&self, slot: u16) -> Usage {
        self.setup.borrow().usage.get(&slot).copied().unwrap_or_default()
    }

    fn window(&self) -> u64 {
        // 16 ticks of 250 Hz.
        self.setup.borrow().now_ns / 64_000_000
    }

    fn memo(&self, index: u32) -> Option<&Memo> {
        // SAFETY: one thread (the type is not Sync), and nobody keeps a memo while one is edited.
        unsafe { &*self.memos.0.get() }.get(&index).or(Some(&self.memos.1))
    }
}

impl TablesMut for HostTables {
    fn add_station(&self, key: &StationKey, station: Station) -> bool {
        let setup = &mut *self.setup.borrow_mut();
        let room = setup.stations.len() < setup.station_capacity && !setup.stations.contains_key(key);
        if room {
            setup.stations.insert(*key, station);
        }
        room
    }

    fn update_station(&self, key: &StationKey, station: Station) {
        if let Some(entry) = self.setup.borrow_mut().stations.get_mut(key) {
            *entry = station;
        }
    }

    fn remove_station(&self, key: &StationKey) -> bool {
        self.setup.borrow_mut().stations.remove(key).is_some()
    }

    fn add_flow(&self, key: &FlowKey, flow: Flow) -> bool {
        let setup = &mut *self.setup.borrow_mut();
        let room = setup.flows.len() < setup.flow_capacity && !setup.flows.contains_key(key);
        if room {
            setup.flows.insert(*key, flow);
        }
        room
    }

    fn update_flow(&self, key: &FlowKey, flow: Flow) {
        if let Some(entry) = self.setup.borrow_mut().flows.get_mut(key) {
            *entry = flow;
        }
    }

    fn remove_flow(&self, key: &FlowKey) -> bool {
        self.setup.borrow_mut().flows.remove(key).is_some()
    }

    fn note_flowed(&self, _: u32, _: u32) {}
    fn charge(&self, slot: u16, stations: i32, flows: i32) {
        let mut usage = self.usage_mut(slot);
        usage.stations = usage.stations.wrapping_add_signed(stations.into());
        usage.flows = usage.flows.wrapping_add_signed(flows.into());
    }

    fn count_fdb_full(&self) {
        self.setup.borrow_mut().control[Control::FdbFull as usize] += 1;
    }

    fn note_zoneless(&self, source: &Zoneless, slot: u16) {
        self.setup.borrow_mut().zoneless.entry(*source).or_insert(slot);
    }

    fn note_tags_beside(&self, slot: u16) {
        self.setup.borrow_mut().beside.insert(slot);
    }

    fn raise_moves(&self) {
        self.setup.borrow_mut().control[Control::Moves as usize] += 1;
    }

    fn raise_flow_changes(&self) {
        self.setup.borrow_mut().control[Control::FlowChanges as usize] += 1;
    }

    fn edit_memo(&self, index: u32, edit: impl FnOnce(&mut Memo)) {
        // SAFETY: as in `memo`.
        edit(unsafe { &mut *self.memos.0.get() }.entry(index).or_default());
    }
}
