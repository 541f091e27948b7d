//! Counts of numbers by key, each number sent to its key's worker, and combined before it is sent: from one key that
//! everything has to many that are equally common.
//!
//! `cargo run --release -p malstrom-runtime --example combine_speed -- [RECORDS] [WORKERS]`

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::time::Instant;

use malstrom_core::operators::from_iters;
use malstrom_runtime::prelude::*;

const KEYS: [u64; 5] = [1, 100, 1_000, 10_000, 100_000];
/// Rounds in turn, of which the median counts.
const ROUNDS: usize = 3;

/// Random numbers below `n_keys`, every `n_parts`th of them.
fn numbers(n_records: u64, n_keys: u64, part: usize, n_parts: usize) -> impl Iterator<Item = u64> {
    (part as u64..n_records).step_by(n_parts).map(move |n| {
        let mixed = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) % n_keys
    })
}

/// The count of each key, in no order.
fn count(
    n_records: u64,
    n_keys: u64,
    n_workers: u32,
    is_combined: bool,
) -> Result<Vec<(u64, u64)>, Box<dyn std::error::Error>> {
    let n_parts = n_workers as usize;
    let ended = MultiThread::builder()
        .job("counts", move |job: &Job| {
            let source = from_iters(n_parts, move |part| numbers(n_records, n_keys, part, n_parts));
            let numbers = job.source("numbers", source);
            if is_combined {
                let some = numbers.combine_by(|n| (n, ()), aggregates::count());
                some.fold_final("count", || 0_u64, |count, more| *count += more).for_each("out", |_| ());
            } else {
                let keyed = numbers.into_keyed(|n| (n, ()));
                keyed.fold_final("count", || 0_u64, |count, ()| *count += 1).for_each("out", |_| ());
            }
        })
        .workers(n_workers)
        .build()?
        .run()?;
    Ok(ended.keyed_state("count")?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let n_records = arguments.first().copied().unwrap_or(50_000_000);
    let n_workers = arguments.get(1).map_or(Ok(2), |n| u32::try_from(*n))?;
    println!("{n_records} numbers on {n_workers} workers");
    for n_keys in KEYS {
        let mut seconds = [Vec::new(), Vec::new()];
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let mut counts = Vec::new();
            for (is_combined, seconds) in [false, true].into_iter().zip(&mut seconds) {
                let begun = Instant::now();
                let mut of = count(n_records, n_keys, n_workers, is_combined)?;
                seconds.push(begun.elapsed().as_secs_f64());
                of.sort_unstable();
                counts.push(of);
            }
            assert!(counts[0] == counts[1], "both ways count the same");
            assert_eq!(counts[0].iter().map(|(_, n)| n).sum::<u64>(), n_records, "no number is lost");
            ratios.push(seconds[0][seconds[0].len() - 1] / seconds[1][seconds[1].len() - 1]);
        }
        let [sent, combined] = seconds.map(median);
        let ratio = median(ratios);
        println!(
            "{n_keys:>7} keys: {sent:.3} s as they are, {combined:.3} s combined: {ratio:.2} times as fast"
        );
    }
    Ok(())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
