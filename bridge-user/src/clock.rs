//! The one clock: CLOCK_MONOTONIC, as the kernel programs read it.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since boot, suspend not counted.
pub fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}
