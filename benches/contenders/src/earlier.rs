//! Malstrom 0.1.0, the version before this one, without snapshots: its runtime with one thread, or with several.

use std::sync::{Arc, OnceLock};

use earlier_malstrom::keyed::KeyDistribute;
use earlier_malstrom::keyed::partitioners::rendezvous_select;
use earlier_malstrom::operators::*;
use earlier_malstrom::runtime::{MultiThreadRuntime, SingleThreadRuntime};
use earlier_malstrom::sinks::{StatelessSink, StatelessSinkImpl};
use earlier_malstrom::snapshot::NoPersistence;
use earlier_malstrom::sources::{StatelessSource, StatelessSourceImpl, StatelessSourcePartition};
use earlier_malstrom::types::DataMessage;
use earlier_malstrom::worker::StreamProvider;

use crate::data::{key, load_str, range, shares_str};
use crate::task::{Task, Workload};
use crate::work;
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::{LocalTally, Tally};

/// What is to be done. Its builders take a function, which can capture nothing.
static RUN: OnceLock<Run> = OnceLock::new();

struct Run {
    task: Task,
    text: &'static str,
    tally: Arc<Tally>,
}

/// Does the work.
///
/// # Errors
/// If the input is not there, or the job fails.
pub fn run(task: &Task) -> Result<Outcome, BoxError> {
    if !matches!(task.workload, Workload::W1 | Workload::W2 | Workload::W3) {
        return Err("Malstrom 0.1 is not asked to do this".into());
    }
    let text = if task.counts_words() { load_str(task.text.as_deref())? } else { "" };
    let tally = Tally::start();
    let run = RUN.get_or_init(|| Run { task: task.clone(), text, tally: tally.clone() });
    if task.workers == 1 {
        SingleThreadRuntime::builder()
            .persistence(NoPersistence)
            .build(define)
            .execute()
            .map_err(|error| error.to_string())?;
    } else {
        MultiThreadRuntime::builder()
            .parrallelism(task.workers as u64)
            .persistence(NoPersistence)
            .build(define)
            .execute()
            .map_err(|error| error.to_string())?;
    }
    let mut outcome = run.tally.outcome(task.records);
    if task.counts_words() {
        outcome.records = outcome.outputs;
    }
    Ok(outcome)
}

fn define(provider: &mut dyn StreamProvider) {
    let Some(Run { task, text, tally }) = RUN.get() else { return };
    let (n, n_records, n_keys, text) = (task.workers, task.records, task.keys, *text);
    match task.workload {
        Workload::W1 => {
            let open = move |i| {
                let share: &'static str = shares_str(text, n)[i];
                share.lines()
            };
            provider
                .new_stream()
                .source("text", StatelessSource::new(Parts { n, open }))
                .map("words", |line: &'static str| -> Vec<String> {
                    line.split_ascii_whitespace().map(String::from).collect()
                })
                .flatten("flatten")
                .key_distribute("word", |message| message.value.clone(), rendezvous_select)
                .stateful_map("count", |_word, _value, count: u64| (count + 1, Some(count + 1)))
                .sink("digest", digest(tally, |word: &String, count| work::running_count(word.len(), count)));
        }
        Workload::W2 => provider
            .new_stream()
            .source("numbers", StatelessSource::new(Parts { n, open: move |i| range(n_records, i, n) }))
            .map("first", work::first)
            .filter("keep", |n| work::keep(*n))
            .map("third", work::third)
            .map("fourth", work::fourth)
            .sink("digest", digest(tally, |_key: &u64, n: u64| n)),
        Workload::W3 => {
            let open = move |i| range(n_records, i, n).map(move |i| key(i, n_keys));
            provider
                .new_stream()
                .source("numbers", StatelessSource::new(Parts { n, open }))
                .key_distribute("key", |message| message.value, rendezvous_select)
                .stateful_map("count", |_key, _value, count: u64| (count + 1, Some(count + 1)))
                .sink("digest", digest(tally, |key: &u64, count: u64| work::number_count(*key, count)));
        }
        // Refused before.
        _ => {}
    }
}

/// A source of several parts, each an iterator.
struct Parts<F> {
    n: usize,
    open: F,
}

impl<I, F> StatelessSourceImpl<I::Item, usize> for Parts<F>
where
    I: Iterator + 'static,
    I::Item: Clone + 'static,
    F: Fn(usize) -> I + 'static,
{
    type Part = u64;
    type SourcePartition = Part<I>;

    fn list_parts(&self) -> Vec<u64> {
        (0..self.n as u64).collect()
    }

    fn build_part(&mut self, part: &u64) -> Part<I> {
        Part { iter: (self.open)(*part as usize), n: 0, is_finished: false }
    }
}

struct Part<I> {
    iter: I,
    n: usize,
    is_finished: bool,
}

impl<I: Iterator> StatelessSourcePartition<I::Item, usize> for Part<I> {
    fn poll(&mut self) -> Option<(I::Item, usize)> {
        let next = self.iter.next();
        self.is_finished = next.is_none();
        self.n += 1;
        next.map(|value| (value, self.n))
    }

    fn is_finished(&mut self) -> bool {
        self.is_finished
    }
}

struct Digest<F> {
    tally: LocalTally,
    digest: F,
}

fn digest<K, V, F>(tally: &Arc<Tally>, digest: F) -> StatelessSink<K, V, usize, Digest<F>>
where
    K: Clone + 'static,
    V: Clone + 'static,
    F: FnMut(&K, V) -> u64 + 'static,
{
    StatelessSink::new(Digest { tally: tally.local(), digest })
}

impl<K, V, T, F: FnMut(&K, V) -> u64 + 'static> StatelessSinkImpl<K, V, T> for Digest<F> {
    fn sink(&mut self, message: DataMessage<K, V, T>) {
        self.tally.add((self.digest)(&message.key, message.value));
    }
}
