//! From what the dataplane holds to what it should hold: a list of ops, safe to stop after any of them. Pure.
//!
//! Order:
//! 1. tighten: ports that leave, or lose a permission, lose it before anything else happens, so that nobody forwards
//!    to an interface that is gone;
//! 2. remove: XDP target, bound stations, programs, learned stations and flows, addresses, mapping, entry;
//! 3. control words, policy, the host's own MACs, the bridge's own devices;
//! 4. install, for each port: its VLANs, entry (not yet forwarding), mapping, stations, addresses, XDP target, programs, the full
//!    entry; then what is no longer allowed goes (addresses are added before others are removed, so that a guarded
//!    port is never without);
//! 5. what was learned of stations that are bound now, at other ports than theirs, is forgotten. At the end and once for all of them, as it takes a look
//!    at the whole FDB; their own frames from elsewhere are refused from the binding on, so that nothing of it is renewed.
//!
//! Removal needs no policy, hence its place before it: a policy that cannot be published must not leave frames being
//! forwarded to an interface that is gone. Must not: read a clock, the environment or the kernel.

mod hooks;
mod install;
mod op;
mod remove;
mod slots;
mod stations;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bridge_common::abi::{Control, GuardKey, NO_PORT, Port, STATION_HOST, STATION_STATIC, StationKey, VlanSet};

pub use self::op::{Op, Scope, StationEntry};
use self::slots::Slots;
use self::stations::Stations;
use crate::desired::{ControlWords, Desired, HookPoint, StationOwner};
use crate::policy::lowered::Lowered;

/// What the dataplane holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    /// ifindex to slot.
    pub slots: BTreeMap<u32, u16>,
    /// The bridge's own devices; none has a slot.
    pub own: BTreeSet<u32>,
    /// Entries of the ports, by slot; those that are all zeros are left out.
    pub ports: BTreeMap<u16, Port>,
    /// VLANs that ports list, by slot; empty ones are left out.
    pub vlans: BTreeMap<u16, VlanSet>,
    /// Programs that are ours, of the present build, and alive.
    pub attached: BTreeSet<(u32, HookPoint)>,
    /// Static and host stations only.
    pub stations: BTreeMap<StationKey, StationEntry>,
    /// Stations were bound, and what was learned of them elsewhere has not been forgotten since.
    pub contradicted: bool,
    /// Addresses that guarded stations may use.
    pub guard: BTreeSet<GuardKey>,
    /// XDP redirect targets: slot to ifindex.
    pub targets: BTreeMap<u16, u32>,
    /// Control words.
    pub control: ControlWords,
    /// Live generation and what it holds; `None` only if the generation word is 0. A manager that cannot tell what a
    /// live generation holds gives its number with a `Lowered` that differs.
    pub policy: Option<(u32, Arc<Lowered>)>,
}

/// What to do, and what people should know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In this order.
    pub ops: Vec<Op>,
    /// What the plan leaves undone.
    pub notes: Vec<PlanNote>,
}

/// Something that the plan leaves undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanNote {
    /// Every slot is taken: the port is not attached, hence not policed.
    NoSlot {
        /// Interface.
        ifindex: u32,
        /// Its name.
        name: String,
        /// `limits.ports`.
        limit: u16,
    },
}

impl fmt::Display for PlanNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlot { name, limit, .. } => write!(
                f,
                "port {name} is not attached and not policed: all {limit} slots are in use; raise [limits] ports and \
                 restart"
            ),
        }
    }
}

/// The steps from `actual` to `desired`; none if they agree. Deterministic. Ports that stay keep their slots, others
/// get the lowest free one in the order of their ifindex.
pub fn diff(desired: &Desired, actual: &Actual) -> Plan {
    let slots = Slots::assign(desired, actual);
    let notes = slots.notes.clone();
    let mut planner = Planner::new(desired, actual, slots);
    planner.tighten();
    planner.remove();
    planner.globals();
    planner.install();
    planner.forget_contradicted();
    Plan { ops: planner.ops, notes }
}

/// The generation after `live`. Its parity must differ, because the parity selects the inner maps and the live ones
/// must not be touched; 0 means "none yet". So `u32::MAX` (odd) is followed by 2, not by 1.
pub fn next_generation(live: u32) -> u32 {
    match live.wrapping_add(1) {
        0 => 2,
        next => next,
    }
}

/// The plan in the making: what there is to do, and what the dataplane holds once the ops so far are done.
struct Planner<'a> {
    desired: &'a Desired,
    actual: &'a Actual,
    slots: Slots,
    /// Desired stations; those of ports without a slot are left out.
    wanted: Stations,
    ports: BTreeMap<u16, Port>,
    vlans: BTreeMap<u16, VlanSet>,
    attached: BTreeSet<(u32, HookPoint)>,
    stations: Stations,
    /// By slot.
    guard: BTreeMap<u16, BTreeSet<GuardKey>>,
    targets: BTreeMap<u16, u32>,
    ops: Vec<Op>,
}

