//! A report as one HTML page: charts, tables, the host, what was skipped and what was not met. It needs no network and no script, and is
//! readable in light and in dark.
//!
//! Must not: let any text from outside into the page but by [`escaped`].

use anyhow::Result;

use super::{
    HEADER, HOW, Report,
    chart::svg,
    row::{Outcome, Row},
};

/// Bars keep their colours; what a chart draws in black takes the page's.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #ffffff; --faint: #8888; --bad: #b3392a; --good: #20703c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6e8; --paper: #17191c; --bad: #ff8d7e; --good: #6fcf8f; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--faint); }
td:nth-child(2), td:nth-child(3) { white-space: nowrap; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.not-met, .failed { color: var(--bad); font-weight: bold; }
.met { color: var(--good); }
.skip { font-style: italic; }
figure { margin: 1rem 0; overflow-x: auto; }
figcaption { font-weight: bold; }
svg { width: 100%; height: auto; min-width: 40rem; }
svg [fill='#000000'] { fill: var(--ink); }
svg [stroke='#000000'] { stroke: var(--ink); }
";

impl Report {
    /// The page.
    ///
    /// # Errors
    /// A chart cannot be drawn.
    pub(super) fn html(&self) -> Result<String> {
        let parts = self.parts().into_iter().map(|part| self.section(part)).collect::<Result<String>>()?;
        Ok(format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>fastbridge: benchmarks</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>fastbridge: benchmarks</h1>\n{}{}{parts}</body>\n</html>\n",
            self.host_section(),
            self.summary(),
        ))
    }

    fn host_section(&self) -> String {
        let peers = self.host.peers.iter().map(|peer| format!("<li>{}</li>\n", escaped(&peer.to_string())));
        format!("<p>{}</p>\n<ul>\n{}</ul>\n", escaped(&self.host.to_string()), peers.collect::<String>())
    }

    /// What must not be overlooked, before everything else.
    fn summary(&self) -> String {
        let listed = |class: &str, wanted: &dyn Fn(&Outcome) -> bool| -> String {
            let rows = self.rows.iter().filter(|row| wanted(&row.outcome));
            rows.map(|row| format!("<li class=\"{class}\">{}</li>\n", escaped(&row.in_short()))).collect()
        };
        let failed =
            self.failed.iter().map(|why| format!("<li class=\"failed\">not finished: {}</li>\n", escaped(why)));
        format!(
            "<p>{HOW} {}</p>\n<ul>\n{}{}{}</ul>\n",
            self.standing(),
            failed.collect::<String>(),
            listed("not-met", &|outcome| *outcome == Outcome::NotMet),
            listed("skip", &|outcome| matches!(outcome, Outcome::Skip(_))),
        )
    }

    /// A chart for each unit, and the table.
    fn section(&self, part: &str) -> Result<String> {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.part == part).collect();
        let mut charts = String::new();
        for unit in units(&rows) {
            let of_unit: Vec<_> = rows.iter().copied().filter(|row| row.figure.is_some() && row.unit == unit).collect();
            charts += &format!("<figure>\n<figcaption>{}</figcaption>\n{}</figure>\n", escaped(unit), svg(&of_unit)?);
        }
        let header: String = HEADER.iter().map(|word| format!("<th>{word}</th>")).collect();
        let lines: String = rows.iter().map(|row| line(row)).collect();
        let table = format!("<div class=\"scroll\"><table>\n<tr>{header}</tr>\n{lines}</table></div>\n");
        Ok(format!("<h2>{}</h2>\n{charts}{table}", escaped(part)))
    }
}

/// The units of rows with a figure, each once.
fn units<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let mut units: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.figure.is_some()) {
        if !units.contains(&row.unit.as_str()) {
            units.push(&row.unit);
        }
    }
    units
}

fn line(row: &Row) -> String {
    let class = match row.outcome {
        Outcome::Told => "told",
        Outcome::Met => "met",
        Outcome::NotMet => "not-met",
        Outcome::Skip(_) => "skip",
    };
    let [rest @ .., outcome] = row.cells();
    let cells: String = rest.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    format!("<tr>{cells}<td class=\"{class}\">{}</td></tr>\n", escaped(&outcome))
}

/// Text as HTML shows it, in elements and in quoted attributes.
fn escaped(text: &str) -> String {
    let one = |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => String::from(other),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{host::Host, report::Bound};

    const HOSTILE: &str = "<script>alert(\"x\")</script>'&amp;";

    fn page() -> String {
        let mut report = Report::new(Host::example(HOSTILE));
        let ratio = |samples: &[f64]| Row::figure(&format!("ratio {HOSTILE}"), "x", samples);
        report.rows.push(ratio(&[0.9, 1.0, 1.1]).required(Bound::AtLeast(0.95)).note(HOSTILE.into()));
        report.rows.push(ratio(&[1.3]).required(Bound::AtMost(0.7)));
        report.rows.push(Row::figure("lost", HOSTILE, &[0.0]));
        report.rows.push(Row::skip("other switch", &format!("not here: {HOSTILE}")));
        report.part(HOSTILE, Err(anyhow::anyhow!("broke off: {HOSTILE}")));
        report.html().unwrap()
    }

    #[test]
    fn the_page_fetches_nothing() {
        let page = page().replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for way in ["://", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "<object"] {
            assert!(!page.contains(way), "{way} in:\n{page}");
        }
    }

    #[test]
    fn text_from_outside_is_text() {
        let page = page();
        assert!(!page.contains("<script") && !page.contains("alert(\"x\")"), "{page}");
        // Its own ampersand is not taken for the beginning of an entity.
        assert!(page.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39;&amp;amp;"));
        assert!(!page.contains("'&amp;<") && page.contains("&apos;&amp;amp;"), "the same in charts");
    }

    #[test]
    fn what_is_missing_is_shown_before_the_figures() {
        let page = page();
        let top = page.split("<h2>").next().unwrap();
        assert!(top.contains("1 met, 1 NOT MET; 1 skipped"));
        for word in ["other switch: SKIP: not here", "required at most 0.7 x: NOT MET", "not finished: "] {
            assert!(top.contains(word), "{word}");
        }
        assert_eq!(page.matches("<svg").count(), 2, "one for each unit");
    }
}
