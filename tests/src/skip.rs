//! Tests that this kernel has not what they need: skipped is a result of its own, and never a pass.
//!
//! libtest knows no test that finds out by itself that it cannot run: it will say `ok`. Such a test therefore says so on a line of its own
//! that libtest cannot capture, and whoever counts (`cargo xtask test`, `cargo xtask vm`) takes it out of the passed ones.

use std::io::Write as _;

use crate::lab::{SlowPath, kernel};

/// How such a line begins; the test's name and the reason follow, each after a colon.
pub const MARK: &str = "SKIP: ";

/// Whether the calling test must not go on, because this kernel lacks the slow path; it is then told as skipped.
///
/// # Panics
/// When it cannot be found out: no reason to skip.
#[must_use]
pub fn without(slow_path: SlowPath) -> bool {
    let lacking = slow_path.lacking().unwrap_or_else(|error| panic!("is {} there? {error}", slow_path.name()));
    lacking.is_some_and(say)
}

/// Whether the calling test must not go on, because this kernel has no tcx (before Linux 6.6); it is then told as skipped.
///
/// # Panics
/// As [`without`].
#[must_use]
pub fn without_tcx() -> bool {
    kernel().unwrap_or_else(|error| panic!("which kernel? {error}")) < (6, 6) && say("the kernel has no tcx")
}

/// The calling test is skipped, and why. True, for `if`.
pub fn say(reason: &str) -> bool {
    let thread = std::thread::current();
    // Straight to stdout, which libtest captures only where it is written by macros; it may be in the middle of a line of its own.
    let line = format!("\n{MARK}{}: {reason}\n", thread.name().unwrap_or("a test"));
    let mut out = std::io::stdout();
    // Without a reader there is nobody to be misled.
    let _gone = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    true
}
