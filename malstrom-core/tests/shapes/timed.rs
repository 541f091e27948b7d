//! Jobs that go by event time. Their sources do not pause, and they leave out records without a time: whether a record is
//! late that comes out of a pause does not follow from the sources alone.

use std::collections::BTreeMap;

use malstrom_core::element::{Record, Timestamp};
use malstrom_core::operators::{Emit, Operator, TimedOperator, Timers};
use malstrom_core::stream::Job;
use malstrom_core::testing::{Item, Output, SimContext};
use malstrom_core::time::aggregates::{Folded, fold};
use malstrom_core::time::windows::{Session, Sliding, Tumbling, WindowResult};
use malstrom_core::time::{Due, Watermarks};

/// Passes on what has a time.
pub(super) struct HasTime;

impl Operator<Item> for HasTime {
    type Out = Item;

    fn process(&mut self, record: Record<Item>, out: &mut impl Emit<Item>) {
        if record.time != Timestamp::MIN {
            out.emit(record);
        }
    }
}

pub(super) type Digest =
    Folded<fn() -> (u64, u64), fn(&mut (u64, u64), Item), fn(&mut (u64, u64), &(u64, u64)), (u64, u64)>;

/// How many records there were and what they sum up to, whatever their order.
pub(super) fn digest() -> Digest {
    fold::<Item, (u64, u64), _, _, _>(
        || (0, 0),
        |acc, item| *acc = (acc.0 + 1, acc.1.wrapping_add(item.number)),
        |acc, other| *acc = (acc.0 + other.0, acc.1.wrapping_add(other.1)),
    )
}

pub(super) fn of_window(key: u64, window: &WindowResult<(u64, u64)>) -> Output {
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
        .map(|(key, window)| of_window(key, &window))
        .apply(sim.watch_late())
        .transactional_sink("tumbling out", sim.sink("tumbling out"));
    sliding
        .key_by(|item| item.key % 5)
        .window(Sliding::of(90, 60))
        .allowed_lateness(100)
        .aggregate("sliding", digest())
        .into_pairs()
        .map(|(key, window)| of_window(key, &window))
        .apply(sim.watch_late())
        .transactional_sink("sliding out", sim.sink("sliding out"));
}

/// The next record comes when the window before it was told: event time must go on without what is idle or has ended.
pub(super) fn waited_for(job: &Job, sim: &SimContext) {
    let echo = sim.echo("in");
    job.source("in", echo.source())
        .key_by(|item| item.key)
        .window(Tumbling::of(50))
        .aggregate("tumbling", digest())
        .into_pairs()
        .apply(sim.watch_late())
        .inspect(move |(_, window)| echo.hear(window.end))
        .map(|(key, window)| of_window(key, &window))
        .transactional_sink("out", sim.sink("out"));
}

pub(super) fn combined_windows(job: &Job, sim: &SimContext) {
    job.source("in", sim.steady_source("in"))
        .apply(HasTime)
        .window_by(|item| item.key % 7, Sliding::of(120, 40))
        .aggregate("combined", digest())
        .into_pairs()
        .map(|(key, window)| of_window(key, &window))
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
        .map(|(key, window)| of_window(key, &window))
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

/// Makes of every item one that is certain to be late, in every interleaving: far behind the event time that its key has
/// seen, be it on another worker.
struct LateAgain;

impl TimedOperator<u64, Item> for LateAgain {
    /// The greatest watermark that the key has seen.
    type State = i64;
    type Out = Item;

    fn process(
        &mut self,
        _: &u64,
        seen: &mut Option<i64>,
        record: Record<Item>,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<Item>,
    ) {
        let now = timers.watermark().0;
        let greatest = seen.get_or_insert(now);
        *greatest = now.max(*greatest);
        if *greatest > Timestamp::MIN.0 {
            out.emit(Record::at(Timestamp(*greatest).saturating_sub(1000), record.value));
        }
    }

    fn on_timer(
        &mut self,
        _: &u64,
        _: &mut Option<i64>,
        _: Due,
        _: &mut Timers<'_>,
        _: &mut impl Emit<Item>,
    ) {
    }
}

/// Tells at many moments how many items there were before: one that fires while records are still kept aside for its bin
/// misses them.
struct CountedBefore;

/// How long after an item its key counts, in event time: about as far as event time comes in one step of a rescale, whatever
/// the steps of the partitions.
const COUNTED_AFTER: [i64; 6] = [1, 5, 17, 60, 250, 900];

impl TimedOperator<u64, Item> for CountedBefore {
    /// The times of the key's items.
    type State = Vec<i64>;
    type Out = Output;

    fn process(
        &mut self,
        _: &u64,
        times: &mut Option<Vec<i64>>,
        record: Record<Item>,
        timers: &mut Timers<'_>,
        _: &mut impl Emit<Output>,
    ) {
        times.get_or_insert_default().push(record.time.0);
        for after in COUNTED_AFTER {
            timers.set_at(record.time.saturating_add(after));
        }
    }

    fn on_timer(
        &mut self,
        key: &u64,
        times: &mut Option<Vec<i64>>,
        due: Due,
        _: &mut Timers<'_>,
        out: &mut impl Emit<Output>,
    ) {
        let Due::Event(due) = due else { return };
        let n_before = times.iter().flatten().filter(|time| **time < due.0).count();
        let output = Output { key: *key, partition: 0, seq: due.0.unsigned_abs(), value: n_before as u64 };
        out.emit(Record::at(due, output));
    }
}

/// What is late makes nothing; what is counted counts all that came before.
pub(super) fn late_and_counted(job: &Job, sim: &SimContext) {
    let [late, counted] = job.source("in", sim.steady_source("in")).apply(HasTime).fan_out();
    late.key_by(|item| item.key % 11)
        .process_timed("late again", LateAgain)
        .window(Session::with_gap(30))
        .aggregate("late sessions", digest())
        .into_pairs()
        .map(|(key, window)| of_window(key, &window))
        .transactional_sink("late out", sim.sink("late out"));
    counted
        .key_by(|item| item.key % 17)
        .process_timed("counted", CountedBefore)
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("counted out", sim.sink("counted out"));
}

/// Event time that the job itself gives. Its generator is a worker's, so that a partition that moves may be late; what is
/// made does not depend on that.
pub(super) fn reassigned(job: &Job, sim: &SimContext) {
    job.source("in", sim.source("in"))
        .reassign_timestamps(
            "own time",
            |item: &Item| Timestamp(3 * item.seq.cast_signed()),
            Watermarks::ascending(),
        )
        .apply(sim.watch())
        .key_by(|item| (item.key, item.partition))
        .process_timed("later", Later)
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch())
        .transactional_sink("out", sim.sink("out"));
}
