//! `batch`: several values of a key as one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::due::fire_by_clock;
use super::{Emit, Operator};
use crate::element::{Keyed, Record, Timestamp};
use crate::exchange::{Data, stable_hash};
use crate::ports::Nanos;
use crate::state::{StateKey, StateVisitor};
use crate::time::{Due, Scheduled, TimedState};

/// When a batch is complete. See [`Stream::batch`](crate::stream::Stream::batch).
///
/// ```
/// use std::time::Duration;
/// use malstrom_core::operators::Batches;
///
/// let batches = Batches::of(500).within(Duration::from_millis(20));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    n_values_max: usize,
    within: Option<Duration>,
}

impl Batches {
    /// A batch is complete when it has so many values; at least one.
    #[must_use]
    pub fn of(n_values: usize) -> Self {
        Self { n_values_max: n_values.max(1), within: None }
    }

    /// A batch is complete, however small, when its first value came so long ago on the worker's clock.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { within: Some(time), ..self }
    }

    pub(crate) fn is_complete(&self, n_values: usize) -> bool {
        n_values >= self.n_values_max
    }

    /// When a batch is complete whose first value comes now.
    pub(crate) fn due(&self, now: Nanos) -> Option<Nanos> {
        self.within.map(|time| now.after(time))
    }
}

/// Collects values of a key. See [`KeyedStream::batch`](crate::stream::KeyedStream::batch).
#[derive(Debug)]
pub struct Batch<K, V> {
    state: TimedState<K, Held<V>>,
    batches: Batches,
    now: Nanos,
}

/// A batch that is not complete.
#[derive(Debug, Serialize, Deserialize)]
struct Held<V> {
    /// The greatest time of its records.
    time: Timestamp,
    /// When it is complete at the latest, on the worker's clock.
    due: Option<u64>,
    values: Vec<V>,
}

impl<V> Scheduled for Held<V> {
    fn each_due(&self, tell: &mut dyn FnMut(Due)) {
        self.due.into_iter().for_each(|due| tell(Due::Clock(Nanos(due))));
    }
}

impl<K: StateKey, V: Data> Batch<K, V> {
    pub(crate) fn new(name: &str, n_bins: u32, batches: Batches) -> Self {
        Self { state: TimedState::new(name, n_bins), batches, now: Nanos(0) }
    }

    /// Passes a batch on. It belongs to the time of its last value; what event time has passed meanwhile has passed it
    /// too.
    fn pass_on(&mut self, hash: u64, key: K, out: &mut impl Emit<Keyed<K, Vec<V>>>) {
        let watermark = self.state.now();
        if let Some((key, held)) = self.state.keyed().remove(hash, &key) {
            out.emit(Record::at(held.time.max(watermark), Keyed { hash, key, value: held.values }));
        }
    }
}

impl<K: StateKey, V: Data> Operator<Keyed<K, V>> for Batch<K, V> {
    type Out = Keyed<K, Vec<V>>;

    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Self::Out>) {
        let Keyed { hash, key, value } = record.value;
        let (mut due, clock) = (None, self.batches.due(self.now));
        let begin = || {
            due = clock;
            Held { time: record.time, due: clock.map(|due| due.0), values: Vec::new() }
        };
        let (_, held) = self.state.keyed().get_or_insert_with(hash, &key, begin);
        held.time = held.time.max(record.time);
        held.values.push(value);
        if self.batches.is_complete(held.values.len()) {
            self.pass_on(hash, key, out);
        } else if let Some(due) = due {
            self.state.schedule(Due::Clock(due), hash, key);
        }
    }

    fn advance(&mut self, time: Timestamp, _: &mut impl Emit<Self::Out>) -> bool {
        self.state.advance(time);
        true
    }

    fn on_time(&mut self, now: Nanos, out: &mut impl Emit<Self::Out>) -> Option<Nanos> {
        self.now = now;
        let pass_on = |it: &mut Self, due, hash, key| {
            let held = it.state.keyed().get(hash, &key);
            if held.is_some_and(|held| held.due.map(|due| Due::Clock(Nanos(due))) == Some(due)) {
                it.pass_on(hash, key, out);
            }
        };
        fire_by_clock(self, |it| &mut it.state, now, pass_on)
    }

    fn on_end(&mut self, out: &mut impl Emit<Self::Out>) {
        let keys: Vec<K> = self.state.keyed().iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.pass_on(stable_hash(&key), key, out);
        }
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, V>) {
        self.state.keyed().prefetch(upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.state);
    }
}
