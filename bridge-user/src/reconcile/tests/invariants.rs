//! What must hold after every single op, whatever failed before. States here are what frames meet.

use std::collections::{BTreeMap, BTreeSet};

use bridge_common::abi::{self, GuardKey, NO_PORT, StationKey};

use crate::desired::{Desired, HookPoint, SlowPathKind, StationOwner};
use crate::plan::{Actual, StationEntry};

/// One round: where it started and where it goes.
pub(super) struct Round {
    desired: Desired,
    start: Actual,
}

impl Round {
    pub(super) fn start(desired: &Desired, start: &Actual) -> Self {
        Self { desired: desired.clone(), start: start.clone() }
    }
}

type Learned = BTreeMap<StationKey, (u16, u32)>;

/// Every invariant that does not hold, in words. `live`: the published generation's maps are whole.
pub(super) fn broken(round: &Round, state: &Actual, learned: &Learned, live: bool) -> Vec<String> {
    let mut broken = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(what);
        }
    };
    must(live || state.attached.is_empty(), "attached without a whole policy".into());
    let slots: BTreeSet<_> = state.slots.values().collect();
    must(slots.len() == state.slots.len(), "two interfaces share a slot".into());
    stations(state, learned, &mut must);
    entries(round, state, &mut must);
    for ifindex in state.attached.iter().map(|(ifindex, _)| *ifindex).collect::<BTreeSet<_>>() {
        programs(round, state, ifindex, &mut must);
    }
    for ifindex in round.start.attached.iter().map(|(ifindex, _)| *ifindex).collect::<BTreeSet<_>>() {
        never_unjudged(round, state, ifindex, &mut must);
    }
    broken
}

fn stations(state: &Actual, learned: &Learned, must: &mut impl FnMut(bool, String)) {
    let ifindex_of = |slot: u16| state.slots.iter().find(|(_, held)| **held == slot).map(|(ifindex, _)| *ifindex);
    for (key, station) in &state.stations {
        let fine = station.port == NO_PORT || ifindex_of(station.port).is_some();
        must(fine, format!("station {key:?} points to the unmapped slot {}", station.port));
    }
    for (key, (slot, seen_at)) in learned {
        must(ifindex_of(*slot) == Some(*seen_at), format!("learned {key:?}: slot {slot} is not interface {seen_at}"));
    }
}

fn entries(round: &Round, state: &Actual, must: &mut impl FnMut(bool, String)) {
    for (slot, port) in &state.ports {
        let ifindex = port.ifindex;
        let mapped = state.slots.get(&ifindex) == Some(slot);
        let forwardable = port.is(abi::PORT_ELIGIBLE | abi::PORT_RUNNING);
        must(!forwardable || mapped, format!("slot {slot} is forwardable, but interface {ifindex} is not mapped"));
        if round.start.ports.get(slot) == Some(port) {
            continue; // as the round found it
        }
        let judged = has(state, ifindex, HookPoint::Xdp) || has(state, ifindex, HookPoint::TcIngress);
        let whole = judged && has(state, ifindex, HookPoint::TcEgress);
        let was_forwardable = round
            .start
            .ports
            .get(slot)
            .is_some_and(|old| old.ifindex == ifindex && old.is(abi::PORT_ELIGIBLE | abi::PORT_RUNNING));
        must(!forwardable || whole || was_forwardable, format!("slot {slot} is forwardable without its programs"));
        let target = state.targets.get(slot) == Some(&ifindex);
        must(!port.is(abi::PORT_XDP_TARGET) || target, format!("slot {slot} promises a target that is not set"));
    }
}

fn programs(round: &Round, state: &Actual, ifindex: u32, must: &mut impl FnMut(bool, String)) {
    let entry = state.slots.get(&ifindex).and_then(|slot| Some((*slot, state.ports.get(slot)?)));
    let Some((slot, port)) = entry.filter(|(_, port)| port.ifindex == ifindex) else {
        must(false, format!("a program at interface {ifindex}, which has no entry"));
        return;
    };
    let (xdp, tc) = (has(state, ifindex, HookPoint::Xdp), has(state, ifindex, HookPoint::TcIngress));
    let found = round.start.ports.get(&slot) == Some(port) && points(&round.start, ifindex) == points(state, ifindex);
    let behind = port.is(abi::PORT_TC_BEHIND);
    must(!xdp || tc || !behind || found, format!("XDP at {ifindex} leaves frames to a TC program that is not there"));
    let both_before =
        points(&round.start, ifindex).is_superset(&BTreeSet::from([HookPoint::Xdp, HookPoint::TcIngress]));
    // While TC ingress comes or goes beside XDP there is a moment of this; the other order would be a moment unjudged.
    let wants_tc = round.desired.ports.get(&ifindex).is_some_and(|wanted| wanted.hook.wants(HookPoint::TcIngress));
    let changes = has(&round.start, ifindex, HookPoint::TcIngress) != wants_tc;
    let was_twice = both_before && round.start.ports.get(&slot).is_some_and(|port| !port.is(abi::PORT_TC_BEHIND));
    must(!xdp || !tc || behind || changes || was_twice, format!("frames at {ifindex} count twice"));
    let userspace = round.desired.slow_path == SlowPathKind::OvsUserspace;
    must(!(userspace && xdp && tc) || both_before, format!("TC ingress beside XDP at {ifindex} under userspace OVS"));
    let tc_before = has(&round.start, ifindex, HookPoint::TcIngress);
    must(!userspace || !tc || tc_before, format!("TC ingress came to {ifindex} under userspace OVS"));
    if xdp || tc {
        guard(round, state, ifindex, slot, must);
        member(round, port, ifindex, must);
    }
}

