//! What a frame changed in the maps, named, so that nothing changes unnoticed.

use std::collections::BTreeSet;

use bridge_common::abi::{Control, FlowKey};
use bridge_tests::Mac;
use bridge_tests::model::Setup;

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A station is new, on this port.
    Learned(Mac, u16),
    /// A station is new in this VLAN (not 0), on this port.
    LearnedIn(u16, Mac, u16),
    /// A station has changed its port.
    Moved(Mac, u16),
    /// A station's time is newer.
    Seen(Mac),
    /// A station is gone.
    Forgot(Mac),
    /// A flow is new, on this port's quota.
    Opened(u16),
    /// A flow's time, state, rule or generation has changed.
    Renewed,
    /// A flow is gone.
    Closed,
    /// Usage of a port: stations and flows more (or fewer).
    Used(u16, i64, i64),
    /// Stations that found the FDB full.
    FdbFull(u64),
    /// Tags lie beside the frames of this port.
    Beside(u16),
    /// A source address in no zone was noted, as seen on this port.
    Zoneless(u16),
}

/// Everything that differs between two states of the maps.
pub fn effects(before: &Setup, after: &Setup) -> BTreeSet<Effect> {
    let mut found = BTreeSet::new();
    for (key, new) in &after.stations {
        found.extend(match before.stations.get(key) {
            None if key.vlan != 0 => Some(Effect::LearnedIn(key.vlan, key.mac, new.port)),
            None => Some(Effect::Learned(key.mac, new.port)),
            Some(old) if old.port != new.port => Some(Effect::Moved(key.mac, new.port)),
            Some(old) => (old != new).then_some(Effect::Seen(key.mac)),
        });
    }
    let forgotten = before.stations.keys().filter(|key| !after.stations.contains_key(key));
    found.extend(forgotten.map(|key| Effect::Forgot(key.mac)));
    for (key, new) in &after.flows {
        found.extend(match before.flows.get(key) {
            None => Some(Effect::Opened(new.port)),
            Some(old) => (old != new).then_some(Effect::Renewed),
        });
    }
    let closed = |key: &&FlowKey| !after.flows.contains_key(key);
    found.extend(before.flows.keys().filter(closed).map(|_| Effect::Closed));
    for slot in 0..=16 {
        let usage = |setup: &Setup| setup.usage.get(&slot).copied().unwrap_or_default();
        let (old, new) = (usage(before), usage(after));
        if old != new {
            let difference = |new: u64, old: u64| new.wrapping_sub(old) as i64;
            found.insert(Effect::Used(slot, difference(new.stations, old.stations), difference(new.flows, old.flows)));
        }
    }
    let noted = after.zoneless.iter().filter(|(source, _)| !before.zoneless.contains_key(source));
    found.extend(noted.map(|(_, slot)| Effect::Zoneless(*slot)));
    found.extend(after.beside.difference(&before.beside).map(|slot| Effect::Beside(*slot)));
    let full = |setup: &Setup| setup.control[Control::FdbFull as usize];
    if full(before) != full(after) {
        found.insert(Effect::FdbFull(full(after) - full(before)));
    }
    found
}
