//! The decision on the host: ordinary maps behind `decide`'s traits, filled from plain data, with the counters that the
//! kernel programs would move. The same [`Setup`] fills the kernel's maps in `tests/prog_*`.
//!
//! Must not decide anything itself: verdicts come from `bridge_common::decide`, expectations from the cases.

mod counts;
pub mod fuzz;
mod setup;
mod tables;

pub use counts::Counts;
pub use setup::{Generation, Setup};
pub use tables::{Action, HostTables};
