//! Jobs that hold records back for a while: for a rate, for a batch, or because they ask a service, which is slow now and then, and refuses now and then. What comes of a request that was given
//! up is what would have been answered: it must come once, in its place, whatever happened to it.

use std::collections::BTreeMap;
use std::time::Duration;

use malstrom_core::operators::{AsyncOptions, Batches, RateLimit, Unanswered};
use malstrom_core::stream::Job;
use malstrom_core::testing::{Item, Output, SimContext};
use malstrom_core::time::windows::Tumbling;

use serde::{Deserialize, Serialize};

use super::timed::{HasTime, digest, of_window};
use super::{Chains, output};

fn options() -> AsyncOptions {
    let (min, max) = (Duration::from_millis(2), Duration::from_millis(10));
    AsyncOptions::new().concurrency(7).timeout(Duration::from_millis(30)).retries(2).backoff(min, max)
}

/// Asks for an item and a number that the service makes of it.
fn service(sim: &SimContext) -> impl Fn(Item) -> Answer + use<> {
    let sim = sim.clone();
    move |item| {
        let refuses = sim.refuses();
        Box::pin(async move { if refuses { Err("refused") } else { Ok(answered(item)) } })
    }
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<(Item, u64), &'static str>> + Send>>;

fn answered(item: Item) -> (Item, u64) {
    let answer = item.number.rotate_left(7);
    (item, answer)
}

fn or_given_up(answer: Result<(Item, u64), Unanswered<Item, &'static str>>) -> (Item, u64) {
    answer.unwrap_or_else(|failed| answered(failed.value))
}

pub(super) fn plain(job: &Job, sim: &SimContext) {
    job.source("in", sim.source("in"))
        .map_async("asked", options(), service(sim))
        .map(or_given_up)
        .apply(sim.watch())
        .key_by(|(item, _)| item.key)
        .map_with_state("chains", |_, chains: &mut Chains, (item, answer): (Item, u64)| {
            let value = chains.add(item.partition, answer);
            output(item.key, &item, value)
        })
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

pub(super) fn by_key(job: &Job, sim: &SimContext) {
    let service = service(sim);
    job.source("in", sim.source("in"))
        .key_by(|item| item.key)
        .map_with_state("before", |_, chains: &mut Chains, item: Item| {
            let number = chains.add(item.partition, item.number);
            Item { number, ..item }
        })
        .map_async("asked", options(), move |_, item| service(item))
        .map(|(_, answer)| or_given_up(answer))
        .key_by(|(item, _)| item.key % 5)
        .map_with_state("behind", |_, chains: &mut Chains, (item, answer): (Item, u64)| {
            // The order is that of the first key alone.
            let value = chains.add((item.key as u32) << 16 | item.partition, answer);
            output(item.key, &item, value)
        })
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

pub(super) fn in_windows(job: &Job, sim: &SimContext) {
    let service = service(sim);
    job.source("in", sim.steady_source("in"))
        .apply(HasTime)
        .key_by(|item| item.key)
        .map_async("asked", options().unordered(), move |_, item| service(item))
        .map(|(_, answer)| or_given_up(answer))
        .map(|(item, answer)| Item { number: answer, ..item })
        .key_by(|item| item.key % 7)
        .window(Tumbling::of(64))
        .aggregate("windows", digest())
        .into_pairs()
        .map(|(key, window)| of_window(key, &window))
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

/// What was answered goes one way, what was not another: together they are all.
pub(super) fn with_failed(job: &Job, sim: &SimContext) {
    let service = service(sim);
    let keyed = job.source("in", sim.source("in")).key_by(|item| (item.key, item.partition));
    let options = options().retries(0).unordered();
    let (answers, failed) = keyed.map_async_with_failed("asked", options, move |_, item| service(item));
    answers
        .map(|(_, answer)| answer)
        .union(failed.map(|(_, failed)| answered(failed.value)))
        .key_by(|(item, _)| item.key)
        .fold_final(
            "sums",
            || (0_u64, 0_u64),
            |(n, sum), (_, answer): (Item, u64)| (*n, *sum) = (*n + 1, sum.wrapping_add(answer)),
        )
        .into_pairs()
        .map(|(key, (n, sum))| Output {
            key,
            partition: 0,
            seq: 0,
            value: sum.wrapping_mul(31).wrapping_add(n),
        })
        .transactional_sink("out", sim.sink("out"));
}

/// Held back by a rate, spread over all workers, and passed on in batches: all come once.
pub(super) fn held_back(job: &Job, sim: &SimContext) {
    let within = Duration::from_millis(1 + sim.draw("within", 40));
    job.source("in", sim.source("in"))
        .rate_limit(RateLimit::per_job(1500.0))
        .rebalance()
        .batch(Batches::of(1 + sim.draw("of", 12) as usize).within(within))
        .flat_map(|batch: Vec<Item>| batch)
        .key_by(|item| item.key)
        .batch("batches", Batches::of(5).within(within))
        .fold_final(
            "sums",
            || (0_u64, 0_u64),
            |(n, sum), batch: Vec<Item>| {
                *n += batch.len() as u64;
                batch.iter().for_each(|item| *sum = sum.wrapping_add(item.number));
            },
        )
        .into_pairs()
        .map(|(key, (n, sum))| Output {
            key,
            partition: 0,
            seq: 0,
            value: sum.wrapping_mul(31).wrapping_add(n),
        })
        .transactional_sink("out", sim.sink("out"));
}

/// In batches without a key and by key, each partition and key keeps its order, and nothing is late.
pub(super) fn batches(job: &Job, sim: &SimContext) {
    let within = Duration::from_millis(1 + sim.draw("within", 40));
    job.source("in", sim.steady_source("in"))
        .batch(Batches::of(1 + sim.draw("of", 12) as usize).within(within))
        .flat_map(|batch: Vec<Item>| batch)
        .key_by(|item| item.key)
        .batch("batches", Batches::of(3).within(within))
        .map_with_state("chains", |_, chains: &mut Chains, batch: Vec<Item>| {
            let made = batch.into_iter().map(|item| (chains.add(item.partition, item.number), item));
            made.map(|(value, item)| output(item.key, &item, value)).collect()
        })
        .into_pairs()
        .flat_map(|(_, outputs): (u64, Vec<Output>)| outputs)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

/// Of each partition of rules, how many have come; whether one came that was not the next.
#[derive(Default, Serialize, Deserialize)]
struct Rules {
    n_come: BTreeMap<u32, u64>,
    is_broken: bool,
}

impl Rules {
    fn add(&mut self, rule: &Item) {
        let n_come = self.n_come.entry(rule.partition).or_default();
        self.is_broken |= *n_come != rule.seq;
        *n_come = rule.seq + 1;
    }
}

/// Every worker has had every rule before the last, once and in order, whenever it looks.
pub(super) fn broadcast(job: &Job, sim: &SimContext) {
    let rules = job.source("rules", sim.source("rules"));
    job.source("in", sim.source("in"))
        .key_by(|item| item.key)
        .map_with_broadcast(
            "rules so far",
            rules,
            |rules: &mut Rules, rule: Item| rules.add(&rule),
            |rules, _, item: Item| output(item.key, &item, u64::from(rules.is_broken)),
        )
        .apply(sim.watch())
        .transactional_sink("out", sim.sink("out"));
}
