//! The compiled programs, and loading them with the capacities of the topology file.

use std::{path::Path, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    programs::{ProgramError, SchedClassifier, Xdp},
    util::online_cpus,
};
use bridge_common::abi::{
    Flow, LAYOUT, PROGRAMS,
    maps::{self, HOST_ADDRESSES, Limits, OWN_DEVICES},
};
use nix::time::{ClockId, clock_getres};
use thiserror::Error;

use super::error::told;

/// Name of the XDP ingress program.
pub const XDP: &str = PROGRAMS[0];
/// Name of the TC ingress program.
pub const TC_IN: &str = PROGRAMS[1];
/// Name of the TC egress program.
pub const TC_OUT: &str = PROGRAMS[2];
/// Name of the program that looks for tags behind XDP.
pub const TC_WATCH: &str = PROGRAMS[3];

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fastbridge-ebpf"));

/// The programs could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// aya or the kernel refused the object or a map.
    #[error("the kernel refused the maps or programs: {}", told(.0))]
    Object(#[from] aya::EbpfError),
    /// The verifier or the kernel refused a program.
    #[error("the kernel refused the program `{name}`: {}", told(error.as_ref()))]
    Program {
        /// Which one.
        name: &'static str,
        /// Why.
        error: Box<ProgramError>,
    },
}

/// How to load.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'a> {
    /// Capacities.
    pub limits: Limits,
    /// Maps pinned here are reused, missing ones are made and pinned.
    pub pins: Option<&'a Path>,
    /// Tests only: write every verdict to `LAST_VERDICT`.
    pub record_verdict: bool,
}

/// Loads maps and programs.
///
/// # Errors
/// [`LoadError`]; nothing stays in the kernel but maps that were pinned.
pub fn load(options: LoadOptions<'_>) -> Result<Ebpf, LoadError> {
    let paths: Vec<_> = maps::ALL.iter().filter_map(|name| Some((*name, options.pins?.join(name)))).collect();
    let record = u32::from(options.record_verdict);
    let mut loader = EbpfLoader::new();
    for (name, entries) in capacities(&options.limits) {
        loader.map_max_entries(name, entries);
    }
    for (name, path) in &paths {
        loader.map_pin_path(maps::in_object(name), path.as_path());
    }
    let window = window_bits(tick());
    loader.override_global("RECORD_VERDICT", &record, true).override_global("WINDOW_BITS", &window, true);
    let mut ebpf = loader.load(OBJECT)?;
    #[cfg(feature = "trace")]
    super::trace::follow(&mut ebpf);
    program::<Xdp>(&mut ebpf, XDP)?.load().map_err(|error| refused(XDP, error))?;
    for name in [TC_IN, TC_OUT, TC_WATCH] {
        program::<SchedClassifier>(&mut ebpf, name)?.load().map_err(|error| refused(name, error))?;
    }
    Ok(ebpf)
}

/// One of the programs, by its name and type.
///
/// # Errors
/// [`LoadError::Program`] if the object holds no such program of that type.
pub fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let missing = ProgramError::InvalidName { name: name.into() };
    ebpf.program_mut(name).ok_or(missing).and_then(TryInto::try_into).map_err(|error| refused(name, error))
}

fn refused(name: &'static str, error: ProgramError) -> LoadError {
    LoadError::Program { name, error: Box::new(error) }
}

fn capacities(limits: &Limits) -> [(&'static str, u32); 13] {
    let slots = limits.ports + 1;
    [
        (maps::MEMO, maps::MEMOS.saturating_mul(cpus())),
        (maps::ZONED, maps::ZONED_CELLS.saturating_mul(cpus())),
        (maps::SLOTS, limits.ports + OWN_DEVICES),
        (maps::PORTS, slots),
        (maps::VLANS, slots),
        (maps::FDB, limits.stations),
        (maps::FLOWS, limits.flows),
        (maps::USED, slots),
        (maps::FREED, slots),
        (maps::BESIDE, slots),
        (maps::COUNTERS, slots),
        // A swap that replaces every rule needs the old slots until it is live.
        (maps::RULES, 2 * limits.rules + 1),
        (maps::TARGETS, slots),
    ]
}

/// CPUs that there are, one behind the highest id: one that comes later remembers nothing.
fn cpus() -> u32 {
    let online = online_cpus().ok().and_then(|all| all.into_iter().max());
    online.map_or(1, |last| last.saturating_add(1))
}

/// The kernel's timer tick: the coarse clock goes from one to the next. 10 ms is the longest that there is.
fn tick() -> Duration {
    clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_or(Duration::from_millis(10), Duration::from)
}

/// log2 of the ticks in a window of at most 100 ms, see `bridge_common::decide::Tables::window`.
fn window_bits(tick: Duration) -> u32 {
    const WINDOW: Duration = Duration::from_millis(100);
    u32::try_from(WINDOW.as_nanos() / tick.as_nanos().max(1)).ok().and_then(u32::checked_ilog2).unwrap_or(0)
}

/// Capacity of the inner zone tries.
pub fn prefix_capacity(limits: &Limits) -> u32 {
    limits.prefixes + HOST_ADDRESSES
}

/// Names the layouts and limits of a set of maps: FNV-1a over both. Another id means other maps.
pub fn abi_id(limits: &Limits) -> u64 {
    let Limits { stations, stations_per_port, ports, flows, prefixes, zones, rules } = *limits;
    let sizes = LAYOUT.iter().map(|&size| size as u64);
    let limits = [stations, stations_per_port, ports, flows, prefixes, zones, rules].map(u64::from);
    let flow_shape = std::iter::once(std::mem::offset_of!(Flow, state) as u64);
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in sizes.chain(limits).chain(flow_shape).flat_map(u64::to_le_bytes) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bridge_common::abi::maps::DEFAULT_LIMITS;

    use super::*;

    #[test]
    fn the_verifier_accepts_every_program() {
        load(LoadOptions { limits: DEFAULT_LIMITS, pins: None, record_verdict: false }).unwrap();
    }

    #[test]
    fn a_window_is_no_longer_than_a_tenth_of_a_second() {
        // 100, 250, 300, 1000 Hz.
        for (tick_us, bits) in [(10_000, 3), (4_000, 4), (3_333, 4), (1_000, 6)] {
            assert_eq!(window_bits(Duration::from_micros(tick_us)), bits);
        }
        assert_eq!((window_bits(Duration::ZERO), window_bits(Duration::from_secs(1))), (26, 0));
        assert!((Duration::from_millis(1)..=Duration::from_millis(10)).contains(&tick()), "{:?}", tick());
    }

    #[test]
    fn the_abi_id_names_layout_and_limits() {
        let other = Limits { flows: 1, ..DEFAULT_LIMITS };
        assert_ne!(abi_id(&DEFAULT_LIMITS), abi_id(&other));
        assert_eq!(abi_id(&DEFAULT_LIMITS), abi_id(&DEFAULT_LIMITS));
    }
}
