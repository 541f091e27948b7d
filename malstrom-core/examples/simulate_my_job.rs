//! # A job of one's own under faults
//!
//! The simulator runs the real workers and the real coordinator in one thread, lets everything go wrong that a seed
//! chooses, and compares what the job shows with a run in which nothing did. Here are two jobs that number the
//! records of each key. One keeps the count in the engine. The other keeps it in a variable of a closure, which looks
//! right in every test without a crash or a rescale.
//!
//! `cargo run -p malstrom-core --example simulate_my_job`

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::collections::BTreeMap;

use malstrom_core::stream::Job;
use malstrom_core::testing::{Item, Output, RunFailure, SimContext, Simulation};

/// Seeds tried before a job is taken to be sound.
const SEEDS: u64 = 40;

/// Counts in keyed state: it is part of every snapshot and moves with its key. Keyed by partition too, since in which order
/// partitions are read is not fixed, and what is compared must not depend on it.
fn sound(job: &Job, sim: &SimContext) {
    job.source("orders", sim.source("orders"))
        .key_by(|item: &Item| (item.key, item.partition))
        .map_with_state("count", |_, count: &mut u64, item: Item| {
            *count += 1;
            Output { key: item.key, partition: item.partition, seq: item.seq, value: *count }
        })
        .into_pairs()
        .map(|(_, output)| output)
        .transactional_sink("numbered", sim.sink("numbered"));
}

/// The planted fault: counts in a map of the closure's, which a crash loses and a rescale leaves behind.
fn unsound(job: &Job, sim: &SimContext) {
    let mut counts: BTreeMap<(u64, u32), u64> = BTreeMap::new();
    job.source("orders", sim.source("orders"))
        .key_by(|item: &Item| (item.key, item.partition))
        .map_values(move |key, item: Item| {
            let count = counts.entry(*key).or_default();
            *count += 1;
            Output { key: item.key, partition: item.partition, seq: item.seq, value: *count }
        })
        .into_pairs()
        .map(|(_, output)| output)
        .transactional_sink("numbered", sim.sink("numbered"));
}

/// The whole of a test: every seed is a run of its own, and a failure names its seed.
fn survives(define: fn(&Job, &SimContext)) -> Result<(), Box<RunFailure>> {
    for seed in 0..SEEDS {
        Simulation::new(seed, define).run()?;
    }
    Ok(())
}

fn main() {
    assert!(survives(sound).is_ok(), "the sound job survives every seed");
    println!("the sound job survives {SEEDS} seeds");

    let failure = survives(unsound).expect_err("the simulator finds the planted fault");
    println!("the unsound job fails with seed {}: {}", failure.seed, failure.reason);
    // The seed alone brings the same run about again.
    let again = Simulation::new(failure.seed, unsound).run().expect_err("a seed that failed fails again");
    assert_eq!(again.reason, failure.reason);
}
