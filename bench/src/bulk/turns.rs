//! The bridge alone and with fastbridge beside it, in turns, and the rows that come of it. Knows nothing of who sends.

use anyhow::Result;

use super::iperf::Run;
use crate::{
    progress::Progress,
    report::{Bound, Row},
    stats::ratios,
};

/// Parallel TCP streams of one iperf3.
pub(super) const STREAMS: [u32; 2] = [1, 4];

/// What carries the streams. Between [`Path::begin`] and [`Path::end`] fastbridge is beside the bridge.
pub(super) trait Path {
    fn begin(&mut self) -> Result<()>;
    fn run(&mut self, streams: u32) -> Result<Run>;
    /// The share of the sender's frames that fastbridge forwarded itself.
    fn end(&mut self) -> Result<f64>;
}

/// Runs of one number of streams, round by round.
#[derive(Debug, Default)]
struct Samples {
    alone: Vec<Run>,
    beside: Vec<Run>,
}

/// Measures `rounds` rounds: one of them has every number of streams with and without. `required` of the rates' ratio.
pub(super) fn measure(
    path: &mut impl Path,
    what: &str,
    rounds: usize,
    required: Option<Bound>,
    progress: &Progress,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let mut samples = STREAMS.map(|_| Samples::default());
    let mut least = f64::INFINITY;
    for round in 0..rounds {
        // Neither is always the first of a round.
        for beside in [round % 2 == 0, round % 2 != 0] {
            if beside {
                path.begin()?;
            }
            for (streams, samples) in STREAMS.into_iter().zip(&mut samples) {
                let word = if beside { "with fastbridge" } else { "without" };
                progress.step(&format!("{what}, {streams} stream(s), {word}"));
                let run = path.run(streams)?;
                if beside { samples.beside.push(run) } else { samples.alone.push(run) }
            }
            if beside {
                least = least.min(path.end()?);
            }
        }
    }
    for (streams, samples) in STREAMS.into_iter().zip(&samples) {
        let what = format!("{what}, {streams} TCP stream{}", if streams > 1 { "s" } else { "" });
        told(&what, samples, least, required, rows);
    }
    Ok(())
}

fn told(what: &str, samples: &Samples, least: f64, required: Option<Bound>, rows: &mut Vec<Row>) {
    let of = |runs: &[Run], value: fn(&Run) -> f64| -> Vec<f64> { runs.iter().map(value).collect() };
    let [alone, beside] = [&samples.alone, &samples.beside];
    let (rate, cost) = (|run: &Run| run.rate, |run: &Run| run.cost);
    let (rates, costs) = ([alone, beside].map(|runs| of(runs, rate)), [alone, beside].map(|runs| of(runs, cost)));
    rows.push(Row::figure(&format!("{what}: bridge alone"), "Gbit/s", &rates[0]));
    let note = format!("at least {:.1} % of the sender's frames forwarded by fastbridge", least * 100.0);
    rows.push(Row::figure(&format!("{what}: hook=auto"), "Gbit/s", &rates[1]).note(note));
    let ratio = Row::figure(&format!("{what}: hook=auto / bridge alone"), "x", &ratios(&rates[1], &rates[0]));
    rows.push(match required {
        Some(bound) => ratio.required(bound),
        None => ratio,
    });
    let counted = "work of all cores of this machine (/proc/stat), both ends' included".to_owned();
    rows.push(Row::figure(&format!("{what}: bridge alone, host CPU"), "core ms/Gbit", &costs[0]).note(counted));
    rows.push(Row::figure(&format!("{what}: hook=auto, host CPU"), "core ms/Gbit", &costs[1]));
    let what = format!("{what}: host CPU, hook=auto / bridge alone");
    rows.push(Row::figure(&what, "x", &ratios(&costs[1], &costs[0])));
}
