//! From spanned values to the model: every rule of the file format, every mistake reported with its place.
//!
//! Each check takes what it needs, reports into one [`Report`] and gives back what it could read, so that one mistake
//! does not hide the next. The model of a file with mistakes is never used.

mod bridge;
pub(super) mod libvirt;
mod limits;
mod ports;
mod rules;
mod shadow;
mod stations;
mod vlans;
mod zones;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Range;

use globset::{Glob, GlobSet, GlobSetBuilder};
use toml::Spanned;

use super::diagnostic::Report;
use super::model::{Action, OtherEthertypes, Policy, Topology};
use super::raw::{self, Given};

/// `default` and `action`.
const ACTIONS: [(&str, Action); 2] = [("deny", Action::Deny), ("allow", Action::Allow)];
/// Longest glob, in bytes; interface names have at most 15.
const MAX_GLOB_BYTES: usize = 256;

/// Checks the whole file. `None`: something that must be there is missing (and reported).
pub(super) fn check(file: raw::File, report: &mut Report) -> Option<Topology> {
    let limits = limits::check(&file.limits.0, report);
    let (bridge, manage) = bridge::check(file.bridge, report).unzip();
    let ports = ports::check(&file.port, limits.ports, report);
    let stations = stations::check(&file.station, limits.stations, report);
    let libvirt = libvirt::check(file.libvirt, report);
    stations::bind(&stations, manage.as_ref(), &ports, libvirt.is_some(), report);
    let metrics = file.metrics.0.listen.and_then(|listen| metrics(&listen, report));

    let policy = file.policy.0;
    let default = policy.default.map_or(Action::Deny, |given| choice(&given, "default", &ACTIONS, report));
    let other = [("punt", OtherEthertypes::Punt), ("drop", OtherEthertypes::Drop)];
    let other_ethertypes = policy
        .other_ethertypes
        .map_or(OtherEthertypes::Punt, |given| choice(&given, "other_ethertypes", &other, report));
    let zones = zones::check(&policy.zone, &limits, report);
    let rules = rules::check(&policy.rule, &zones, default, limits.rules, report);
    stations::warn_without_zone(&stations, &zones, report);

    let policy = Policy { default, other_ethertypes, zones, rules };
    let ports = ports.rules.into_iter().map(|port| port.rule).collect();
    let stations = stations.into_iter().map(|station| station.entry).collect();
    Some(Topology { bridge: bridge?, ports, stations, limits, metrics, libvirt, policy })
}

fn metrics(listen: &Spanned<String>, report: &mut Report) -> Option<SocketAddr> {
    let Ok(address) = listen.get_ref().parse::<SocketAddr>() else {
        let given = listen.get_ref();
        report.error(
            listen.span(),
            format!("`{given}` is no address with a port; write it like \"127.0.0.1:9417\" or \"[::1]:9417\""),
        );
        return None;
    };
    if !address.ip().is_loopback() {
        report.warning(
            listen.span(),
            format!(
                "metrics on {address} can be read from outside this host; use a loopback address unless that is wanted"
            ),
        );
    }
    Some(address)
}

/// The value of a key that must be given; `table` is what stands in the file for the table that lacks it.
fn required<'a, T>(
    given: &'a Given<T>,
    key: &str,
    table: &str,
    place: Range<usize>,
    report: &mut Report,
) -> Option<&'a Spanned<T>> {
    if given.is_none() {
        report.error(place, format!("{table} has no `{key}`; add it"));
    }
    given.as_ref()
}

/// One of a few words; an unknown one is reported and the first stands in for it.
fn choice<T: Copy>(given: &Spanned<String>, key: &str, words: &[(&str, T)], report: &mut Report) -> T {
    if let Some((_, value)) = words.iter().find(|(word, _)| word == given.get_ref()) {
        return *value;
    }
    let known: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    report.error(given.span(), format!("{key} cannot be `{}`; it is one of {}", given.get_ref(), known.join(", ")));
    words[0].1
}

/// A whole number from 1 to `most`; another one is reported and `default` stands in for it.
fn bounded(given: &Given<i64>, key: &str, default: u32, most: u32, report: &mut Report) -> u32 {
    let Some(given) = given else { return default };
    match u32::try_from(*given.get_ref()) {
        Ok(number) if (1..=most).contains(&number) => number,
        _ => {
            report.error(given.span(), format!("{key} is {}; it must be from 1 to {most}", given.get_ref()));
            default
        }
    }
}

/// Why the kernel would not have an interface of this name, if so (Linux `dev_valid_name`, net/core/dev.c).
fn bad_interface_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "." || name == ".." {
        Some("is no name for an interface")
    } else if name.len() > 15 {
        Some("is longer than the 15 bytes that an interface name may have")
    } else if name.contains(['/', ':', '\0']) || name.contains(char::is_whitespace) {
        Some("contains a `/`, a `:` or white space, which no interface name may have")
    } else {
        None
    }
}

/// A glob for interface names, or why it is none.
fn glob(pattern: &str) -> Result<Glob, String> {
    let is_plain = !pattern.contains(['*', '?', '[', ']', '{', '}', '\\']);
    if is_plain && let Some(why) = bad_interface_name(pattern) {
        return Err(format!("`{pattern}` {why}"));
    }
    if pattern.contains('/') || pattern.contains(char::is_whitespace) {
        return Err(format!("`{pattern}` can match nothing: interface names have no `/` and no white space"));
    }
    if pattern.len() > MAX_GLOB_BYTES {
        return Err(format!("the glob is longer than {MAX_GLOB_BYTES} bytes; write several shorter ones"));
    }
    Glob::new(pattern).map_err(|error| format!("`{pattern}` is no valid glob: {}", error.kind()))
}

/// Many globs at once; `place` is for the report when they are too much together.
fn glob_set(globs: Vec<Glob>, place: Range<usize>, report: &mut Report) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob);
    }
    builder.build().unwrap_or_else(|error| {
        report.error(place, format!("the globs are too complex together: {error}; use fewer or simpler ones"));
        GlobSet::empty()
    })
}

/// Words for a message, the first few of them.
fn some_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let mut text = String::new();
    for (index, word) in words.enumerate() {
        if index == SHOWN {
            text.push_str(", ...");
            break;
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{}`{word}`", if index == 0 { "" } else { ", " });
    }
    text
}
