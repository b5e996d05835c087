//! Packets per second: each path on a pair of ports of its own in one lab, all of them always attached, sent through in
//! turns. A frame's whole way runs on the one generating core, and its time is what counts; what a neighbour does to caches and
//! clocks hits every path of a round alike, so the ratios are taken within a round.

mod lab;
mod ovs;

use anyhow::{Result, bail};

use self::lab::{Load, Paths, Which};
pub(crate) use self::ovs::measure as measure_beside_ovs;
use crate::{
    progress::Progress,
    report::{Bound, Row},
    stats::ratios,
};

/// Frames of one turn: the kernel's set-up of each call costs, 2^18 is the least that hides it.
const XDP_FRAMES: u32 = 1 << 20;
const TC_FRAMES: u32 = 1 << 19;
/// A turn that lost more is no measurement of a path.
const LEAST_DELIVERED: f64 = 0.99;

/// What is measured: every path with every load; br_netfilter, which only gives a second figure to compare with, with one.
fn measured() -> impl Iterator<Item = (Which, Load)> {
    let all = Load::ALL.into_iter().flat_map(|load| Which::ALL.map(|which| (which, load)));
    all.filter(|&(which, load)| which != Which::NetfilterBridge || load == Load::OneFlow)
}

/// Mpps of one path, round by round.
struct Samples {
    which: Which,
    load: Load,
    rates: Vec<f64>,
    sent: u64,
    delivered: u64,
}

impl Samples {
    fn new(which: Which, load: Load) -> Self {
        Self { which, load, rates: Vec::new(), sent: 0, delivered: 0 }
    }
}

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let rounds = if quick { 9 } else { 25 };
    progress.part("packets per second: building the lab", rounds * measured().count());
    let mut paths = Paths::build()?;
    let before = paths.forwarded()?;
    let mut samples: Vec<_> = measured().map(|(which, load)| Samples::new(which, load)).collect();
    // The first round warms caches and counts for nothing but the shares.
    for round in 0..=rounds {
        paths.prime()?;
        // Every path follows every other one equally often.
        for turn in 0..samples.len() {
            let at = (turn + round) % samples.len();
            let sample = &mut samples[at];
            progress.step(sample.which.name());
            let count = if sample.which.is_xdp() { XDP_FRAMES } else { TC_FRAMES };
            let rate = turn_of(&mut paths, sample, count)?;
            if round > 0 {
                sample.rates.push(rate);
            }
        }
    }
    let after = paths.forwarded()?;
    drop(paths);
    check_shares(&samples, [after[0] - before[0], after[1] - before[1]])?;
    for sample in &samples {
        rows.push(rate_row(sample)?);
    }
    judge(&samples, rows);
    Ok(())
}

/// The counters say that the fast path, and not the bridge, carried what was measured.
fn check_shares(samples: &[Samples], forwarded: [u64; 2]) -> Result<()> {
    for (which, forwarded) in [(Which::Tc, forwarded[0]), (Which::Xdp, forwarded[1])] {
        let sent: u64 = samples.iter().filter(|sample| sample.which == which).map(|sample| sample.sent).sum();
        let share = forwarded as f64 / sent as f64;
        if share < LEAST_DELIVERED {
            bail!("{}: fastbridge forwarded only {:.1} % of the frames itself", which.name(), share * 100.0);
        }
    }
    Ok(())
}

fn turn_of(paths: &mut Paths, sample: &mut Samples, count: u32) -> Result<f64> {
    let (delivered, took) = paths.send(sample.which, sample.load, count)?;
    sample.sent += u64::from(count);
    sample.delivered += delivered;
    Ok(delivered as f64 / took.as_secs_f64() / 1e6)
}

fn rate_row(sample: &Samples) -> Result<Row> {
    let name = format!("{}, {}", sample.which.name(), sample.load.name());
    let delivered = sample.delivered as f64 / sample.sent as f64;
    if delivered < LEAST_DELIVERED {
        bail!("{name}: only {:.1} % of the frames arrived", delivered * 100.0);
    }
    Ok(Row::figure(&name, "Mpps", &sample.rates).note(format!("{:.2} % delivered", delivered * 100.0)))
}

fn judge(samples: &[Samples], rows: &mut Vec<Row>) {
    let of = |which, load| {
        let found = samples.iter().find(|sample| sample.which == which && sample.load == load);
        found.map_or(&[][..], |sample| &sample.rates[..])
    };
    let compare = |what: &str, over, under, load: Load| {
        Row::figure(&format!("{what}, {}", load.name()), "x", &ratios(of(over, load), of(under, load)))
    };
    for load in Load::ALL {
        for (what, over, under, least) in [
            ("fastbridge TC / bare TC redirect", Which::Tc, Which::BareTc, 0.93),
            ("fastbridge XDP / bare XDP redirect", Which::Xdp, Which::BareXdp, 0.84),
            ("fastbridge TC / Linux bridge", Which::Tc, Which::Bridge, 1.5),
            ("fastbridge XDP / Linux bridge", Which::Xdp, Which::Bridge, 3.5),
        ] {
            let row = compare(what, over, under, load);
            // Nothing is required of frames that are decided anew, one by one: told all the same.
            rows.push(if load == Load::Stations { row } else { row.required(Bound::AtLeast(least)) });
        }
    }
    let ceiling = compare("bare TC redirect / Linux bridge: the ceiling", Which::BareTc, Which::Bridge, Load::OneFlow);
    rows.push(ceiling);
    let what = "fastbridge TC / Linux bridge as a new namespace has it (br_netfilter on)";
    rows.push(compare(what, Which::Tc, Which::NetfilterBridge, Load::OneFlow).required(Bound::AtLeast(1.5)));
}
