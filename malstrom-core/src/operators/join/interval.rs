//! Rows whose times are no further apart than said.
//!
//! A row waits in the state of its key until the watermark has passed all that could be its partner. A pair is told as
//! soon as its second row comes, at the later of both times.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::armed::Armed;
use super::timeline::Timeline;
use super::{JoinHow, JoinOut, JoinRows, Results, late};
use crate::element::{Either, Keyed, Record, Timestamp};
use crate::exchange::Data;
use crate::mutant::{self, Mutant};
use crate::operators::due::fire_by_event;
use crate::operators::{Emit, Operator};
use crate::state::{StateKey, StateVisitor};
use crate::time::{Due, Scheduled, TimeOffset, TimedState};

/// How much later than the left row the right row of a pair is: at least, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    lower: i64,
    upper: i64,
}

impl Interval {
    pub(crate) fn new<B: Into<TimeOffset>>(range: RangeInclusive<B>) -> Self {
        let (lower, upper) = range.into_inner();
        Self { lower: lower.into().0, upper: upper.into().0 }
    }

    /// Whatever the times of both rows are.
    pub(crate) const UNBOUNDED: Self = Self { lower: i64::MIN, upper: i64::MAX };

    /// The times at which a left row of this time has partners.
    fn of_left(self, time: i64) -> RangeInclusive<i64> {
        time.saturating_add(self.lower)..=time.saturating_add(self.upper)
    }

    /// The times at which a right row of this time has partners.
    fn of_right(self, time: i64) -> RangeInclusive<i64> {
        time.saturating_sub(self.upper)..=time.saturating_sub(self.lower)
    }

    /// For how long event time has to go on behind a left row until it can have no partner any more.
    fn left_waits(self) -> i64 {
        self.upper.max(0)
    }

    fn right_waits(self) -> i64 {
        self.lower.saturating_neg().max(0)
    }
}

impl<K: StateKey, L: Data, R: Data, F: JoinRows<K, L, R>> JoinHow<K, L, R, F> for Interval {
    type Join = IntervalJoin<K, L, R, F>;

    fn operator(self, name: &str, n_bins: u32, rows: F) -> Self::Join {
        IntervalJoin { state: TimedState::new(name, n_bins), interval: self, rows }
    }
}

/// Joins rows whose times are close. See [`Joined::between`](crate::stream::Joined::between).
#[derive(Debug)]
pub struct IntervalJoin<K, L, R, F> {
    state: TimedState<K, Waiting<L, R>>,
    interval: Interval,
    rows: F,
}

impl<K: StateKey, L: Data, R: Data, F: JoinRows<K, L, R>> IntervalJoin<K, L, R, F> {
    /// When there is something to do for a key. Rows that are told when they are alone are due one by one; others are
    /// dropped many at a time, when the newest of them is of no use any more.
    fn due(interval: Interval, waiting: &Waiting<L, R>) -> Option<i64> {
        let left = if F::KEEPS_LEFT { waiting.left.first_time() } else { waiting.left.last_time() };
        let right = if F::KEEPS_RIGHT { waiting.right.first_time() } else { waiting.right.last_time() };
        let left = left.map(|time| due(time, interval.left_waits()));
        let right = right.map(|time| due(time, interval.right_waits()));
        // What waits until the end of event time is in nobody's way then, unless it is to be told.
        let left = left.filter(|due| F::KEEPS_LEFT || *due < i64::MAX);
        let right = right.filter(|due| F::KEEPS_RIGHT || *due < i64::MAX);
        left.into_iter().chain(right).min()
    }

    fn fire(&mut self, hash: u64, key: &K, out: &mut impl Emit<JoinOut<K, L, R, F::Out>>) {
        let now = self.state.now();
        if !self.state.get(hash, key).is_some_and(|waiting| waiting.armed.has_come(now)) {
            return;
        }
        let now = now.0;
        let Some(waiting) = self.state.keyed().get_mut(hash, key) else { return };
        let mut results = Results { hash, key, out };
        let rows = &mut self.rows;
        drop_rows(&mut waiting.left, now, self.interval.left_waits(), |time, row| {
            if let Some(made) = rows.left(key, row) {
                results.emit(time, made);
            }
        });
        drop_rows(&mut waiting.right, now, self.interval.right_waits(), |time, row| {
            if let Some(made) = rows.right(key, row) {
                results.emit(time, made);
            }
        });
        let due = Self::due(self.interval, waiting);
        waiting.armed.set(due);
        if waiting.left.is_empty() && waiting.right.is_empty() {
            self.state.keyed().remove(hash, key);
        }
        self.state.schedule_at(due, hash, key.clone());
    }
}

