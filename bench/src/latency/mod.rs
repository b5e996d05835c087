//! Round trips of a request and its response through a bridge: how many in a second, and how long they take; idle, and while a second pair of
//! machines floods through the same bridge. The bridge alone and the two hooks of fastbridge take turns.
//!
//! The server shares a core with the frames of the flood on their way, which go in softirq, in bursts, as a NIC brings them. The flood is offered at
//! the same rate on all paths, a share of what the bridge alone carries on that core: what a path spends on it is what the server waits for. How
//! much of it arrived is told.
//!
//! The server has real-time priority. What makes the flood is a thread of that core too, which no machine would have; without the priority a
//! server that is woken waits for the end of that thread's time slice, some 3 ms on any path, and that is all that p99 tells.

mod lab;
mod pair;
mod storm;

use std::time::Duration;

use anyhow::{Result, bail};
use bridge_tests::netns::Netns;

use self::{
    lab::{Path, Paths, Which},
    pair::Trips,
};
use crate::{
    flood::Flooded,
    progress::Progress,
    report::{Bound, Row},
    stats::{ratios, spread},
};

/// Of what the bridge alone carries.
const SHARE: f64 = 0.8;
const CALIBRATIONS: usize = 5;
/// A first turn that warms caches and counts for nothing.
const WARM_UP: Duration = Duration::from_millis(100);
/// A path that left more to the bridge is not what its name says.
const LEAST_FORWARDED: f64 = 0.99;

/// Turns of one path, idle or flooded.
struct Samples {
    which: Which,
    flooded: bool,
    trips: Vec<Trips>,
    floods: Vec<Flooded>,
}

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let (rounds, time) = if quick { (3, Duration::from_millis(500)) } else { (11, Duration::from_secs(1)) };
    let turns = Which::ALL.into_iter().flat_map(|which| [false, true].map(|flooded| (which, flooded)));
    let new = |(which, flooded)| Samples { which, flooded, trips: Vec::new(), floods: Vec::new() };
    let mut samples: Vec<_> = turns.map(new).collect();
    progress.part("latency: building the lab", rounds * samples.len() + 1);
    let paths = Paths::build()?;
    progress.step("how much the bridge carries");
    let rate = SHARE * calibrated(&paths)?;
    for path in &paths.all {
        path.pair.play(WARM_UP)?;
    }
    for round in 0..rounds {
        // Every path follows every other one equally often.
        for turn in 0..samples.len() {
            let at = (turn + round) % samples.len();
            let sample = &mut samples[at];
            progress.step(&format!("{}, {}", sample.which.name(), sample.load()));
            let found = paths.all.iter().find(|path| path.which == sample.which);
            found.map_or(Ok(()), |path| sample.turn(path, paths.flooding(path.which)?, rate, time))?;
        }
    }
    let forwarded = paths.forwarded()?;
    drop(paths);
    if forwarded < LEAST_FORWARDED {
        bail!("fastbridge forwarded only {:.1} % of some port's frames itself", forwarded * 100.0);
    }
    samples.iter().for_each(|sample| sample.rows(rows));
    judge(&samples, rows);
    Ok(())
}

/// Frames per second that the bridge alone carries when a core does nothing else.
fn calibrated(paths: &Paths) -> Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..CALIBRATIONS {
        for path in paths.all.iter().filter(|path| path.which == Which::Alone) {
            rates.push(path.storm.most(paths.flooding(path.which)?)?);
        }
    }
    let median = spread(&rates).map_or(0.0, |rates| rates.median);
    if median <= 0.0 {
        bail!("nothing of the flood arrives through the bridge alone");
    }
    Ok(median)
}

impl Samples {
    fn load(&self) -> &'static str {
        if self.flooded { "flooded" } else { "idle" }
    }

    fn turn(&mut self, path: &Path, flooding: &Netns, rate: f64, time: Duration) -> Result<()> {
        if self.flooded {
            let (trips, flooded) = path.storm.during(flooding, rate, || path.pair.play(time))?;
            self.trips.push(trips);
            self.floods.push(flooded);
        } else {
            self.trips.push(path.pair.play(time)?);
        }
        Ok(())
    }

    fn of(&self, value: impl Fn(&Trips) -> f64) -> Vec<f64> {
        self.trips.iter().map(value).collect()
    }

    fn rows(&self, rows: &mut Vec<Row>) {
        let name = |what: &str| format!("{}, {}: {what}", self.which.name(), self.load());
        rows.push(Row::figure(&name("round trips"), "/s", &self.of(Trips::rate)).note(self.note()));
        for (what, percentage) in [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)] {
            rows.push(Row::figure(&name(what), "us", &self.of(|trips| trips.percentile(percentage))));
        }
    }

    fn note(&self) -> String {
        let lost: u64 = self.trips.iter().map(|trips| trips.lost).sum();
        let of = |value: fn(&Flooded) -> f64| spread(&self.floods.iter().map(value).collect::<Vec<_>>());
        let flood = of(Flooded::rate).zip(of(Flooded::share)).map(|(rate, arrived)| {
            format!("; flood of {:.0} kpps, {:.1} % of it arrived", rate.median / 1e3, arrived.median * 100.0)
        });
        format!("{lost} lost, counted as 1 s{}", flood.unwrap_or_default())
    }
}

fn judge(samples: &[Samples], rows: &mut Vec<Row>) {
    let of = |which, flooded, value: fn(&Trips) -> f64| -> Vec<f64> {
        let found = samples.iter().find(|sample| sample.which == which && sample.flooded == flooded);
        found.map(|sample| sample.of(value)).unwrap_or_default()
    };
    for flooded in [false, true] {
        for which in [Which::Auto, Which::Xdp] {
            let compare = |what: &str, value: fn(&Trips) -> f64| {
                let load = if flooded { "flooded" } else { "idle" };
                let name = format!("{what}, {load}: {} / {}", which.name(), Which::Alone.name());
                Row::figure(&name, "x", &ratios(&of(which, flooded, value), &of(Which::Alone, flooded, value)))
            };
            rows.push(compare("round trips", Trips::rate));
            rows.push(compare("p50", |trips| trips.percentile(50.0)));
            let row = compare("p99", |trips| trips.percentile(99.0));
            rows.push(if flooded { row.required(Bound::AtMost(0.7)) } else { row });
        }
    }
}
