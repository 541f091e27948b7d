//! `process_timed`: the general keyed operator with timers, in event time and by the clock.

mod times;

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use times::Times;

use super::due::{fire_by_clock, fire_by_event};
use super::{Emit, Operator, WithKey};
use crate::element::{Keyed, Record, Timestamp};
use crate::exchange::Data;
use crate::mutant::{self, Mutant};
use crate::ports::Nanos;
use crate::state::{StateKey, StateVisitor};
use crate::time::{Due, Scheduled, TimedState};

/// What a user writes to handle the records of a key with its state and its timers.
///
/// The state and the timers are all that survives: they are part of snapshots and move with their key.
///
/// ```
/// use malstrom_core::element::Record;
/// use malstrom_core::operators::{Discard, Emit, TimedOperator, Timers, from_iter};
/// use malstrom_core::time::Due;
///
/// /// Tells how many values of a key came, ten units of event time after the first.
/// struct Counted;
/// impl TimedOperator<u64, u64> for Counted {
///     type State = u64;
///     type Out = u64;
///     fn process(
///         &mut self, _: &u64, n: &mut Option<u64>, record: Record<u64>, timers: &mut Timers<'_>,
///         _: &mut impl Emit<u64>,
///     ) {
///         if n.is_none() { timers.set_at(record.time.saturating_add(10)); }
///         *n = Some(n.unwrap_or(0) + 1);
///     }
///     fn on_timer(
///         &mut self, _: &u64, n: &mut Option<u64>, due: Due, _: &mut Timers<'_>, out: &mut impl Emit<u64>,
///     ) {
///         let Due::Event(time) = due else { return };
///         out.emit(Record::at(time, n.take().unwrap_or(0)));
///     }
/// }
/// # malstrom_core::stream::Dataflow::build(4, |job| {
/// #     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
/// #     keyed.process_timed("counted", Counted).sink("out", Discard);
/// # })?;
/// # Ok::<(), malstrom_core::stream::BuildError>(())
/// ```
pub trait TimedOperator<K, V>: 'static {
    /// What is kept for each key.
    type State: Data;
    /// What is made.
    type Out;

    /// Handles one record of one key. A state that is `None` afterwards is forgotten; timers stay.
    fn process(
        &mut self,
        key: &K,
        state: &mut Option<Self::State>,
        record: Record<V>,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<Self::Out>,
    );

    /// A timer of the key is due. Timers of one key fire in the order of their times.
    fn on_timer(
        &mut self,
        key: &K,
        state: &mut Option<Self::State>,
        due: Due,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<Self::Out>,
    );
}

/// The timers of one key, while it is worked on. A timer is known by its time: one that is set twice fires once.
#[derive(Debug)]
pub struct Timers<'a> {
    kept: &'a mut KeptTimers,
    /// Those set just now.
    set: &'a mut Vec<Due>,
    watermark: Timestamp,
    now: Nanos,
}

impl<'a> Timers<'a> {
    pub(super) fn new(
        kept: &'a mut KeptTimers,
        set: &'a mut Vec<Due>,
        watermark: Timestamp,
        now: Nanos,
    ) -> Self {
        Self { kept, set, watermark, now }
    }

    /// Has the key's timer fire when no record before `time` is to follow. A time that has passed already is due at the
    /// next watermark. At the end of the stream each timer that is set fires once; one that is set then never does.
    pub fn set_at(&mut self, time: Timestamp) {
        if self.watermark == Timestamp::MAX {
            return;
        }
        if self.kept.event.insert(time) {
            self.set.push(Due::Event(time));
        }
    }

    /// Takes back a timer in event time; whether it was set.
    pub fn cancel_at(&mut self, time: Timestamp) -> bool {
        self.kept.event.remove(time)
    }

    /// Has the key's timer fire once this much time has passed on the worker's clock. It does not fire at the end of
    /// the stream. What the moment is called, for taking it back.
    pub fn set_after(&mut self, time: Duration) -> Nanos {
        let due = self.now.after(time);
        if self.kept.clock.insert(due.0) {
            self.set.push(Due::Clock(due));
        }
        due
    }

    /// Takes back a timer by the clock; whether it was set.
    pub fn cancel(&mut self, due: Nanos) -> bool {
        self.kept.clock.remove(due.0)
    }

    /// How far event time has come.
    #[must_use]
    pub fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// The time on the worker's clock.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now
    }
}

/// Runs a [`TimedOperator`]. See [`KeyedStream::process_timed`](crate::stream::KeyedStream::process_timed).
#[derive(Debug)]
pub struct ProcessTimed<K, S, Op> {
    state: TimedState<K, Kept<S>>,
    operator: Op,
    now: Nanos,
    set: Vec<Due>,
}

impl<K: StateKey, S: Data, Op> ProcessTimed<K, S, Op> {
    pub(crate) fn new(name: &str, n_bins: u32, operator: Op) -> Self {
        Self { state: TimedState::new(name, n_bins), operator, now: Nanos(0), set: Vec::new() }
    }

