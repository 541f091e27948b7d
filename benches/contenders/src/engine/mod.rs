//! Malstrom, with all its guarantees: bins, an exchange, snapshots that run.

mod loaded;
mod paced;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use malstrom_core::element::Record;
use malstrom_core::key::KeyBytes;
use malstrom_core::operators::{
    BoxError as OperatorError, Emit, Read, ReadContext, ReadStatus, Sink, Source, from_iters,
};
use malstrom_runtime::connectors::Line;
use malstrom_runtime::prelude::*;

use crate::data::{DISORDER_MS, Event, WINDOW_MS, events, key, load_text, range, shares};
use crate::task::{Program, Snapshots, Task, Workload};
use crate::tuned::{BATCH_KEYS, CountsInBins};
use crate::work;
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::{LocalTally, Tally};

/// Does the work.
///
/// # Errors
/// If the input is not there, or the job fails.
pub fn run(task: &Task) -> Result<Outcome, BoxError> {
    if !matches!(task.workload, Workload::W1 | Workload::W1b | Workload::W2 | Workload::W3 | Workload::W4) {
        return loaded::run(task);
    }
    let text = if task.counts_words() { load_text(task.text.as_deref())? } else { &[] };
    let tally = Tally::start();
    let define = {
        let (task, tally) = (task.clone(), tally.clone());
        move |job: &Job| define(job, &task, text, &tally)
    };
    let folder = Scratch::new(task)?;
    let builder = MultiThread::builder()
        .job("bench", define)
        .workers(u32::try_from(task.workers)?)
        .snapshots(&folder.url(task.snapshots));
    let builder = match task.snapshots {
        Snapshots::Off => builder,
        _ => builder.snapshot_interval(task.snapshot_every()),
    };
    let ended = builder.build()?.run()?;
    let mut outcome = tally.outcome(task.records);
    if !text.is_empty() {
        outcome.records = ended.keyed_state::<KeyBytes, u64>("count")?.iter().map(|(_, n)| n).sum();
    }
    outcome.note("snapshots", ended.snapshots.len());
    Ok(outcome)
}

/// What a user writes.
fn define(job: &Job, task: &Task, text: &'static [u8], tally: &std::sync::Arc<Tally>) {
    let n = task.workers;
    let (n_records, n_keys) = (task.records, task.keys);
    match task.workload {
        Workload::W1 => job
            .source("text", Text { text, n_partitions: n })
            .flat_map(Line::into_words)
            .into_keyed(|word| (word, ()))
            .fold("count", || 0_u64, |count, ()| *count += 1)
            .sink(
                "digest",
                Digest::new(tally, |(word, count): (KeyBytes, u64)| work::running_count(word.len(), count)),
            ),
        Workload::W1b => job
            .source("text", Text { text, n_partitions: n })
            .flat_map(Line::into_words)
            .into_keyed(|word| (word, ()))
            .fold_final("count", || 0_u64, |count, ()| *count += 1)
            .sink(
                "digest",
                Digest::new(tally, |(word, count): (KeyBytes, u64)| work::final_count(&word, count)),
            ),
        Workload::W2 => job
            .source("numbers", from_iters(n, move |i| range(n_records, i, n)))
            .map(work::first)
            .filter(|n| work::keep(*n))
            .map(work::third)
            .map(work::fourth)
            .sink("digest", Digest::new(tally, |n| n)),
        Workload::W3 if task.program == Program::TunedInBins => job
            .source("numbers", from_iters(n, move |i| range(n_records, i, n).map(move |i| key(i, n_keys))))
            .into_keyed(|n| (n, ()))
            .sink("counts", TunedTables { counts: CountsInBins::new(tally.local()), batch: Vec::new() }),
        Workload::W3 => job
            .source("numbers", from_iters(n, move |i| range(n_records, i, n).map(move |i| key(i, n_keys))))
            .into_keyed(|n| (n, ()))
            .fold("count", || 0_u64, |count, ()| *count += 1)
            .sink("digest", Digest::new(tally, |(key, count)| work::number_count(key, count))),
        Workload::W4 => job
            .source("events", from_iters(n, move |i| events(n_records, n_keys, i, n)))
            .assign_timestamps(
                |event| Timestamp::from_millis(event.time_ms),
                Watermarks::bounded_disorder(DISORDER_MS),
            )
            .window_by(|event| event.key, Tumbling::of(WINDOW_MS))
            .aggregate("sums", aggregates::sum(|event: &Event| event.value))
            .sink(
                "digest",
                Digest::new(tally, |(key, window): (u64, WindowResult<u64>)| {
                    work::window_sum(key, window.start.0, window.value)
                }),
            ),
        // Those of `loaded`.
        _ => {}
    }
}

/// A sink that adds up what it is given.
struct Digest<F> {
    tally: LocalTally,
    digest: F,
}

impl<F> Digest<F> {
    fn new<T>(tally: &std::sync::Arc<Tally>, digest: F) -> Self
    where
        F: FnMut(T) -> u64,
    {
        Self { tally: tally.local(), digest }
    }
}

impl<T, F: FnMut(T) -> u64 + 'static> Sink<T> for Digest<F> {
    #[inline]
    fn write(&mut self, record: Record<T>) -> Result<(), OperatorError> {
        self.tally.add((self.digest)(record.value));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), OperatorError> {
        self.tally.publish();
        Ok(())
    }
}

/// A sink that counts in tables that are no state of the job.
struct TunedTables {
    counts: CountsInBins,
    batch: Vec<u64>,
}

impl Sink<(u64, ())> for TunedTables {
    #[inline]
    fn write(&mut self, record: Record<(u64, ())>) -> Result<(), OperatorError> {
        self.batch.push(record.value.0);
        if self.batch.len() == BATCH_KEYS {
            self.counts.add_all(&self.batch);
            self.batch.clear();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), OperatorError> {
        self.counts.add_all(&self.batch);
        self.batch.clear();
        self.counts.publish();
        Ok(())
    }
}

/// A source of lines from memory.
struct Text {
    text: &'static [u8],
    n_partitions: usize,
}

impl Source for Text {
    type Item = Line;
    type Reader = TextReader;

    fn partitions(&mut self) -> Result<Vec<String>, OperatorError> {
        Ok((0..self.n_partitions).map(|i| i.to_string()).collect())
    }

    fn open(&mut self, partition: &str, position: Option<usize>) -> Result<TextReader, OperatorError> {
        let shares = shares(self.text, self.n_partitions);
        let share = shares.get(partition.parse::<usize>()?).ok_or("no such partition")?;
        Ok(TextReader { share: Bytes::from_static(share), at: position.unwrap_or(0) })
    }
}

/// A part of a [`Text`]. Its position is the number of bytes read.
struct TextReader {
    share: Bytes,
    at: usize,
}

impl Read for TextReader {
    type Item = Line;
    type Position = usize;

    #[inline]
    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Line>) -> Result<ReadStatus, OperatorError> {
        for _ in 0..cx.n_records_max {
            if self.at >= self.share.len() {
                return Ok(ReadStatus::Ended);
            }
            let rest = &self.share[self.at..];
            let end = self.at + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            out.emit(Record::new(Line::from(self.share.slice(self.at..end))));
            self.at = end + 1;
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> usize {
        self.at
    }
}

/// A folder for the snapshots of one run, removed at its end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(task: &Task) -> Result<Self, BoxError> {
        let folder = task.scratch.join(format!("malstrom-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn url(&self, snapshots: Snapshots) -> String {
        match snapshots {
            Snapshots::Local => self.0.display().to_string(),
            Snapshots::Memory | Snapshots::Off => "memory:".to_owned(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the scratch folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
