//! Step 4: ports that come, and ports that change.

use std::collections::BTreeSet;

use bridge_common::abi::{self, GuardKey, Port};

use super::hooks::leaning;
use super::remove::FORWARDING;
use super::{Op, Planner};
use crate::desired::DesiredPort;

impl Planner<'_> {
    pub(super) fn install(&mut self) {
        let desired = self.desired;
        for (ifindex, wanted) in &desired.ports {
            if let Some(slot) = self.slots.assigned.get(ifindex).copied() {
                self.install_port(slot, *ifindex, wanted);
            }
        }
    }

    /// The port forwards, and is forwarded to, only with the last entry: then everything else is in place. What it was
    /// allowed before it keeps meanwhile.
    fn install_port(&mut self, slot: u16, ifindex: u32, wanted: &DesiredPort) {
        let now = self.ports.get(&slot).copied().unwrap_or_default();
        let flags = wanted.port.flags & (!FORWARDING | now.flags);
        let staged = Port { flags, ..wanted.port };
        // Before the entry that says whether they count: in between it carries too few, and the rest is punted.
        self.set_vlans(slot, wanted.listed_vlans());
        if !self.slots.kept.contains(&ifindex) {
            self.set_port(slot, leaning(staged, &[self.points(ifindex)]));
            self.ops.push(Op::MapIfindex { slot, ifindex });
        }
        self.put_stations(slot);
        let allowed = wanted.guard.iter().map(|address| address.at(slot)).collect();
        self.put_guard(slot, &allowed);
        if wanted.port.is(abi::PORT_XDP_TARGET) && self.targets.insert(slot, ifindex) != Some(ifindex) {
            self.ops.push(Op::SetTarget { slot, ifindex });
        }
        self.set_hooks(slot, wanted, staged);
        self.set_port(slot, wanted.port);
        self.remove_guard(slot, &allowed);
        self.remove_stations(slot);
    }

    fn put_guard(&mut self, slot: u16, allowed: &BTreeSet<GuardKey>) {
        let held = self.guard.entry(slot).or_default();
        self.ops.extend(allowed.difference(held).map(|key| Op::PutGuard(*key)));
        held.extend(allowed);
    }

    fn remove_guard(&mut self, slot: u16, allowed: &BTreeSet<GuardKey>) {
        let held = self.guard.entry(slot).or_default();
        self.ops.extend(held.difference(allowed).map(|key| Op::RemoveGuard(*key)));
        held.retain(|key| allowed.contains(key));
    }
}
