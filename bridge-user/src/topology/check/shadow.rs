//! Rules that can never match, because one earlier rule between the same zones takes everything that they would.
//!
//! Exact but simple: a rule that several earlier ones cover only together is not found.

use std::collections::HashMap;
use std::ops::Range;

use super::super::diagnostic::Report;
use super::super::model::{Rule, ZoneRef};

/// Warns at `places[i]` if `rules[i]` never matches.
pub(super) fn warn(rules: &[Rule], places: &[Range<usize>], report: &mut Report) {
    let mut earlier: HashMap<(ZoneRef, ZoneRef), Vec<&Rule>> = HashMap::new();
    for (rule, place) in rules.iter().zip(places) {
        // One earlier rule for each direction; all of them must exist.
        let covering: Option<Vec<&Rule>> = directions(rule)
            .map(|direction| earlier.get(&direction)?.iter().copied().find(|other| covers(other, rule)))
            .collect();
        if let Some(other) = covering.and_then(|rules| rules.first().copied()) {
            let (id, other) = (&rule.id, &other.id);
            let message =
                format!("rule `{id}` can never match: the earlier rule `{other}` takes all of it; move or remove it");
            report.warning(place.clone(), message);
        }
        for direction in directions(rule) {
            earlier.entry(direction).or_default().push(rule);
        }
    }
}

/// The (from, to) that a rule is for, each once.
fn directions(rule: &Rule) -> impl Iterator<Item = (ZoneRef, ZoneRef)> {
    let back = rule.both && rule.from != rule.to;
    [(rule.from, rule.to)].into_iter().chain(back.then_some((rule.to, rule.from)))
}

/// Whether `outer` matches every protocol and port that `inner` does.
fn covers(outer: &Rule, inner: &Rule) -> bool {
    let protocols = match (&outer.proto, &inner.proto) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(outer), Some(inner)) => inner.iter().all(|number| outer.contains(number)),
    };
    let inside = |range: &(u16, u16)| outer.ports.iter().any(|by| by.0 <= range.0 && range.1 <= by.1);
    let ports = outer.ports.is_empty() || (!inner.ports.is_empty() && inner.ports.iter().all(inside));
    protocols && ports
}
