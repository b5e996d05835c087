//! The benchmark's kernel programs, loaded and attached. One object for each use, so that each has its own target and counter.
//!
//! Attached programs go when their object is dropped. Must not: attach outside a lab's namespace.

mod generator;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{PerCpuArray, xdp::DevMap},
    programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode, tc::TcAttachOptions, xdp::XdpLink},
};
use bridge_tests::netns::Netns;

pub(crate) use self::generator::Generator;
use crate::frames::{self, Variety};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench-ebpf"));

/// Frames that the kernel makes and sends at a time: one NAPI budget, so that the peer's ring never overflows.
const BATCH: u32 = 64;

fn load(target: u32) -> Result<Ebpf> {
    load_varying(target, &[], Variety::None, Duration::ZERO)
}

/// `gap` from one [`BATCH`] of frames to the next, zero for none.
fn load_varying(target: u32, frame: &[u8], variety: Variety, gap: Duration) -> Result<Ebpf> {
    let (gap, burst) = (u64::try_from(gap.as_nanos())?, u64::from(BATCH));
    let (variants, by_station) = match variety {
        Variety::None => (1, 0),
        Variety::Flows(flows) => (flows, 0),
        Variety::Stations(stations) => (stations, 1),
    };
    let [ip, udp] = if variants > 1 { frames::sums(frame, variety) } else { [0; 2] };
    let head = |at: usize| frame.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes);
    let heads = [head(0), head(8)];
    let mut loader = EbpfLoader::new();
    loader.override_global("HEAD", &heads[0], true).override_global("HEAD_REST", &heads[1], true);
    loader.override_global("TARGET_IFINDEX", &target, true).override_global("VARIANTS", &variants, true);
    loader.override_global("BY_STATION", &by_station, true).override_global("GAP_NS", &gap, true);
    loader.override_global("BURST", &burst, true);
    loader.override_global("IP_SUM", &ip, true).override_global("UDP_SUM", &udp, true);
    loader.load(OBJECT).context("the kernel refused the benchmark's programs")
}

fn index(netns: &Netns, interface: &str) -> Result<u32> {
    netns.ifindex(interface)?.with_context(|| format!("{} has no interface {interface}", netns.name()))
}

/// The XDP program `name` of an object, set to redirect to `target` and loaded; the map finds the device in this thread's
/// namespace.
fn redirecting(mut ebpf: Ebpf, target: u32, name: &str) -> Result<Ebpf> {
    let map = ebpf.map_mut("TARGET").context("the object has no map TARGET")?;
    DevMap::try_from(map)?.set(0, target, None, 0).context("the target takes no redirected frames")?;
    xdp(&mut ebpf, name)?.load()?;
    Ok(ebpf)
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?.try_into()?)
}

/// Takes what reaches a machine's `eth0`.
pub(crate) struct Sink {
    taken: PerCpuArray<aya::maps::MapData, u64>,
    _attached: Ebpf,
}

impl Sink {
    /// On the machine in `netns`.
    pub(crate) fn attach(netns: &Netns) -> Result<Self> {
        let on = index(netns, "eth0")?;
        netns.enter(|| {
            let mut ebpf = load(0)?;
            attach_xdp(&mut ebpf, "sink", on)?;
            let map = ebpf.take_map("TAKEN").context("the object has no map TAKEN")?;
            Ok(Self { taken: PerCpuArray::try_from(map)?, _attached: ebpf })
        })?
    }

    /// Frames so far.
    pub(crate) fn taken(&self) -> Result<u64> {
        Ok(self.taken.get(&0, 0)?.iter().sum())
    }
}

fn attach_xdp(ebpf: &mut Ebpf, name: &str, on: u32) -> Result<()> {
    let program = xdp(ebpf, name)?;
    // The redirecting ones are loaded already, because their map was filled first.
    if program.fd().is_err() {
        program.load()?;
    }
    program.attach_to_if_index(on, XdpMode::Driver).with_context(|| format!("cannot attach {name}"))?;
    Ok(())
}

