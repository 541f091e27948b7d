//! # Hello, stream
//!
//! A job is a closure that builds a dataflow, as one writes an iterator chain: it begins at a source and ends in a
//! sink. Here it runs on the calling thread.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use malstrom_core::operators::{Collected, from_iter};
use malstrom_runtime::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let squares = Collected::default();
    let sink = squares.clone();

    let job = SingleThread::builder()
        .job("hello", move |job: &Job| {
            job.source("numbers", from_iter(|| 1..=10_u64))
                .filter(|n| n % 2 == 0)
                .map(|n| n * n)
                .inspect(|square| println!("{square}"))
                .transactional_sink("squares", sink.sink());
        })
        .build()?;
    let outcome = job.run()?;

    assert_eq!(outcome.completion, Completion::Finished);
    assert_eq!(squares.take(), [4, 16, 36, 64, 100]);
    Ok(())
}
