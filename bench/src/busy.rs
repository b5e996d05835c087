//! Time that all cores of this machine have worked, whoever for: what a path costs its host where its work is spread over programs, interrupts and
//! kernel threads. On a machine that does nothing else it is the path's.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use nix::unistd::{SysconfVar, sysconf};

/// The time so far; only differences mean something.
pub(crate) fn all_cores() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let ticks = worked(&text).context("/proc/stat has no line for all cores")?;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel's ticks per second")?;
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Ticks of the first line (proc(5)): user, nice, system, irq and softirq; not idle, iowait, what the hypervisor took, nor what guests
/// took, which is in user already.
fn worked(stat: &str) -> Option<u64> {
    let mut words = stat.lines().next()?.split_ascii_whitespace();
    (words.next()? == "cpu").then_some(())?;
    let fields: Vec<u64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    Some([0, 1, 2, 5, 6].into_iter().filter_map(|at| fields.get(at)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_stolen_and_guest_time_is_no_work() {
        assert_eq!(worked("cpu  1 20 300 4000 50000 600000 7000000 80000000 900000000 0\ncpu0 1\n"), Some(7_600_321));
        assert_eq!(worked("cpu0 1 2 3 4 5 6 7 8 9 0\n"), None);
        assert_eq!(worked("cpu 1 two\n"), None);
    }
}
