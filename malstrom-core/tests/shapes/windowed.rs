//! Jobs whose windows are told early, late, again, or by no time at all, and windows of a stream without a key.

use std::collections::BTreeMap;

use malstrom_core::element::Record;
use malstrom_core::operators::{Emit, Operator};
use malstrom_core::stream::Job;
use malstrom_core::testing::{Item, Output, SimContext};
use malstrom_core::time::windows::{
    Count, Firing, Global, Session, Sliding, Trigger, TriggerAction, TriggerContext, Tumbling, WindowResult,
};
use serde::{Deserialize, Serialize};

use super::timed::{HasTime, digest, of_window};

/// A window as it is told: how many records there were, and their sum.
type Told = WindowResult<(u64, u64)>;

/// Tells every third record, and drops with every seventh what was kept.
struct ThirdAndSeventh;

impl Trigger for ThirdAndSeventh {
    fn on_record(&self, cx: &TriggerContext) -> TriggerAction {
        match cx.n_records {
            n if n.is_multiple_of(7) => TriggerAction::FireAndPurge,
            n if n.is_multiple_of(3) => TriggerAction::Fire,
            _ => TriggerAction::Wait,
        }
    }
}

/// Drops with every fifth record what it tells, so that each record is told once.
struct FifthOnly;

impl Trigger for FifthOnly {
    fn on_record(&self, cx: &TriggerContext) -> TriggerAction {
        if cx.n_records >= 5 { TriggerAction::FireAndPurge } else { TriggerAction::Wait }
    }
}

/// How often each window of a key and partition was told, by its beginning.
type Numbers = BTreeMap<i64, u64>;

/// Numbers what is told of a window: it comes in the order of the partition's records, and on time last.
fn number(numbers: &mut Numbers, window: Told) -> (u64, Told) {
    let number = numbers.entry(window.start.0).or_default();
    *number += 1;
    (*number, window)
}

/// What is told of a key and partition, and why: the order within a partition decides what is told early.
fn of_partition((key, partition): (u64, u32), (number, window): (u64, Told)) -> Output {
    let output = of_window(key, &window);
    let value = output.value.wrapping_mul(31).wrapping_add(window.firing as u64);
    // Between two windows there is no order.
    Output { key: output.seq, partition: 16 * partition + key as u32, seq: number, value }
}

/// Told by the number of records, for each key and partition: in tumbling windows and in sessions.
pub(super) fn told_by_records(job: &Job, sim: &SimContext) {
    let [tumbling, sessions] = job.source("in", sim.steady_source("in")).apply(HasTime).fan_out();
    tumbling
        .key_by(|item| (item.key % 5, item.partition))
        .window(Tumbling::of(512))
        .trigger(ThirdAndSeventh)
        .aggregate("tumbling", digest())
        .map_with_state("tumbling numbers", |_, numbers: &mut Numbers, window| number(numbers, window))
        .into_pairs()
        .map(|(key, told)| of_partition(key, told))
        .apply(sim.watch_late())
        .transactional_sink("tumbling out", sim.sink("tumbling out"));
    sessions
        .key_by(|item| (item.key % 5, item.partition))
        .window(Session::with_gap(60))
        .early_every_records(2)
        .aggregate("sessions", digest())
        .map_with_state("sessions numbers", |_, numbers: &mut Numbers, window| number(numbers, window))
        .into_pairs()
        .map(|(key, told)| of_partition(key, told))
        .apply(sim.watch_late())
        .transactional_sink("sessions out", sim.sink("sessions out"));
}

/// What was told early of a window that is still open.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct ToldEarly {
    n_times: u64,
    n_records: u64,
    is_wrong: bool,
}

/// Told early in event time, with a key and without. What is told early depends on when event time comes by; what is told
/// on time does not, and nothing that was told early may have been more, or more often than there were moments for it.
pub(super) fn told_early(job: &Job, sim: &SimContext) {
    const SIZE: i64 = 240;
    const EARLY_EVERY: i64 = 50;
    let [keyed, all] = job.source("in", sim.steady_source("in")).apply(HasTime).fan_out();
    keyed
        .key_by(|item| item.key % 9)
        .window(Sliding::of(SIZE, SIZE / 2))
        .early_every(EARLY_EVERY)
        .aggregate("sliding", digest())
        .process("told", |key, open: &mut Option<BTreeMap<i64, ToldEarly>>, window: Told, made| {
            let windows = open.get_or_insert_default();
            let told = windows.entry(window.start.0).or_default();
            told.is_wrong |= window.value.0 < told.n_records;
            told.n_records = window.value.0;
            if window.firing == Firing::Early {
                told.n_times += 1;
                return;
            }
            told.is_wrong |= told.n_times > (SIZE / EARLY_EVERY).unsigned_abs();
            let mut output = of_window(*key, &window);
            output.partition = u32::from(told.is_wrong);
            made.push(output);
            windows.remove(&window.start.0);
            if windows.is_empty() {
                *open = None;
            }
        })
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
    all.window_all(Tumbling::of(100))
        .early_every(30)
        .aggregate("all", digest())
        .into_pairs()
        .filter(|(_, window)| window.firing != Firing::Early)
        .map(|((), window)| of_window(0, &window))
        .apply(sim.watch_late())
        .transactional_sink("all out", sim.sink("all out"));
}