impl<K, L, R, F> Operator<Keyed<K, Either<L, R>>> for IntervalJoin<K, L, R, F>
where
    K: StateKey,
    L: Data,
    R: Data,
    F: JoinRows<K, L, R>,
{
    type Out = JoinOut<K, L, R, F::Out>;

    fn process(&mut self, record: Record<Keyed<K, Either<L, R>>>, out: &mut impl Emit<Self::Out>) {
        let now = self.state.now();
        // Where rows are never dropped, none comes too late.
        if record.time < now && self.interval != Interval::UNBOUNDED {
            return late(&mut self.state, record, out);
        }
        let Record { time, value: Keyed { hash, key, value } } = record;
        let (_, waiting) = self.state.keyed().get_or_insert_with(hash, &key, Waiting::default);
        let mut results = Results { hash, key: &key, out };
        let (interval, rows) = (self.interval, &mut self.rows);
        // Behind the end of event time only a row that is never late comes, and its partners wait for ever.
        let is_over = now == Timestamp::MAX;
        match value {
            Either::Left(left) => {
                if !F::KEEPS_RIGHT && !is_over {
                    drop_rows(&mut waiting.right, now.0, interval.right_waits(), |_, _| {});
                }
                let mut is_matched = false;
                for (other, row) in waiting.right.within(&interval.of_left(time.0)) {
                    (row.is_matched, is_matched) = (true, true);
                    results.emit(Timestamp(time.0.max(*other)), rows.pair(&key, &left, &row.value));
                }
                waiting.left.insert(time.0, Row { is_matched, value: left });
            }
            Either::Right(right) => {
                if !F::KEEPS_LEFT && !is_over {
                    drop_rows(&mut waiting.left, now.0, interval.left_waits(), |_, _| {});
                }
                let mut is_matched = false;
                for (other, row) in waiting.left.within(&interval.of_right(time.0)) {
                    (row.is_matched, is_matched) = (true, true);
                    results.emit(Timestamp(time.0.max(*other)), rows.pair(&key, &row.value, &right));
                }
                waiting.right.insert(time.0, Row { is_matched, value: right });
            }
        }
        let due = Self::due(interval, waiting);
        if waiting.armed.set_earlier(due) {
            self.state.schedule_at(due, hash, key);
        }
    }

    fn advance(&mut self, time: Timestamp, out: &mut impl Emit<Self::Out>) -> bool {
        fire_by_event(self, |it| &mut it.state, time, |it, _, hash, key| it.fire(hash, &key, out))
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, Either<L, R>>) {
        self.state.keyed().prefetch(upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.state);
    }
}

/// The watermark at which a row is of no use any more.
fn due(time: i64, waits: i64) -> i64 {
    let last = time.saturating_add(waits);
    if mutant::is(Mutant::JoinRowDroppedEarly) { last } else { last.saturating_add(1) }
}

/// Drops rows that are of no use any more. Those that were alone are told, at the last time of a partner they could have
/// had: the watermark before had not passed it.
fn drop_rows<T>(rows: &mut Timeline<Row<T>>, now: i64, waits: i64, mut alone: impl FnMut(Timestamp, &T)) {
    while rows.first_time().is_some_and(|time| due(time, waits) <= now)
        && let Some((time, row)) = rows.pop_first()
    {
        if !row.is_matched || mutant::is(Mutant::MatchForgotten) {
            alone(Timestamp(due(time, waits).saturating_sub(1)), &row.value);
        }
    }
}

/// The rows of a key that may still have partners.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(
    serialize = "L: Serialize, R: Serialize",
    deserialize = "L: Deserialize<'de>, R: Deserialize<'de>"
))]
struct Waiting<L, R> {
    /// When there is something to do.
    armed: Armed,
    left: Timeline<Row<L>>,
    right: Timeline<Row<R>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row<T> {
    is_matched: bool,
    value: T,
}

impl<L, R> Default for Waiting<L, R> {
    fn default() -> Self {
        Self { armed: Armed::default(), left: Timeline::default(), right: Timeline::default() }
    }
}

impl<L, R> Scheduled for Waiting<L, R> {
    fn each_due(&self, tell: &mut dyn FnMut(Due)) {
        self.armed.each_due(tell);
    }
}
