//! # Keyed state
//!
//! `key_by` sends all records of one key to one worker, and an operator with state finds there what it has kept for
//! the key. The operator's name identifies that state: in snapshots, and when it is read after the job has ended.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use malstrom_core::operators::from_iters;
use malstrom_runtime::prelude::*;

/// A purchase: who, and for how much in cents.
type Purchase = (&'static str, u64);

const MORNING: [Purchase; 3] = [("ada", 500), ("grace", 250), ("ada", 125)];
const EVENING: [Purchase; 3] = [("grace", 1000), ("barbara", 75), ("ada", 50)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job = MultiThread::builder()
        .job("spending", |job: &Job| {
            job.source("purchases", from_iters(2, |partition| [MORNING, EVENING][partition].into_iter()))
                .map(|(who, cents)| (who.to_owned(), cents))
                .into_keyed(|(who, cents)| (who, cents))
                .fold("spent", || 0_u64, |total, cents| *total += cents)
                .for_each("print", |(who, total)| println!("{who} has spent {total} cents so far"));
        })
        .workers(2)
        .build()?;
    let outcome = job.run()?;

    let mut spent: Vec<(String, u64)> = outcome.keyed_state("spent")?;
    spent.sort();
    assert_eq!(spent, [("ada".into(), 675), ("barbara".into(), 75), ("grace".into(), 1250)]);
    Ok(())
}
