//! The last good word of a source that may fall silent, and what it is worth. A failure never replaces a good word.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Whether the snapshot is the source's word of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Connected; the source spoke within the last 10 s.
    Current,
    /// Not connected; the snapshot, if any, is as old as this.
    Lost {
        /// Since when.
        since: Instant,
        /// Why, in words.
        why: String,
    },
}

/// The last good snapshot and what it is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<T> {
    /// `None`: never had one.
    pub snapshot: Option<Arc<T>>,
    /// Whether it is current.
    pub health: Health,
}

impl<T: PartialEq> Told<T> {
    /// Nothing told yet, and why.
    pub fn nothing(why: String) -> Self {
        Self { snapshot: None, health: Health::Lost { since: Instant::now(), why } }
    }

    /// How long ago the snapshot was last known to be true (up to 10 s more when the source fell silent rather than closed the connection).
    pub fn age(&self) -> Duration {
        match &self.health {
            Health::Current => Duration::ZERO,
            Health::Lost { since, .. } => since.elapsed(),
        }
    }

    /// A good snapshot came; readers are woken if it says something new.
    pub(super) fn good(state: &watch::Sender<Self>, snapshot: T) {
        state.send_if_modified(|state| {
            let same = state.health == Health::Current && state.snapshot.as_deref() == Some(&snapshot);
            if !same {
                *state = Self { snapshot: Some(Arc::new(snapshot)), health: Health::Current };
            }
            !same
        });
    }

    /// The source is lost. The time stays until it is current again; another reason wakes the readers.
    pub(super) fn lost(state: &watch::Sender<Self>, why: String) {
        state.send_if_modified(|state| {
            let since = match &state.health {
                Health::Current => Instant::now(),
                Health::Lost { since, .. } => *since,
            };
            let health = Health::Lost { since, why };
            let changed = state.health != health;
            state.health = health;
            changed
        });
    }
}
