//! Whole jobs under faults, seed by seed. `examples/simulate.rs` runs as many more as one likes.

use std::path::Path;

use malstrom_core::testing::{End, FaultCounts, RunReport, Simulation};

#[expect(dead_code, reason = "the tests read plans and write none")]
mod plans;
mod shapes;

use plans::Stored;

/// Seeds for each run of the tests; the shape follows from the seed.
const SEEDS: std::ops::Range<u64> = 0..180;
/// Every so many seeds are run twice, to compare what the scheduler decided.
const TWICE_EVERY: u64 = 9;

/// Seeds for the job whose commits are all damaged.
const DAMAGE_SEEDS: u64 = 40;

fn shape_of(seed: u64) -> usize {
    (seed % shapes::SHAPES.len() as u64) as usize
}

fn run(seed: u64, shape: usize) -> RunReport {
    let (name, define) = shapes::SHAPES[shape];
    match Simulation::new(seed, define).run() {
        Ok(report) => report,
        Err(failure) => panic!(
            "shape `{name}`: {failure}\nagain: cargo run --release -p malstrom-core --example simulate -- 1 {seed} {shape}"
        ),
    }
}

#[test]
fn i1_to_i16_hold_for_every_seed() {
    for seed in SEEDS {
        run(seed, shape_of(seed));
    }
}

#[test]
fn i17_the_same_seed_gives_the_same_trace() {
    for seed in SEEDS.step_by(TWICE_EVERY as usize) {
        let shape = shape_of(seed / TWICE_EVERY);
        assert_eq!(run(seed, shape), run(seed, shape), "seed {seed}");
    }
}

#[test]
fn plans_that_failed_once_do_not_fail_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let plans: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    assert!(!plans.is_empty(), "the plans are where they were");
    for path in plans {
        let stored = Stored::read(&path).unwrap();
        for seed in &stored.seeds {
            let simulation = stored.simulation(*seed).expect("the shape exists");
            if let Err(failure) = simulation.run() {
                panic!("{}: {failure}", path.display());
            }
        }
    }
}

#[test]
fn i16_a_job_whose_commits_are_all_damaged_says_so_and_never_starts_afresh() {
    // Every seed in which that happened to somebody who had nothing else to restore ended in a refusal or, if it could
    // commit anew before it fell, in the right output; that it does not start afresh is checked in every run.
    let mut faults = FaultCounts::default();
    let mut n_refused = 0;
    for seed in 0..DAMAGE_SEEDS {
        let (_, define) = shapes::SHAPES[1];
        let plan = Simulation::new(seed, define).plan().with_all_commits_damaged();
        let report = Simulation::new(seed, define).with_plan(plan).run().unwrap();
        n_refused += u64::from(report.end == End::Refused);
        faults.merge(&report.faults);
    }
    let n_damaged = faults.0.get("damage: an object of every commit").copied().unwrap_or(0);
    assert!(n_damaged > 0 && n_refused * 2 > n_damaged, "{n_refused} refusals of {n_damaged}");
}
