//! # A source and a sink of one's own
//!
//! A source names its partitions and opens one at a position; a reader emits records and says where it stands. The
//! engine places partitions on workers, moves them in a rescale and makes positions part of every snapshot. A sink
//! takes records.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use malstrom_core::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Sink, Source};
use malstrom_runtime::prelude::*;

/// The powers of some bases, each base a partition.
struct Powers {
    bases: Vec<u64>,
}

/// One base being raised.
struct Raise {
    base: u64,
    exponent: u32,
}

impl Source for Powers {
    type Item = u64;
    type Reader = Raise;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(self.bases.iter().map(u64::to_string).collect())
    }

    fn open(&mut self, partition: &str, exponent: Option<u32>) -> Result<Raise, BoxError> {
        Ok(Raise { base: partition.parse()?, exponent: exponent.unwrap_or(0) })
    }
}

impl Read for Raise {
    type Item = u64;
    /// The next exponent.
    type Position = u32;

    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<u64>) -> Result<ReadStatus, BoxError> {
        for _ in 0..cx.n_records_max {
            let Some(power) = self.base.checked_pow(self.exponent) else { return Ok(ReadStatus::Ended) };
            self.exponent += 1;
            out.emit(Record::new(power));
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> u32 {
        self.exponent
    }
}

/// Remembers the largest record of all workers.
struct Largest(Arc<AtomicU64>);

impl Sink<u64> for Largest {
    fn write(&mut self, record: Record<u64>) -> Result<(), BoxError> {
        self.0.fetch_max(record.value, Ordering::Relaxed);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let largest = Arc::new(AtomicU64::new(0));
    let seen = largest.clone();

    let job = MultiThread::builder()
        .job("powers", move |job: &Job| {
            job.source("powers", Powers { bases: vec![2, 3, 10] }).sink("largest", Largest(seen.clone()));
        })
        .workers(2)
        .build()?;
    job.run()?;

    let largest = largest.load(Ordering::Relaxed);
    println!("the largest is {largest}");
    assert_eq!(largest, 3_u64.pow(40));
    Ok(())
}
