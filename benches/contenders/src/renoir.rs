//! Renoir, as its own word count examples have it.

use std::time::Duration;

use ::renoir::prelude::*;

use crate::data::{DISORDER_MS, WINDOW_MS, events, key, load_str, range, shares_str, window_of};
use crate::storing::Storing;
use crate::task::{Program, Task, Workload};
use crate::work;
use malstrom_measure::latency::{Latencies, Pace};
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::Tally;

/// Records in a batch: what its examples take where latency does not matter.
const BATCH_RECORDS: usize = 1024;

/// Does the work.
///
/// # Errors
/// If the input is not there.
pub fn run(task: &Task) -> Result<Outcome, BoxError> {
    let text = if task.counts_words() { load_str(task.text.as_deref())? } else { "" };
    let (n_records, n_keys) = (task.records, task.keys);
    let tally = Tally::start();
    let env = StreamContext::new(RuntimeConfig::local(task.workers as u64)?);
    let words = || {
        let lines = env.stream_par_iter(move |i, n| shares_str(text, n as usize)[i as usize].lines());
        lines
            .batch_mode(BatchMode::fixed(BATCH_RECORDS))
            .flat_map(|line: &'static str| line.split_ascii_whitespace().map(String::from))
    };
    let numbers = || env.stream_par_iter(move |i, n| range(n_records, i as usize, n as usize));
    let mut out = tally.local();
    let mut latencies = None;
    match task.workload {
        Workload::W1 => words()
            .group_by(|word: &String| word.clone())
            .rich_map(running_count())
            .for_each(move |(word, count)| out.add(work::running_count(word.len(), count))),
        Workload::W1b if task.program == Program::RenoirTwoPhase => {
            let noted = tally.clone();
            words()
                .group_by_fold(
                    |word: &String| word.clone(),
                    0_u64,
                    |count, _word| *count += 1,
                    |count, more| *count += more,
                )
                .for_each(move |(word, count)| {
                    noted.note_inputs(count);
                    out.add(work::final_count(word.as_bytes(), count));
                });
        }
        Workload::W1b => {
            let noted = tally.clone();
            words().group_by(|word: &String| word.clone()).fold(0_u64, |count, _word| *count += 1).for_each(
                move |(word, count)| {
                    noted.note_inputs(count);
                    out.add(work::final_count(word.as_bytes(), count));
                },
            );
        }
        Workload::W2 => numbers()
            .map(work::first)
            .filter(|n| work::keep(*n))
            .map(work::third)
            .map(work::fourth)
            .fold_assoc(
                (0, 0_u64),
                |(n, sum), value| (*n, *sum) = (*n + 1, sum.wrapping_add(value)),
                |(n, sum), (more, others)| (*n, *sum) = (*n + more, sum.wrapping_add(others)),
            )
            .for_each(move |(n, sum): (u64, u64)| out.add_many(n, sum)),
        Workload::W3 => numbers()
            .batch_mode(BatchMode::fixed(BATCH_RECORDS))
            .map(move |i| key(i, n_keys))
            .group_by(|key| *key)
            .rich_map(running_count())
            .for_each(move |(key, count)| out.add(work::number_count(key, count))),
        Workload::W4 => {
            let mut newest = 0;
            let mut n = 0_u64;
            env.stream_par_iter(move |i, n| events(n_records, n_keys, i as usize, n as usize))
                .batch_mode(BatchMode::fixed(BATCH_RECORDS))
                .add_timestamps(
                    // A window begins with the first event of its key: this makes all begin at the same times.
                    |event| window_of(event.time_ms),
                    move |event, _| {
                        newest = newest.max(event.time_ms);
                        n += 1;
                        // A watermark goes to every worker: not one an event.
                        n.is_multiple_of(BATCH_RECORDS as u64).then(|| window_of(newest - DISORDER_MS))
                    },
                )
                .map(|event| (event.key, event.value, window_of(event.time_ms)))
                .group_by(|(key, _, _)| *key)
                .window(EventTimeWindow::tumbling(WINDOW_MS))
                .fold((0_i64, 0_u64), |(window, sum), (_, value, of)| {
                    *window = *of;
                    *sum += value;
                })
                .for_each(move |(key, (window, sum))| out.add(work::window_sum(key, window, sum)));
        }
        Workload::W5 => {
            let n_records = (task.rate as f64 * task.seconds) as u64;
            let pace = Pace::new(task.rate, 0);
            pace.begin(Duration::from_millis(500));
            let mut measured = Latencies::new(&pace, Duration::from_secs_f64(task.seconds + 60.0)).local();
            latencies = Some(measured.whole());
            // One thread makes the records, and does not rest.
            let due = (0..n_records).map(move |i| {
                let due = pace.due_ns(i).unwrap_or(0);
                while pace.now_ns() < due {
                    std::hint::spin_loop();
                }
                (key(i, n_keys), due)
            });
            env.stream_iter(due)
                .batch_mode(BatchMode::single())
                .group_by(|(key, _)| *key)
                .rich_map({
                    let mut count = 0_u64;
                    move |(_key, (_, due))| {
                        count += 1;
                        (count, due)
                    }
                })
                .for_each(move |(_key, (_count, due))| measured.note(due, false));
        }
        _ => return Err("only Malstrom does this".into()),
    }
    let storing = match task.program {
        Program::RenoirStoring => Some(Storing::begin(task)?),
        _ => None,
    };
    env.execute_blocking();
    if let Some(storing) = storing {
        storing.end()?;
    }
    let mut outcome = tally.outcome(task.records);
    if task.counts_words() {
        outcome.records = tally.inputs(outcome.outputs);
    }
    if let Some(latencies) = latencies {
        outcome.note("latency", latencies.summary());
    }
    Ok(outcome)
}

/// A count for each key: Renoir clones the closure for each.
fn running_count<K, V>() -> impl FnMut((&K, V)) -> u64 + Clone + Send + 'static {
    let mut count = 0;
    move |_| {
        count += 1;
        count
    }
}
