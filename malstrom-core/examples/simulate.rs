//! Runs many seeds of the simulator and says what was injected and what failed.
//!
//! `cargo run --release -p malstrom-core --example simulate -- SEEDS START [SHAPE]`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]
#![expect(clippy::disallowed_methods, reason = "it measures how fast it is, outside of what is simulated")]

use std::process::ExitCode;
use std::time::Instant;

use malstrom_core::testing::{FaultCounts, Simulation};

#[path = "../tests/shapes/mod.rs"]
mod shapes;

/// Failures that are told in full.
const FAILURES_SHOWN_MAX: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let n_seeds = arguments.first().copied().unwrap_or(1000);
    let start = arguments.get(1).copied().unwrap_or(0);
    let only = arguments.get(2).map(|shape| *shape as usize);
    let begun = Instant::now();
    let mut counts = FaultCounts::default();
    let mut failures: Vec<(u64, usize, String)> = Vec::new();
    let (mut n_decisions, mut n_refused) = (0, 0);
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            eprintln!("panic at {place}");
        }
    }));
    for seed in start..start + n_seeds {
        let shape = only.unwrap_or((seed % shapes::SHAPES.len() as u64) as usize);
        match Simulation::new(seed, shapes::SHAPES[shape].1).run() {
            Ok(report) => {
                counts.merge(&report.faults);
                n_decisions += report.n_decisions;
                n_refused += u64::from(report.end == malstrom_core::testing::End::Refused);
            }
            Err(failure) => {
                if failures.len() < FAILURES_SHOWN_MAX {
                    println!("shape `{}`: {failure}", shapes::SHAPES[shape].0);
                }
                counts.merge(&failure.faults);
                failures.push((seed, shape, failure.reason));
            }
        }
        let n_done = seed - start + 1;
        if n_done % 500 == 0 {
            let rate = n_done as f64 / begun.elapsed().as_secs_f64();
            eprintln!("{n_done} seeds, {rate:.0} a second, {} failures", failures.len());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{n_seeds} seeds in {seconds:.1} s: {:.1} seeds/s, {:.0} decisions/s, {n_refused} refused damaged snapshots",
        n_seeds as f64 / seconds,
        n_decisions as f64 / seconds
    );
    println!("{counts}");
    for (seed, shape, reason) in &failures {
        let reason: String = reason.lines().next().unwrap_or_default().chars().take(220).collect();
        println!("FAILED seed {seed} shape {shape}: {reason}");
        println!("  cargo run --release -p malstrom-core --example simulate -- 1 {seed} {shape}");
    }
    println!("{} of {n_seeds} failed", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
