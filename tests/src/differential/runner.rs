//! Feeds a stream into a lab, with barriers where the order matters, and collects what comes out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::model::Model;
use super::{Outcome, Step, Stream};
use crate::Mac;
use crate::capture::Tap;
use crate::error::{Error, Result};
use crate::frame::{Arp, BROADCAST, Eth, pad};
use crate::lab::Lab;

/// No more frames than this between barriers: fits every queue on the way, of which AF_PACKET's default buffer is the smallest.
const BATCH_MAX: usize = 64;
const BARRIER_LIMIT: Duration = Duration::from_secs(5);
/// Second round: a frame that a redirect holds back until the end of a poll cycle has left by then, and a sentinel's MAC that the
/// stream has moved is back.
const ROUNDS: usize = 2;
/// Marks a sentinel, in the padding behind its ARP body.
const MAGIC: &[u8; 6] = b"fbsync";
const MAGIC_AT: usize = 14 + 28;

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
        let mut runner =
            Self { lab, ports: ports.collect::<Result<_>>()?, model: Model::default(), in_batch: 0, round: 0 };
        runner.barrier()?;
        Ok(runner)
    }

    /// Injects one frame, after a barrier if its order matters.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        if self.in_batch >= BATCH_MAX || self.model.needs_barrier(step) {
            self.barrier()?;
        }
        let count = self.ports.len();
        let port = self.ports.get_mut(step.port).ok_or_else(|| {
            Error::Invalid(format!("the stream names port {}, the lab has {count} machines", step.port))
        })?;
        port.tap.send(&step.frame)?;
        port.entered += 1;
        self.model.note(step);
        self.in_batch += 1;
        Ok(())
    }

    /// Waits until all that was injected has come out, and until the bridge acts on all it has learned.
    ///
    /// # Errors
    /// `Error::Timeout` when a sentinel does not arrive everywhere: a port is down, isolated or loses frames.
    pub fn barrier(&mut self) -> Result<()> {
        for _ in 0..ROUNDS {
            self.round += 1;
            for at in 0..self.ports.len() {
                let frame = sentinel(self.ports[at].mac, self.round, at);
                self.ports[at].tap.send(&frame)?;
                self.ports[at].entered += 1;
            }
            let others = self.ports.len().saturating_sub(1);
            let round = self.round;
            self.ports.iter_mut().try_for_each(|port| port.collect(round, others))?;
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
            match port.tap.lost()? {
                0 => {}
                lost => return Err(Error::Invalid(format!("the capture behind {} lost {lost} frames", port.name))),
            }
            outcome.entered.insert(port.name.clone(), port.entered);
            outcome.left.insert(port.name, port.left);
        }
        Ok(outcome)
    }
}

impl Port {
    /// Keeps frames until `wanted` sentinels of this round have come.
    fn collect(&mut self, round: u32, wanted: usize) -> Result<()> {
        let end = Instant::now() + BARRIER_LIMIT;
        let mut seen = 0;
        while seen < wanted {
            let Some(frame) = self.tap.receive(end.saturating_duration_since(Instant::now()))? else {
                let what = format!("all {wanted} sentinels of round {round} leave {} ({seen} did)", self.name);
                return Err(Error::Timeout { what, seconds: BARRIER_LIMIT.as_secs() });
            };
            match round_of(&frame) {
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

/// An ARP probe (RFC 5227: sender 0.0.0.0, so that it passes every guard that knows the port's own MAC) for 203.0.113.254.
fn sentinel(mac: Mac, round: u32, port: usize) -> Vec<u8> {
    let mut frame = Eth::new(BROADCAST, mac).arp(&Arp::request(mac, [0; 4], [203, 0, 113, 254]));
    frame.extend(MAGIC);
    frame.extend(round.to_be_bytes());
    frame.push(port as u8);
    pad(frame, 60)
}

/// The round, if this is a sentinel.
fn round_of(frame: &[u8]) -> Option<u32> {
    let rest = frame.get(MAGIC_AT..)?.strip_prefix(MAGIC)?;
    Some(u32::from_be_bytes(rest.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_is_recognized_and_nothing_else() {
        let frame = sentinel([2, 0, 0, 0, 0, 1], 7, 3);
        assert_eq!((frame.len(), round_of(&frame)), (60, Some(7)));
        assert_eq!(round_of(&frame[..48]), None);
        assert_eq!(round_of(&[0; 60]), None);
    }
}
