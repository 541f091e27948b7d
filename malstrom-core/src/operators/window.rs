//! `window`: records of a key that belong together in event time, aggregated as they come.
//!
//! The state of a key holds its open windows; one look-up finds them. What is due is kept by
//! [`TimedState`](crate::time::TimedState): once per key and window, not per record.

use std::marker::PhantomData;

use super::due::fire_by_event;
use super::{Emit, Operator};
use crate::element::{Either, Keyed, Record, Timestamp};
use crate::exchange::Data;
use crate::mutant::{self, Mutant};
use crate::state::{StateKey, StateVisitor};
use crate::time::aggregates::Aggregate;
use crate::time::windows::{OpenWindows, Trigger, WindowContext, WindowKind, WindowResult};
use crate::time::{Due, Scheduled, TimedState};

/// Results, and beside them records that came too late for any.
type Made<K, V, Agg> = Either<Keyed<K, WindowResult<<Agg as Aggregate<V>>::Out>>, Keyed<K, V>>;

/// Aggregates the windows of each key. See [`KeyedStream::window`](crate::stream::KeyedStream::window).
#[derive(Debug)]
pub struct Window<K, V, W: WindowKind, Agg: Aggregate<V>, T> {
    state: TimedState<K, W::Open<Agg::Acc>>,
    kind: W,
    aggregate: Agg,
    trigger: T,
    lateness: i64,
    made: Vec<WindowResult<Agg::Out>>,
    of: PhantomData<fn(V)>,
}

impl<K: StateKey, V, W: WindowKind, Agg: Aggregate<V>, T: Trigger> Window<K, V, W, Agg, T> {
    pub(crate) fn new(name: &str, n_bins: u32, kind: W, aggregate: Agg, trigger: T, lateness: i64) -> Self {
        let state = TimedState::new(name, n_bins);
        Self { state, kind, aggregate, trigger, lateness, made: Vec::new(), of: PhantomData }
    }

    /// What a record has brought about besides being added: seldom anything.
    #[cold]
    #[inline(never)]
    fn settle(&mut self, hash: u64, key: K, late: Option<Record<V>>, out: &mut impl Emit<Made<K, V, Agg>>) {
        self.tell(hash, &key, out);
        if let Some(open) = self.state.keyed().get(hash, &key) {
            let (mut due, is_empty) = (Vec::new(), open.is_empty());
            open.each_due(&mut |at| due.push(at));
            due.into_iter().for_each(|at| self.state.schedule(at, hash, key.clone()));
            if is_empty {
                self.state.keyed().remove(hash, &key);
            }
        }
        if let Some(Record { time, value }) = late {
            self.state.count_late(self.aggregate.n_records(&value));
            out.emit(Record { time, value: Either::Right(Keyed { hash, key, value }) });
        }
    }

    fn tell(&mut self, hash: u64, key: &K, out: &mut impl Emit<Made<K, V, Agg>>) {
        for result in self.made.drain(..) {
            // The last time in the window: what reads on by event time finds it not late.
            let time = result.end.saturating_sub(1);
            out.emit(Record { time, value: Either::Left(Keyed { hash, key: key.clone(), value: result }) });
        }
    }

    fn fire(&mut self, hash: u64, key: &K, out: &mut impl Emit<Made<K, V, Agg>>) {
        let watermark = self.state.now();
        let is_due = |open: &W::Open<Agg::Acc>| open.armed() <= watermark;
        if !self.state.keyed().get(hash, key).is_some_and(is_due) {
            return;
        }
        let Some(open) = self.state.keyed().get_mut(hash, key) else { return };
        let mut cx = WindowContext {
            aggregate: &self.aggregate,
            trigger: &self.trigger,
            lateness: self.lateness,
            watermark,
            made: &mut self.made,
        };
        self.kind.fire(open, &mut cx);
        let (armed, is_empty) = (open.armed(), open.is_empty());
        self.tell(hash, key, out);
        if is_empty && !mutant::is(Mutant::TimerFiredTwice) {
            self.state.keyed().remove(hash, key);
        } else if armed < Timestamp::MAX {
            self.state.schedule(Due::Event(armed), hash, key.clone());
        }
    }
}

