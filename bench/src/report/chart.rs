//! Rows of one unit as a bar chart in SVG: medians, with whiskers from the lowest to the highest, and a mark at what is required.
//!
//! Ink is black here; a page gives it its own colour (see `html`). What a colour says stands in words beside it.

use anyhow::Result;
use plotters::{
    coord::types::RangedCoordf64,
    prelude::{
        Cartesian2d, ChartBuilder, ChartContext, Color as _, IntoDrawingArea as _, IntoFont as _, PathElement,
        RGBColor, Rectangle, SVGBackend, Text,
    },
    style::BLACK,
};

use super::row::{Outcome, Row};

const WIDTH: u32 = 860;
const ROW_HEIGHT: u32 = 44;
const AXIS_HEIGHT: u32 = 34;
// They can be told apart on white and on black.
const TOLD: RGBColor = RGBColor(0x4a, 0x88, 0xc8);
const MET: RGBColor = RGBColor(0x3a, 0x9a, 0x5c);
const NOT_MET: RGBColor = RGBColor(0xd4, 0x5a, 0x4a);
const GRID: RGBColor = RGBColor(0x88, 0x88, 0x88);
/// Where words, bars and whiskers are in a row that is 1 high.
const WORDS: f64 = 0.1;
const BAR: [f64; 2] = [0.5, 0.84];
const WHISKER: f64 = 0.67;

/// Draws those of the rows that have a figure; they must have the same unit.
pub(super) fn svg(rows: &[&Row]) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, AXIS_HEIGHT + ROW_HEIGHT * rows.len() as u32))
            .into_drawing_area();
        // The first row is the highest one.
        let mut chart = ChartBuilder::on(&root)
            .margin_left(8)
            .margin_right(24)
            .x_label_area_size(AXIS_HEIGHT - 4)
            .build_cartesian_2d(scale(rows), rows.len() as f64..0.0)?;
        chart
            .configure_mesh()
            .disable_y_axis()
            .disable_y_mesh()
            .x_labels(8)
            .x_label_formatter(&|value| short(*value))
            .bold_line_style(GRID.mix(0.4))
            .light_line_style(GRID.mix(0.0))
            .axis_style(GRID)
            .label_style(("sans-serif", 14).into_font().color(&BLACK))
            .draw()?;
        for (number, row) in rows.iter().enumerate() {
            draw(&mut chart, number as f64, row)?;
        }
        root.present()?;
    }
    Ok(text)
}

/// From zero, or below it, to a little more than the highest there is.
fn scale(rows: &[&Row]) -> std::ops::Range<f64> {
    let figures = || rows.iter().filter_map(|row| row.figure);
    let bounds = rows.iter().filter_map(|row| row.required).map(super::Bound::number);
    let high = figures().map(|figure| figure.max).chain(bounds).fold(0.0, f64::max);
    let low = figures().map(|figure| figure.min).fold(0.0, f64::min);
    low..if high > low { high * 1.05 } else { low + 1.0 }
}

/// A tick's number without the zeros that a float brings.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn draw(chart: &mut Chart<'_, '_>, top: f64, row: &Row) -> Result<()> {
    let Some(figure) = row.figure else { return Ok(()) };
    let colour = match row.outcome {
        Outcome::Met => MET,
        Outcome::NotMet => NOT_MET,
        Outcome::Told | Outcome::Skip(_) => TOLD,
    };
    let [from, to] = BAR.map(|at| top + at);
    chart.draw_series([Rectangle::new([(0.0, from), (figure.median, to)], colour.filled())])?;
    let mut line = |from: (f64, f64), to: (f64, f64), width: u32| {
        chart.draw_series([PathElement::new(vec![from, to], BLACK.stroke_width(width))]).map(|_| ())
    };
    if figure.rounds > 1 {
        let middle = top + WHISKER;
        line((figure.min, middle), (figure.max, middle), 1)?;
        for end in [figure.min, figure.max] {
            line((end, middle - 0.09), (end, middle + 0.09), 1)?;
        }
    }
    if let Some(bound) = row.required {
        line((bound.number(), from - 0.06), (bound.number(), to + 0.06), 3)?;
    }
    let left = chart.x_range().start;
    chart.draw_series([Text::new(words(row), (left, top + WORDS), ("sans-serif", 15).into_font().color(&BLACK))])?;
    Ok(())
}

/// What a row says, in one line.
fn words(row: &Row) -> String {
    let [what, median, range, required, _] = row.cells();
    let range = if range.is_empty() { range } else { format!(" ({range})") };
    let required = match row.outcome {
        Outcome::Met => format!(", required {required}: met"),
        Outcome::NotMet => format!(", required {required}: NOT MET"),
        Outcome::Told | Outcome::Skip(_) => String::new(),
    };
    format!("{what}: {median}{range}{required}")
}
