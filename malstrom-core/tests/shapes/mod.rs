//! Jobs of different shapes, for the simulator. What they show follows from the sources alone: a state is kept for each
//! key *and* partition, so that it depends on the order within a partition and on no other.

mod asked;
mod joined;
mod stateful;
mod timed;
mod windowed;

use std::collections::BTreeMap;

use malstrom_core::stream::Job;
use malstrom_core::testing::{Item, Output, SimContext};
use malstrom_core::time::aggregates::fold;
use serde::{Deserialize, Serialize};

/// Builds a job.
pub(crate) type Shape = fn(&Job, &SimContext);

/// All shapes, by name.
pub(crate) const SHAPES: &[(&str, Shape)] = &[
    ("stateless", stateless),
    ("keyed fold", keyed_fold),
    ("two exchanges", two_exchanges),
    ("union", union),
    ("split and join", split_and_join),
    ("state that comes and goes", removal),
    ("chain of keyed operators", chain),
    ("totals at the end", totals),
    ("large states", large_states),
    ("windows", timed::windows),
    ("windows combined before the exchange", timed::combined_windows),
    ("sessions", timed::sessions),
    ("timers", timed::timers),
    ("a storm of timers", timed::storm),
    ("late again, and counted at timers", timed::late_and_counted),
    ("timers in reassigned time", timed::reassigned),
    ("interval join", joined::intervals),
    ("window joins", joined::windows),
    ("joins with a table", joined::versions),
    ("named states and a side output", stateful::named_states),
    ("deduplicated", stateful::deduplicated),
    ("requests", asked::plain),
    ("requests by key", asked::by_key),
    ("requests by key in any order, and windows", asked::in_windows),
    ("requests that fail, by key", asked::with_failed),
    ("a rate, a rebalance and batches", asked::held_back),
    ("batches in order", asked::batches),
    ("broadcast rules", asked::broadcast),
    ("joins at any time", joined::at_any_time),
    ("windows told by records", windowed::told_by_records),
    ("windows told early, with a key and without", windowed::told_early),
    ("windows told again", windowed::told_again),
    ("windows, or late", windowed::told_or_late),
    ("windows by no time", windowed::by_no_time),
    ("windows that are waited for", timed::waited_for),
];

/// What is kept for a key: for each partition a number that tells which records came, and in which order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Chains {
    of: BTreeMap<u32, u64>,
    /// Makes a bin large, so that encoding is cut into slices.
    #[serde(default)]
    padding: String,
}

impl Chains {
    fn add(&mut self, partition: u32, number: u64) -> u64 {
        let chain = self.of.entry(partition).or_default();
        *chain = chain.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number | 1);
        *chain
    }
}

fn output(key: u64, item: &Item, value: u64) -> Output {
    Output { key, partition: item.partition, seq: item.seq, value }
}

fn stateless(job: &Job, sim: &SimContext) {
    job.source("in", sim.source("in"))
        .filter(|item| item.number % 3 != 0)
        .flat_map(|item| [output(item.key, &item, 0), output(item.key, &item, 1)])
        .apply(sim.watch())
        .transactional_sink("out", sim.sink("out"));
}

