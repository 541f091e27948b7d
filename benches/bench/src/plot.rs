//! Plots, as SVG.

use plotters::prelude::*;

use crate::BoxError;
use crate::args::Args;
use crate::figures::Series;
use crate::plan::Case;

const WIDTH: u32 = 760;
const BAR_HEIGHT: u32 = 26;
const MARGIN: u32 = 60;
/// Room for the names, as a part of the axis.
const NAMES: f64 = 0.55;

/// A bar for each contestant, with a line from its slowest run to its fastest.
pub(crate) fn rates(args: &Args, case: &Case, series: &[Series]) -> Result<(), BoxError> {
    let bars: Vec<_> = series.iter().filter_map(|one| Some((one.who, one.rate()?))).collect();
    let Some(fastest) = bars.iter().map(|(_, rate)| rate.max).max_by(f64::total_cmp) else { return Ok(()) };
    let path = args.plot_path(&format!("{}-{}-workers", case.workload, case.n_workers));
    let height = MARGIN * 2 + BAR_HEIGHT * bars.len() as u32;
    let area = SVGBackend::new(&path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let n = bars.len() as f64;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{case}: millions of records a second"), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(28)
        .build_cartesian_2d(-NAMES * fastest..fastest * 1.12, n..0.0)?;
    chart
        .configure_mesh()
        .disable_y_axis()
        .disable_y_mesh()
        .x_labels(8)
        .x_label_formatter(&|x| match *x {
            x if x < 0.0 => String::new(),
            x => format!("{x:.0}"),
        })
        .draw()?;
    for (i, (who, rate)) in bars.iter().enumerate() {
        let (top, middle, bottom) = (i as f64 + 0.15, i as f64 + 0.5, i as f64 + 0.85);
        let colour = match who.program {
            "malstrom" => RGBColor(0, 110, 160),
            "plain" | "tuned" => RGBColor(150, 150, 150),
            _ => RGBColor(205, 170, 90),
        };
        chart.draw_series([
            Rectangle::new([(0.0, top), (rate.median, bottom)], colour.filled()),
            Rectangle::new([(rate.min, middle - 0.03), (rate.max, middle + 0.03)], BLACK.filled()),
        ])?;
        let font = ("sans-serif", 13).into_font();
        let name = format!("{}, {}", who.program, who.allocator);
        chart.draw_series([
            Text::new(name, (-NAMES * fastest, top + 0.1), font.clone()),
            Text::new(format!("{:.1}", rate.median), (rate.max + 0.01 * fastest, top + 0.1), font),
        ])?;
    }
    area.present()?;
    Ok(())
}

/// The longest latency over time, on a logarithmic scale, with the rescales marked.
pub(crate) fn timeline(args: &Args, name: &str, said: &serde_json::Value) -> Result<(), BoxError> {
    use serde_json::Value;
    let step_s = said.get("timeline_step_ms").and_then(Value::as_f64).unwrap_or(1.0) / 1e3;
    let points: Vec<(f64, f64)> = said
        .get("timeline")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(i, slot)| {
            let max_us = slot.get(0)?.as_f64()?;
            (slot.get(1)?.as_f64()? > 0.0).then_some((i as f64 * step_s, (max_us / 1e3).max(0.001)))
        })
        .collect();
    let (Some((end, _)), Some(max)) =
        (points.last().copied(), points.iter().map(|point| point.1).max_by(f64::total_cmp))
    else {
        return Ok(());
    };
    let path = args.plot_path(&format!("W7-{}", name.replace(' ', "-")));
    let area = SVGBackend::new(&path, (WIDTH, 320)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{name}: longest latency in ms, over seconds; rescales shaded"), ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..end, (0.01..max * 2.0).log_scale())?;
    chart.configure_mesh().draw()?;
    for step in said.get("steps").and_then(Value::as_array).into_iter().flatten() {
        let figure = |name: &str| step.get(name).and_then(Value::as_f64);
        if let (Some(from_ms), Some(ms)) = (figure("from_ms"), figure("ms")) {
            let (from, to) = (from_ms / 1e3, (from_ms + ms) / 1e3);
            chart.draw_series([Rectangle::new(
                [(from, 0.01), (to, max * 2.0)],
                RGBColor(205, 170, 90).mix(0.35).filled(),
            )])?;
        }
    }
    chart.draw_series(LineSeries::new(points, RGBColor(0, 110, 160)))?;
    area.present()?;
    Ok(())
}
