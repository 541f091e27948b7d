//! # Split, fan out, union
//!
//! `split` sends each record to one of several streams, `fan_out` sends each to all of several, `union` makes one
//! stream of two.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use malstrom_core::operators::{Collected, from_iter};
use malstrom_runtime::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let results = Collected::default();
    let sink = results.clone();

    let job = SingleThread::builder()
        .job("branches", move |job: &Job| {
            let numbers = job.source("numbers", from_iter(|| 1..=6_i64));
            let [even, odd] = numbers.split(|n| (n % 2) as usize);
            let [once, again] = odd.fan_out();
            let negative = once.map(|n| -n);
            even.union(negative).union(again).transactional_sink("results", sink.sink());
        })
        .build()?;
    job.run()?;

    let mut results = results.take();
    results.sort_unstable();
    println!("{results:?}");
    assert_eq!(results, [-5, -3, -1, 1, 2, 3, 4, 5, 6]);
    Ok(())
}
