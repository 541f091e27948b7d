//! Timely Dataflow. The programs follow its own word count example, with faster maps, and without the queues that order
//! records by time, which this work does not ask for.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use ::timely::container::CapacityContainerBuilder;
use ::timely::dataflow::channels::pact::{Exchange, Pipeline};
use ::timely::dataflow::operators::Input;
use ::timely::dataflow::operators::generic::Operator;
use ::timely::dataflow::operators::vec::{Filter, Map, ToStream};
use ::timely::dataflow::{InputHandle, Scope, StreamVec};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::data::{key, load_str, range, shares_str};
use crate::latency::{Latencies, Pace, this_thread_makes_records};
use crate::outcome::{BoxError, Outcome};
use crate::tally::Tally;
use crate::task::{Program, Task, Workload};
use crate::work;

/// Does the work.
///
/// # Errors
/// If the input is not there, or a worker fails.
pub fn run(task: &Task) -> Result<Outcome, BoxError> {
    match task.workload {
        Workload::W1 | Workload::W1b | Workload::W2 | Workload::W3 => {}
        Workload::W5 => return latency(task),
        _ => return Err("only Malstrom does this".into()),
    }
    let text = if task.counts_words() { load_str(task.text.as_deref())? } else { "" };
    let tally = Tally::start();
    let config =
        if task.workers == 1 { ::timely::Config::thread() } else { ::timely::Config::process(task.workers) };
    let (task_there, tally_there) = (task.clone(), tally.clone());
    let guards = ::timely::execute(config, move |worker| {
        let index = worker.index();
        worker.dataflow::<u64, _, _>(|scope| define(scope, &task_there, index, text, &tally_there));
    })?;
    for result in guards.join() {
        result?;
    }
    let mut outcome = tally.outcome(task.records);
    if task.counts_words() {
        outcome.records = tally.inputs(outcome.outputs);
    }
    Ok(outcome)
}

fn define(scope: Scope<'_, u64>, task: &Task, index: usize, text: &'static str, tally: &Arc<Tally>) {
    let (n, n_records, n_keys) = (task.workers, task.records, task.keys);
    let words = || {
        let share = shares_str(text, n)[index];
        share.lines().to_stream(scope).flat_map(|line| line.split_ascii_whitespace().map(String::from))
    };
    match task.workload {
        Workload::W1 => {
            add_up(running_counts(words()), tally, |(word, n)| work::running_count(word.len(), *n))
        }
        Workload::W1b => {
            add_up(final_counts(words(), tally), tally, |(word, n)| work::final_count(word.as_bytes(), *n));
        }
        Workload::W2 => {
            let numbers = range(n_records, index, n).to_stream(scope);
            let kept = numbers.map(work::first).filter(|n| work::keep(*n));
            add_up(kept.map(work::third).map(work::fourth), tally, |n| *n);
        }
        Workload::W3 => {
            let numbers = range(n_records, index, n).map(move |i| key(i, n_keys)).to_stream(scope);
            add_up(running_counts(numbers), tally, |(key, n)| work::number_count(*key, *n));
        }
        // Refused before.
        _ => {}
    }
}

fn exchange<K: Hash + 'static>() -> Exchange<K, impl FnMut(&K) -> u64> {
    // Not the hash of the maps: the keys of one worker would share the bits that choose it.
    let hasher = FixedState::with_seed(1);
    Exchange::new(move |key: &K| hasher.hash_one(key))
}

/// Counts, and passes each new count on.
fn running_counts<'scope, K>(keys: StreamVec<'scope, u64, K>) -> StreamVec<'scope, u64, (K, u64)>
where
    K: Hash + Eq + Clone + Send + serde::Serialize + for<'a> serde::Deserialize<'a> + 'static,
{
    keys.unary::<CapacityContainerBuilder<Vec<(K, u64)>>, _, _, _>(exchange(), "count", |_, _| {
        let mut counts = HashMap::<K, u64, FixedState>::default();
        move |input, output| {
            input.for_each_stamp(|cap, data| {
                let mut session = output.session(&cap);
                for key in data.flat_map(|batch| batch.drain(..)) {
                    let count = match counts.get_mut(&key) {
                        Some(count) => {
                            *count += 1;
                            *count
                        }
                        None => {
                            counts.insert(key.clone(), 1);
                            1
                        }
                    };
                    session.give((key, count));
                }
            });
        }
    })
}

