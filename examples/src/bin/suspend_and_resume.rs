//! # Suspend and resume
//!
//! A suspended job is a snapshot. The same program, started again on the same snapshots, goes on where it stopped: at
//! whatever scale it is given, and counting nothing twice.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use malstrom_core::operators::Discard;
use malstrom_runtime::connectors::ZipfText;
use malstrom_runtime::prelude::*;

const N_WORDS: u64 = 2_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("malstrom-suspend-{}", std::process::id()));
    let snapshots = folder.to_str().ok_or("the folder for temporary files is not UTF-8")?;

    let running = counting(snapshots, 2)?.start()?;
    let report = running.api().suspend()?;
    let outcome = running.wait()?;
    assert_eq!(outcome.completion, Completion::Suspended);
    let so_far: Vec<(Vec<u8>, u64)> = outcome.keyed_state("count")?;
    println!("suspended at snapshot {} with {} distinct words", report.id, so_far.len());

    let outcome = counting(snapshots, 3)?.run()?;
    assert_eq!(outcome.resumed_from, Some(report.id));
    assert_eq!(outcome.completion, Completion::Finished);
    let counts: Vec<(Vec<u8>, u64)> = outcome.keyed_state("count")?;
    println!("finished on {} workers with {} distinct words", outcome.n_workers, counts.len());
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), N_WORDS);

    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn counting(snapshots: &str, n_workers: u32) -> Result<RunnableJob, JobError> {
    MultiThread::builder()
        .job("suspended", |job: &Job| {
            job.source("text", ZipfText::new(10_000).words(N_WORDS).partitions(4))
                .flat_map(|line| line.words().map(<[u8]>::to_vec).collect::<Vec<_>>())
                .into_keyed(|word| (word, ()))
                .fold("count", || 0_u64, |count, ()| *count += 1)
                .sink("nowhere", Discard);
        })
        .workers(n_workers)
        .snapshots(snapshots)
        .build()
}
