//! `process_stateful`: the keyed operator with several named states, and timers.
//!
//! Each state lies in a table of its own, under the operator's name and its own, as `alerts/last`: in snapshots it is like
//! the state of any operator, so one can be added, and one that is not needed any more be dropped, between two runs. The
//! timers of a key lie under the operator's name.

pub(super) mod held;
mod states;

pub use held::At;
pub use states::{List, ListOf, MapOf, MapState, States, Value, ValueOf};

use super::due::{fire_by_clock, fire_by_event};
use super::process_timed::{Kept, Timers};
use super::{Emit, Operator, WithKey};
use crate::element::{Keyed, Record, Timestamp};
use crate::ports::Nanos;
use crate::state::{StateKey, StateVisitor};
use crate::time::{Due, TimedState};

/// What is seen of named states while one key is worked on: a [`ValueOf`], [`ListOf`] or [`MapOf`] for each.
pub type OfKey<'a, K, S> = <S as States<K>>::OfKey<'a>;

/// What a user writes to handle the records of a key with several states, each with a name, and with timers. To make
/// more than one kind of output, make an [`Either`](crate::element::Either) and
/// [`fork`](crate::stream::KeyedStream::fork) the stream.
///
/// ```
/// use std::time::Duration;
/// use malstrom_core::element::{Either, Record};
/// use malstrom_core::operators::{Discard, Emit, MapState, OfKey, StatefulOperator, Timers, Value, from_iter};
/// use malstrom_core::time::{Due, Ttl};
///
/// /// Passes on how often each word came. Tells, beside, of a word that comes twice within ten units of event time.
/// struct Words;
/// impl StatefulOperator<u64, String> for Words {
///     type States = (Value<u64>, MapState<String, ()>);
///     type Out = Either<u64, String>;
///
///     fn states(&self) -> Self::States {
///         (Value::named("count"), MapState::named("recent").ttl(Ttl::event_time(10)))
///     }
///
///     fn process(
///         &mut self, _: &u64, (mut count, mut recent): OfKey<'_, u64, Self::States>, word: Record<String>,
///         _: &mut Timers<'_>, out: &mut impl Emit<Self::Out>,
///     ) {
///         let n = count.update(|| 0, |n| { *n += 1; *n });
///         out.emit(Record::at(word.time, Either::Left(n)));
///         if recent.insert(word.value.clone(), ()).is_some() {
///             out.emit(word.map(Either::Right));
///         }
///     }
/// }
/// # malstrom_core::stream::Dataflow::build(4, |job| {
/// let words = job.source("text", from_iter(|| ["to", "be", "or", "not", "to", "be"].map(String::from)));
/// let (counts, repeated) = words.key_by(|word| word.len() as u64).process_stateful("words", Words).fork();
/// counts.sink("counts", Discard);
/// repeated.sink("repeated", Discard);
/// # })?;
/// # Ok::<(), malstrom_core::stream::BuildError>(())
/// ```
pub trait StatefulOperator<K: StateKey, V>: 'static {
    /// The states, as a tuple.
    type States: States<K>;
    /// What is made.
    type Out;

    /// The states with their names, and how long they keep what they hold.
    fn states(&self) -> Self::States;

    /// Handles one record of one key.
    fn process(
        &mut self,
        key: &K,
        states: OfKey<'_, K, Self::States>,
        record: Record<V>,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<Self::Out>,
    );

    /// A timer of the key is due. Timers of one key fire in the order of their times.
    fn on_timer(
        &mut self,
        key: &K,
        states: OfKey<'_, K, Self::States>,
        due: Due,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<Self::Out>,
    ) {
        let _ = (key, states, due, timers, out);
    }
}

/// Runs a [`StatefulOperator`]. See [`KeyedStream::process_stateful`](crate::stream::KeyedStream::process_stateful).
pub struct ProcessStateful<K: StateKey, S: States<K>, Op> {
    timers: TimedState<K, Kept<()>>,
    states: S::Tables,
    operator: Op,
    now: Nanos,
    /// Timers set just now.
    set: Vec<Due>,
    /// For a key without timers.
    none: Kept<()>,
}

