//! When everything is looked at again, though nothing that must be looked at at once has happened.

use std::time::{Duration, Instant};

/// For what no event told, or what was told and got lost.
const LONGEST: Duration = Duration::from_secs(10);

/// The next look.
#[derive(Debug)]
pub(super) struct Due {
    looked: Instant,
    soon: bool,
}

impl Due {
    /// After a look at `now`.
    pub(super) fn after(now: Instant) -> Self {
        Self { looked: now, soon: false }
    }

    /// Something has happened that a look must see, at the next beat.
    pub(super) fn soon(&mut self) {
        self.soon = true;
    }

    /// Whether to look.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.soon || now.saturating_duration_since(self.looked) >= LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_due_when_something_happened_or_the_last_one_is_old() {
        let start = Instant::now();
        let mut due = Due::after(start);
        assert!(!due.is_due(start) && !due.is_due(start + LONGEST - Duration::from_millis(1)));
        assert!(due.is_due(start + LONGEST));
        due.soon();
        due.soon();
        assert!(due.is_due(start));
        assert!(!Due::after(start).is_due(start));
    }
}
