//! Rule slots: the number under which a rule counts, the same as long as its id lives.
//!
//! Slot 0 is the default. A rule that was there keeps its slot; a new one takes the first slot that was free before
//! this call, else one at the end. The slot of a removed rule becomes free now and can be taken by a later call only,
//! because the generation that is still live counts under it. So there are never more than 1 + 2 * rules slots.

use std::collections::{HashMap, HashSet};

use super::LowerError;
use crate::topology::model::Rule;

/// The outcome.
pub(super) struct Slots {
    /// Slot of each rule, in the policy's order.
    pub(super) of_rules: Vec<u16>,
    /// Slot to id.
    pub(super) ids: Vec<Option<String>>,
}

/// Gives each rule its slot.
pub(super) fn assign(rules: &[Rule], previous: &[Option<String>]) -> Result<Slots, LowerError> {
    let wanted: HashSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    let mut slot_of = HashMap::new();
    let mut ids = vec![Some("default".to_owned())];
    let mut free = Vec::new();
    for (slot, id) in previous.iter().enumerate().skip(1) {
        let kept = id.as_deref().filter(|id| wanted.contains(id) && !slot_of.contains_key(id));
        if let Some(id) = kept {
            slot_of.insert(id, slot);
        }
        if id.is_none() {
            free.push(slot);
        }
        ids.push(kept.map(str::to_owned));
    }
    let mut free = free.into_iter();
    for rule in rules {
        slot_of.entry(&rule.id).or_insert_with(|| {
            let id = Some(rule.id.clone());
            match free.next() {
                Some(slot) => {
                    ids[slot] = id;
                    slot
                }
                None => {
                    ids.push(id);
                    ids.len() - 1
                }
            }
        });
    }
    let slot = |rule: &Rule| u16::try_from(slot_of[rule.id.as_str()]).map_err(|_| LowerError::TooManySlots(ids.len()));
    Ok(Slots { of_rules: rules.iter().map(slot).collect::<Result<_, _>>()?, ids })
}
