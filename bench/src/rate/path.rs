//! One path: a machine that sends, one that takes, and what joins them. Sends, and tells what arrived and how long it took.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bridge_tests::{Mac, lab::Lab};

use super::{kind::Kind, load::Load};
use crate::{
    frames::{self, Variety},
    programs::{Bare, Generator, Sink},
    topology::Rules,
};

/// Frames on their way through threads of others have arrived when none came for so long.
const QUIET: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_micros(500);

/// What time is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Of the generating core: a frame's whole way runs there.
    Core,
    /// That passes until the last frame is there: others work on it too, on cores of their own.
    Wall,
}

/// What became of the frames of one turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// At the receiver; or, of frames that are denied, by what denies them.
    pub(super) counted: u64,
    pub(super) took: Duration,
}

/// A path, ready.
pub(super) struct Path {
    pub(super) kind: Kind,
    there: Vec<(Load, Generator)>,
    back: Generator,
    sink: Sink,
    _bare: Option<Bare>,
}

impl Path {
    /// Between the machines of that kind, which are there already.
    pub(super) fn new(lab: &Lab, kind: Kind, loads: &[Load], rules: Rules, vlan: Option<u16>) -> Result<Self> {
        let [from, to] = kind.ports();
        let host = lab.host();
        for port in [from, to] {
            if kind.is_bare() {
                lab.remove_port(port)?;
            }
            // NAPI on the host's side too, or it receives no redirected frame.
            host.run("ethtool", &["-K", port, "gro", "on"])?;
        }
        let (a, b) = (lab.machine(from)?, lab.machine(to)?);
        if vlan.is_some() {
            // Where tags are in use: else XDP cannot trust a frame without one.
            for machine in [a, b] {
                machine.netns().run("ethtool", &["-K", "eth0", "txvlan", "off"])?;
            }
        }
        let generator = |&load: &Load| -> Result<_> {
            let source = if load.is_of_stations() { played(kind, 0) } else { a.mac() };
            Ok((load, Generator::new(a.netns(), load.frame(source, b.mac(), rules), load.variety())?))
        };
        let there = loads.iter().map(generator).collect::<Result<_>>()?;
        let [first, second] = rules.stations();
        let answer = frames::udp(b.mac(), a.mac(), second, first);
        let answer = if kind.is_bare() { answer } else { frames::tagged(answer, vlan) };
        let back = Generator::new(b.netns(), answer, Variety::None)?;
        let sink = Sink::attach(b.netns())?;
        let bare = match kind {
            Kind::BareXdp => Some(Bare::xdp(host, from, to)?),
            Kind::BareTc => Some(Bare::tc(host, from, to)?),
            Kind::BareTcEgress => Some(Bare::tc_with_egress(host, from, to)?),
            Kind::BareXdpCounting => Some(Bare::xdp_counting(host, from, to)?),
            Kind::BareDrop => Some(Bare::drop(host, from)?),
            _ => None,
        };
        Ok(Self { kind, there, back, sink, _bare: bare })
    }

    /// One frame each way, so that no station has aged.
    pub(super) fn prime(&mut self, lab: &Lab, cpu: usize) -> Result<()> {
        let [from, to] = self.kind.ports();
        self.back.send(lab.machine(to)?.netns(), cpu, 1)?;
        if let Some((_, first)) = self.there.first_mut() {
            first.send(lab.machine(from)?.netns(), cpu, 1)?;
        }
        Ok(())
    }

    /// Sends `count` frames and counts what arrives.
    pub(super) fn send(&mut self, lab: &Lab, cpu: usize, load: Load, count: u32, clock: Clock) -> Result<Sent> {
        let netns = lab.machine(self.kind.ports()[0])?.netns();
        let found = self.there.iter_mut().find(|(known, _)| *known == load);
        let (_, generator) = found.with_context(|| format!("nothing sends {}", load.name()))?;
        let before = self.sink.taken()?;
        let start = Instant::now();
        let worked = generator.send(netns, cpu, count)?;
        let took = match clock {
            Clock::Core => worked,
            Clock::Wall => settle(&self.sink, before + u64::from(count), start)?,
        };
        Ok(Sent { counted: self.sink.taken()? - before, took })
    }

    /// Sends `count` frames from as many stations that nobody has seen before if they differ in `salt`, twice: the time for each pass.
    pub(super) fn introduce(&self, lab: &Lab, cpu: usize, (count, salt): (u32, u8)) -> Result<[Duration; 2]> {
        let [from, to] = self.kind.ports();
        let (a, b) = (lab.machine(from)?, lab.machine(to)?);
        let source = played(self.kind, salt);
        let load = Load::Stations(count);
        let mut generator = Generator::new(a.netns(), load.frame(source, b.mac(), Rules::Reference), load.variety())?;
        let before = self.sink.taken()?;
        let passes = [generator.send(a.netns(), cpu, count)?, generator.send(a.netns(), cpu, count)?];
        let arrived = self.sink.taken()? - before;
        if arrived < 2 * u64::from(count) {
            bail!("{:?}: only {arrived} of {} frames of new stations arrived", self.kind, 2 * count);
        }
        Ok(passes)
    }

    /// Frames that have arrived so far.
    pub(super) fn taken(&self) -> Result<u64> {
        self.sink.taken()
    }
}

/// MACs that a generator plays differ in their last word; these are no machine's ([`bridge_tests::lab::mac_of`]) and no other path's.
fn played(kind: Kind, salt: u8) -> Mac {
    [0x52, 0x54, salt, 0x80 | kind as u8, 0, 0]
}

/// The time from `start` to the last frame's arrival; all have arrived when there are `expected`.
fn settle(sink: &Sink, expected: u64, start: Instant) -> Result<Duration> {
    let (mut seen, mut last) = (sink.taken()?, Instant::now());
    while seen < expected && last.elapsed() < QUIET {
        thread::sleep(LOOK);
        let now = sink.taken()?;
        if now != seen {
            (seen, last) = (now, Instant::now());
        }
    }
    Ok(last.duration_since(start))
}
