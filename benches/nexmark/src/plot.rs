//! The picture of the table: a bar for each program and query.

use std::path::Path;

use malstrom_measure::outcome::BoxError;
use plotters::prelude::*;

use crate::all::Answered;
use crate::args::Program;

const WIDTH: u32 = 760;
const BAR_HEIGHT: u32 = 11;
const MARGIN: u32 = 70;
/// Room for the names, as a part of the axis.
const NAMES: f64 = 0.08;
/// Bars of a query, and the gap to the next.
const BARS: f64 = 3.0;
const GAP: f64 = 1.0;

/// Draws millions of events a second.
///
/// # Errors
/// If the file cannot be written.
pub fn rates(path: &Path, n_workers: u32, answered: &[Answered]) -> Result<(), BoxError> {
    let rates = answered.iter().flat_map(|one| one.series.iter().filter_map(|series| series.rate()));
    let Some(fastest) = rates.max_by(f64::total_cmp) else { return Ok(()) };
    let n = answered.len() as f64 * (BARS + GAP);
    let height = MARGIN * 2 + (n * f64::from(BAR_HEIGHT)) as u32;
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    let failed =
        |error: DrawingAreaErrorKind<_>| -> BoxError { format!("{}: {error}", path.display()).into() };
    area.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("NEXMark, {n_workers} workers: millions of events a second"), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(28)
        .build_cartesian_2d(-NAMES * fastest..fastest * 1.12, n..0.0)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_axis()
        .disable_y_mesh()
        .x_label_formatter(&|x| if *x < 0.0 { String::new() } else { format!("{x:.0}") })
        .draw()
        .map_err(failed)?;
    let font = ("sans-serif", 11).into_font();
    for (i, one) in answered.iter().enumerate() {
        let top = i as f64 * (BARS + GAP);
        let name = Text::new(format!("q{}", one.query), (-NAMES * fastest, top + 1.0), font.clone());
        chart.draw_series([name]).map_err(failed)?;
        for (at, series) in one.series.iter().enumerate() {
            let Some(rate) = series.rate() else { continue };
            let colour = match series.program {
                Program::Malstrom => RGBColor(0, 110, 160),
                Program::Timely => RGBColor(205, 170, 90),
                Program::Renoir => RGBColor(150, 150, 150),
            };
            let y = top + at as f64;
            let bar = Rectangle::new([(0.0, y + 0.05), (rate, y + 0.95)], colour.filled());
            chart.draw_series([bar]).map_err(failed)?;
            let label = format!("{rate:.1} {}", series.program.name());
            chart
                .draw_series([Text::new(label, (rate + 0.01 * fastest, y + 0.1), font.clone())])
                .map_err(failed)?;
        }
    }
    area.present().map_err(failed)
}