/// A guarded port never lacks an address that it may use before and after, nor all the new ones once the guard comes on.
fn guard(round: &Round, state: &Actual, ifindex: u32, slot: u16, must: &mut impl FnMut(bool, String)) {
    let Some(wanted) = round.desired.ports.get(&ifindex) else { return };
    let on = state.ports[&slot].is(abi::PORT_GUARD);
    let kept = round.start.slots.get(&ifindex) == Some(&slot) && !points(&round.start, ifindex).is_empty();
    let was_on = kept && round.start.ports.get(&slot).is_some_and(|port| port.is(abi::PORT_GUARD));
    must(on || !was_on || !wanted.port.is(abi::PORT_GUARD), format!("the guard of {ifindex} has a gap in time"));
    let of =
        |state: &Actual| -> BTreeSet<GuardKey> { state.guard.iter().filter(|k| k.port == slot).copied().collect() };
    let new = wanted.guard.iter().map(|address| address.at(slot)).collect();
    let (now, old) = (of(state), of(&round.start));
    let whole = now.is_superset(&new) || was_on && now.is_superset(&old);
    must(!on || !wanted.port.is(abi::PORT_GUARD) || whole, format!("guarded {ifindex} lacks addresses"));
    let bound = |state: &Actual| -> BTreeSet<StationKey> {
        let at = |station: &StationEntry| station.port == slot;
        state.stations.iter().filter(|(_, station)| at(station)).map(|(key, _)| *key).collect()
    };
    let owner = StationOwner::Port(ifindex);
    let mine = round.desired.stations.iter().filter(|(_, held)| **held == owner).map(|(key, _)| *key);
    let absent: Vec<_> = mine.filter(|key| !bound(state).contains(key)).collect();
    let gap = if was_on { absent.iter().any(|key| bound(&round.start).contains(key)) } else { !absent.is_empty() };
    must(!on || !wanted.port.is(abi::PORT_GUARD) || !gap, format!("guarded {ifindex} lacks a station"));
}

/// A member's frames are not dropped as `not-member` while it is being attached.
fn member(round: &Round, port: &abi::Port, ifindex: u32, must: &mut impl FnMut(bool, String)) {
    let wanted = round.desired.ports.get(&ifindex).is_some_and(|wanted| wanted.port.is(abi::PORT_MEMBER));
    let fresh = points(&round.start, ifindex).is_empty();
    must(!(wanted && fresh) || port.is(abi::PORT_MEMBER), format!("{ifindex} drops a member's frames"));
}

/// What was judged at the start of the round, and stays a port, is judged at every moment.
fn never_unjudged(round: &Round, state: &Actual, ifindex: u32, must: &mut impl FnMut(bool, String)) {
    let stays = round.desired.ports.contains_key(&ifindex)
        && round
            .start
            .slots
            .get(&ifindex)
            .is_some_and(|slot| round.start.ports.get(slot).is_some_and(|p| p.ifindex == ifindex));
    if !stays {
        return;
    }
    let judged = |state: &Actual| has(state, ifindex, HookPoint::Xdp) || has(state, ifindex, HookPoint::TcIngress);
    // Beside userspace OVS TC ingress judges nothing (the socket is before it), so it may go before XDP comes.
    let moot = round.desired.slow_path == SlowPathKind::OvsUserspace && !has(&round.start, ifindex, HookPoint::Xdp);
    must(moot || judged(state) || !judged(&round.start), format!("nobody judges what {ifindex} sends"));
    let egress = |state: &Actual| has(state, ifindex, HookPoint::TcEgress);
    must(egress(state) || !egress(&round.start), format!("nobody judges what {ifindex} gets"));
}

fn has(state: &Actual, ifindex: u32, point: HookPoint) -> bool {
    state.attached.contains(&(ifindex, point))
}

fn points(state: &Actual, ifindex: u32) -> BTreeSet<HookPoint> {
    HookPoint::ALL.into_iter().filter(|point| has(state, ifindex, *point)).collect()
}