impl<K, V, W, Agg, T> Operator<Keyed<K, V>> for Window<K, V, W, Agg, T>
where
    K: StateKey,
    V: 'static,
    W: WindowKind,
    Agg: Aggregate<V>,
    T: Trigger,
{
    type Out = Made<K, V, Agg>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Self::Out>) {
        let Record { time, value: Keyed { hash, key, value } } = record;
        let watermark = self.state.now();
        let (kept, open) = self.state.keyed().get_or_insert_with(hash, &key, W::Open::<Agg::Acc>::default);
        let (armed, was_empty) = (open.armed(), open.is_empty());
        let mut cx = WindowContext {
            aggregate: &self.aggregate,
            trigger: &self.trigger,
            lateness: self.lateness,
            watermark,
            made: &mut self.made,
        };
        let late = self.kind.add(open, &mut cx, time, value);
        if late.is_some() || was_empty || open.armed() != armed || open.is_empty() || !self.made.is_empty() {
            let key = kept.clone();
            self.settle(hash, key, late.map(|value| Record { time, value }), out);
        }
    }

    fn advance(&mut self, time: Timestamp, out: &mut impl Emit<Self::Out>) -> bool {
        fire_by_event(self, |it| &mut it.state, time, |it, _, hash, key| it.fire(hash, &key, out))
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, V>) {
        self.state.keyed().prefetch(upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.state);
    }
}

/// Passes on results, and lets late records go: they were counted.
#[derive(Debug)]
pub struct OnlyResults;

impl<R: 'static, L: 'static> Operator<Either<R, L>> for OnlyResults {
    type Out = R;

    #[inline]
    fn process(&mut self, record: Record<Either<R, L>>, out: &mut impl Emit<R>) {
        if let Either::Left(value) = record.value {
            out.emit(Record { time: record.time, value });
        }
    }
}

/// What was kept of some records of a key that were combined before an exchange, for windows: late records are counted.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Partial<A> {
    n_records: u64,
    acc: A,
}

/// An aggregate that knows how many values it was given.
#[derive(Debug)]
pub struct Counted<Agg>(pub(crate) Agg);

impl<V, Agg: Aggregate<V>> Aggregate<V> for Counted<Agg> {
    type Acc = Partial<Agg::Acc>;
    type Out = Agg::Out;

    fn init(&self) -> Self::Acc {
        Partial { n_records: 0, acc: self.0.init() }
    }

    #[inline]
    fn add(&self, acc: &mut Self::Acc, value: V) {
        acc.n_records += 1;
        self.0.add(&mut acc.acc, value);
    }

    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        acc.n_records += other.n_records;
        self.0.merge(&mut acc.acc, &other.acc);
    }

    fn finish(&self, acc: &Self::Acc) -> Agg::Out {
        self.0.finish(&acc.acc)
    }
}

/// An aggregate of what was combined before an exchange.
#[derive(Debug)]
pub struct Merged<V, Agg> {
    aggregate: Agg,
    of: PhantomData<fn(V)>,
}

impl<V, Agg> Merged<V, Agg> {
    pub(crate) fn new(aggregate: Agg) -> Self {
        Self { aggregate, of: PhantomData }
    }
}

impl<V: 'static, Agg: Aggregate<V>> Aggregate<Partial<Agg::Acc>> for Merged<V, Agg>
where
    Agg::Acc: Data,
{
    type Acc = Agg::Acc;
    type Out = Agg::Out;

    fn init(&self) -> Agg::Acc {
        self.aggregate.init()
    }

    #[inline]
    fn add(&self, acc: &mut Agg::Acc, value: Partial<Agg::Acc>) {
        self.aggregate.merge(acc, &value.acc);
    }

    fn merge(&self, acc: &mut Agg::Acc, other: &Agg::Acc) {
        self.aggregate.merge(acc, other);
    }

    fn finish(&self, acc: &Agg::Acc) -> Agg::Out {
        self.aggregate.finish(acc)
    }

    #[inline]
    fn n_records(&self, value: &Partial<Agg::Acc>) -> u64 {
        value.n_records
    }
}

#[cfg(test)]
mod tests;
