//! Timely Dataflow. The programs follow its own word count example, with faster maps, and without the queues that order
//! records by time, which this work does not ask for.

use std::collections::BTreeMap;
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

use crate::data::{DISORDER_MS, WINDOW_MS, events, key, load_str, range, shares_str, window_of};
use crate::task::{Program, Task, Workload};
use crate::work;
use malstrom_measure::latency::{Latencies, Pace, this_thread_makes_records};
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::Tally;

/// Events between two turns of a worker.
const TURN_EVENTS: usize = 1024;

/// Does the work.
///
/// # Errors
/// If the input is not there, or a worker fails.
pub fn run(task: &Task) -> Result<Outcome, BoxError> {
    match task.workload {
        Workload::W1 | Workload::W1b | Workload::W2 | Workload::W3 => {}
        Workload::W4 => return windows(task),
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

/// Sums in windows: an event travels at the time its worker's input has come to, as timely's own windowed examples have it.
fn windows(task: &Task) -> Result<Outcome, BoxError> {
    let (n_records, n_keys) = (task.records, task.keys);
    let tally = Tally::start();
    let config =
        if task.workers == 1 { ::timely::Config::thread() } else { ::timely::Config::process(task.workers) };
    let there = tally.clone();
    let guards = ::timely::execute(config, move |worker| {
        let (index, peers) = (worker.index(), worker.peers());
        let mut input = InputHandle::new();
        worker.dataflow::<u64, _, _>(|scope| {
            let sums = window_sums(scope.input_from(&mut input));
            add_up(sums, &there, |(key, window, sum)| work::window_sum(*key, *window, *sum));
        });
        let mut newest = 0;
        let mut events = events(n_records, n_keys, index, peers).peekable();
        while events.peek().is_some() {
            for event in events.by_ref().take(TURN_EVENTS) {
                newest = newest.max(event.time_ms);
                input.send((event.time_ms, event.key, event.value));
            }
            input.advance_to(u64::try_from(newest - DISORDER_MS).unwrap_or(0) / WINDOW_MS as u64);
            worker.step();
        }
        input.close();
        while worker.step_or_park(None) {}
    })?;
    for result in guards.join() {
        result?;
    }
    Ok(tally.outcome(n_records))
}

/// Adds up by window and key, and tells a window when its time has passed.
fn window_sums(events: StreamVec<'_, u64, (i64, u64, u64)>) -> StreamVec<'_, u64, (u64, i64, u64)> {
    let hasher = FixedState::with_seed(1);
    let by_key = Exchange::new(move |(_, key, _): &(i64, u64, u64)| hasher.hash_one(key));
    events.unary_frontier::<CapacityContainerBuilder<Vec<(u64, i64, u64)>>, _, _, _>(
        by_key,
        "sums",
        |_, _| {
            // The open windows, each with the capability to tell it.
            let mut open = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each_stamp(|cap, data| {
                    for (time, key, value) in data.flat_map(|batch| batch.drain(..)) {
                        let start = window_of(time);
                        let (_, sums) = open.entry(start).or_insert_with(|| {
                            let capability =
                                cap.delayed(&((start / WINDOW_MS) as u64), output.output_index());
                            (capability, HashMap::<u64, u64, FixedState>::default())
                        });
                        *sums.entry(key).or_insert(0) += value;
                    }
                });
                while let Some(first) = open.first_entry()
                    && !frontier.less_equal(&((*first.key() / WINDOW_MS) as u64))
                {
                    let (start, (capability, sums)) = first.remove_entry();
                    let told = sums.into_iter().map(|(key, sum)| (key, start, sum));
                    output.session(&capability).give_iterator(told);
                }
            }
        },
    )
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
                    // A new time, since a flush of the input alone leaves records waiting in the exchange.
                    input.advance_to(now);
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