/// Counts, and passes the counts on when no input can follow.
fn final_counts<'scope>(
    words: StreamVec<'scope, u64, String>,
    tally: &Arc<Tally>,
) -> StreamVec<'scope, u64, (String, u64)> {
    let tally = tally.clone();
    words.unary_frontier::<CapacityContainerBuilder<Vec<(String, u64)>>, _, _, _>(
        exchange(),
        "count",
        |_, _| {
            let mut counts = HashMap::<String, u64, FixedState>::default();
            let (mut capability, mut n_words) = (None, 0);
            move |(input, frontier), output| {
                input.for_each_stamp(|cap, data| {
                    if capability.is_none() {
                        capability = cap.retain_least(output.output_index());
                    }
                    for word in data.flat_map(|batch| batch.drain(..)) {
                        n_words += 1;
                        *counts.entry(word).or_insert(0) += 1;
                    }
                });
                if frontier.is_empty()
                    && let Some(capability) = capability.take()
                {
                    tally.note_inputs(n_words);
                    output.session(&capability).give_iterator(counts.drain());
                }
            }
        },
    )
}

/// Adds up what comes out.
fn add_up<T: 'static>(
    outputs: StreamVec<'_, u64, T>,
    tally: &Arc<Tally>,
    mut digest: impl FnMut(&T) -> u64 + 'static,
) {
    let mut tally = tally.local();
    outputs.sink(Pipeline, "digest", move |(input, _)| {
        input.for_each_stamp(|_, data| {
            for batch in data {
                for output in batch.drain(..) {
                    tally.add(digest(&output));
                }
            }
            tally.publish();
        });
    });
}

/// An open loop: worker 0 makes records when they are due, each worker counts its keys.
fn latency(task: &Task) -> Result<Outcome, BoxError> {
    let parks = task.program == Program::TimelyParked;
    let n_records = (task.rate as f64 * task.seconds) as u64;
    let (rate, n_keys) = (task.rate, task.keys);
    let pace = Pace::new(rate, 0);
    let latencies = Latencies::new(&pace, Duration::from_secs_f64(task.seconds + 60.0));
    let tally = Tally::start();
    let measured = latencies.clone();
    let guards = ::timely::execute(::timely::Config::process(task.workers), move |worker| {
        let mut latencies = measured.local();
        let mut counts = HashMap::<u64, u64, FixedState>::default();
        let mut input = InputHandle::new();
        worker.dataflow::<u64, _, _>(|scope| {
            let keys = scope.input_from(&mut input);
            let by_key = Exchange::new(|(key, _): &(u64, u64)| *key);
            keys.sink(by_key, "count", move |(input, _)| {
                input.for_each_stamp(|_, data| {
                    for (key, due) in data.flat_map(|batch| batch.drain(..)) {
                        *counts.entry(key).or_insert(0) += 1;
                        latencies.note(due, true);
                    }
                });
            });
        });
        if worker.index() == 0 {
            this_thread_makes_records();
            pace.begin(Duration::from_millis(500));
            let mut i = 0;
            while i < n_records {
                let now = pace.now_ns();
                let first = i;
                while let Some(due) = pace.due_ns(i).filter(|due| *due <= now && i < n_records) {
                    input.send((key(i, n_keys), due));
                    i += 1;
                }
                if i > first {
                    input.flush();
                }
                worker.step();
            }
        }
        input.close();
        if parks {
            while worker.step_or_park(None) {}
        } else {
            while worker.has_dataflows() {
                worker.step();
            }
        }
    })?;
    for result in guards.join() {
        result?;
    }
    let mut outcome = tally.outcome(n_records);
    outcome.note("latency", latencies.summary());
    Ok(outcome)
}
