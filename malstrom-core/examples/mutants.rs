//! Runs the simulator against an engine that is broken on purpose, each time in another way, and says after how many
//! seeds it was caught and by which check.
//!
//! `cargo run --release -p malstrom-core --features mutants --example mutants -- [SEEDS] [START] [NAME]`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::process::ExitCode;

use malstrom_core::testing::{Mutant, Simulation};

#[path = "../tests/shapes/mod.rs"]
mod shapes;

/// Seeds for each mutant if none are asked for.
const SEEDS_DEFAULT: u64 = 3000;

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
    let only: Vec<&String> = words.iter().filter(|word| word.parse::<u64>().is_err()).collect();
    std::panic::set_hook(Box::new(|_| {}));
    println!("| Mutant | What it does | Caught by | Seeds |");
    println!("|---|---|---|--:|");
    let (mut n_caught, mut n_all) = (0, 0);
    for (mutant, what) in Mutant::ALL {
        let name = format!("{mutant:?}");
        if !only.is_empty() && !only.contains(&&name) {
            continue;
        }
        n_all += 1;
        match hunt(*mutant, start..start + n_seeds) {
            Some(Caught { n_seeds, by }) => {
                n_caught += 1;
                println!("| {name} | {what} | {by} | {n_seeds} |");
            }
            None => println!("| {name} | {what} | **not caught** | {n_seeds} |"),
        }
        eprintln!("{name}: done");
    }
    println!("\n{n_caught} of {n_all} mutants caught");
    if n_caught == n_all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hunt(mutant: Mutant, seeds: std::ops::Range<u64>) -> Option<Caught> {
    let start = seeds.start;
    for seed in seeds {
        let (_, define) = shapes::SHAPES[(seed % shapes::SHAPES.len() as u64) as usize];
        if let Err(failure) = Simulation::new(seed, define).with_mutant(mutant).run() {
            let by: String = failure.reason.lines().next().unwrap_or_default().chars().take(90).collect();
            return Some(Caught { n_seeds: seed - start + 1, by: by.replace('|', "/") });
        }
    }
    None
}
