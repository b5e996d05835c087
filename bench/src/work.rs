//! Time that a core has worked for us: this thread's and that core's ksoftirqd's. On an idle machine it is the time that passes;
//! beside other work it is still what a frame costs.

use std::{fs, sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

/// The time so far; only differences mean something.
pub(crate) fn on(cpu: usize) -> Result<Duration> {
    let thread = Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?);
    Ok(thread + softirq(cpu)?)
}

fn softirq(cpu: usize) -> Result<Duration> {
    static PID: OnceLock<Option<u32>> = OnceLock::new();
    let Some(pid) = PID.get_or_init(|| find(cpu)) else { return Ok(Duration::ZERO) };
    // Its first field is the time on a core, in nanoseconds (Documentation/scheduler/sched-stats.rst).
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).context("ksoftirqd's run time")?;
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok()).context("ksoftirqd's run time")?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// `None` in a container that hides kernel threads.
fn find(cpu: usize) -> Option<u32> {
    let name = format!("ksoftirqd/{cpu}");
    let pids =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name))
}