/// Moves some records back in time, by less than the lateness that is allowed.
struct SetBack;

const SET_BACK: i64 = 40;

impl Operator<Item> for SetBack {
    type Out = Item;

    fn process(&mut self, record: Record<Item>, out: &mut impl Emit<Item>) {
        let time =
            record.time.saturating_sub(if record.value.number.is_multiple_of(3) { SET_BACK } else { 0 });
        out.emit(Record { time, ..record });
    }
}

/// What was told last of a window, and how often it was told on time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct ToldLast {
    n_on_time: u64,
    value: (u64, u64),
}

/// Told again for what comes late and is allowed to: the last of all has every record, and on time it is told once at most.
pub(super) fn told_again(job: &Job, sim: &SimContext) {
    job.source("in", sim.steady_source("in"))
        .apply(HasTime)
        .apply(SetBack)
        .key_by(|item| item.key % 9)
        .window(Tumbling::of(64))
        .allowed_lateness(SET_BACK)
        .aggregate("tumbling", digest())
        .into_pairs()
        .key_by(|(key, window)| (*key, window.start.0))
        .fold_final("last", ToldLast::default, |last, (_, window): (u64, Told)| {
            last.n_on_time += u64::from(window.firing == Firing::OnTime);
            last.value = last.value.max(window.value);
        })
        .into_pairs()
        .map(|((key, start), last)| Output {
            key: (start + 1000).unsigned_abs(),
            partition: 2 * key as u32 + u32::from(last.n_on_time > 1),
            seq: 0,
            value: last.value.1.wrapping_mul(31).wrapping_add(last.value.0),
        })
        .transactional_sink("out", sim.sink("out"));
}

/// Each record is told once, in a window or as late, whatever pauses.
pub(super) fn told_or_late(job: &Job, sim: &SimContext) {
    let [tumbling, sessions] = job.source("in", sim.source("in")).fan_out();
    let (told, late) = tumbling
        .key_by(|item| item.key % 9)
        .window(Tumbling::of(64))
        .trigger(FifthOnly)
        .aggregate_with_late("tumbling", digest());
    let told = told.map(|(key, window)| (key, window.value));
    let late = late.map(|(key, item): (u64, Item)| (key, (1, item.number)));
    let tumbling = told.union(late);
    let (told, late) = sessions
        .key_by(|item| item.key % 9)
        .window(Session::with_gap(20))
        .aggregate_with_late("sessions", digest());
    let told = told.map(|(key, window)| (key + 100, window.value));
    let late = late.map(|(key, item): (u64, Item)| (key + 100, (1, item.number)));
    tumbling
        .union(told.union(late))
        .key_by(|(key, _)| *key)
        .fold_final(
            "sums",
            || (0_u64, 0_u64),
            |sum, (_, (n, of_them)): (u64, (u64, u64))| {
                *sum = (sum.0 + n, sum.1.wrapping_add(of_them));
            },
        )
        .into_pairs()
        .map(|(key, (n, sum))| Output { key, partition: 0, seq: n, value: sum })
        .transactional_sink("out", sim.sink("out"));
}

/// One window for all time, told by a trigger and at the end, and windows of so many records.
pub(super) fn by_no_time(job: &Job, sim: &SimContext) {
    // A source whose partitions come to be when event time is over would have all time end more than once.
    let global = job.source("in", sim.steady_source("in"));
    let count = job.source("other", sim.source("other"));
    let told = |(key, partition): (u64, u32), (seq, (n, sum)): (u64, (u64, u64))| {
        let value = sum.wrapping_mul(31).wrapping_add(n);
        Output { key, partition, seq, value }
    };
    let numbered = |number: &mut u64, window: Told| {
        *number += 1;
        (*number, window.value)
    };
    global
        .key_by(|item| (item.key, item.partition))
        .window(Global)
        .trigger(ThirdAndSeventh)
        .aggregate("global", digest())
        .map_with_state("global numbers", move |_, number: &mut u64, window| numbered(number, window))
        .into_pairs()
        .map(move |(key, window)| told(key, window))
        .apply(sim.watch_late())
        .transactional_sink("global out", sim.sink("global out"));
    count
        .key_by(|item| (item.key, item.partition))
        .window(Count::of(4))
        .aggregate("count", digest())
        .map_with_state("count numbers", move |_, number: &mut u64, window| numbered(number, window))
        .into_pairs()
        .map(move |(key, window)| told(key, window))
        .apply(sim.watch())
        .transactional_sink("count out", sim.sink("count out"));
}
