//! Runs the simulator against an engine that is broken on purpose, each time in another way, and says after how many
//! seeds it was caught and by which check.
//!
//! `cargo run --release -p malstrom-core --features mutants --example mutants -- [SEEDS] [START] [NAME...] [shape=N] [plan=FILE]
//! [write=FOLDER]`
//!
//! Mutants are hunted side by side, one thread each. With `write`, the plan that caught a mutant is made smaller and
//! written into a file of its name. With `shape` all seeds are of one shape of job, and with `plan` nothing is drawn but the
//! delays: what happens is read from a file, and the first seeds that show a mutant and pass without it are named.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use malstrom_core::testing::{Mutant, Simulation};

#[path = "../tests/plans/mod.rs"]
mod plans;
#[path = "../tests/shapes/mod.rs"]
mod shapes;

use plans::Stored;

/// Seeds for each mutant if none are asked for.
const SEEDS_DEFAULT: u64 = 4000;
/// Seeds of one plan that are named.
const SEEDS_OF_PLAN: usize = 5;

/// How a mutant was caught.
struct Caught {
    n_seeds: u64,
    by: String,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let n_seeds = numbers.first().copied().unwrap_or(SEEDS_DEFAULT);
    let start = numbers.get(1).copied().unwrap_or(0);
    let folder = words.iter().find_map(|word| word.strip_prefix("write="));
    let shape = words.iter().find_map(|word| word.strip_prefix("shape=")?.parse().ok());
    if let Some(file) = words.iter().find_map(|word| word.strip_prefix("plan=")) {
        return hunt_in_plan(file, start..start + n_seeds, &words);
    }
    let is_name = |word: &&String| word.parse::<u64>().is_err() && !word.contains('=');
    let only: Vec<&String> = words.iter().filter(is_name).collect();
    let is_wanted = |(mutant, _): &&(Mutant, &str)| only.is_empty() || only.contains(&&format!("{mutant:?}"));
    let mutants: Vec<&(Mutant, &str)> = Mutant::ALL.iter().filter(is_wanted).collect();
    std::panic::set_hook(Box::new(|_| {}));
    let results = hunt_all(&mutants, start..start + n_seeds, shape, folder);
    println!("| Mutant | What it does | Caught by | Seeds |");
    println!("|---|---|---|--:|");
    let mut n_caught = 0;
    for ((mutant, what), result) in mutants.iter().zip(results) {
        match result {
            Some(Caught { n_seeds, by }) => {
                n_caught += 1;
                println!("| {mutant:?} | {what} | {by} | {n_seeds} |");
            }
            None => println!("| {mutant:?} | {what} | **not caught** | {n_seeds} |"),
        }
    }
    println!("\n{n_caught} of {} mutants caught", mutants.len());
    if n_caught == mutants.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A mutant lives in the thread that runs it, so each thread hunts one at a time.
fn hunt_all(
    mutants: &[&(Mutant, &str)],
    seeds: std::ops::Range<u64>,
    shape: Option<usize>,
    folder: Option<&str>,
) -> Vec<Option<Caught>> {
    let results: Mutex<Vec<Option<Caught>>> = Mutex::new(mutants.iter().map(|_| None).collect());
    let next = AtomicUsize::new(0);
    let n_threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                while let Some((mutant, _)) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let at = mutants.iter().position(|(other, _)| other == mutant);
                    let caught = hunt(*mutant, seeds.clone(), shape, folder);
                    eprintln!("{mutant:?}: {}", if caught.is_some() { "caught" } else { "not caught" });
                    if let (Some(at), Ok(mut results)) = (at, results.lock()) {
                        results[at] = caught;
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_default()
}

fn hunt(
    mutant: Mutant,
    seeds: std::ops::Range<u64>,
    shape: Option<usize>,
    folder: Option<&str>,
) -> Option<Caught> {
    let start = seeds.start;
    for seed in seeds {
        let at = shape.unwrap_or((seed % shapes::SHAPES.len() as u64) as usize);
        let (shape, define) = *shapes::SHAPES.get(at)?;
        let simulation = Simulation::new(seed, define).with_mutant(mutant);
        if let Err(failure) = simulation.run() {
            let by: String = failure.reason.lines().next().unwrap_or_default().chars().take(90).collect();
            if let Some(folder) = folder {
                let (plan, failure) = simulation.shrink(failure);
                let what = format!("{mutant:?}: {}", failure.reason);
                let stored = Stored { what, shape: shape.to_owned(), seeds: vec![seed], plan };
                let _ = stored.write(&format!("{folder}/{mutant:?}.json"));
            }
            return Some(Caught { n_seeds: seed - start + 1, by: by.replace('|', "/") });
        }
    }
    hunt_in_plans(mutant)
}

/// Which seeds of one plan show a mutant: what a plan written by hand is tried with.
fn hunt_in_plan(file: &str, seeds: std::ops::Range<u64>, words: &[String]) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let mutant = Mutant::ALL.iter().find(|(mutant, _)| words.contains(&format!("{mutant:?}")));
    let (Ok(stored), Some((mutant, _))) = (Stored::read(file.as_ref()), mutant) else {
        eprintln!("it needs a plan that can be read and the name of one mutant: {file} in {words:?}");
        return ExitCode::FAILURE;
    };
    let mut found = Vec::new();
    for seed in seeds {
        let Some(run) = stored.simulation(seed) else { return ExitCode::FAILURE };
        let failure = stored.simulation(seed).map(|run| run.with_mutant(*mutant).run());
        let Some(Err(failure)) = failure else { continue };
        if let Err(without) = run.run() {
            println!("seed {seed} fails without the mutant too: {}", without.reason);
            continue;
        }
        println!("seed {seed}: {}", failure.reason.lines().next().unwrap_or_default());
        found.push(seed);
        if found.len() == SEEDS_OF_PLAN {
            break;
        }
    }
    println!("{found:?}");
    if found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Plans that were kept are run behind the seeds: what seldom comes about in fresh ones is caught by these.
fn hunt_in_plans(mutant: Mutant) -> Option<Caught> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans");
    let mut paths: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    let mut n_seeds = 0;
    for path in paths {
        let stored = Stored::read(&path).ok()?;
        for seed in &stored.seeds {
            n_seeds += 1;
            let is_sound = || stored.simulation(*seed).is_some_and(|run| run.run().is_ok());
            if stored.simulation(*seed)?.with_mutant(mutant).run().is_err() && is_sound() {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                return Some(Caught { n_seeds, by: format!("the kept plan `{name}`") });
            }
        }
    }
    None
}
