//! How the loop stands: what is told to the log (once) and to the metrics endpoint.

use std::{sync::PoisonError, time::Instant};

use tracing::{error, info, warn};

use super::round::Manager;
use crate::metrics::{Reconcile, ReconcileState};

/// What a round that could look and act came to: what it leaves undone, or what is wrong.
pub(super) type Outcome = Result<Vec<String>, String>;

/// A round after which there is nothing to do until something changes.
pub(super) struct Rest {
    /// Of the inputs that it was made from.
    pub(super) version: u64,
    pub(super) outcome: Outcome,
}

/// What the metrics endpoint tells of the loop.
#[derive(Debug)]
pub(super) struct Progress {
    state: ReconcileState,
    last_success: Option<Instant>,
    failures: u64,
}

impl Progress {
    /// Before the first round.
    pub(super) fn starting() -> Self {
        Self { state: ReconcileState::Starting, last_success: None, failures: 0 }
    }

    pub(super) fn tell(&self) -> Reconcile {
        Reconcile {
            state: self.state,
            last_success_age_seconds: self.last_success.map(|at| at.elapsed().as_secs_f64()),
            failures: self.failures,
        }
    }
}

impl Manager {
    /// Tells what a round came to.
    pub(super) fn tell(&mut self, outcome: Outcome) {
        match outcome {
            Ok(notes) => self.succeeded(&notes),
            Err(error) => self.failed(&error),
        }
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&mut self, notes: &[String]) {
        {
            let mut progress = self.progress();
            progress.state = ReconcileState::InSync;
            progress.last_success = Some(Instant::now());
        }
        if !self.told.is_empty() && notes.is_empty() {
            info!("all is well again");
        }
        let text = notes.join("; ");
        if !notes.is_empty() && self.told != text {
            warn!("{text}");
        }
        self.told = text;
    }

    /// A round, or a look before it, failed.
    pub(super) fn failed(&mut self, text: &str) {
        {
            let mut progress = self.progress();
            progress.state = ReconcileState::Failing;
            progress.failures += 1;
        }
        if self.told != text {
            error!("{text}");
            self.told = text.into();
        }
    }
}
