//! Runs all contenders in turn and compares what they say. In reading order:
//!
//! - [`args`]: the flags. [`plan`]: which programs run for which workload.
//! - [`run`]: one run of one program, in a process of its own.
//! - [`figures`]: medians and paired ratios of what the runs said.
//! - [`loads`]: latency, snapshots, rescales, scaling, each with a table of its own.
//! - [`targets`]: what Malstrom means to reach, and whether it does.
//! - [`table`], [`plot`]: what is printed and written.
//! - [`machine`]: what it ran on.

mod args;
mod figures;
mod loads;
mod machine;
mod plan;
mod plot;
mod run;
mod table;
mod targets;

use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use args::Args;
use figures::Series;
use plan::Case;

/// Whatever goes wrong is told and ends the program.
type BoxError = Box<dyn std::error::Error>;

#[expect(clippy::print_stderr, reason = "a program on the command line")]
fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all programs gave the same answers.
#[expect(clippy::print_stdout, reason = "what was measured is what this program is for")]
fn measure(args: &Args) -> Result<bool, BoxError> {
    let cases = plan::cases(args);
    run::prepare(args, &cases)?;
    let loads = loads::cases(args);
    let n_loads: usize = loads.iter().map(|load| load.runs.len() * args.runs).sum();
    let n_runs: usize = cases.iter().map(|case| case.contestants.len() * args.runs).sum();
    let bar = ProgressBar::new((n_runs + n_loads) as u64).with_style(ProgressStyle::with_template(
        "{wide_bar} {pos}/{len} runs, {elapsed} gone, about {eta} left\n{msg}",
    )?);
    let mut all_agree = true;
    let mut reports = Vec::new();
    for case in cases {
        let series = run_in_turn(args, &case, &bar)?;
        let report = table::report(&case, &series);
        all_agree &= figures::disagreement(&series).is_none();
        bar.suspend(|| println!("{report}"));
        reports.push(report);
        plot::rates(args, &case, &series)?;
    }
    for load in loads {
        let report = load.measure(args, &bar)?;
        bar.suspend(|| println!("{report}"));
        reports.push(report);
    }
    bar.finish_and_clear();
    let path = table::write(args, &reports)?;
    println!("written to {}", path.display());
    Ok(all_agree)
}

/// A B C A B C and not A A A: what changes on the machine meanwhile changes for all.
fn run_in_turn(args: &Args, case: &Case, bar: &ProgressBar) -> Result<Vec<Series>, BoxError> {
    let mut series: Vec<Series> = case.contestants.iter().map(|who| Series::new(*who)).collect();
    for _ in 0..args.runs {
        for series in &mut series {
            bar.set_message(format!("{case}: {}", series.who));
            series.outcomes.push(run::run(args, case, series.who));
            bar.inc(1);
        }
    }
    Ok(series)
}
