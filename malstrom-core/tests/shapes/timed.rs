//! Jobs that go by event time. Their sources do not pause, and they leave out records without a time: whether a record is
//! late that comes out of a pause does not follow from the sources alone.

use std::collections::BTreeMap;

use malstrom_core::element::{Record, Timestamp};
use malstrom_core::operators::{Emit, Operator, TimedOperator, Timers};
use malstrom_core::stream::Job;
use malstrom_core::testing::{Item, Output, SimContext};
use malstrom_core::time::Due;
use malstrom_core::time::aggregates::{Folded, fold};
use malstrom_core::time::windows::{Session, Sliding, Tumbling, WindowResult};

/// Passes on what has a time.
struct HasTime;

impl Operator<Item> for HasTime {
    type Out = Item;

    fn process(&mut self, record: Record<Item>, out: &mut impl Emit<Item>) {
        if record.time != Timestamp::MIN {
            out.emit(record);
        }
    }
}

type Digest =
    Folded<fn() -> (u64, u64), fn(&mut (u64, u64), Item), fn(&mut (u64, u64), &(u64, u64)), (u64, u64)>;

/// How many records there were and what they sum up to, whatever their order.
fn digest() -> Digest {
    fold::<Item, (u64, u64), _, _, _>(
        || (0, 0),
        |acc, item| *acc = (acc.0 + 1, acc.1.wrapping_add(item.number)),
        |acc, other| *acc = (acc.0 + other.0, acc.1.wrapping_add(other.1)),
    )
}

fn output(key: u64, window: &WindowResult<(u64, u64)>) -> Output {
    let (n, sum) = window.value;
    let length = window.end.0.wrapping_sub(window.start.0) as u64;
    let value = sum.wrapping_mul(31).wrapping_add(n).wrapping_mul(31).wrapping_add(length);
    Output { key, partition: 0, seq: (window.start.0 + 1000).unsigned_abs(), value }
}

pub(super) fn windows(job: &Job, sim: &SimContext) {
    let items = job.source("in", sim.steady_source("in")).apply(HasTime);
    let [tumbling, sliding] = items.fan_out();
    tumbling
        .key_by(|item| item.key)
        .window(Tumbling::of(64))
        .aggregate("tumbling", digest())
        .into_pairs()
        .map(|(key, window)| output(key, &window))
        .apply(sim.watch_late())
        .transactional_sink("tumbling out", sim.sink("tumbling out"));
    sliding
        .key_by(|item| item.key % 5)
        .window(Sliding::of(90, 60))
        .allowed_lateness(100)
        .aggregate("sliding", digest())
        .into_pairs()
        .map(|(key, window)| output(key, &window))
        .apply(sim.watch_late())
        .transactional_sink("sliding out", sim.sink("sliding out"));
}

pub(super) fn combined_windows(job: &Job, sim: &SimContext) {
    job.source("in", sim.steady_source("in"))
        .apply(HasTime)
        .window_by(|item| item.key % 7, Sliding::of(120, 40))
        .aggregate("combined", digest())
        .into_pairs()
        .map(|(key, window)| output(key, &window))
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

pub(super) fn sessions(job: &Job, sim: &SimContext) {
    job.source("in", sim.steady_source("in"))
        .apply(HasTime)
        .key_by(|item| item.key)
        .window(Session::with_gap(30))
        .aggregate("sessions", digest())
        .into_pairs()
        .map(|(key, window)| output(key, &window))
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

/// Passes each item on some time later; by the clock it does nothing but wake up.
struct Later;

impl TimedOperator<(u64, u32), Item> for Later {
    type State = BTreeMap<i64, Vec<Item>>;
    type Out = Output;

    fn process(
        &mut self,
        _: &(u64, u32),
        held: &mut Option<Self::State>,
        record: Record<Item>,
        timers: &mut Timers<'_>,
        _: &mut impl Emit<Output>,
    ) {
        // Equally late for all of a key and partition, so that they keep their order.
        let time = record.time.saturating_add(100 + i64::from(record.value.partition % 3) * 700);
        timers.set_at(time);
        if record.value.number.is_multiple_of(3) {
            timers.set_after(std::time::Duration::from_millis(record.value.number % 50));
        }
        held.get_or_insert_default().entry(time.0).or_default().push(record.value);
    }

    fn on_timer(
        &mut self,
        key: &(u64, u32),
        held: &mut Option<Self::State>,
        due: Due,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<Output>,
    ) {
        let Due::Event(time) = due else {
            // Kept on either side of a cut, it would come twice or never.
            timers.cancel(timers.now());
            return;
        };
        let items = held.get_or_insert_default();
        let due = items.remove(&time.0);
        let n_left = items.len() as u64;
        if n_left == 0 {
            *held = None;
        }
        // A timer that fires twice finds nothing the second time, and says so.
        let none = Item { partition: key.1, seq: u64::MAX, key: key.0, number: 0 };
        for item in due.unwrap_or_else(|| vec![none]) {
            let output = Output { key: key.0, partition: key.1, seq: item.seq, value: item.number };
            out.emit(Record::at(time, output));
        }
    }
}

/// Holds the items of a key and tells them all at the same moment: more than a slice of them.
struct AllAtOnce;

impl TimedOperator<u64, Item> for AllAtOnce {
    type State = Vec<Item>;
    type Out = Output;

    fn process(
        &mut self,
        _: &u64,
        held: &mut Option<Vec<Item>>,
        record: Record<Item>,
        timers: &mut Timers<'_>,
        _: &mut impl Emit<Output>,
    ) {
        timers.set_at(Timestamp((record.time.0 / 4000 + 1) * 4000));
        held.get_or_insert_default().push(record.value);
    }

    fn on_timer(
        &mut self,
        key: &u64,
        held: &mut Option<Vec<Item>>,
        due: Due,
        _: &mut Timers<'_>,
        out: &mut impl Emit<Output>,
    ) {
        let Due::Event(time) = due else { return };
        for item in held.take().into_iter().flatten() {
            let output = Output { key: *key, partition: item.partition, seq: item.seq, value: item.number };
            out.emit(Record::at(time, output));
        }
    }
}

pub(super) fn storm(job: &Job, sim: &SimContext) {
    job.source("in", sim.steady_source("in"))
        .apply(HasTime)
        .flat_map(|item| (0..10).map(move |n| Item { key: item.number % 97 + 100 * n, ..item.clone() }))
        .key_by(|item| item.key)
        .process_timed("all at once", AllAtOnce)
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch())
        .transactional_sink("out", sim.sink("out"));
}

pub(super) fn timers(job: &Job, sim: &SimContext) {
    job.source("in", sim.steady_source("in"))
        .apply(HasTime)
        .key_by(|item| (item.key, item.partition))
        .process_timed("later", Later)
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}
