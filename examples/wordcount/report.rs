//! What is told at the end.

use std::time::Duration;

use malstrom_core::key::KeyBytes;
use malstrom_runtime::job::StateReadError;
use malstrom_runtime::prelude::*;
use serde::Serialize;

use crate::args::Args;
use crate::failure::Failure;
use crate::job::COUNT;
use crate::live::TOP_WORDS;
use crate::show;

/// All words and their counts, in no particular order.
pub(crate) fn counts(outcome: &JobOutcome) -> Result<Vec<(KeyBytes, u64)>, Failure> {
    match outcome.keyed_state(COUNT) {
        Ok(counts) => Ok(counts),
        // It was stopped before anything was counted, or there was nothing to count.
        Err(StateReadError::NoSnapshot | StateReadError::Unknown { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// How a run went, as `--json` tells it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    words: u64,
    distinct: u64,
    seconds: f64,
    words_per_s: f64,
    workers: u32,
    resumed_from: Option<u64>,
    gap_ms_max_steady: f64,
    rescales: Vec<Rescale>,
    snapshots: Vec<Snapshot>,
    recoveries: usize,
}

#[derive(Debug, Serialize)]
struct Rescale {
    from: u32,
    to: u32,
    duration_ms: f64,
    gap_ms_max: f64,
    bins_moved: u64,
    bytes_moved: u64,
}

#[derive(Debug, Serialize)]
struct Snapshot {
    id: u64,
    duration_ms: f64,
    bytes: u64,
    gap_ms_max: f64,
}

impl Report {
    /// `n_written` is what this run has counted; `counts` hold what earlier runs have, too.
    pub(crate) fn new(
        outcome: &JobOutcome,
        counts: &[(KeyBytes, u64)],
        n_written: u64,
        took: Duration,
    ) -> Self {
        let rescales = outcome.rescales.iter().map(|report| Rescale {
            from: report.from,
            to: report.to,
            duration_ms: ms(report.duration),
            gap_ms_max: ms(report.gap_max),
            bins_moved: report.bins_moved,
            bytes_moved: report.bytes_moved,
        });
        let snapshots = outcome.snapshots.iter().map(|report| Snapshot {
            id: report.id.0,
            duration_ms: ms(report.duration),
            bytes: report.bytes,
            gap_ms_max: ms(report.gap_max),
        });
        Self {
            words: counts.iter().map(|(_, count)| count).sum(),
            distinct: counts.len() as u64,
            seconds: took.as_secs_f64(),
            words_per_s: n_written as f64 / took.as_secs_f64().max(1e-9),
            workers: outcome.n_workers,
            resumed_from: outcome.resumed_from.map(|id| id.0),
            gap_ms_max_steady: ms(outcome.gap_max_steady),
            rescales: rescales.collect(),
            snapshots: snapshots.collect(),
            recoveries: outcome.recoveries.len(),
        }
    }

    /// Tells a person.
    pub(crate) fn tell(
        &self,
        outcome: &JobOutcome,
        counts: &[(KeyBytes, u64)],
        args: &Args,
    ) -> Result<(), Failure> {
        let (words, distinct) = (show::count(self.words), show::count(self.distinct));
        let so_far = match (outcome.completion, outcome.was_finished) {
            (Completion::Finished, true) => "had counted already",
            (Completion::Finished, false) => "counted",
            _ => "counted so far",
        };
        let took = show::time(Duration::from_secs_f64(self.seconds));
        let rate = show::figure(self.words_per_s);
        show::result(&format!(
            "{so_far}: {words} words, {distinct} distinct; {took}, {rate}words/s, {} at the end",
            workers(self.workers)
        ))?;
        if !counts.is_empty() {
            show::result(&format!("most frequent: {}", most_frequent(counts)))?;
        }
        if !outcome.was_finished {
            show::result(&format!("longest time without output: {}", self.gaps(outcome.completion)))?;
        }
        match (outcome.completion, &args.snapshots) {
            (Completion::Finished, _) => Ok(()),
            (_, Some(url)) => {
                show::result(&format!("suspended: run it again with --snapshots {url} to go on"))
            }
            (_, None) => show::result("suspended, and gone: without --snapshots nothing is kept"),
        }
    }

    /// Prints the report as one line.
    pub(crate) fn print_json(&self) -> Result<(), Failure> {
        show::result(&serde_json::to_string(self)?)
    }

    /// The snapshot that ends a finished job is left out: no output is left that could wait for it.
    fn gaps(&self, completion: Completion) -> String {
        let time = |ms: f64| show::time(Duration::from_secs_f64(ms / 1e3));
        let mut gaps = vec![format!("{} when nothing else went on", time(self.gap_ms_max_steady))];
        let n_last = usize::from(completion == Completion::Finished);
        let n_snapshots = self.snapshots.len().saturating_sub(n_last);
        let snapshots = self.snapshots.iter().take(n_snapshots);
        let in_snapshots = snapshots.map(|snapshot| snapshot.gap_ms_max).fold(0.0, f64::max);
        if n_snapshots > 0 {
            let plural = if n_snapshots > 1 { "s" } else { "" };
            gaps.push(format!("{} in {n_snapshots} snapshot{plural}", time(in_snapshots)));
        }
        for rescale in &self.rescales {
            gaps.push(format!(
                "{} in the rescale {} -> {}",
                time(rescale.gap_ms_max),
                rescale.from,
                rescale.to
            ));
        }
        gaps.join(", ")
    }
}

/// A number of workers, in words.
pub(crate) fn workers(n: u32) -> String {
    if n == 1 { "1 worker".to_owned() } else { format!("{n} workers") }
}

fn most_frequent(counts: &[(KeyBytes, u64)]) -> String {
    let mut all: Vec<&(KeyBytes, u64)> = counts.iter().collect();
    let by_count = |one: &&(KeyBytes, u64), two: &&(KeyBytes, u64)| two.1.cmp(&one.1).then(one.0.cmp(&two.0));
    let n = TOP_WORDS.min(all.len());
    if n < all.len() {
        all.select_nth_unstable_by(n, by_count);
    }
    all.truncate(n);
    all.sort_unstable_by(by_count);
    let shown: Vec<_> =
        all.iter().map(|(word, count)| format!("{} {}", show::word(word), show::count(*count))).collect();
    shown.join(", ")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