    fn fire<V, T>(&mut self, due: Due, hash: u64, key: &K, out: &mut impl Emit<Keyed<K, T>>)
    where
        Op: TimedOperator<K, V, State = S, Out = T>,
    {
        if !self.state.keyed().get(hash, key).is_some_and(|kept| kept.timers.has(due)) {
            return;
        }
        let (watermark, now) = (self.state.now(), self.now);
        let Some(kept) = self.state.keyed().get_mut(hash, key) else { return };
        if !mutant::is(Mutant::TimerFiredTwice) {
            kept.timers.remove(due);
        }
        let mut timers = Timers::new(&mut kept.timers, &mut self.set, watermark, now);
        let mut out = WithKey { hash, key, out };
        self.operator.on_timer(key, &mut kept.state, due, &mut timers, &mut out);
        let is_over = kept.is_over();
        self.settle(hash, key, is_over);
    }

    /// Takes note of the timers that were set, and forgets a key of which nothing is left.
    #[inline]
    fn settle(&mut self, hash: u64, key: &K, is_over: bool) {
        while let Some(due) = self.set.pop() {
            self.state.schedule(due, hash, key.clone());
        }
        if is_over {
            self.state.keyed().remove(hash, key);
        }
    }
}

impl<K, V, Op> Operator<Keyed<K, V>> for ProcessTimed<K, Op::State, Op>
where
    K: StateKey,
    V: 'static,
    Op: TimedOperator<K, V>,
{
    type Out = Keyed<K, Op::Out>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, Op::Out>>) {
        let Keyed { hash, key, value } = record.value;
        let (watermark, now) = (self.state.now(), self.now);
        let (_, kept) = self.state.keyed().get_or_insert_with(hash, &key, Kept::default);
        let mut timers = Timers::new(&mut kept.timers, &mut self.set, watermark, now);
        let mut out = WithKey { hash, key: &key, out };
        let record = Record { time: record.time, value };
        self.operator.process(&key, &mut kept.state, record, &mut timers, &mut out);
        let is_over = kept.is_over();
        self.settle(hash, &key, is_over);
    }

    fn advance(&mut self, time: Timestamp, out: &mut impl Emit<Keyed<K, Op::Out>>) -> bool {
        let fire = |it: &mut Self, due, hash, key: K| it.fire::<V, _>(due, hash, &key, out);
        fire_by_event(self, |it| &mut it.state, time, fire)
    }

    fn on_time(&mut self, now: Nanos, out: &mut impl Emit<Keyed<K, Op::Out>>) -> Option<Nanos> {
        self.now = now;
        let fire = |it: &mut Self, due, hash, key: K| it.fire::<V, _>(due, hash, &key, out);
        fire_by_clock(self, |it| &mut it.state, now, fire)
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, V>) {
        self.state.keyed().prefetch(upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.state);
    }
}

/// What is kept of a key: its state, which may be absent, and its timers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "S: Serialize", deserialize = "S: Deserialize<'de>"))]
pub(super) struct Kept<S> {
    #[serde(serialize_with = "as_list", deserialize_with = "from_list")]
    state: Option<S>,
    pub(super) timers: KeptTimers,
}

/// Times of timers, ascending.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct KeptTimers {
    event: Times<Timestamp>,
    clock: Times<u64>,
}

impl KeptTimers {
    pub(super) fn has(&self, due: Due) -> bool {
        match due {
            Due::Event(time) => self.event.has(time),
            Due::Clock(time) => self.clock.has(time.0),
        }
    }

    pub(super) fn remove(&mut self, due: Due) {
        match due {
            Due::Event(time) => self.event.remove(time),
            Due::Clock(time) => self.clock.remove(time.0),
        };
    }
}

impl<S> Kept<S> {
    pub(super) fn is_over(&self) -> bool {
        self.state.is_none() && self.timers.event.is_empty() && self.timers.clock.is_empty()
    }
}

impl<S> Default for Kept<S> {
    fn default() -> Self {
        Self { state: None, timers: KeptTimers::default() }
    }
}

impl<S> Scheduled for Kept<S> {
    fn each_due(&self, tell: &mut dyn FnMut(Due)) {
        self.timers.event.as_slice().iter().for_each(|time| tell(Due::Event(*time)));
        self.timers.clock.as_slice().iter().for_each(|time| tell(Due::Clock(Nanos(*time))));
    }
}

/// A list of none or one: the codec cannot tell `Some(())` from `None`.
fn as_list<S: Serialize, T: Serializer>(state: &Option<S>, serializer: T) -> Result<T::Ok, T::Error> {
    serializer.collect_seq(state.iter())
}

fn from_list<'de, S: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<S>, D::Error> {
    Vec::deserialize(deserializer).map(|mut states| states.pop())
}

#[cfg(test)]
mod tests;
