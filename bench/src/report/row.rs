//! One line of a report: a figure, what is required of it, and how it stands. Measures and shows nothing.

use serde::Serialize;

use crate::stats::{Spread, spread};

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    Exactly(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
            Self::Below(bound) => figure < bound,
            Self::Exactly(bound) => figure == bound,
        }
    }

    /// The number itself.
    pub(super) fn number(self) -> f64 {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) | Self::Below(bound) | Self::Exactly(bound) => bound,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(bound) => format!("at least {bound} {unit}"),
            Self::AtMost(bound) => format!("at most {bound} {unit}"),
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
    /// The part of the benchmark that it belongs to; filled in when the part ends.
    pub(super) part: String,
    pub(super) what: String,
    pub(super) unit: String,
    pub(super) figure: Option<Spread>,
    pub(super) required: Option<Bound>,
    pub(super) outcome: Outcome,
    note: String,
}

impl Row {
    /// A figure of which nothing is required yet.
    pub(crate) fn figure(what: &str, unit: &str, samples: &[f64]) -> Self {
        let figure = spread(samples);
        let outcome = if figure.is_some() { Outcome::Told } else { Outcome::Skip("no round gave a figure".into()) };
        let (part, note) = Default::default();
        Self { part, what: what.into(), unit: unit.into(), figure, required: None, outcome, note }
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

    /// What, median, range, required, outcome: as every table shows them.
    pub(super) fn cells(&self) -> [String; 5] {
        let number = |value: f64| if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") };
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

    /// What must not be overlooked, in one line.
    pub(super) fn in_short(&self) -> String {
        let [what, median, _, required, outcome] = self.cells();
        match self.outcome {
            Outcome::Skip(_) => format!("{what}: {outcome}"),
            _ => format!("{what}: {median}, required {required}: {outcome}"),
        }
    }
}

fn remark(word: &str, note: &str) -> String {
    if note.is_empty() { word.to_owned() } else { format!("{word}; {note}") }
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
        assert!(!Bound::Below(2.0).holds(2.0) && Bound::AtMost(2.0).holds(2.0) && Bound::Exactly(0.0).holds(0.0));
    }
}
