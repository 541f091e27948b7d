//! A row and the version of a table that was in force at the row's time.
//!
//! A row waits until the watermark has passed its time: no version can come then that was in force before it. Of the
//! versions those are kept that are newer than the watermark, and the newest of the others: it may be in force for rows to
//! come.

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
use crate::time::{Due, Scheduled, TimedState};

/// A row belongs to the version of the table that was in force at its time.
#[derive(Clone, Copy, Debug)]
pub struct AsOf;

impl<K: StateKey, L: Data, R: Data, F: JoinRows<K, L, R>> JoinHow<K, L, R, F> for AsOf {
    type Join = AsOfJoin<K, L, R, F>;

    fn operator(self, name: &str, n_bins: u32, rows: F) -> Self::Join {
        AsOfJoin { state: TimedState::new(name, n_bins), rows }
    }
}

/// Joins rows with the versions of a table. See [`Joined::as_of`](crate::stream::Joined::as_of).
#[derive(Debug)]
pub struct AsOfJoin<K, L, R, F> {
    state: TimedState<K, History<L, R>>,
    rows: F,
}

impl<K: StateKey, L: Data, R: Data, F: JoinRows<K, L, R>> AsOfJoin<K, L, R, F> {
    fn fire(&mut self, hash: u64, key: &K, out: &mut impl Emit<JoinOut<K, L, R, F::Out>>) {
        let now = self.state.now();
        if !self.state.get(hash, key).is_some_and(|history| history.armed.has_come(now)) {
            return;
        }
        let now = now.0;
        let Some(history) = self.state.keyed().get_mut(hash, key) else { return };
        let mut results = Results { hash, key, out };
        while history.waiting.first_time().is_some_and(|time| due(time) <= now)
            && let Some((time, left)) = history.waiting.pop_first()
        {
            let made = match history.versions.newest_upto(time) {
                Some((_, version)) => Some(self.rows.pair(key, &left, version)),
                None => self.rows.left(key, &left),
            };
            if let Some(made) = made {
                results.emit(Timestamp(time), made);
            }
        }
        history.versions.drop_upto(now, usize::from(!mutant::is(Mutant::VersionForgotten)));
        let due = history.due();
        history.armed.set(due);
        if history.versions.is_empty() && history.waiting.is_empty() {
            self.state.keyed().remove(hash, key);
        }
        self.state.schedule_at(due, hash, key.clone());
    }
}

impl<K, L, R, F> Operator<Keyed<K, Either<L, R>>> for AsOfJoin<K, L, R, F>
where
    K: StateKey,
    L: Data,
    R: Data,
    F: JoinRows<K, L, R>,
{
    type Out = JoinOut<K, L, R, F::Out>;

    fn process(&mut self, record: Record<Keyed<K, Either<L, R>>>, out: &mut impl Emit<Self::Out>) {
        let (now, time) = (self.state.now(), record.time);
        let Keyed { hash, key, value } = record.value;
        // A late version is put in force all the same, if none that is newer was in force when it came: rows to come
        // need it, and it would be missed for ever.
        let is_late = time < now
            && match &value {
                Either::Left(_) => true,
                Either::Right(_) => {
                    let history = self.state.keyed().get(hash, &key);
                    let in_force = history.and_then(|history| history.versions.newest_upto(now.0));
                    in_force.is_some_and(|(version, _)| *version > time.0)
                }
            };
        if is_late {
            return late(&mut self.state, Record { time, value: Keyed { hash, key, value } }, out);
        }
        let (_, history) = self.state.keyed().get_or_insert_with(hash, &key, History::default);
        match value {
            Either::Left(left) => history.waiting.insert(time.0, left),
            Either::Right(right) => history.versions.insert(time.0, right),
        }
        let due = history.due();
        if history.armed.set_earlier(due) {
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

/// The watermark at which all is known of the versions in force at a time.
fn due(time: i64) -> i64 {
    if mutant::is(Mutant::AsOfEarly) { time } else { time.saturating_add(1) }
}

/// What is known of a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(
    serialize = "L: Serialize, R: Serialize",
    deserialize = "L: Deserialize<'de>, R: Deserialize<'de>"
))]
struct History<L, R> {
    /// When there is something to do.
    armed: Armed,
    versions: Timeline<R>,
    waiting: Timeline<L>,
}

impl<L, R> History<L, R> {
    /// When there is something to do: a row that waits is due, or all versions but one are of no use any more.
    fn due(&self) -> Option<i64> {
        let row = self.waiting.first_time().map(due);
        let version = self.versions.last_time().filter(|_| self.versions.len() > 1);
        row.into_iter().chain(version).min()
    }
}

impl<L, R> Default for History<L, R> {
    fn default() -> Self {
        Self { armed: Armed::default(), versions: Timeline::default(), waiting: Timeline::default() }
    }
}

impl<L, R> Scheduled for History<L, R> {
    fn each_due(&self, tell: &mut dyn FnMut(Due)) {
        self.armed.each_due(tell);
    }
}
