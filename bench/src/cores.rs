//! Which core a thread of ours runs on. Must not: leave a thread that is not ours pinned.

use std::thread;

use anyhow::Result;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// The highest core: the lower ones serve most interrupts.
pub(crate) fn highest() -> usize {
    thread::available_parallelism().map_or(0, |cores| cores.get() - 1)
}

/// The calling thread runs on this core only, from now on.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}
