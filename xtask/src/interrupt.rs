//! Ctrl-C, SIGTERM and SIGHUP as an ordinary error at the next step, so that everything built so far is dropped, and thereby taken down.
//!
//! Must not: end the process itself. Children of the terminal's process group get their own signal and end the step they are in.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static SEEN: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: i32) {
    SEEN.store(true, Ordering::Relaxed);
}

/// From here on a signal is noted instead of ending the process.
pub(crate) fn watch() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler stores into an atomic and does nothing else, so it may interrupt anything.
        unsafe { sigaction(signal, &action) }.context("signals cannot be watched")?;
    }
    Ok(())
}

/// Whether one has come.
pub(crate) fn seen() -> bool {
    SEEN.load(Ordering::Relaxed)
}

/// An error once a signal has come: what a step asks before it begins.
pub(crate) fn check() -> Result<()> {
    if seen() {
        bail!("interrupted");
    }
    Ok(())
}
