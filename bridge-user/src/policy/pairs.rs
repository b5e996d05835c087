//! The pair matrix and the classes.
//!
//! Zones that no rule names behave like "in no zone", so only the named ones are worked out. The rules of a pair are
//! those between these two zones, merged with the rules from any to any, which every pair has: so pairs are first told
//! apart by the former alone, which are few.

use std::collections::{BTreeSet, HashMap};

use bridge_common::abi::maps::L4_ENTRIES;
use bridge_common::abi::{L4Data, PAIR_REVERSE_STATEFUL, Pair, RULE_STATEFUL, RuleWord};

use super::{LowerError, Words, ports};
use crate::topology::model::{Rule, ZoneRef};

/// The L4 trie's entries.
type L4 = Vec<(u32, L4Data, RuleWord)>;

/// The matrix (`stride * stride`, row = from) and the L4 entries, sorted.
pub(super) fn tables(rules: &[Rule], stride: usize, words: &Words) -> Result<(Vec<Pair>, L4), LowerError> {
    let index = Index::new(rules, stride)?;
    // Zone 0 stands for itself and for every zone that no rule names.
    let named: Vec<usize> = index.named().chain([0]).collect::<BTreeSet<_>>().into_iter().collect();
    let mut classes =
        Classes { rules, words, by_special: HashMap::new(), by_list: HashMap::new(), used: 0, l4: Vec::new() };
    let mut decisions = Vec::with_capacity(named.len() * named.len());
    let mut special = Vec::new();
    for &from in &named {
        for &to in &named {
            index.special(from, to, &mut special);
            decisions.push(classes.decision(&special, &index.any_any)?);
        }
    }
    // Position in `named` of each zone's stand-in; zone 0 comes first there.
    let stands_for: Vec<usize> = (0..stride).map(|zone| named.binary_search(&zone).unwrap_or(0)).collect();
    let mut pairs = Vec::with_capacity(stride * stride);
    for &from in &stands_for {
        pairs.extend(stands_for.iter().map(|&to| {
            let Decision { word, class, .. } = decisions[from * named.len() + to];
            let reverse = decisions[to * named.len() + from].stateful;
            Pair { word, class, flags: if reverse { PAIR_REVERSE_STATEFUL } else { 0 } }
        }));
    }
    classes.l4.sort_unstable();
    Ok((pairs, classes.l4))
}

/// Indices of rules by what they name, each list ascending; `both` puts a rule into two.
struct Index {
    any_any: Vec<usize>,
    from: HashMap<usize, Vec<usize>>,
    to: HashMap<usize, Vec<usize>>,
    exact: HashMap<(usize, usize), Vec<usize>>,
}

impl Index {
    fn new(rules: &[Rule], stride: usize) -> Result<Self, LowerError> {
        let mut index = Self { any_any: Vec::new(), from: HashMap::new(), to: HashMap::new(), exact: HashMap::new() };
        for (number, rule) in rules.iter().enumerate() {
            for zone in [rule.from, rule.to] {
                if let ZoneRef::Zone(zone) = zone
                    && zone + 1 >= stride
                {
                    return Err(LowerError::UnknownZone { rule: rule.id.clone(), zone, zones: stride - 1 });
                }
            }
            index.add(rule.from, rule.to, number);
            if rule.both && rule.from != rule.to {
                index.add(rule.to, rule.from, number);
            }
        }
        Ok(index)
    }

    fn add(&mut self, from: ZoneRef, to: ZoneRef, rule: usize) {
        match (from, to) {
            (ZoneRef::Any, ZoneRef::Any) => self.any_any.push(rule),
            (ZoneRef::Zone(from), ZoneRef::Any) => self.from.entry(from + 1).or_default().push(rule),
            (ZoneRef::Any, ZoneRef::Zone(to)) => self.to.entry(to + 1).or_default().push(rule),
            (ZoneRef::Zone(from), ZoneRef::Zone(to)) => self.exact.entry((from + 1, to + 1)).or_default().push(rule),
        }
    }

    /// Numbers of the zones that some rule names, in no order, perhaps several times.
    fn named(&self) -> impl Iterator<Item = usize> {
        let exact = self.exact.keys().flat_map(|&(from, to)| [from, to]);
        self.from.keys().copied().chain(self.to.keys().copied()).chain(exact)
    }

    /// Rules for this pair that name a zone, ascending, each once.
    fn special(&self, from: usize, to: usize, list: &mut Vec<usize>) {
        list.clear();
        let lists = [self.from.get(&from), self.to.get(&to), self.exact.get(&(from, to))];
        list.extend(lists.into_iter().flatten().flatten());
        list.sort_unstable();
        list.dedup();
    }
}

/// What one rule list decides.
#[derive(Clone, Copy)]
struct Decision {
    word: RuleWord,
    class: u16,
    /// Some rule that can be reached is stateful.
    stateful: bool,
}

/// Decisions found so far.
struct Classes<'a> {
    rules: &'a [Rule],
    words: &'a Words,
    by_special: HashMap<Vec<usize>, Decision>,
    by_list: HashMap<Vec<usize>, Decision>,
    used: u16,
    l4: L4,
}

impl Classes<'_> {
    fn decision(&mut self, special: &[usize], any_any: &[usize]) -> Result<Decision, LowerError> {
        if let Some(&decision) = self.by_special.get(special) {
            return Ok(decision);
        }
        let list = self.effective(special, any_any);
        let decision = match self.by_list.get(&list) {
            Some(&decision) => decision,
            None => {
                let decision = self.lower(&list)?;
                self.by_list.insert(list, decision);
                decision
            }
        };
        self.by_special.insert(special.to_vec(), decision);
        Ok(decision)
    }

    /// Both lists as one, in the file's order, up to the first rule that takes everything.
    fn effective(&self, special: &[usize], any_any: &[usize]) -> Vec<usize> {
        let mut list = [special, any_any].concat();
        list.sort_unstable();
        if let Some(last) = list.iter().position(|&index| self.takes_all(index)) {
            list.truncate(last + 1);
        }
        list
    }

    fn takes_all(&self, rule: usize) -> bool {
        self.rules[rule].proto.is_none() && self.rules[rule].ports.is_empty()
    }

    fn lower(&mut self, list: &[usize]) -> Result<Decision, LowerError> {
        let last = list.last().filter(|&&index| self.takes_all(index));
        let word = last.map_or(self.words.default, |&index| self.words.rules[index]);
        let stateful = list.iter().any(|&index| self.words.rules[index] & RULE_STATEFUL != 0);
        let protocols: BTreeSet<u8> =
            list.iter().flat_map(|&index| self.rules[index].proto.iter().flatten().copied()).collect();
        if protocols.is_empty() {
            return Ok(Decision { word, class: 0, stateful });
        }
        self.used = self.used.checked_add(1).ok_or(LowerError::TooManyClasses)?;
        for protocol in protocols {
            ports::push_entries(self.used, protocol, list, self.rules, self.words, &mut self.l4);
            if self.l4.len() > L4_ENTRIES as usize {
                return Err(LowerError::TooManyL4Entries);
            }
        }
        Ok(Decision { word, class: self.used, stateful })
    }
}
