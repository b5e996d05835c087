//! What was found, as a table, as JSON, and as pages. Judges figures against what is required; measures nothing.

mod chart;
mod html;
mod row;
mod table;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Serialize;

use self::row::Outcome;
pub(crate) use self::row::{Bound, Row};
use crate::host::Host;

const HEADER: [&str; 5] = ["what", "median", "min to max", "required", "result"];
/// How figures came to be.
const HOW: &str =
    "Ratios are medians over rounds in which the paths take turns; the absolute numbers belong to this machine.";

/// Files that a report is written to besides the terminal.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// Write every figure there too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table as a Markdown page there too.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write tables and charts there too, as one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Files {
    /// Finds out before minutes of measuring whether they can be written; an old file stays as it is.
    ///
    /// # Errors
    /// One cannot.
    pub(crate) fn check(&self) -> Result<()> {
        for path in [&self.json, &self.markdown, &self.html].into_iter().flatten() {
            File::options().append(true).create(true).open(path).with_context(|| cannot_write(path))?;
        }
        Ok(())
    }

    /// Writes them.
    ///
    /// # Errors
    /// One cannot be written.
    pub(crate) fn write(&self, report: &Report) -> Result<()> {
        let write = |path: &Path, text: String| fs::write(path, text).with_context(|| cannot_write(path));
        if let Some(path) = &self.json {
            write(path, serde_json::to_string_pretty(report)?)?;
        }
        if let Some(path) = &self.markdown {
            write(path, report.markdown())?;
        }
        if let Some(path) = &self.html {
            write(path, report.html()?)?;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// Everything that one run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    host: Host,
    pub(crate) rows: Vec<Row>,
    /// Parts that broke off, and why.
    failed: Vec<String>,
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new(host: Host) -> Self {
        Self { host, rows: Vec::new(), failed: Vec::new() }
    }

    /// Notes how a part ended; the rows since the last one are its rows, as far as it got.
    pub(crate) fn part(&mut self, name: &str, ended: Result<()>) {
        for row in self.rows.iter_mut().filter(|row| row.part.is_empty()) {
            name.clone_into(&mut row.part);
        }
        if let Err(error) = ended {
            self.failed.push(format!("{name}: {error:#}"));
        }
        // Whoever compares two runs finds a row by these two.
        let mut seen = BTreeSet::new();
        let names = self.rows.iter().filter(|row| row.part == name).map(|row| &row.what);
        let twice = names.filter(|what| !seen.insert(*what));
        self.failed.extend(twice.map(|what| format!("{name}: two rows are called {what:?}")));
    }

    /// The names of the parts, each once.
    fn parts(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.rows.iter().map(|row| row.part.as_str()).collect();
        names.dedup();
        names
    }

    /// How many figures are what is required.
    fn standing(&self) -> String {
        let [met, not_met] = [Outcome::Met, Outcome::NotMet].map(|outcome| self.count(|other| *other == outcome));
        let skipped = self.count(|outcome| matches!(outcome, Outcome::Skip(_)));
        format!("Of what is required, {met} met, {not_met} NOT MET; {skipped} skipped.")
    }

    /// # Errors
    /// A part broke off. Figures that miss what is required are told, but are no error: a busy machine is no defect.
    pub(crate) fn complete(&self) -> Result<()> {
        match self.failed.len() {
            0 => Ok(()),
            broken => bail!("{broken} part(s) of the benchmark could not be finished"),
        }
    }

    /// How many rows stand so.
    fn count(&self, outcome: impl Fn(&Outcome) -> bool) -> usize {
        self.rows.iter().filter(|row| outcome(&row.outcome)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_of_a_part_with_one_name_are_a_fault() {
        let mut report = Report::new(Host::example("word"));
        for part in ["one", "other"] {
            report.rows.push(Row::skip("the same", "why"));
            report.part(part, Ok(()));
        }
        assert!(report.complete().is_ok(), "{:?}", report.failed);
        report.rows.extend(["twice", "twice"].map(|what| Row::skip(what, "why")));
        report.part("third", Ok(()));
        assert_eq!(report.failed, ["third: two rows are called \"twice\""]);
    }
}
