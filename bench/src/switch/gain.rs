//! What XDP in front of TC brings and costs where it is: a core that writes into a tap, and one TCP stream through
//! veths. The paths take turns.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bridge_tests::{find_tool, lab::Lab};

use super::{
    loads::Load,
    site::{BULK_PORTS, Hooked, Kind, SERVER},
    stream::{End, Stream},
    tap::GuestEnd,
};
use crate::{bulk, cores, progress::Progress, report::Row, stats::ratios, work};

/// Frames between two looks at the clock.
const FEW: u64 = 16;
/// A reader that does not get to run lets the queue overflow: then drops are measured, and it is tried again.
const TRIES: usize = 5;
const ENOUGH: f64 = 0.99;
/// Whatever is on the way when the last one was written has arrived.
const SETTLE: Duration = Duration::from_millis(5);

/// What is measured of one kind of frame.
struct Samples {
    load: Load,
    alone: Vec<f64>,
    tc: Vec<f64>,
    xdp: Vec<f64>,
    /// Of what was written.
    arrived: f64,
}

/// One core that writes into a tap; another one reads.
pub(super) fn taps(
    hooked: &Hooked<'_>,
    [alone, beside]: [&Stream; 2],
    (rounds, time): (usize, Duration),
    progress: &Progress,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let from = Kind::Tap.ports()[0];
    let mut samples =
        Load::ALL.map(|load| Samples { load, alone: Vec::new(), tc: Vec::new(), xdp: Vec::new(), arrived: 1.0 });
    for _ in 0..rounds {
        progress.step("one core writes into a tap");
        for sample in &mut samples {
            let flooded = flood(alone, sample.load, time)?;
            sample.alone.push(flooded.rate(sample.load));
            sample.arrived = sample.arrived.min(flooded.share());
        }
        for xdp in [false, true] {
            let ports = [from];
            hooked.set_xdp(if xdp { &ports } else { &[] }, from)?;
            for sample in &mut samples {
                // Both are known still, after a pause of any length.
                beside.introduce()?;
                let before = hooked.forwarded(from)?;
                let flooded = flood(beside, sample.load, time)?;
                let forwarded = hooked.forwarded(from)? - before;
                if forwarded < flooded.sent {
                    bail!("fastbridge forwarded {forwarded} of {} frames: something else was measured", flooded.sent);
                }
                if xdp { &mut sample.xdp } else { &mut sample.tc }.push(flooded.rate(sample.load));
                sample.arrived = sample.arrived.min(flooded.share());
            }
        }
    }
    hooked.set_xdp(&[], from)?;
    samples.iter().for_each(|sample| sample.rows(rows));
    Ok(())
}

impl Samples {
    fn rows(&self, rows: &mut Vec<Row>) {
        let (unit, _) = self.load.unit();
        let what = format!("one core writes into a tap, {}", self.load.name());
        let note = format!("at least {:.1} % arrived", self.arrived * 100.0);
        rows.push(Row::figure(&format!("{what}: bridge alone"), unit, &self.alone).note(note));
        rows.push(Row::figure(&format!("{what}: hook=tc"), unit, &self.tc));
        rows.push(Row::figure(&format!("{what}: hook=xdp"), unit, &self.xdp));
        rows.push(Row::figure(&format!("{what}: hook=xdp / hook=tc"), "x", &ratios(&self.xdp, &self.tc)));
        rows.push(Row::figure(&format!("{what}: hook=tc / bridge alone"), "x", &ratios(&self.tc, &self.alone)));
    }
}

/// What a while of it was.
struct Flooded {
    sent: u64,
    arrived: u64,
    worked: Duration,
}

impl Flooded {
    fn share(&self) -> f64 {
        self.arrived as f64 / self.sent as f64
    }

    /// What arrived, for each second that the writing core worked.
    fn rate(&self, load: Load) -> f64 {
        self.arrived as f64 * load.unit().1 / self.worked.as_secs_f64()
    }
}

/// The first try of which nearly everything arrived, or the best.
fn flood(stream: &Stream, load: Load, time: Duration) -> Result<Flooded> {
    let mut best = flood_once(stream, load, time)?;
    for _ in 1..TRIES {
        if best.share() >= ENOUGH {
            break;
        }
        let again = flood_once(stream, load, time)?;
        if again.share() > best.share() {
            best = again;
        }
    }
    Ok(best)
}

fn flood_once(stream: &Stream, load: Load, time: Duration) -> Result<Flooded> {
    let (End::Tap(from), End::Tap(to)) = (&stream.from, &stream.to) else { bail!("no taps") };
    let [source, destination] = stream.macs;
    let frame = load.frame(source, destination);
    let ended = AtomicBool::new(false);
    let (wrote, arrived) = thread::scope(|scope| {
        let reader = scope.spawn(|| read(to, frame.len(), &ended));
        let writer = scope.spawn(|| write(from, &frame, time));
        let wrote = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        thread::sleep(SETTLE);
        ended.store(true, Ordering::Relaxed);
        (wrote, reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let ((sent, worked), arrived) = (wrote?, arrived?);
    Ok(Flooded { sent, arrived, worked })
}

fn write(from: &GuestEnd, frame: &[u8], time: Duration) -> Result<(u64, Duration)> {
    let core = cores::highest();
    cores::pin(core)?;
    let (begin, before) = (Instant::now(), work::on(core)?);
    let mut sent = 0;
    while begin.elapsed() < time {
        for _ in 0..FEW {
            from.send(frame).context("cannot write into the tap")?;
        }
        sent += FEW;
    }
    Ok((sent, work::on(core)?.saturating_sub(before)))
}

/// Never sleeps, so that waking it is no part of the writer's work. Counts frames of that length only.
fn read(to: &GuestEnd, length: usize, ended: &AtomicBool) -> Result<u64> {
    // On another core, where there is one.
    cores::pin(0)?;
    let mut room = vec![0; length + 1];
    let mut arrived = 0;
    while !ended.load(Ordering::Relaxed) {
        arrived += u64::from(to.receive(&mut room).context("cannot read from the tap")? == Some(length));
    }
    Ok(arrived)
}

/// One TCP stream between two namespaces.
pub(super) fn tcp(
    lab: &Lab,
    hooked: &Hooked<'_>,
    rounds: usize,
    progress: &Progress,
    rows: &mut Vec<Row>,
) -> Result<()> {
    const WHAT: &str = "veth, one TCP stream";
    if find_tool("iperf3").is_err() {
        rows.push(Row::skip(WHAT, "iperf3 is not installed; `cargo xtask setup` installs it"));
        return Ok(());
    }
    let [client, server] = BULK_PORTS;
    let (mut tc, mut xdp) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Neither is always the first of a round.
        for with in [round % 2 == 0, round % 2 != 0] {
            progress.step(WHAT);
            hooked.set_xdp(if with { &BULK_PORTS } else { &[] }, client)?;
            let run = bulk::run(lab.machine(client)?.netns(), lab.machine(server)?.netns(), SERVER, 1, 1, false)?;
            if with { &mut xdp } else { &mut tc }.push(run.rate);
        }
    }
    hooked.set_xdp(&[], client)?;
    rows.push(Row::figure(&format!("{WHAT}: hook=tc"), "Gbit/s", &tc));
    rows.push(Row::figure(&format!("{WHAT}: hook=xdp"), "Gbit/s", &xdp));
    rows.push(Row::figure(&format!("{WHAT}: hook=xdp / hook=tc"), "x", &ratios(&xdp, &tc)));
    Ok(())
}
