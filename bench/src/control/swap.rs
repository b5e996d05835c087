//! Policy swaps: a file with other prefixes replaces the old one under traffic that both allow. The time ends when the kernel
//! programs judge by the new generation; no frame of the traffic may be lost meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};
use bridge_common::abi::{Control as Word, maps::CONTROL};
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::{Control, Fastbridge},
};
use nix::sys::signal::Signal;

use super::flow::Flow;
use crate::{
    progress::Progress,
    report::{Bound, Row},
    topology::Topology,
};

/// The reference policy has two; together 10,000, the default limit.
const PREFIXES: usize = 9_998;
const SWAP_LIMIT: Duration = Duration::from_secs(10);

pub(super) fn measure(swaps: usize, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let flow = Flow::build()?;
    let pins = Bpffs::mount()?;
    let control = Control::new(&flow.lab, pins.path())?;
    let topology = |base| Topology { prefixes: PREFIXES, base, ..Topology::default() };
    let file = topology(100).file()?;
    let fastbridge = control.start(file.path())?;
    let live = live_words(pins.path())?;
    flow.introduce()?;
    let (mut times, mut sent, mut arrived) = (Vec::new(), 0, 0);
    for swap in 0..swaps {
        progress.step("swapping 10,000 prefixes");
        let next = topology(if swap % 2 == 0 { 130 } else { 100 }).text()?;
        let (took, frames) = flow.during(|| replace(file.path(), &next, &live, &fastbridge))?;
        times.push(took.as_secs_f64() * 1e3);
        sent += frames.sent;
        arrived += frames.arrived;
    }
    let lost = sent as f64 - arrived as f64;
    rows.push(Row::figure("10,000 prefixes swapped, file to kernel", "ms", &times).required(Bound::Below(200.0)));
    let note = format!("{sent} sent in {swaps} swaps");
    rows.push(Row::figure("frames lost during the swaps", "frames", &[lost]).required(Bound::Exactly(0.0)).note(note));
    Ok(())
}

/// Puts `text` in the place of the file, as editors do, and waits for the next generation; the time from one to the other.
fn replace(path: &Path, text: &str, live: &Array<MapData, u64>, fastbridge: &Fastbridge) -> Result<Duration> {
    let generation = || live.get(&(Word::Generation as u32), 0).unwrap_or(0);
    let before = generation();
    let beside = PathBuf::from(format!("{}.new", path.display()));
    fs::write(&beside, text).context("cannot write the topology")?;
    let start = Instant::now();
    fs::rename(&beside, path).context("cannot replace the topology")?;
    fastbridge.signal(Signal::SIGHUP)?;
    while generation() == before {
        if start.elapsed() > SWAP_LIMIT {
            anyhow::bail!(
                "no new generation within {SWAP_LIMIT:?}; the manager's log:\n{}",
                fastbridge.log().join("\n")
            );
        }
        thread::sleep(Duration::from_micros(100));
    }
    Ok(start.elapsed())
}

/// The control words, which the manager pins in the directory of its maps.
fn live_words(pins: &Path) -> Result<Array<MapData, u64>> {
    let bridge = pins.join("br0");
    let entries = fs::read_dir(&bridge).with_context(|| format!("cannot read {}", bridge.display()))?;
    let found = entries.flatten().map(|entry| entry.path().join(CONTROL)).find(|path| path.exists());
    let pin = found.with_context(|| format!("no {CONTROL} is pinned in {}", bridge.display()))?;
    Ok(Map::from_map_data(MapData::from_pin(pin)?)?.try_into()?)
}
