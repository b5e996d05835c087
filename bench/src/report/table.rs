//! A report as tables, one for each part: for a terminal, and as a Markdown page.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, TableComponent, presets};

use super::{HEADER, HOW, Outcome, Report, Row};

/// Columns whose figures never wrap: the median and its range.
const FIGURES: [usize; 2] = [1, 2];

/// Without any of these nothing is drawn there.
const BETWEEN_ROWS: [TableComponent; 4] = [
    TableComponent::HorizontalLines,
    TableComponent::MiddleIntersections,
    TableComponent::LeftBorderIntersections,
    TableComponent::RightBorderIntersections,
];

impl Report {
    /// For a terminal so wide; for anything else, with every row on one line.
    pub(crate) fn text(&self, width: Option<u16>) -> String {
        let table = || {
            let mut table = Table::new();
            table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
            for line in BETWEEN_ROWS {
                table.remove_style(line);
            }
            if let Some(width) = width {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            table
        };
        let missed = self.rows.iter().filter(|row| row.outcome == Outcome::NotMet);
        let missed: String = missed.map(|row| format!("{}\n", row.in_short())).collect();
        format!("{}\n{}\n{missed}", self.page("", table), self.standing())
    }

    /// As a Markdown page.
    pub(super) fn markdown(&self) -> String {
        let how = format!("# Benchmarks\n\nWritten by `cargo xtask bench --markdown docs/benchmarks.md`. {HOW}\n\n");
        let table = || {
            let mut table = Table::new();
            table.load_preset(presets::ASCII_MARKDOWN);
            table
        };
        format!("{how}{}", self.page("## ", table))
    }

    fn page(&self, heading: &str, empty: impl Fn() -> Table) -> String {
        let peers: String = self.host.peers.iter().map(|peer| format!("- {peer}\n")).collect();
        let failed: String = self.failed.iter().map(|sentence| format!("\nnot finished: {sentence}\n")).collect();
        let section = |part: &str| {
            let mut table = empty();
            table.set_header(HEADER).add_rows(self.rows.iter().filter(|row| row.part == part).map(Row::cells));
            for (_, column) in table.column_iter_mut().enumerate().filter(|(at, _)| FIGURES.contains(at)) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
            format!("\n{heading}{part}\n\n{table}\n")
        };
        let sections: String = self.parts().into_iter().map(section).collect();
        format!("{}\n\n{peers}{sections}{failed}", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host::Host, report::Bound};

    fn report() -> Report {
        let mut report = Report::new(Host::example("word"));
        let long = "a long name of a row that says exactly what is compared with what, and how";
        report.rows.push(Row::figure(long, "Mpps", &[1.0, 2.0, 3.0]).required(Bound::AtLeast(1.0)).note(long.into()));
        report.rows.push(Row::figure("short", "x", &[1.0]));
        report.part("first part", Ok(()));
        report.rows.push(Row::skip("other", long));
        report.part("second part", Ok(()));
        report
    }

    #[test]
    fn it_fits_the_terminal_and_figures_stay_whole() {
        let text = report().text(Some(100));
        let tables = text.split_once("first part").map_or("", |(_, tables)| tables);
        assert!(tables.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("2.000 Mpps") && text.contains("1.000 to 3.000"), "{text}");
        assert!(text.lines().any(|line| line == "second part"), "{text}");
        assert_eq!(tables.lines().filter(|line| line.contains('─')).count(), 4, "none between rows:\n{text}");
    }

    #[test]
    fn elsewhere_a_row_is_a_line() {
        for text in [report().text(None), report().markdown()] {
            let rows: Vec<_> = text.lines().filter(|line| line.contains("a long name of a row")).collect();
            assert!(rows.len() == 2 && rows[0].contains("2.000 Mpps") && rows[1].contains("SKIP: "), "{text}");
        }
    }

    #[test]
    fn what_is_not_met_is_told_last() {
        let mut report = report();
        report.rows.push(Row::figure("slow", "x", &[0.5]).required(Bound::AtLeast(0.9)));
        let text = report.text(None);
        assert!(
            text.ends_with("1 met, 1 NOT MET; 1 skipped.\nslow: 0.500 x, required at least 0.9 x: NOT MET\n"),
            "{text}"
        );
    }
}
