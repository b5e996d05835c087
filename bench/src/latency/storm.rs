//! Two more machines on the same bridge, of which one floods the other: bursts of small frames that the kernel makes, at a rate, on the highest
//! core. What they go through on their way runs there too, in softirq, as it does with frames of a NIC.
//!
//! Must not: keep a thread with real-time priority from that core for anything but those frames.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bridge_tests::{lab::Machine, netns::Netns, wait_until};
use nix::{
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::{Pid, getpid, gettid},
};

use crate::{
    cores,
    flood::Flooded,
    frames::{self, Variety},
    programs::{Generator, Sink},
};

/// Of one calibration.
const FRAMES: u32 = 1 << 17;
const BEGINS: Duration = Duration::from_secs(2);
/// Between two signals, should one come before the system call that it is to end.
const AGAIN: Duration = Duration::from_millis(2);
const END: Signal = Signal::SIGUSR2;

/// The two machines.
pub(super) struct Storm {
    there: Vec<u8>,
    sink: Sink,
}

impl Storm {
    /// From one machine to another, both known to what is between them from now on.
    pub(super) fn between(from: &Machine, to: &Machine) -> Result<Self> {
        let there = frames::udp(from.mac(), to.mac(), frames::FROM, frames::TO);
        let back = frames::udp(to.mac(), from.mac(), frames::TO, frames::FROM);
        for _ in 0..3 {
            Generator::new(to.netns(), back.clone(), Variety::None)?.send(to.netns(), cores::highest(), 1)?;
            Generator::new(from.netns(), there.clone(), Variety::None)?.send(from.netns(), cores::highest(), 1)?;
        }
        Ok(Self { there, sink: Sink::attach(to.netns())? })
    }

    /// Frames per second that arrive when the core does nothing else.
    pub(super) fn most(&self, from: &Netns) -> Result<f64> {
        let mut generator = Generator::new(from, self.there.clone(), Variety::None)?;
        let before = self.sink.taken()?;
        let took = generator.send(from, cores::highest(), FRAMES)?;
        Ok((self.sink.taken()? - before) as f64 / took.as_secs_f64())
    }

    /// Floods at this rate while `work` goes on.
    pub(super) fn during<T>(&self, from: &Netns, rate: f64, work: impl FnOnce() -> Result<T>) -> Result<(T, Flooded)> {
        ends_a_system_call()?;
        let mut generator = Generator::in_bursts(from, self.there.clone(), rate)?;
        let bursts = generator.bursts()?;
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let sender = scope.spawn(move || -> Result<()> {
                generator.send_bursts(from, cores::highest(), || {
                    let _nobody_waits = tell.send(gettid());
                })
            });
            let thread = told.recv();
            let measured = || -> Result<_> {
                let before = self.sink.taken()?;
                wait_until("the flood arrives", BEGINS, || self.sink.taken().is_ok_and(|taken| taken > before))?;
                let (begin, arrived, sent) = (Instant::now(), self.sink.taken()?, bursts.sent()?);
                let result = work()?;
                let (arrived, sent) = (self.sink.taken()? - arrived, bursts.sent()? - sent);
                Ok((result, Flooded { sent, arrived, took: begin.elapsed() }))
            };
            let measured = measured();
            if let Ok(thread) = thread {
                end(thread, || sender.is_finished());
            }
            match sender.join() {
                Ok(ended) => ended.and(measured),
                Err(_) => bail!("the flood was lost"),
            }
        })
    }
}

/// Signals this thread of ours until it is over.
fn end(thread: Pid, is_over: impl Fn() -> bool) {
    while !is_over() {
        // SAFETY: numbers only. Should the thread have ended meanwhile, nobody gets it.
        unsafe { libc::syscall(libc::SYS_tgkill, getpid().as_raw(), thread.as_raw(), END as i32) };
        thread::sleep(AGAIN);
    }
}

/// The signal does nothing but that.
fn ends_a_system_call() -> Result<()> {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(END, &action) }.context("no handler for a signal")?;
    Ok(())
}