fn keyed_fold(job: &Job, sim: &SimContext) {
    job.source("in", sim.source("in"))
        .key_by(|item| item.key)
        .map_with_state("chains", |_, chains: &mut Chains, item: Item| {
            let value = chains.add(item.partition, item.number);
            (item, value)
        })
        .into_pairs()
        .map(|(key, (item, value))| output(key, &item, value))
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

fn two_exchanges(job: &Job, sim: &SimContext) {
    job.source("in", sim.source("in"))
        .key_by(|item| item.key)
        .map_with_state("first", |_, chains: &mut Chains, item: Item| {
            let value = chains.add(item.partition, item.number);
            (item, value)
        })
        .into_pairs()
        .apply(sim.watch_late())
        // The second key follows from the first, so the order per key and partition goes through both.
        .key_by(|(key, _)| key % 7)
        .map_with_state(
            "second",
            |_, chains: &mut BTreeMap<u64, Chains>, (key, (item, value)): (u64, (Item, u64))| {
                let value = chains.entry(key).or_default().add(item.partition, value);
                output(key, &item, value)
            },
        )
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

fn union(job: &Job, sim: &SimContext) {
    let one = job.source("in", sim.source("in"));
    let two = job.source("other", sim.source("other")).boxed();
    one.union(two)
        .apply(sim.watch())
        .key_by(|item| item.key)
        .map_with_state("chains", |_, chains: &mut Chains, item: Item| {
            let value = chains.add(item.partition, item.number);
            (item, value)
        })
        .into_pairs()
        .map(|(key, (item, value))| output(key, &item, value))
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

fn split_and_join(job: &Job, sim: &SimContext) {
    let [even, odd] = job.source("in", sim.source("in")).split(|item| (item.key % 2) as usize);
    let odd = odd
        .key_by(|item| item.key)
        .map_with_state("odd", |_, chains: &mut Chains, item: Item| {
            let value = chains.add(item.partition, item.number);
            (item, value)
        })
        .into_pairs()
        .map(|(_, pair)| pair);
    let even = even.map(|item| (item, 0));
    even.union(odd)
        .key_by(|(item, _)| item.key)
        .map_with_state("joined", |_, chains: &mut Chains, (item, value): (Item, u64)| {
            let value = chains.add(item.partition, value);
            (item, value)
        })
        .into_pairs()
        .map(|(key, (item, value))| output(key, &item, value))
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

fn removal(job: &Job, sim: &SimContext) {
    job.source("in", sim.source("in"))
        // Key and partition together, so that when the state goes follows from the partition alone.
        .key_by(|item| (item.key, item.partition))
        .process("open", |_, state: &mut Option<u64>, item: Item, made: &mut Vec<Output>| {
            let count = state.unwrap_or(0) + 1;
            *state = (!item.number.is_multiple_of(4)).then_some(count);
            made.push(output(item.key, &item, count));
        })
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

fn chain(job: &Job, sim: &SimContext) {
    let keyed = job.source("in", sim.source("in")).key_by(|item| (item.key, item.partition));
    keyed
        .map_with_state("count", |_, count: &mut u64, item: Item| {
            *count += 1;
            (item, *count)
        })
        .filter(|pair| pair.value.0.number % 5 != 0)
        .map_with_state("sum", |_, sum: &mut u64, (item, count): (Item, u64)| {
            *sum = sum.wrapping_add(item.number ^ count);
            (item, *sum)
        })
        .process("every second", |_, state: &mut Option<u64>, (item, sum): (Item, u64), made| {
            match state.take() {
                None => *state = Some(sum),
                Some(first) => made.push(output(item.key, &item, first ^ sum)),
            }
        })
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

fn totals(job: &Job, sim: &SimContext) {
    let [all, combined, few] = job.source("in", sim.source("in")).fan_out();
    all.key_by(|item| item.key)
        .fold_final("totals", || 0_u64, |sum, item: Item| *sum = sum.wrapping_add(item.number))
        .into_pairs()
        .map(|(key, value)| Output { key, partition: 0, seq: 0, value })
        .transactional_sink("totals out", sim.sink("totals out"));
    // Steps done one behind the other, which tell their order: those of a key and partition, some at a time.
    type Steps = (u64, u64);
    let then = |steps: &mut Steps, (by, plus): &Steps| {
        *steps = (steps.0.wrapping_mul(*by), steps.1.wrapping_mul(*by).wrapping_add(*plus));
    };
    let steps = fold(|| (1, 0), move |steps, item: Item| then(steps, &(31, item.number)), then);
    combined
        .combine_by(|item| ((item.key % 11, item.partition), item), steps)
        .fold_final("combined", || (1, 0), move |steps, more| then(steps, &more))
        .into_pairs()
        .map(|((key, partition), (_, value))| Output { key, partition, seq: 1, value })
        .transactional_sink("combined out", sim.sink("combined out"));
    few.filter(|item| item.number % 2 == 0)
        .map(|item| output(item.key, &item, item.number))
        .transactional_sink("few out", sim.sink("few out"));
}

fn large_states(job: &Job, sim: &SimContext) {
    job.source("in", sim.source("in"))
        .key_by(|item| item.key)
        .map_with_state("large", |_, chains: &mut Chains, item: Item| {
            if chains.padding.is_empty() {
                chains.padding = "padding ".repeat(2500);
            }
            let value = chains.add(item.partition, item.number);
            (item, value)
        })
        .map_with_state("larger", |_, chains: &mut Chains, (item, value): (Item, u64)| {
            if chains.padding.is_empty() {
                chains.padding = "larger ".repeat(6000);
            }
            let value = chains.add(item.partition, value);
            (item, value)
        })
        .into_pairs()
        .map(|(key, (item, value))| output(key, &item, value))
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}
