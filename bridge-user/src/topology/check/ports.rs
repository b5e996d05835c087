//! `[[port]]`.

use std::ops::Range;

use globset::{Glob, GlobSet};

use super::super::model::{HookChoice, PortRule, Role};
use super::super::{diagnostic::Report, raw};
use super::{choice, glob, glob_set, required, vlans};

/// Every `[[port]]` and which of them an interface matches.
pub(super) struct Ports {
    /// In the file's order; only those with a valid glob.
    pub(super) rules: Vec<CheckedPort>,
    globs: GlobSet,
}

/// One `[[port]]`, with places for later reports.
pub(super) struct CheckedPort {
    /// What it says.
    pub(super) rule: PortRule,
    /// Where it says `guard`.
    pub(super) guard_at: Range<usize>,
}

impl Ports {
    /// Indices into `rules` of those that match, in the file's order: the first one counts.
    pub(super) fn matching(&self, interface: &str) -> Vec<usize> {
        let mut indices = self.globs.matches(interface);
        indices.sort_unstable();
        indices
    }
}

/// Reads every `[[port]]`.
pub(super) fn check(tables: &raw::Tables<raw::Port>, limit: u32, report: &mut Report) -> Ports {
    let (mut rules, mut globs) = (Vec::new(), Vec::new());
    if let Some(first_over) = tables.get(limit as usize) {
        let count = tables.len();
        report.error(
            first_over.span(),
            format!("{count} [[port]] tables are more than limits.ports = {limit}; raise the limit or use globs"),
        );
    }
    for table in tables {
        if let Some((rule, glob)) = port(&table.get_ref().0, table.span(), report) {
            rules.push(rule);
            globs.push(glob);
        }
    }
    let place = tables.first().map_or(0..0, toml::Spanned::span);
    Ports { rules, globs: glob_set(globs, place, report) }
}

fn port(raw: &raw::Port, place: Range<usize>, report: &mut Report) -> Option<(CheckedPort, Glob)> {
    let hooks = [("auto", HookChoice::Auto), ("tc", HookChoice::Tc), ("xdp", HookChoice::Xdp)];
    let hook = raw.hook.as_ref().map_or(HookChoice::Auto, |given| choice(given, "hook", &hooks, report));
    let roles = [("auto", Role::Auto), ("station", Role::Station), ("uplink", Role::Uplink)];
    let role = raw.role.as_ref().map_or(Role::Auto, |given| choice(given, "role", &roles, report));
    let guard = raw.guard.as_ref().is_some_and(|given| *given.get_ref());
    let guard_at = raw.guard.as_ref().map_or(place.clone(), toml::Spanned::span);
    let unpoliced = raw.unpoliced.unwrap_or(false);
    let vlan = raw.vlan.as_ref().and_then(|given| vlans::check(given, report));

    let pattern = required(&raw.r#match, "match", "[[port]]", place, report)?;
    match glob(pattern.get_ref()) {
        Ok(glob) => {
            let pattern = pattern.get_ref().clone();
            Some((CheckedPort { rule: PortRule { pattern, hook, role, guard, unpoliced, vlan }, guard_at }, glob))
        }
        Err(why) => {
            report.error(pattern.span(), why);
            None
        }
    }
}