/// A redirect, or a drop, without a look at the frame.
pub(crate) struct Bare(#[allow(dead_code)] Ebpf); // held, never read

impl Bare {
    /// A drop without a look at the frame, in XDP at the host's port `from`.
    pub(crate) fn drop(host: &Netns, from: &str) -> Result<Self> {
        let from = index(host, from)?;
        host.enter(|| {
            let mut ebpf = load(0)?;
            attach_xdp(&mut ebpf, "bare_drop", from)?;
            Ok(Self(ebpf))
        })?
    }

    /// In XDP, from the host's port `from` to its port `to`.
    pub(crate) fn xdp(host: &Netns, from: &str, to: &str) -> Result<Self> {
        Self::at_xdp(host, (from, to), "bare_xdp")
    }

    /// The same, which finds an entry and counts.
    pub(crate) fn xdp_counting(host: &Netns, from: &str, to: &str) -> Result<Self> {
        Self::at_xdp(host, (from, to), "counting_xdp")
    }

    fn at_xdp(host: &Netns, (from, to): (&str, &str), name: &str) -> Result<Self> {
        let (from, to) = (index(host, from)?, index(host, to)?);
        host.enter(|| {
            let mut ebpf = redirecting(load(to)?, to, name)?;
            attach_xdp(&mut ebpf, name, from)?;
            Ok(Self(ebpf))
        })?
    }

    /// At TC ingress.
    pub(crate) fn tc(host: &Netns, from: &str, to: &str) -> Result<Self> {
        Self::at_tc(host, to, &[("bare_tc", from, TcAttachType::Ingress)])
    }

    /// At TC ingress, and a program that does nothing at the egress of `to`.
    pub(crate) fn tc_with_egress(host: &Netns, from: &str, to: &str) -> Result<Self> {
        Self::at_tc(host, to, &[("bare_tc", from, TcAttachType::Ingress), ("bare_next", to, TcAttachType::Egress)])
    }

    fn at_tc(host: &Netns, to: &str, places: &[(&str, &str, TcAttachType)]) -> Result<Self> {
        let to = index(host, to)?;
        host.enter(|| {
            let mut ebpf = load(to)?;
            for &(name, port, direction) in places {
                let program = classifier(&mut ebpf, name)?;
                program.load()?;
                attach_tc(program, port, direction)?;
            }
            Ok(Self(ebpf))
        })?
    }
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    Ok(ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?.try_into()?)
}

/// As fastbridge attaches: tcx where there is one.
fn attach_tc(program: &mut SchedClassifier, port: &str, direction: TcAttachType) -> Result<()> {
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    program.attach_with_options(port, direction, options).with_context(|| format!("cannot attach to {port}"))?;
    Ok(())
}

/// A bare XDP redirect that is put in front of what a port has, taken away again, or exchanged for another one like it.
pub(crate) struct Front {
    // Dropped in this order: the link before its program.
    link: Option<XdpLink>,
    programs: [Ebpf; 2],
    on: u32,
}

impl Front {
    /// For the host's port `from`, to its port `to`; in front of nothing yet.
    pub(crate) fn new(host: &Netns, from: &str, to: &str) -> Result<Self> {
        let (on, to) = (index(host, from)?, index(host, to)?);
        let program = || host.enter(|| redirecting(load(to)?, to, "bare_xdp"))?;
        Ok(Self { link: None, programs: [program()?, program()?], on })
    }

    /// Puts it there; the time that takes.
    pub(crate) fn attach(&mut self, host: &Netns) -> Result<Duration> {
        host.enter(|| {
            let program = xdp(&mut self.programs[0], "bare_xdp")?;
            let start = Instant::now();
            let id = program.attach_to_if_index(self.on, XdpMode::Driver).context("cannot attach bare_xdp")?;
            let took = start.elapsed();
            self.link = Some(program.take_link(id)?);
            Ok(took)
        })?
    }

    /// Has the other program take its place; the time that takes.
    pub(crate) fn exchange(&mut self) -> Result<Duration> {
        self.programs.swap(0, 1);
        let program = xdp(&mut self.programs[0], "bare_xdp")?;
        let link = self.link.take().context("there is nothing to exchange")?;
        let start = Instant::now();
        let id = program.attach_to_link(link).context("cannot exchange bare_xdp")?;
        let took = start.elapsed();
        self.link = Some(program.take_link(id)?);
        Ok(took)
    }

    /// Takes it away; the time that takes.
    pub(crate) fn detach(&mut self) -> Duration {
        let start = Instant::now();
        self.link = None;
        start.elapsed()
    }
}

/// How long it takes to attach a bare program at ingress and egress of each of the host's `ports`, and nothing else.
pub(crate) fn attach_bare_tc(host: &Netns, ports: &[String]) -> Result<Duration> {
    host.enter(|| {
        let mut ebpf = load(0)?;
        let program = classifier(&mut ebpf, "bare_tc")?;
        program.load()?;
        let start = Instant::now();
        for port in ports {
            for direction in [TcAttachType::Ingress, TcAttachType::Egress] {
                attach_tc(program, port, direction)?;
            }
        }
        Ok(start.elapsed())
    })?
}
