//! A machine that sends to another one at a rate: one small frame after the other, each by a system call of its own, as a
//! guest's tap gets them. Counted at both ends.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use bridge_tests::{Error, capture::Tap, lab::Machine};
use nix::errno::Errno;

use crate::{cores, frames, programs::Sink};

/// Frames between two looks at the clock.
const FEW: u64 = 16;
/// What is sent at once after a pause that was too long, at most: nobody makes up for a second.
const BACKLOG: Duration = Duration::from_millis(5);

/// Whatever is on the way when the last one was sent has arrived, or never will.
const SETTLE: Duration = Duration::from_millis(5);

/// The two machines.
pub(crate) struct Flood {
    from: Tap,
    there: Vec<u8>,
    to: Tap,
    back: Vec<u8>,
    sink: Sink,
}

/// What a while of it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flooded {
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
    pub(crate) took: Duration,
}

impl Flooded {
    /// Frames per second that were sent.
    pub(crate) fn rate(&self) -> f64 {
        self.sent as f64 / self.took.as_secs_f64()
    }

    /// The share of them that arrived.
    pub(crate) fn share(&self) -> f64 {
        self.arrived as f64 / self.sent as f64
    }
}

impl Flood {
    /// From one machine to another.
    pub(crate) fn between(from: &Machine, to: &Machine) -> Result<Self> {
        Ok(Self {
            from: Tap::open(from.netns(), "eth0")?,
            there: frames::udp(from.mac(), to.mac(), frames::FROM, frames::TO),
            to: Tap::open(to.netns(), "eth0")?,
            back: frames::udp(to.mac(), from.mac(), frames::TO, frames::FROM),
            sink: Sink::attach(to.netns())?,
        })
    }

    /// A few frames each way, so that both are known to what is between them.
    pub(crate) fn introduce(&self) -> Result<()> {
        for _ in 0..3 {
            self.to.send(&self.back)?;
            self.from.send(&self.there)?;
        }
        Ok(())
    }

    /// Sends at this rate, on the highest core, while `work` goes on.
    pub(crate) fn during<T>(&self, rate: f64, work: impl FnOnce() -> Result<T>) -> Result<(T, Flooded)> {
        let ended = AtomicBool::new(false);
        let (from, frame, before) = (&self.from, &self.there, self.sink.taken()?);
        let (result, sent) = thread::scope(|scope| {
            let sender = scope.spawn(|| send(from, frame, rate, &ended));
            let result = work();
            ended.store(true, Ordering::Relaxed);
            (result, sender.join())
        });
        let (sent, took) = sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        thread::sleep(SETTLE);
        Ok((result?, Flooded { sent, arrived: self.sink.taken()? - before, took }))
    }
}

/// Frames that were sent until the end, and how long that took.
fn send(from: &Tap, frame: &[u8], rate: f64, ended: &AtomicBool) -> Result<(u64, Duration)> {
    cores::pin(cores::highest())?;
    let begin = Instant::now();
    let (mut sent, mut skipped) = (0, 0.0);
    while !ended.load(Ordering::Relaxed) {
        let late = begin.elapsed().as_secs_f64() * rate - sent as f64 - skipped;
        if late < 0.0 {
            thread::sleep(Duration::from_secs_f64(-late / rate));
            continue;
        }
        let backlog = BACKLOG.as_secs_f64() * rate;
        if late > backlog {
            skipped += late - backlog;
        }
        for _ in 0..FEW {
            match from.send(frame) {
                // A queue on the way is full: sent and lost, like any other that does not arrive.
                Err(Error::Io { source, .. }) if source.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
                tried => tried?,
            }
        }
        sent += FEW;
    }
    Ok((sent, begin.elapsed()))
}
