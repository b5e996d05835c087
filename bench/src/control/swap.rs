//! Policy swaps: a file with other prefixes replaces the old one under traffic that both allow. The time ends when the kernel
//! programs judge by the new generation; no frame of the traffic may be lost meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};
use bridge_common::abi::{Control as Word, maps::CONTROL};
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::Control,
    lab::{Lab, MachineSpec, SlowPath},
    netns::Netns,
    wait_until,
};
use nix::sys::signal::Signal;

use crate::{
    frames::{self, Variety},
    programs::{Generator, Sink},
    progress::Progress,
    report::{Bound, Row},
    topology::Topology,
};

/// The reference policy has two; together 10,000, the default limit.
const PREFIXES: usize = 9_998;
/// A burst that fits every ring on the way, twice in a millisecond: steady, and far from what a core can take.
const BURST: u32 = 64;
const PAUSE: Duration = Duration::from_micros(500);
/// Traffic before and after each swap.
const MARGIN: Duration = Duration::from_millis(100);
const SWAP_LIMIT: Duration = Duration::from_secs(10);

pub(super) fn measure(swaps: usize, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let raw = |n| MachineSpec::raw(&format!("m{n}"), &format!("vnet{n}"));
    let lab = Lab::builder(SlowPath::LinuxBridge).machine(raw(0)).machine(raw(1)).build()?;
    for port in ["vnet0", "vnet1"] {
        lab.host().run("ethtool", &["-K", port, "gro", "on"])?;
    }
    let (a, b) = (lab.machine("m0")?, lab.machine("m1")?);
    let sink = Sink::attach(b.netns())?;
    let frame = frames::udp(a.mac(), b.mac(), frames::FROM, frames::TO);
    let answer = frames::udp(b.mac(), a.mac(), frames::TO, frames::FROM);
    let (mut there, mut back) =
        (Generator::new(a.netns(), frame, Variety::None)?, Generator::new(b.netns(), answer, Variety::None)?);
    let pins = Bpffs::mount()?;
    let control = Control::new(&lab, pins.path())?;
    let topology = |base| Topology { prefixes: PREFIXES, base, ..Topology::default() };
    let file = topology(100).file()?;
    let fastbridge = control.start(file.path())?;
    let live = live_words(pins.path())?;
    let cpu = thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
    back.send(b.netns(), cpu, 1)?;
    there.send(a.netns(), cpu, 1)?;
    let mut flow = Flow { generator: &mut there, netns: a.netns(), cpu };
    let (mut times, mut sent) = (Vec::new(), 0);
    let taken = sink.taken()?;
    for swap in 0..swaps {
        progress.step("swapping 10,000 prefixes");
        let next = topology(if swap % 2 == 0 { 130 } else { 100 }).text()?;
        let (took, frames) = flow.during(|| replace(file.path(), &next, &live, &fastbridge))?;
        times.push(took.as_secs_f64() * 1e3);
        sent += frames;
    }
    thread::sleep(MARGIN);
    let arrived = sink.taken()? - taken;
    let lost = sent as f64 - arrived as f64;
    rows.push(Row::figure("10,000 prefixes swapped, file to kernel", "ms", &times).required(Bound::Below(200.0)));
    let note = format!("{sent} sent in {swaps} swaps");
    rows.push(Row::figure("frames lost during the swaps", "frames", &[lost]).required(Bound::Exactly(0.0)).note(note));
    Ok(())
}

/// Puts `text` in the place of the file, as editors do, and waits for the next generation; the time from one to the other.
fn replace(
    path: &Path,
    text: &str,
    live: &Array<MapData, u64>,
    fastbridge: &bridge_tests::fastbridge::Fastbridge,
) -> Result<Duration> {
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

/// A steady flow from one machine.
struct Flow<'a> {
    generator: &'a mut Generator,
    netns: &'a Netns,
    cpu: usize,
}

impl Flow<'_> {
    /// Sends before, during and after `work`; what that gave, and how many frames were sent.
    fn during<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
        let (started, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let (result, sent) = thread::scope(|scope| {
            let sender = scope.spawn(|| -> Result<u64> {
                let mut sent = 0;
                while !ended.load(Ordering::Relaxed) {
                    self.generator.send(self.netns, self.cpu, BURST)?;
                    sent += u64::from(BURST);
                    started.store(true, Ordering::Relaxed);
                    thread::sleep(PAUSE);
                }
                Ok(sent)
            });
            // A sender that fails tells why when it is joined.
            let _flows = wait_until("traffic flows", Duration::from_secs(1), || started.load(Ordering::Relaxed));
            thread::sleep(MARGIN);
            let result = work();
            thread::sleep(MARGIN);
            ended.store(true, Ordering::Relaxed);
            (result, sender.join())
        });
        let sent = sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((result?, sent))
    }
}
