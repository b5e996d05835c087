//! What was found, as a table, as JSON and as a page. Judges figures against what is required; measures nothing.

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::{
    host::Host,
    stats::{Spread, spread},
};

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    AtLeast(f64),
    Below(f64),
    Exactly(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::Below(bound) => figure < bound,
            Self::Exactly(bound) => figure == bound,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(bound) => format!("at least {bound} {unit}"),
            Self::Below(bound) => format!("under {bound} {unit}"),
            Self::Exactly(bound) => format!("{bound} {unit}"),
        }
    }
}

/// How a figure stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Nothing is required of it.
    Told,
    /// What is required holds for the median.
    Met,
    /// It does not.
    NotMet,
    /// Not measured, and why: what it is compared with is not there.
    Skip(String),
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    what: String,
    unit: String,
    figure: Option<Spread>,
    required: Option<Bound>,
    outcome: Outcome,
    note: String,
}

impl Row {
    /// A figure of which nothing is required yet.
    pub(crate) fn figure(what: &str, unit: &str, samples: &[f64]) -> Self {
        let figure = spread(samples);
        let outcome = if figure.is_some() { Outcome::Told } else { Outcome::Skip("no round gave a figure".into()) };
        Self { what: what.into(), unit: unit.into(), figure, required: None, outcome, note: String::new() }
    }

    /// Something that cannot be measured here.
    pub(crate) fn skip(what: &str, why: &str) -> Self {
        Self { outcome: Outcome::Skip(why.into()), ..Self::figure(what, "", &[]) }
    }

    /// Judges the median.
    pub(crate) fn required(mut self, bound: Bound) -> Self {
        self.required = Some(bound);
        if let Some(figure) = self.figure {
            self.outcome = if bound.holds(figure.median) { Outcome::Met } else { Outcome::NotMet };
        }
        self
    }

    /// Adds a remark.
    pub(crate) fn note(mut self, note: String) -> Self {
        self.note = note;
        self
    }

    fn cells(&self) -> [String; 5] {
        let number = |value: f64| if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") };
        let (median, range) = match self.figure {
            Some(f) if f.rounds > 1 => {
                (format!("{} {}", number(f.median), self.unit), format!("{} to {}", number(f.min), number(f.max)))
            }
            Some(f) => (format!("{} {}", number(f.median), self.unit), String::new()),
            None => Default::default(),
        };
        let required = self.required.map(|bound| bound.text(&self.unit)).unwrap_or_default();
        let outcome = match &self.outcome {
            Outcome::Told => self.note.clone(),
            Outcome::Met => remark("met", &self.note),
            Outcome::NotMet => remark("NOT MET", &self.note),
            Outcome::Skip(why) => format!("SKIP: {why}"),
        };
        [self.what.clone(), median, range, required, outcome]
    }
}

fn remark(word: &str, note: &str) -> String {
    if note.is_empty() { word.to_owned() } else { format!("{word}; {note}") }
}

const HEADER: [&str; 5] = ["what", "median", "min to max", "required", ""];

/// Everything that one run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) host: Host,
    pub(crate) rows: Vec<Row>,
    /// Parts that broke off, and why.
    failed: Vec<String>,
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new(host: Host) -> Self {
        Self { host, rows: Vec::new(), failed: Vec::new() }
    }

    /// Notes how a part ended; its rows are there as far as it got.
    pub(crate) fn part(&mut self, name: &str, ended: Result<()>) {
        if let Err(error) = ended {
            self.failed.push(format!("{name}: {error:#}"));
        }
    }

    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        self.page(presets::UTF8_HORIZONTAL_ONLY)
    }

    /// As a Markdown page.
    pub(crate) fn markdown(&self) -> String {
        let how = "# Benchmarks\n\nWritten by `cargo xtask bench --markdown docs/benchmarks.md`. Ratios are medians over rounds in \
                   which the paths take turns; the absolute numbers belong to this machine.\n\n";
        format!("{how}{}", self.page(presets::ASCII_MARKDOWN))
    }

    fn page(&self, style: &str) -> String {
        let Host { kernel, machine, cpu, cores, load, fastbridge, iperf3, jit, quick } = &self.host;
        let mut table = Table::new();
        table.load_preset(style).set_header(HEADER).add_rows(self.rows.iter().map(Row::cells));
        let failed: String = self.failed.iter().map(|sentence| format!("\nnot finished: {sentence}\n")).collect();
        format!(
            "{fastbridge}, Linux {kernel} {machine}, {cores} cores ({cpu}), load {load}, BPF JIT {}, {}{}\n\n{table}\n{failed}",
            if *jit { "on" } else { "OFF" },
            iperf3.as_deref().unwrap_or("no iperf3"),
            if *quick { ", quick run" } else { "" },
        )
    }

    /// # Errors
    /// A part broke off. Figures that miss what is required are told, but are no error: a busy machine is no defect.
    pub(crate) fn complete(&self) -> Result<()> {
        match self.failed.len() {
            0 => Ok(()),
            broken => bail!("{broken} part(s) of the benchmark could not be finished"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_judged_and_a_missing_figure_is_a_skip() {
        let row = |samples: &[f64]| Row::figure("x", "x", samples).required(Bound::AtLeast(0.9));
        assert_eq!(row(&[0.8, 0.91, 1.0]).outcome, Outcome::Met);
        assert_eq!(row(&[0.8, 0.89, 1.0]).outcome, Outcome::NotMet);
        assert!(matches!(row(&[]).outcome, Outcome::Skip(_)));
        assert!(!Bound::Below(2.0).holds(2.0) && Bound::Exactly(0.0).holds(0.0));
    }
}
