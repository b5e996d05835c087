//! The model's clock and the kernel's.

use bridge_tests::model::Setup;
use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC_COARSE, as `bpf_ktime_get_coarse_ns` gives it.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).unwrap();
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// One moment on the model's clock and on the kernel's.
#[derive(Clone, Copy)]
pub struct Clock {
    pub model: u64,
    pub kernel: u64,
}

impl Clock {
    /// 0 stays 0: never.
    pub fn to_kernel(self, time: u64) -> u64 {
        if time == 0 {
            0
        } else {
            (time + self.kernel).checked_sub(self.model).expect("older than this machine's boot")
        }
    }

    /// What the program wrote while it ran is the model's now.
    pub fn to_model(self, time: u64) -> u64 {
        if time == 0 { 0 } else { self.model - self.kernel.saturating_sub(time) }
    }
}

/// The oldest time in the tables, as an age: a kernel that booted later cannot show it.
pub fn oldest_age(setup: &Setup) -> u64 {
    let times = setup.stations.values().map(|s| s.seen_ns).chain(setup.flows.values().map(|f| f.seen_ns));
    times.filter(|time| *time != 0).map(|time| setup.now_ns - time).max().unwrap_or(0)
}
