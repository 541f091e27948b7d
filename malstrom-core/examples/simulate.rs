//! Runs many seeds of the simulator and says what was injected and what failed.
//!
//! `cargo run --release -p malstrom-core --features marks --example simulate -- SEEDS START [SHAPE]`
//!
//! With the feature `marks` it counts visits to rare branches, and fails if a long run has never come to one.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]
#![expect(clippy::disallowed_methods, reason = "it measures how fast it is, outside of what is simulated")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use malstrom_core::testing::{End, FaultCounts, RunReport, Simulation};

#[path = "../tests/shapes/mod.rs"]
mod shapes;

/// Failures that are told in full.
const FAILURES_SHOWN_MAX: usize = 3;
/// Every so many seeds are run twice, to compare what the scheduler decided.
const TWICE_EVERY: u64 = 50;
/// Seeds between two reports on the way.
const PROGRESS_SEEDS: u64 = 200;
/// Characters of the progress bar.
const BAR_CHARS: u64 = 30;
/// From so many seeds on every mark has to be hit.
#[cfg(feature = "marks")]
const MARKS_SEEDS_MIN: u64 = 2000;

/// What all runs together were like.
#[derive(Default)]
struct Totals {
    faults: FaultCounts,
    n_decisions: u64,
    n_outputs: u64,
    n_refused: u64,
    n_twice: u64,
    simulated: Duration,
    failures: Vec<(u64, usize, String)>,
}

fn main() -> ExitCode {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let n_seeds = arguments.first().copied().unwrap_or(1000);
    let start = arguments.get(1).copied().unwrap_or(0);
    let only = arguments.get(2).map(|shape| *shape as usize);
    let begun = Instant::now();
    let mut totals = Totals::default();
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            eprintln!("panic at {place}");
        }
    }));
    for seed in start..start + n_seeds {
        let shape = only.unwrap_or((seed % shapes::SHAPES.len() as u64) as usize);
        totals.run(seed, shape);
        let n_done = seed - start + 1;
        if n_done % PROGRESS_SEEDS == 0 {
            progress(n_done, n_seeds, begun, totals.failures.len());
        }
    }
    totals.print(n_seeds, begun.elapsed());
    let is_marked = marks_are_hit(n_seeds, only.is_some());
    for (seed, shape, reason) in &totals.failures {
        let reason: String = reason.lines().next().unwrap_or_default().chars().take(220).collect();
        println!("FAILED seed {seed} shape {shape}: {reason}");
        println!("  cargo run --release -p malstrom-core --example simulate -- 1 {seed} {shape}");
    }
    println!("{} of {n_seeds} failed", totals.failures.len());
    if totals.failures.is_empty() && is_marked { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Totals {
    fn run(&mut self, seed: u64, shape: usize) {
        let (name, define) = shapes::SHAPES[shape];
        match Simulation::new(seed, define).run() {
            Ok(report) => {
                if seed.is_multiple_of(TWICE_EVERY) {
                    self.compare(seed, shape, &report);
                }
                self.faults.merge(&report.faults);
                self.n_decisions += report.n_decisions;
                self.n_outputs += report.n_outputs;
                self.simulated += report.simulated;
                self.n_refused += u64::from(report.end == End::Refused);
            }
            Err(failure) => {
                if self.failures.len() < FAILURES_SHOWN_MAX {
                    println!("shape `{name}`: {failure}");
                }
                self.faults.merge(&failure.faults);
                self.failures.push((seed, shape, failure.reason));
            }
        }
    }

    fn compare(&mut self, seed: u64, shape: usize, report: &RunReport) {
        self.n_twice += 1;
        let again = Simulation::new(seed, shapes::SHAPES[shape].1).run();
        if again.ok().as_ref() != Some(report) {
            self.failures.push((seed, shape, "I17: it went otherwise the second time".to_owned()));
        }
    }

    fn sum(&self, prefix: &str) -> u64 {
        self.faults.0.iter().filter(|(kind, _)| kind.starts_with(prefix)).map(|(_, n)| n).sum()
    }

    fn print(&self, n_seeds: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let crashes = self.sum("worker: crash") + self.sum("coordinator: crash");
        println!("| Simulated | |\n|---|--:|");
        let rows = [
            ("seeds", n_seeds.to_string()),
            ("seeds per second", format!("{:.1}", n_seeds as f64 / seconds)),
            ("simulated hours", format!("{:.2}", self.simulated.as_secs_f64() / 3600.0)),
            ("decisions of the scheduler", self.n_decisions.to_string()),
            ("records checked", self.n_outputs.to_string()),
            ("crashes", crashes.to_string()),
            ("store faults", self.sum("store: ").to_string()),
            ("damaged objects and log entries", self.sum("damage: ").to_string()),
            ("frames lost", self.sum("network: frame lost").to_string()),
            ("frames duplicated", self.sum("network: frame duplicated").to_string()),
            ("links cut one way", self.sum("network: cut one way").to_string()),
            ("links cut both ways", self.sum("network: cut both ways").to_string()),
            ("payloads sent again", self.sum("session: payload sent again").to_string()),
            ("sessions lost", self.sum("session: lost").to_string()),
            ("rescales", self.sum("event: rescaled").to_string()),
            ("snapshots", self.sum("event: snapshot committed").to_string()),
            ("recoveries", self.sum("event: recovered").to_string()),
            ("requests", self.sum("request: ").to_string()),
            ("loud refusals of damaged snapshots", self.n_refused.to_string()),
            ("runs repeated to compare their traces", self.n_twice.to_string()),
            ("runs that failed", self.failures.len().to_string()),
        ];
        for (what, value) in rows {
            println!("| {what} | {value} |");
        }
        println!("\n| Injected, asked, seen | Times |\n|---|--:|");
        for (kind, n) in &self.faults.0 {
            println!("| {kind} | {n} |");
        }
        println!();
    }
}

fn progress(n_done: u64, n_seeds: u64, begun: Instant, n_failures: usize) {
    let n_full = (BAR_CHARS * n_done / n_seeds.max(1)) as usize;
    let bar = format!("{}{}", "#".repeat(n_full), ".".repeat(BAR_CHARS as usize - n_full));
    let rate = n_done as f64 / begun.elapsed().as_secs_f64();
    let left = (n_seeds - n_done) as f64 / rate;
    eprintln!(
        "[{bar}] {n_done}/{n_seeds} seeds, {rate:.0} a second, {left:.0} s left, {n_failures} failures"
    );
}

/// Whether a run that is long enough has come to every mark.
#[cfg(feature = "marks")]
fn marks_are_hit(n_seeds: u64, is_one_shape: bool) -> bool {
    println!("| Mark | Times |\n|---|--:|");
    let mut n_missed = 0;
    for (what, n) in malstrom_core::testing::take_marks() {
        n_missed += usize::from(n == 0);
        println!("| {what} | {n} |");
    }
    println!("\n{n_missed} marks never hit\n");
    n_missed == 0 || n_seeds < MARKS_SEEDS_MIN || is_one_shape
}

#[cfg(not(feature = "marks"))]
fn marks_are_hit(_: u64, _: bool) -> bool {
    true
}
