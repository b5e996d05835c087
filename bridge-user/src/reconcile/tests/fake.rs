//! A dataplane in memory: executes ops as the kernel would, lets frames come in between, and fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridge_common::abi::{Control, NO_PORT, PORT_MEMBER, Port, StationKey, VlanSet};

use super::invariants::{self, Round};
use crate::desired::{Desired, HookPoint};
use crate::plan::{Actual, Op};
use crate::policy::lowered::Lowered;
use crate::reconcile::{Fault, Kernel, Report, converge};

/// What goes wrong, once, at one op of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Fails without effect.
    Before,
    /// Fails after it took effect.
    After,
    /// The interface went away.
    Gone,
    /// The manager dies: nothing more happens in this round.
    Crash,
}

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("injected")]
pub(super) struct Injected;

pub(super) struct Fake {
    pub(super) state: Actual,
    /// Learned stations: slot, and the interface that they were really seen at.
    pub(super) learned: BTreeMap<StationKey, (u16, u32)>,
    /// Programs that were running when they were detached: they may still learn.
    in_flight: BTreeSet<(u32, u16)>,
    /// Inner maps by parity; `None` while they are being filled.
    inner: [Option<Arc<Lowered>>; 2],
    generation: u32,
    trouble: Option<(usize, Trouble)>,
    count: usize,
    dead: bool,
    round: Option<Round>,
    pub(super) log: Vec<Op>,
    pub(super) violations: Vec<String>,
}

impl Fake {
    pub(super) fn new() -> Self {
        Self {
            state: Actual::default(),
            learned: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            inner: [None, None],
            generation: 0,
            trouble: None,
            count: 0,
            dead: false,
            round: None,
            log: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// One round, with trouble at the op of that number. The invariants are checked after every op.
    pub(super) fn round(&mut self, desired: &Desired, trouble: Option<(usize, Trouble)>) -> Report<Injected> {
        (self.trouble, self.count, self.dead) = (trouble, 0, false);
        self.in_flight.clear();
        self.log.clear();
        self.round = Some(Round::start(desired, &self.state));
        converge(self, desired).unwrap()
    }

    /// Programs go without us: their interface went, or someone detached them.
    pub(super) fn lose(&mut self, ifindex: u32) {
        self.state.attached.retain(|(held, _)| *held != ifindex);
        self.state.targets.retain(|_, held| *held != ifindex);
    }

    fn execute(&mut self, op: &Op) {
        let state = &mut self.state;
        match op {
            Op::SetControl(Control::AgeingNs, value) => state.control.ageing_ns = *value,
            Op::SetControl(Control::Flags, value) => state.control.flags = *value,
            Op::SetControl(word, _) => self.violations.push(format!("{word:?} is not the plan's")),
            Op::PublishPolicy { generation, policy } => self.publish(*generation, policy),
            Op::SetPort { slot, port } if *port == Port::default() => _ = state.ports.remove(slot),
            Op::SetPort { slot, port } => _ = state.ports.insert(*slot, *port),
            Op::SetVlans { slot, vlans } if **vlans == VlanSet::EMPTY => _ = state.vlans.remove(slot),
            Op::SetVlans { slot, vlans } => _ = state.vlans.insert(*slot, **vlans),
            // One map holds both.
            Op::MapIfindex { slot, ifindex } => {
                state.own.remove(ifindex);
                state.slots.insert(*ifindex, *slot);
            }
            Op::MarkOwn { ifindex, .. } => {
                state.slots.remove(ifindex);
                state.own.insert(*ifindex);
            }
            Op::UnmapIfindex { ifindex, .. } | Op::UnmarkOwn { ifindex } => {
                state.slots.remove(ifindex);
                state.own.remove(ifindex);
            }
            Op::Attach { ifindex, point, .. } => _ = state.attached.insert((*ifindex, *point)),
            Op::Detach { ifindex, point, .. } => {
                if state.attached.remove(&(*ifindex, *point)) && *point != HookPoint::TcEgress {
                    self.in_flight.extend(state.slots.get(ifindex).map(|slot| (*ifindex, *slot)));
                }
            }
            Op::SetTarget { slot, ifindex } => _ = state.targets.insert(*slot, *ifindex),
            Op::ClearTarget { slot } => _ = state.targets.remove(slot),
            Op::PutStation { key, station } => {
                self.learned.remove(key);
                state.contradicted |= state.stations.insert(*key, *station) != Some(*station);
            }
            Op::ForgetContradicted => state.contradicted = false,
            Op::RemoveStation { key, .. } => _ = state.stations.remove(key),
            Op::PutGuard(key) => _ = state.guard.insert(*key),
            Op::RemoveGuard(key) => _ = state.guard.remove(key),
            Op::ForgetPort { slot } => {
                self.in_flight.retain(|(_, held)| held != slot);
                self.learned.retain(|_, (held, _)| held != slot);
            }
        }
    }

    fn publish(&mut self, generation: u32, policy: &Arc<Lowered>) {
        if generation == 0 || self.generation != 0 && generation % 2 == self.generation % 2 {
            self.violations.push(format!("generation {generation} overwrites the live {}", self.generation));
        }
        self.inner[generation as usize % 2] = Some(Arc::clone(policy));
        self.generation = generation;
        self.state.policy = Some((generation, Arc::clone(policy)));
    }

    /// Every interface with an ingress program sends a frame from a MAC of its own.
    fn traffic(&mut self) {
        let attached = self.state.attached.iter().filter(|(_, point)| *point != HookPoint::TcEgress);
        let running = attached.filter_map(|(ifindex, _)| Some((*ifindex, *self.state.slots.get(ifindex)?)));
        let senders: Vec<_> = running.chain(self.in_flight.iter().copied()).collect();
        for (ifindex, slot) in senders {
            let member = self.state.ports.get(&slot).is_some_and(|port| port.is(PORT_MEMBER));
            let key = StationKey { mac: [0x52, 0, 0, 0, 1, ifindex as u8], vlan: 0 };
            if member && slot != NO_PORT && !self.state.stations.contains_key(&key) {
                self.learned.insert(key, (slot, ifindex));
            }
        }
    }
}

impl Kernel for Fake {
    type Error = Injected;

    fn observe(&mut self) -> Result<Actual, Injected> {
        Ok(self.state.clone())
    }

    fn apply(&mut self, op: &Op) -> Result<(), Fault<Injected>> {
        let number = self.count;
        self.count += 1;
        let trouble = self.trouble.filter(|(at, _)| *at == number).map(|(_, trouble)| trouble);
        self.dead |= trouble == Some(Trouble::Crash);
        if self.dead {
            return Err(Fault::Failed(Injected));
        }
        if matches!(trouble, None | Some(Trouble::After)) {
            self.execute(op);
            self.log.push(op.clone());
        } else if let Op::PublishPolicy { generation, .. } = op {
            self.inner[*generation as usize % 2] = None; // half filled
        }
        self.traffic();
        let live = self.generation != 0 && self.inner[self.generation as usize % 2].is_some();
        if let Some(round) = &self.round {
            let broken = invariants::broken(round, &self.state, &self.learned, live);
            self.violations.extend(broken.into_iter().map(|what| format!("after op {number} {op:?}: {what}")));
        }
        match (trouble, op) {
            (None, _) => Ok(()),
            (Some(Trouble::Gone), Op::Attach { ifindex, .. } | Op::SetTarget { ifindex, .. }) => {
                Err(Fault::Gone(*ifindex))
            }
            (Some(_), _) => Err(Fault::Failed(Injected)),
        }
    }
}
