//! Which core a thread of ours runs on. Must not: leave a thread that is not ours pinned.

use std::thread;

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// The highest core: the lower ones serve most interrupts.
pub(crate) fn highest() -> usize {
    thread::available_parallelism().map_or(0, |cores| cores.get() - 1)
}

/// The calling thread runs before all without real-time priority, from now on.
pub(crate) fn go_first() -> Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: a valid pointer for the length of the call; 0 is this thread.
    let failed = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    Errno::result(failed).context("no real-time priority (SCHED_FIFO) here: is it forbidden in this control group?")?;
    Ok(())
}

/// The calling thread runs on this core only, from now on.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}
