//! Rates with fastbridge off and on, in turns, in the same lab. Printed, never judged: only that the traffic passes is.

use anyhow::Result;
use bridge_tests::lab::Lab;

use super::{flood, iperf, report::Report};
use crate::interrupt;

/// Sender, receiver, the receiver's address, and what lies between.
const PAIRS: [(&str, &str, &str, &str); 2] =
    [("master1", "master2", "10.17.4.22", "switched"), ("master1", "freeipa1", "10.17.3.11", "routed")];

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traffic {
    /// One TCP stream, in bit/s.
    Bulk,
    /// Small UDP packets, in packets/s.
    Small,
}

const TRAFFIC: [Traffic; 2] = [Traffic::Bulk, Traffic::Small];

/// How many steps one [`Rates::measure`] takes.
pub(super) const STEPS: u64 = (PAIRS.len() * TRAFFIC.len()) as u64;

/// Whether fastbridge is beside the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The slow path alone.
    Off,
    /// With fastbridge.
    On,
}

/// What was measured so far in one lab.
#[derive(Debug, Default)]
pub(super) struct Rates(Vec<(usize, Traffic, State, f64)>);

impl Rates {
    /// Every pair and traffic once, in the state that the lab is in.
    ///
    /// # Errors
    /// Only when interrupted: traffic that does not pass is a line that did not hold.
    pub(super) fn measure(&mut self, report: &Report, lab: &Lab, state: State) -> Result<()> {
        for (index, (from, to, address, _)) in PAIRS.iter().enumerate() {
            for traffic in TRAFFIC {
                let run = format!("{from} -> {to}, {}, fastbridge {state:?}", traffic.words());
                report.step(&run)?;
                let (from, to) = (lab.netns(from)?, lab.netns(to)?);
                let measured = match traffic {
                    Traffic::Bulk => iperf::measure(from, to, address),
                    Traffic::Small => flood::measure(from, to, address),
                };
                match measured {
                    Ok(rate) if rate > 0.0 => self.0.push((index, traffic, state, rate)),
                    Ok(_) => report.line(false, &format!("{run}: nothing arrived")),
                    Err(error) => {
                        interrupt::check()?;
                        report.line(false, &format!("{run}: {error:#}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The table: means and their ratio.
    pub(super) fn show(&self, report: &Report) {
        let mut rows = Vec::new();
        for (index, (from, to, _, between)) in PAIRS.iter().enumerate() {
            for traffic in TRAFFIC {
                let [off, on] = [State::Off, State::On].map(|state| self.mean(index, traffic, state));
                let ratio = off.zip(on).map_or_else(|| "-".into(), |(off, on)| format!("{:.2}", on / off));
                let shown = |rate: Option<f64>| rate.map_or_else(|| "-".into(), |rate| unit(rate, traffic));
                let path = format!("{from} -> {to}, {between}");
                rows.push(vec![path, traffic.words(), shown(off), shown(on), ratio]);
            }
        }
        report.table(
            "what arrives: means of runs in turns, shown and not judged",
            &["path", "traffic", "fastbridge off", "fastbridge on", "on / off"],
            rows,
        );
        report.note("routed pairs are policed, not yet accelerated: their frames are for the host's own MAC (own-mac)");
        let expected = PAIRS.len() * TRAFFIC.len() * 2 * super::pass::ROUNDS;
        report.line(self.0.len() == expected, &format!("traffic passed in {} of {expected} runs", self.0.len()));
    }

    fn mean(&self, index: usize, traffic: Traffic, state: State) -> Option<f64> {
        let rates = self.0.iter().filter(|(i, t, s, _)| (*i, *t, *s) == (index, traffic, state)).map(|run| run.3);
        let (count, sum) = rates.fold((0_u32, 0.0), |(count, sum), rate| (count + 1, sum + rate));
        (count > 0).then(|| sum / f64::from(count))
    }
}

impl Traffic {
    fn words(self) -> String {
        match self {
            Self::Bulk => "TCP, one stream".into(),
            Self::Small => format!("UDP, {} bytes", flood::PAYLOAD),
        }
    }
}

fn unit(rate: f64, traffic: Traffic) -> String {
    match traffic {
        Traffic::Bulk => format!("{:.2} Gbit/s", rate / 1e9),
        Traffic::Small => format!("{:.0} kpps", rate / 1e3),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn means_are_taken_per_state() {
        let run = |state, rate| (0, Traffic::Bulk, state, rate);
        let rates = Rates(vec![run(State::Off, 1.0), run(State::On, 4.0), run(State::Off, 3.0)]);
        assert!((rates.mean(0, Traffic::Bulk, State::Off).unwrap() - 2.0).abs() < 1e-9);
        assert!(rates.mean(0, Traffic::Small, State::On).is_none());
    }
}
