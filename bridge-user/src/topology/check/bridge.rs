//! `[bridge]`.

use globset::GlobSet;
use toml::Spanned;

use super::super::model::{Bridge, OnExit, SlowPath};
use super::super::{diagnostic::Report, raw};
use super::{bad_interface_name, bounded, choice, glob, glob_set, required};

/// The bridge and its `manage` globs, compiled.
pub(super) fn check(table: Option<Spanned<raw::Table<raw::Bridge>>>, report: &mut Report) -> Option<(Bridge, GlobSet)> {
    let Some(table) = table else {
        report.error(0..0, "there is no [bridge] table; add one with the `name` of the bridge");
        return None;
    };
    let place = table.span();
    let raw::Table(raw) = table.into_inner();
    let slow_paths = [("auto", SlowPath::Auto), ("ovs", SlowPath::Ovs), ("linux", SlowPath::Linux)];
    let slow_path = raw.slow_path.map_or(SlowPath::Auto, |given| choice(&given, "slow_path", &slow_paths, report));
    let exits = [("keep", OnExit::Keep), ("detach", OnExit::Detach)];
    let on_exit = raw.on_exit.map_or(OnExit::Keep, |given| choice(&given, "on_exit", &exits, report));
    let ageing_time = bounded(&raw.ageing_time, "ageing_time (seconds)", 300, 1_000_000, report);
    let learning = raw.learning.unwrap_or(true);

    let name = required(&raw.name, "name", "[bridge]", place.clone(), report);
    if let Some(name) = name
        && let Some(why) = bad_interface_name(name.get_ref())
    {
        report.error(name.span(), format!("`{}` {why}; give the name of the bridge", name.get_ref()));
    }
    let (patterns, globs) = match &raw.manage {
        Some(given) => manage_globs(given, report),
        None => (Vec::new(), glob_set(glob("*").into_iter().collect(), place.clone(), report)),
    };
    let name = name?.get_ref().clone();
    Some((Bridge { name, slow_path, learning, ageing_time, manage: patterns, on_exit }, globs))
}

fn manage_globs(given: &Spanned<Vec<Spanned<String>>>, report: &mut Report) -> (Vec<String>, GlobSet) {
    if given.get_ref().is_empty() {
        report.error(
            given.span(),
            "`manage` is empty, so no interface would be managed; list names or globs, or leave it out for every port of the bridge",
        );
    }
    let mut globs = Vec::new();
    for pattern in given.get_ref() {
        match glob(pattern.get_ref()) {
            Ok(glob) => globs.push(glob),
            Err(why) => report.error(pattern.span(), why),
        }
    }
    let patterns = given.get_ref().iter().map(|pattern| pattern.get_ref().clone()).collect();
    (patterns, glob_set(globs, given.span(), report))
}
