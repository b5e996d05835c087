//! What a person watching sees: a progress line at the bottom, and above it headings, tables and lines that held or did not.
//!
//! Must not: decide anything. On anything but a terminal the progress line is left out and the rest stays.

use std::{cell::RefCell, time::Duration};

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use crate::interrupt;

/// Collects what held and what did not.
pub(super) struct Report {
    bar: ProgressBar,
    lines: RefCell<Lines>,
}

#[derive(Default)]
struct Lines {
    held: usize,
    broken: Vec<String>,
    heading: String,
}

impl Report {
    /// For about that many steps.
    pub(super) fn new(steps: u64) -> Self {
        let bar = ProgressBar::new(steps);
        if let Ok(style) = ProgressStyle::with_template("{spinner} [{elapsed_precise}] {bar:30} {pos}/{len} {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, lines: RefCell::default() }
    }

    /// Says what comes next.
    ///
    /// # Errors
    /// When the person at the keyboard has interrupted: nothing next shall begin.
    pub(super) fn step(&self, what: impl Into<String>) -> Result<()> {
        interrupt::check()?;
        self.bar.inc(1);
        self.bar.set_message(what.into());
        Ok(())
    }

    /// Begins a part.
    pub(super) fn heading(&self, title: &str) {
        title.clone_into(&mut self.lines.borrow_mut().heading);
        self.print(&format!("\n== {title}"));
    }

    /// One line of the proof.
    pub(super) fn line(&self, held: bool, text: &str) {
        let mut lines = self.lines.borrow_mut();
        if held {
            lines.held += 1;
        } else {
            let broken = format!("{}: {text}", lines.heading);
            lines.broken.push(broken);
        }
        self.print(&format!("  {} {text}", mark(held)));
    }

    /// A remark that is neither held nor broken.
    pub(super) fn note(&self, text: &str) {
        self.print(&format!("    {text}"));
    }

    /// A table under a title.
    pub(super) fn table(&self, title: &str, header: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header).add_rows(rows);
        self.print(&format!("\n  {title}\n{}", indented(&table.to_string())));
    }

    /// The last word.
    ///
    /// # Errors
    /// When any line did not hold.
    pub(super) fn finish(self) -> Result<()> {
        self.bar.finish_and_clear();
        let lines = self.lines.take();
        let all = lines.held + lines.broken.len();
        println!("\n{} {} of {all} lines held", mark(lines.broken.is_empty()), lines.held);
        if lines.broken.is_empty() {
            return Ok(());
        }
        bail!("these did not hold:\n  {}", lines.broken.join("\n  "));
    }

    fn print(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A check mark or a cross.
pub(super) const fn mark(held: bool) -> char {
    if held { '✓' } else { '✗' }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_broken_line_breaks_the_run_and_is_named() {
        let report = Report::new(1);
        report.line(true, "fine");
        report.heading("Part");
        report.line(false, "not so");
        assert!(report.finish().unwrap_err().to_string().contains("Part: not so"));
        let report = Report::new(1);
        report.line(true, "fine");
        report.finish().unwrap();
    }
}
