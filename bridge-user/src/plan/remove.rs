//! Steps 1 and 2: permissions that are gone, and ports that are gone.

use std::collections::BTreeSet;

use bridge_common::abi::{self, NO_PORT, Port, VlanSet};

use super::hooks::leans;
use super::{Op, Planner};
use crate::desired::HookPoint;

/// What others need to forward to a port, or it to forward.
pub(super) const FORWARDING: u32 = abi::PORT_ELIGIBLE | abi::PORT_RUNNING | abi::PORT_XDP_TARGET;

impl Planner<'_> {
    /// Step 1.
    pub(super) fn tighten(&mut self) {
        for (slot, now) in &self.actual.ports {
            let ifindex = now.ifindex;
            let keeps = self.slots.kept.contains(&ifindex) && self.slots.assigned.get(&ifindex) == Some(slot);
            match self.desired.ports.get(&ifindex).filter(|_| keeps) {
                Some(wanted) => {
                    let port = self.tightened(*slot, *now, wanted.port);
                    self.set_port(*slot, port);
                    if !wanted.port.is(abi::PORT_XDP_TARGET) {
                        self.clear_target(*slot);
                    }
                }
                None => self.set_port(*slot, Port { flags: now.flags & !FORWARDING, ..*now }),
            }
        }
    }

    /// `now`, with no permission that `wanted` does not give.
    fn tightened(&self, slot: u16, now: Port, wanted: Port) -> Port {
        let mut flags = now.flags & !((FORWARDING | abi::PORT_MEMBER) & !wanted.flags);
        if self.targets.get(&slot) != Some(&now.ifindex) {
            flags &= !abi::PORT_XDP_TARGET;
        }
        if leans(&[self.points(now.ifindex)]) == Some(false) {
            flags &= !abi::PORT_TC_BEHIND;
        }
        Port { flags, mtu: now.mtu.min(wanted.mtu), ..now }
    }

    /// Step 2.
    pub(super) fn remove(&mut self) {
        for slot in self.slots.freed.clone() {
            self.remove_slot(slot);
        }
        self.remove_strays();
    }

    /// Frees a slot. The mapping and the entry go last: as long as one of them is there, a later plan sees that the
    /// slot is not clean.
    fn remove_slot(&mut self, slot: u16) {
        let mapped: Vec<u32> = self.mapped(slot).collect();
        let entry = self.ports.get(&slot).map(|port| port.ifindex);
        self.clear_target(slot);
        self.drop_stations(slot);
        let unmapped = entry.filter(|ifindex| !self.actual.slots.contains_key(ifindex));
        for ifindex in mapped.iter().copied().chain(unmapped) {
            self.detach_all(slot, ifindex);
        }
        if entry.is_some() || !mapped.is_empty() {
            self.ops.push(Op::ForgetPort { slot });
        }
        self.drop_guard(slot);
        self.ops.extend(mapped.into_iter().map(|ifindex| Op::UnmapIfindex { slot, ifindex }));
        self.set_vlans(slot, VlanSet::EMPTY);
        self.set_port(slot, Port::default());
    }

    /// Interfaces that share the slot of another one, and programs at interfaces that have no slot. Neither comes from
    /// a plan of ours; both must not stay.
    fn remove_strays(&mut self) {
        let slots = &self.slots;
        let strays: Vec<(u32, u16)> = self
            .actual
            .slots
            .iter()
            .filter(|(ifindex, slot)| !slots.freed.contains(slot) && !slots.kept.contains(ifindex))
            .map(|(ifindex, slot)| (*ifindex, *slot))
            .collect();
        for (ifindex, slot) in strays {
            self.detach_all(slot, ifindex);
            self.ops.push(Op::UnmapIfindex { slot, ifindex });
        }
        let unwanted = self.attached.iter().map(|(ifindex, _)| *ifindex);
        let orphans: BTreeSet<u32> = unwanted.filter(|ifindex| !self.slots.assigned.contains_key(ifindex)).collect();
        for ifindex in orphans {
            self.detach_all(NO_PORT, ifindex);
        }
    }

    fn mapped(&self, slot: u16) -> impl Iterator<Item = u32> {
        self.actual.slots.iter().filter(move |(_, held)| **held == slot).map(|(ifindex, _)| *ifindex)
    }

    pub(super) fn clear_target(&mut self, slot: u16) {
        if self.targets.remove(&slot).is_some() {
            self.ops.push(Op::ClearTarget { slot });
        }
    }

    /// All of the slot's stations, those too that another port will have: until then the slot may be someone else's.
    fn drop_stations(&mut self, slot: u16) {
        let removed = self.stations.remove(slot, |_| true);
        self.ops.extend(removed.into_iter().map(|(key, station)| Op::RemoveStation { key, station }));
    }

    fn drop_guard(&mut self, slot: u16) {
        self.ops.extend(self.guard.remove(&slot).into_iter().flatten().map(Op::RemoveGuard));
    }

    /// XDP first: it may lean on TC ingress.
    fn detach_all(&mut self, slot: u16, ifindex: u32) {
        for point in HookPoint::ALL.into_iter().rev() {
            if self.attached.remove(&(ifindex, point)) {
                self.ops.push(Op::Detach { slot, ifindex, point });
            }
        }
    }
}
