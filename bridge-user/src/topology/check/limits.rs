//! `[limits]`: capacities of the maps, each within what a host can hold.

use bridge_common::abi::maps::{DEFAULT_LIMITS, Limits};

use super::super::{diagnostic::Report, raw};
use super::bounded;

/// Largest values. Beyond them the maps would take gigabytes, or numbers in them would not fit.
const MOST: Limits = Limits {
    stations: 1 << 20,
    stations_per_port: 1 << 20,
    ports: 4096,
    flows: 1 << 22,
    prefixes: 1 << 20,
    zones: 4096,
    rules: 16_384,
};

/// The limits, defaults filled in.
pub(super) fn check(raw: &raw::Limits, report: &mut Report) -> Limits {
    macro_rules! limits {
        ($($field:ident)*) => {
            Limits { $($field: bounded(
                &raw.$field, concat!("limits.", stringify!($field)), DEFAULT_LIMITS.$field, MOST.$field, report,
            ),)* }
        };
    }
    limits!(stations stations_per_port ports flows prefixes zones rules)
}
