//! Which port has which slot.

use std::collections::{BTreeMap, BTreeSet};

use super::{Actual, PlanNote};
use crate::desired::Desired;

/// The slots after the plan.
pub(super) struct Slots {
    /// ifindex to slot of every port that has one.
    pub(super) assigned: BTreeMap<u32, u16>,
    /// Those of `assigned` that had it before.
    pub(super) kept: BTreeSet<u32>,
    /// Slots that something is left of, and that no port keeps.
    pub(super) freed: BTreeSet<u16>,
    /// Ports without a slot.
    pub(super) notes: Vec<PlanNote>,
}

impl Slots {
    /// A port keeps its slot if mapping and entry agree (another interface of the same name is another port). Half a
    /// port, as a crash leaves it, is taken apart and made anew. A freed slot may be given away in the same plan: the
    /// ops that clean it come first, and if one fails the later ones of that slot are not done.
    pub(super) fn assign(desired: &Desired, actual: &Actual) -> Self {
        let mut assigned: BTreeMap<u32, u16> = actual
            .slots
            .iter()
            .filter(|(ifindex, slot)| {
                let whole = actual.ports.get(slot).is_some_and(|port| port.ifindex == **ifindex);
                whole && desired.ports.contains_key(ifindex) && (1..=desired.max_slot).contains(*slot)
            })
            .map(|(ifindex, slot)| (*ifindex, *slot))
            .collect();
        let kept = assigned.keys().copied().collect();
        let taken: BTreeSet<u16> = assigned.values().copied().collect();
        let mut free = (1..=desired.max_slot).filter(|slot| !taken.contains(slot));
        let mut notes = Vec::new();
        for (ifindex, port) in &desired.ports {
            if assigned.contains_key(ifindex) {
                continue;
            }
            match free.next() {
                Some(slot) => _ = assigned.insert(*ifindex, slot),
                None => {
                    let (ifindex, name, limit) = (*ifindex, port.name.clone(), desired.max_slot);
                    notes.push(PlanNote::NoSlot { ifindex, name, limit });
                }
            }
        }
        let freed = used(actual).filter(|slot| !taken.contains(slot)).collect();
        Self { assigned, kept, freed, notes }
    }
}

/// Every slot that something refers to.
fn used(actual: &Actual) -> impl Iterator<Item = u16> {
    let stations = actual.stations.values().map(|station| station.port);
    let guard = actual.guard.iter().map(|key| key.port);
    let ports = actual
        .ports
        .keys()
        .chain(actual.vlans.keys())
        .chain(actual.targets.keys())
        .chain(actual.slots.values())
        .copied();
    ports.chain(stations).chain(guard).filter(|slot| *slot != bridge_common::abi::NO_PORT)
}