impl<K: StateKey, S: States<K>, Op> ProcessStateful<K, S, Op> {
    pub(crate) fn new(name: &str, n_bins: u32, states: S, operator: Op) -> Self {
        Self {
            timers: TimedState::new(name, n_bins),
            states: states.tables(name, n_bins),
            operator,
            now: Nanos(0),
            set: Vec::new(),
            none: Kept::default(),
        }
    }

    /// What the names of the states are in snapshots.
    pub(crate) fn names(name: &str, states: &S) -> Vec<String> {
        let mut names = Vec::new();
        states.names(&mut |state| names.push(states::full_name(name, state)));
        names
    }

    /// Works on a key at a time: with its states, and with its timers, which few keys have.
    #[inline]
    fn work(
        &mut self,
        (hash, key, time): (u64, &K, Timestamp),
        fired: Option<Due>,
        work: impl FnOnce(&mut Op, S::OfKey<'_>, &mut Timers<'_>),
    ) {
        let (watermark, now) = (self.timers.now(), self.now);
        let has_timers = self.timers.get(hash, key).is_some();
        let found = if has_timers { self.timers.keyed().get_mut(hash, key) } else { None };
        let kept = found.unwrap_or(&mut self.none);
        fired.into_iter().for_each(|due| kept.timers.remove(due));
        let mut timers = Timers::new(&mut kept.timers, &mut self.set, watermark, now);
        let states = S::of_key(&mut self.states, At { hash, key, time, now });
        work(&mut self.operator, states, &mut timers);
        if has_timers {
            if kept.is_over() {
                self.timers.keyed().remove(hash, key);
            }
        } else if !kept.is_over() {
            let kept = std::mem::take(&mut self.none);
            self.timers.keyed().get_or_insert_with(hash, key, || kept);
        }
        while let Some(due) = self.set.pop() {
            self.timers.schedule(due, hash, key.clone());
        }
    }

    fn fire<V, T>(&mut self, due: Due, hash: u64, key: &K, out: &mut impl Emit<Keyed<K, T>>)
    where
        Op: StatefulOperator<K, V, States = S, Out = T>,
    {
        if !self.timers.get(hash, key).is_some_and(|kept| kept.timers.has(due)) {
            return;
        }
        let time = if let Due::Event(time) = due { time } else { self.timers.now() };
        let mut out = WithKey { hash, key, out };
        self.work((hash, key, time), Some(due), |operator, states, timers| {
            operator.on_timer(key, states, due, timers, &mut out);
        });
    }
}

impl<K, V, Op> Operator<Keyed<K, V>> for ProcessStateful<K, Op::States, Op>
where
    K: StateKey,
    V: 'static,
    Op: StatefulOperator<K, V>,
{
    type Out = Keyed<K, Op::Out>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, Op::Out>>) {
        let Record { time, value: Keyed { hash, key, value } } = record;
        let mut out = WithKey { hash, key: &key, out };
        self.work((hash, &key, time), None, |operator, states, timers| {
            operator.process(&key, states, Record { time, value }, timers, &mut out);
        });
    }

    fn advance(&mut self, time: Timestamp, out: &mut impl Emit<Keyed<K, Op::Out>>) -> bool {
        let fire = |it: &mut Self, due, hash, key: K| it.fire::<V, _>(due, hash, &key, out);
        // A timer sees what is there at its time, so nothing is forgotten before all have fired.
        fire_by_event(self, |it| &mut it.timers, time, fire) && Op::States::expire(&mut self.states, time)
    }

    fn on_time(&mut self, now: Nanos, out: &mut impl Emit<Keyed<K, Op::Out>>) -> Option<Nanos> {
        self.now = now;
        let fire = |it: &mut Self, due, hash, key: K| it.fire::<V, _>(due, hash, &key, out);
        let fires_at = fire_by_clock(self, |it| &mut it.timers, now, fire);
        let expires_at = Op::States::expire_by_clock(&mut self.states, now);
        fires_at.into_iter().chain(expires_at).min()
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, V>) {
        Op::States::prefetch(&mut self.states, upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.timers);
        Op::States::visit(&mut self.states, visitor);
    }
}

impl<K: StateKey, S: States<K>, Op> std::fmt::Debug for ProcessStateful<K, S, Op> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProcessStateful")
    }
}
