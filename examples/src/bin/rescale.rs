//! # Rescale while records flow
//!
//! The coordinator's API can be used from any thread. A call to `rescale` returns when the new scale is durable; the
//! stream does not stop meanwhile.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use malstrom_core::operators::Discard;
use malstrom_runtime::connectors::ZipfText;
use malstrom_runtime::prelude::*;

const N_WORDS: u64 = 3_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job = MultiThread::builder()
        .job("rescaled", |job: &Job| {
            job.source("text", ZipfText::new(10_000).words(N_WORDS).partitions(4).rate(3_000_000))
                .flat_map(|line| line.words().map(<[u8]>::len).collect::<Vec<_>>())
                .into_keyed(|length| (length, ()))
                .fold("words of this length", || 0_u64, |count, ()| *count += 1)
                .sink("nowhere", Discard);
        })
        .workers(1)
        .build()?;
    let running = job.start()?;

    for n_workers in [3, 2] {
        let report = running.api().rescale(n_workers)?;
        println!(
            "{} -> {} workers: {} bins in {:?}, longest gap in the output {:?}",
            report.from, report.to, report.bins_moved, report.duration, report.gap_max
        );
    }
    let refused = running.api().rescale(0);
    println!("0 workers: {}", refused.expect_err("a job needs a worker"));

    let outcome = running.wait()?;
    let lengths: Vec<(usize, u64)> = outcome.keyed_state("words of this length")?;
    assert_eq!(lengths.iter().map(|(_, count)| count).sum::<u64>(), N_WORDS);
    assert_eq!((outcome.n_workers, outcome.rescales.len()), (2, 2));
    Ok(())
}