impl<'a> Planner<'a> {
    fn new(desired: &'a Desired, actual: &'a Actual, slots: Slots) -> Self {
        let wanted = desired.stations.iter().filter_map(|(key, owner)| Some((*key, entry(*owner, &slots)?))).collect();
        let mut guard: BTreeMap<u16, BTreeSet<GuardKey>> = BTreeMap::new();
        for key in &actual.guard {
            guard.entry(key.port).or_default().insert(*key);
        }
        Self {
            desired,
            actual,
            slots,
            wanted,
            ports: actual.ports.clone(),
            vlans: actual.vlans.clone(),
            attached: actual.attached.clone(),
            stations: actual.stations.iter().map(|(key, station)| (*key, *station)).collect(),
            guard,
            targets: actual.targets.clone(),
            ops: Vec::new(),
        }
    }

    /// Step 3.
    fn globals(&mut self) {
        let (want, have) = (&self.desired.control, &self.actual.control);
        let words = [(Control::Flags, want.flags, have.flags), (Control::AgeingNs, want.ageing_ns, have.ageing_ns)];
        let differ = words.into_iter().filter(|(_, want, have)| want != have);
        self.ops.extend(differ.map(|(word, want, _)| Op::SetControl(word, want)));
        let live = self.actual.policy.as_ref();
        if live.is_none_or(|(_, policy)| *policy != self.desired.policy) {
            let generation = next_generation(live.map_or(0, |(generation, _)| *generation));
            self.ops.push(Op::PublishPolicy { generation, policy: Arc::clone(&self.desired.policy) });
        }
        self.put_stations(NO_PORT);
        self.remove_stations(NO_PORT);
        self.mark_own();
    }

    /// Only counts depend on it, so that nothing else waits for it. A former port is marked once it has left its slot.
    fn mark_own(&mut self) {
        let (want, have) = (&self.desired.own, &self.actual.own);
        self.ops.extend(have.difference(want).map(|ifindex| Op::UnmarkOwn { ifindex: *ifindex }));
        let slot = |ifindex| self.actual.slots.get(ifindex).copied().unwrap_or(NO_PORT);
        self.ops.extend(want.difference(have).map(|ifindex| Op::MarkOwn { slot: slot(ifindex), ifindex: *ifindex }));
    }

    /// Stores a port's entry unless it is there.
    fn set_port(&mut self, slot: u16, port: Port) {
        let held = if port == Port::default() { self.ports.remove(&slot) } else { self.ports.insert(slot, port) };
        if held.unwrap_or_default() != port {
            self.ops.push(Op::SetPort { slot, port });
        }
    }

    /// Stores the VLANs that a port lists, unless they are there.
    fn set_vlans(&mut self, slot: u16, vlans: VlanSet) {
        let held = if vlans == VlanSet::EMPTY { self.vlans.remove(&slot) } else { self.vlans.insert(slot, vlans) };
        if held.unwrap_or(VlanSet::EMPTY) != vlans {
            self.ops.push(Op::SetVlans { slot, vlans: Box::new(vlans) });
        }
    }

    fn put_stations(&mut self, slot: u16) {
        for (key, station) in self.wanted.of(slot) {
            if self.stations.insert(key, station) != Some(station) {
                self.ops.push(Op::PutStation { key, station });
            }
        }
    }

    /// Step 5. Once for all stations that were bound, as it takes a look at every station that there is.
    fn forget_contradicted(&mut self) {
        if self.actual.contradicted || self.ops.iter().any(|op| matches!(op, Op::PutStation { .. })) {
            self.ops.push(Op::ForgetContradicted);
        }
    }

    /// Removes the slot's stations that nobody wants. One that another port wants is stored over, never absent.
    fn remove_stations(&mut self, slot: u16) {
        let wanted = &self.wanted;
        let removed = self.stations.remove(slot, |key| !wanted.contains(key));
        self.ops.extend(removed.into_iter().map(|(key, station)| Op::RemoveStation { key, station }));
    }
}

fn entry(owner: StationOwner, slots: &Slots) -> Option<StationEntry> {
    match owner {
        StationOwner::Host => Some(StationEntry { port: NO_PORT, flags: STATION_HOST }),
        StationOwner::Port(ifindex) => {
            slots.assigned.get(&ifindex).map(|slot| StationEntry { port: *slot, flags: STATION_STATIC })
        }
    }
}
