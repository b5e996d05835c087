//! What happens now, on stderr; nothing where stderr is no terminal but one line for each step.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for the part that runs.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    terminal: bool,
}

impl Progress {
    /// Starts with nothing to do.
    pub(crate) fn start() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{spinner} [{elapsed_precise}] {bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        if terminal {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, terminal }
    }

    /// A part begins that has `steps` steps.
    pub(crate) fn part(&self, what: &str, steps: usize) {
        self.bar.set_length(steps as u64);
        self.bar.set_position(0);
        self.say(what);
    }

    /// The next step begins.
    pub(crate) fn step(&self, what: &str) {
        self.bar.inc(1);
        self.bar.set_message(what.to_owned());
    }

    /// Something worth a line of its own where there is no bar.
    pub(crate) fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        if !self.terminal {
            eprintln!("{what}");
        }
    }

    /// Nothing more to come.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
