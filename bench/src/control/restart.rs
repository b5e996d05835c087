//! The manager ends and another one takes its place, under traffic that the policy allows: frames lost, and the time until the next one is ready.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::{Control, Fastbridge},
};

use super::flow::Flow;
use crate::{
    progress::Progress,
    report::{Bound, Row},
    topology::Topology,
};

/// The programs take a manager that has not beaten for 5 s for dead, and leave every frame to the bridge.
const AWAY: Duration = Duration::from_secs(6);

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is told to, and another one is started.
    Told,
    /// It is killed, and another one is started.
    Killed,
    /// It is killed, and away so long that the bridge carries every frame.
    Away,
}

impl End {
    const ALL: [Self; 3] = [Self::Told, Self::Killed, Self::Away];

    fn name(self) -> &'static str {
        match self {
            Self::Told => "SIGTERM, start",
            Self::Killed => "SIGKILL, start",
            Self::Away => "SIGKILL, 6 s without a manager, start",
        }
    }
}

/// All restarts of one kind.
struct Samples {
    end: End,
    milliseconds: Vec<f64>,
    sent: u64,
    arrived: u64,
}

pub(super) fn measure(rounds: usize, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let flow = Flow::build()?;
    let pins = Bpffs::mount()?;
    let control = Control::new(&flow.lab, pins.path())?;
    let topology = Topology::default().file()?;
    let mut fastbridge = control.start(topology.path())?;
    flow.introduce()?;
    let mut samples = End::ALL.map(|end| Samples { end, milliseconds: Vec::new(), sent: 0, arrived: 0 });
    for _ in 0..rounds {
        for sample in &mut samples {
            progress.step(&format!("restart: {}", sample.end.name()));
            let (took, frames) = flow.during(|| {
                let took = end(&mut fastbridge, sample.end)?;
                let start = Instant::now();
                fastbridge = control.start(topology.path())?;
                Ok(took + start.elapsed())
            })?;
            sample.milliseconds.push(took.as_secs_f64() * 1e3);
            sample.sent += frames.sent;
            sample.arrived += frames.arrived;
        }
    }
    fastbridge.terminate()?;
    control.detach()?;
    samples.iter().for_each(|sample| sample.rows(rows));
    Ok(())
}

/// The time that it needed for that; how long it stays away then is our choice.
fn end(fastbridge: &mut Fastbridge, how: End) -> Result<Duration> {
    let start = Instant::now();
    match how {
        End::Told => fastbridge.terminate()?,
        End::Killed | End::Away => fastbridge.kill()?,
    };
    let took = start.elapsed();
    if how == End::Away {
        thread::sleep(AWAY);
    }
    Ok(took)
}

impl Samples {
    fn rows(&self, rows: &mut Vec<Row>) {
        let Self { end, milliseconds, sent, arrived } = self;
        rows.push(Row::figure(&format!("restart ({}): until ready", end.name()), "ms", milliseconds));
        let note = format!("{sent} sent in {} restarts", milliseconds.len());
        let lost =
            Row::figure(&format!("restart ({}): frames lost", end.name()), "frames", &[*sent as f64 - *arrived as f64]);
        rows.push(lost.required(Bound::Exactly(0.0)).note(note));
    }
}
