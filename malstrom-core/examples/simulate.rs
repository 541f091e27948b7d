//! Runs many seeds of the simulator and says what was injected and what failed.
//!
//! `cargo run --release -p malstrom-core --features marks --example simulate -- SEEDS START [SHAPE] [seconds=N]`
//!
//! With `seconds` it stops after that time, however many seeds are left. The first seeds that fail are made smaller, and
//! what is left of their plans is written into a file, from which
//! `cargo run --release -p malstrom-core --example simulate -- FILE` runs it again.
//!
//! With the feature `marks` it counts visits to rare branches. A long run fails if it has never come to one, or has never
//! injected one of the kinds of faults.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]
#![expect(clippy::disallowed_methods, reason = "it measures how fast it is, outside of what is simulated")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use malstrom_core::testing::{End, FaultCounts, RunReport, Simulation};

#[path = "../tests/plans/mod.rs"]
mod plans;
#[path = "../tests/shapes/mod.rs"]
mod shapes;

use plans::Stored;

/// Failures that are told in full.
const FAILURES_SHOWN_MAX: usize = 3;
/// Every so many seeds are run twice, to compare what the scheduler decided.
const TWICE_EVERY: u64 = 50;
/// Seeds between two reports on the way.
const PROGRESS_SEEDS: u64 = 200;
/// Characters of the progress bar.
const BAR_CHARS: u64 = 30;
/// From so many seeds on every mark has to be hit and every kind of fault injected.
const COMPLETE_SEEDS_MIN: u64 = 50_000;
/// Where plans that fail are written.
const FAILED_FOLDER: &str = "target/simulate";

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
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(file) = words.iter().find(|word| word.ends_with(".json")) {
        return again(file);
    }
    let arguments: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let seconds = words.iter().find_map(|word| word.strip_prefix("seconds=")?.parse().ok());
    let time_max = seconds.map_or(Duration::MAX, Duration::from_secs);
    let mut n_seeds = arguments.first().copied().unwrap_or(1000);
    let start = arguments.get(1).copied().unwrap_or(0);
    let only = arguments.get(2).map(|shape| *shape as usize);
    let begun = Instant::now();
    let mut totals = Totals::default();
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            eprintln!("panic at {place}");
        }
    }));
    println!("seeds from {start} on");
    for seed in start..start + n_seeds {
        let shape = only.unwrap_or((seed % shapes::SHAPES.len() as u64) as usize);
        totals.run(seed, shape);
        let n_done = seed - start + 1;
        if n_done % PROGRESS_SEEDS == 0 {
            progress(n_done, n_seeds, begun, totals.failures.len());
        }
        if begun.elapsed() >= time_max {
            n_seeds = n_done;
            break;
        }
    }
    totals.print(n_seeds, begun.elapsed());
    let must_be_complete = n_seeds >= COMPLETE_SEEDS_MIN && only.is_none();
    let missing = totals.faults.missing();
    println!("{} kinds that never came: {missing:?}\n", missing.len());
    let is_complete = (marks_are_hit() && missing.is_empty()) || !must_be_complete;
    for (seed, shape, reason) in &totals.failures {
        let reason: String = reason.lines().next().unwrap_or_default().chars().take(220).collect();
        println!("FAILED seed {seed} shape {shape}: {reason}");
        println!("  cargo run --release -p malstrom-core --example simulate -- 1 {seed} {shape}");
    }
    println!("{} of {n_seeds} failed", totals.failures.len());
    if totals.failures.is_empty() && is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
                let reason = failure.reason.clone();
                self.faults.merge(&failure.faults);
                if self.failures.len() < FAILURES_SHOWN_MAX {
                    println!("shape `{name}`: {failure}");
                    let (plan, failure) = Simulation::new(seed, define).shrink(failure);
                    let stored = Stored {
                        what: failure.reason.clone(),
                        shape: name.to_owned(),
                        seeds: vec![seed],
                        plan,
                    };
                    let file = format!("{FAILED_FOLDER}/{seed}-{shape}.json");
                    println!("made smaller: {failure}");
                    match stored.write(&file) {
                        Ok(()) => println!(
                            "again: cargo run --release -p malstrom-core --example simulate -- {file}"
                        ),
                        Err(error) => println!("{file} cannot be written: {error}"),
                    }
                }
                self.failures.push((seed, shape, reason));
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

/// Runs a plan that was written into a file.
fn again(file: &str) -> ExitCode {
    let stored = match Stored::read(std::path::Path::new(file)) {
        Ok(stored) => stored,
        Err(error) => {
            println!("{file} cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    for seed in &stored.seeds {
        match stored.simulation(*seed).map(|simulation| simulation.run()) {
            Some(Ok(report)) => println!("seed {seed}: {:?}\n{}", report.end, report.faults),
            Some(Err(failure)) => {
                println!("{failure}");
                return ExitCode::FAILURE;
            }
            None => {
                println!("there is no shape `{}`", stored.shape);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Whether every mark was come to.
#[cfg(feature = "marks")]
fn marks_are_hit() -> bool {
    println!("| Mark | Times |\n|---|--:|");
    let mut n_missed = 0;
    for (what, n) in malstrom_core::testing::take_marks() {
        n_missed += usize::from(n == 0);
        println!("| {what} | {n} |");
    }
    println!("\n{n_missed} marks never hit\n");
    n_missed == 0
}

#[cfg(not(feature = "marks"))]
fn marks_are_hit() -> bool {
    true
}
