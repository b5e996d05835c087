//! `[[policy.rule]]`.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use toml::{Spanned, Value};

use super::super::model::{Action, Rule, Zone, ZoneRef};
use super::super::{diagnostic::Report, raw};
use super::{ACTIONS, choice, required, shadow, some_of};

/// Most port ranges of one rule.
const MAX_RANGES: usize = 8;
/// Longest rule id, in bytes.
const MAX_ID: usize = 63;

/// Reads every `[[policy.rule]]`; warns of those that can never match.
pub(super) fn check(
    tables: &raw::Tables<raw::Rule>,
    zones: &[Zone],
    default: Action,
    limit: u32,
    report: &mut Report,
) -> Vec<Rule> {
    if let Some(first_over) = tables.get(limit as usize) {
        let message = format!("{} rules are more than limits.rules = {limit}; raise the limit", tables.len());
        report.error(first_over.span(), message);
    }
    let by_name: HashMap<_, _> = zones.iter().enumerate().map(|(index, zone)| (zone.name.as_str(), index)).collect();
    let (mut ids, mut rules, mut places) = (HashSet::new(), Vec::new(), Vec::new());
    for table in tables {
        let raw = &table.get_ref().0;
        if let Some(id) = &raw.id {
            check_id(id, &mut ids, report);
        }
        check_stateful(raw, default, report);
        let zone = |name: &Spanned<String>, report: &mut Report| zone(name, &by_name, zones, report);
        if let Some(rule) = rule(raw, table.span(), zone, report) {
            rules.push(rule);
            places.push(raw.id.as_ref().map_or(table.span(), Spanned::span));
        }
    }
    if report.errors.is_empty() {
        shadow::warn(&rules, &places, report);
    }
    rules
}

fn rule(
    raw: &raw::Rule,
    place: Range<usize>,
    zone: impl Fn(&Spanned<String>, &mut Report) -> Option<ZoneRef>,
    report: &mut Report,
) -> Option<Rule> {
    const TABLE: &str = "[[policy.rule]]";
    let id = required(&raw.id, "id", TABLE, place.clone(), report);
    let from = required(&raw.from, "from", TABLE, place.clone(), report).and_then(|name| zone(name, report));
    let to = required(&raw.to, "to", TABLE, place.clone(), report).and_then(|name| zone(name, report));
    let action = required(&raw.action, "action", TABLE, place, report);
    let action = action.map(|given| choice(given, "action", &ACTIONS, report));
    let proto = raw.proto.as_ref().map(|given| proto(given, report));
    let ports = match &raw.ports {
        Some(given) => ports(given, proto.as_ref(), report),
        None => Vec::new(),
    };
    Some(Rule {
        id: id?.get_ref().clone(),
        from: from?,
        to: to?,
        both: raw.both.unwrap_or(false),
        stateful: raw.stateful.as_ref().is_some_and(|given| *given.get_ref()),
        action: action?,
        proto: proto.flatten(),
        ports,
    })
}

fn check_id<'a>(id: &'a Spanned<String>, ids: &mut HashSet<&'a str>, report: &mut Report) {
    let text = id.get_ref().as_str();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() || text.len() > MAX_ID || !text.bytes().all(allowed) {
        report.error(id.span(), format!("a rule id is 1 to {MAX_ID} characters of A-Z a-z 0-9 . _ -; change this one"));
    } else if text == "default" {
        report
            .error(id.span(), "a rule cannot have the id `default`, which counts what no rule matches; choose another");
    } else if !ids.insert(text) {
        report.error(id.span(), format!("another rule has the id `{text}` already; ids are unique"));
    }
}

fn check_stateful(raw: &raw::Rule, default: Action, report: &mut Report) {
    let Some(stateful) = raw.stateful.as_ref().filter(|given| *given.get_ref()) else { return };
    if raw.action.as_ref().is_some_and(|action| action.get_ref() == "deny") {
        report.error(stateful.span(), "stateful = true with action = \"deny\" means nothing; leave out one of them");
    } else if default == Action::Allow {
        let message = "stateful = true means nothing while the policy's default is \"allow\"; leave out one of them";
        report.error(stateful.span(), message);
    }
}

fn zone(
    name: &Spanned<String>,
    by_name: &HashMap<&str, usize>,
    zones: &[Zone],
    report: &mut Report,
) -> Option<ZoneRef> {
    match name.get_ref().as_str() {
        "any" => Some(ZoneRef::Any),
        text => by_name.get(text).map(|&index| ZoneRef::Zone(index)).or_else(|| {
            let known = some_of(["any"].into_iter().chain(zones.iter().map(|zone| zone.name.as_str())));
            report.error(name.span(), format!("there is no zone `{text}`; known zones: {known}"));
            None
        }),
    }
}

/// Protocol numbers; `None` after a mistake.
fn proto(given: &Spanned<Value>, report: &mut Report) -> Option<Vec<u8>> {
    let numbers = match given.get_ref() {
        Value::String(name) => match name.as_str() {
            "tcp" => Some(vec![6]),
            "udp" => Some(vec![17]),
            "icmp" => Some(vec![1, 58]),
            _ => None,
        },
        Value::Integer(number) => u8::try_from(*number).ok().map(|number| vec![number]),
        _ => None,
    };
    if numbers.is_none() {
        let message = "proto is \"tcp\", \"udp\", \"icmp\" or a protocol number from 0 to 255 without quotes";
        report.error(given.span(), message);
    }
    numbers
}

/// Port ranges. `proto`: `None` = not given, `Some(None)` = given and wrong.
fn ports(
    given: &Spanned<Vec<Spanned<String>>>,
    proto: Option<&Option<Vec<u8>>>,
    report: &mut Report,
) -> Vec<(u16, u16)> {
    let has_ports = match proto {
        Some(Some(numbers)) => numbers == &[6] || numbers == &[17],
        Some(None) => true,
        None => false,
    };
    if !has_ports {
        report.error(given.span(), "`ports` need proto = \"tcp\" or proto = \"udp\"; add it, or leave out the ports");
    }
    if given.get_ref().is_empty() {
        report.error(given.span(), "`ports` is empty; list ports, or leave it out for every port");
    }
    if let Some(first_over) = given.get_ref().get(MAX_RANGES) {
        let message = format!("a rule has up to {MAX_RANGES} port ranges; put the others into a rule of their own");
        report.error(first_over.span(), message);
    }
    given.get_ref().iter().filter_map(|text| range(text, report)).collect()
}

fn range(given: &Spanned<String>, report: &mut Report) -> Option<(u16, u16)> {
    let text = given.get_ref().as_str();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (port(first), port(last)) {
        (Some(0), Some(_)) | (Some(_), Some(0)) => {
            report.error(given.span(), format!("`{text}` has port 0, which nobody uses; ports are 1 to 65535"));
            None
        }
        (Some(first), Some(last)) if first > last => {
            report.error(given.span(), format!("the range `{text}` is reversed; write \"{last}-{first}\""));
            None
        }
        (Some(first), Some(last)) => Some((first, last)),
        _ => {
            let message = format!("`{text}` is no port and no range; write it like \"6443\" or \"80-443\", 1 to 65535");
            report.error(given.span(), message);
            None
        }
    }
}

/// Digits only: no sign, no blank.
fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
