//! Feeds a stream into a lab, with barriers where the order matters, and collects what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::model::Model;
use super::sentinel::{self, Round};
use super::{Change, End, Entry, Outcome, Step, Stream};
use crate::Mac;
use crate::capture::Tap;
use crate::error::{Error, Result};
use crate::lab::{Lab, Tagging};
use crate::run::patience;

/// No more frames than this between barriers: fits every queue on the way, of which AF_PACKET's default buffer is the smallest.
const BATCH_MAX: usize = 64;
const BARRIER_LIMIT: Duration = Duration::from_secs(5);
/// Second round: a frame that a redirect holds back until the end of a poll cycle has left by then, and a sentinel's MAC that the
/// stream has moved is back.
const ROUNDS: usize = 2;
/// After the bridge or a link has changed under it, fastbridge needs up to a second to do as the slow path does from then on. Waited in
/// every run, so that no frame falls into this second.
const FOLLOW: Duration = Duration::from_secs(1);
/// Times as long in an emulated machine (`FASTBRIDGE_PATIENCE`), at most.
const FOLLOW_AT_MOST: u32 = 3;

/// Runs a whole stream in a lab; see [`Runner`].
pub fn run(lab: &Lab, stream: &Stream) -> Result<Outcome> {
    let mut runner = Runner::new(lab)?;
    stream.steps.iter().try_for_each(|step| runner.step(step))?;
    runner.finish()
}

/// A run that is under way: step by step, so that a test can change the lab in between.
#[derive(Debug)]
pub struct Runner<'a> {
    lab: &'a Lab,
    ports: Vec<Port>,
    tagging: Vec<Tagging>,
    down: BTreeSet<usize>,
    sentinels: Round,
    model: Model,
    in_batch: usize,
    round: u32,
}

#[derive(Debug)]
struct Port {
    name: String,
    mac: Mac,
    tap: Tap,
    left: BTreeMap<Vec<u8>, usize>,
    entered: u64,
}

impl<'a> Runner<'a> {
    /// Opens every machine of the lab, in order, and teaches the bridge their own MACs. Build the lab of raw ports: a machine with
    /// an IP stack answers by itself.
    pub fn new(lab: &'a Lab) -> Result<Self> {
        let ports = lab.machines().iter().map(|machine| {
            let tap = Tap::open(machine.netns(), "eth0")?;
            Ok(Port { name: machine.port().into(), mac: machine.mac(), tap, left: BTreeMap::new(), entered: 0 })
        });
        let tagging: Vec<_> = lab.machines().iter().map(|machine| lab.tagging(machine)).collect();
        let mut runner = Self {
            lab,
            ports: ports.collect::<Result<_>>()?,
            down: BTreeSet::new(),
            sentinels: Round::plan(&tagging, &BTreeSet::new()),
            model: Model::new(&tagging),
            tagging,
            in_batch: 0,
            round: 0,
        };
        runner.barrier()?;
        Ok(runner)
    }

    /// Takes one step.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Frame(entry) => self.inject(entry),
            Step::Change(change) => self.change(*change),
        }
    }

    /// Injects one frame, after a barrier if its order matters.
    pub fn inject(&mut self, entry: &Entry) -> Result<()> {
        if self.in_batch >= BATCH_MAX || self.model.needs_barrier(entry) {
            self.barrier()?;
        }
        let count = self.ports.len();
        let port = self.ports.get_mut(entry.port).ok_or_else(|| {
            Error::Invalid(format!("the stream names port {}, the lab has {count} machines", entry.port))
        })?;
        port.tap.send(&entry.frame)?;
        port.entered += 1;
        self.model.note(entry);
        self.in_batch += 1;
        Ok(())
    }

    /// Changes the bridge or a link between two barriers, and waits until fastbridge, if there is one, has followed.
    fn change(&mut self, change: Change) -> Result<()> {
        self.barrier()?;
        if let Change::Down(at, End::Machine) = change {
            // A socket on an interface that is set down only tells of that.
            self.ports[at].check_losses()?;
        }
        change.apply(self.lab)?;
        std::thread::sleep(FOLLOW * patience().min(FOLLOW_AT_MOST));
        match change {
            Change::Flush => self.model.forget_all(),
            Change::Down(at, _) => {
                self.model.forget(at);
                self.down.insert(at);
            }
            Change::Up(at, end) => {
                self.down.remove(&at);
                if end == End::Machine {
                    self.ports[at].tap = Tap::open(self.lab.machines()[at].netns(), "eth0")?;
                }
            }
        }
        self.sentinels = Round::plan(&self.tagging, &self.down);
        self.barrier()
    }

    /// Waits until all that was injected has come out, and until the bridge acts on all it has learned.
    ///
    /// # Errors
    /// `Error::Timeout` when a sentinel does not arrive everywhere: a port is down, isolated or loses frames.
    pub fn barrier(&mut self) -> Result<()> {
        for _ in 0..ROUNDS {
            self.round += 1;
            for &(at, vid) in &self.sentinels.senders {
                let port = &mut self.ports[at];
                port.tap.send(&sentinel::frame(port.mac, vid, self.round, at))?;
                port.entered += 1;
            }
            for (port, &wanted) in self.ports.iter_mut().zip(&self.sentinels.expected) {
                port.collect(self.round, wanted)?;
            }
        }
        self.lab.settle()?;
        self.model.barrier(self.ports.iter().map(|port| port.mac).enumerate());
        self.in_batch = 0;
        Ok(())
    }

    /// A last barrier, then the outcome.
    ///
    /// # Errors
    /// Also when a capture lost frames: the outcome would be worthless.
    pub fn finish(mut self) -> Result<Outcome> {
        self.barrier()?;
        let mut outcome = Outcome::default();
        for port in self.ports {
            port.check_losses()?;
            outcome.entered.insert(port.name.clone(), port.entered);
            outcome.left.insert(port.name, port.left);
        }
        Ok(outcome)
    }
}

impl Port {
    /// An error if the capture lost frames since the last time.
    fn check_losses(&self) -> Result<()> {
        match self.tap.lost()? {
            0 => Ok(()),
            lost => Err(Error::Invalid(format!("the capture behind {} lost {lost} frames", self.name))),
        }
    }

    /// Keeps frames until `wanted` sentinels of this round have come.
    fn collect(&mut self, round: u32, wanted: usize) -> Result<()> {
        let end = Instant::now() + BARRIER_LIMIT;
        let mut seen = 0;
        while seen < wanted {
            let Some(frame) = self.tap.receive(end.saturating_duration_since(Instant::now()))? else {
                let what = format!("all {wanted} sentinels of round {round} leave {} ({seen} did)", self.name);
                return Err(Error::Timeout { what, seconds: BARRIER_LIMIT.as_secs() });
            };
            match sentinel::round_of(&frame) {
                Some(of) if of == round => seen += 1,
                Some(of) => {
                    return Err(Error::Invalid(format!("{}: a sentinel of round {of} in round {round}", self.name)));
                }
                None => *self.left.entry(frame).or_default() += 1,
            }
        }
        Ok(())
    }
}
