//! Streams with a key, and so with state.

use std::fmt;

use super::{Stream, Windowed};
use crate::element::Keyed;
use crate::exchange::Data;
use crate::operators::{
    Filter, Fold, FoldFinal, Inspect, IntoPairs, KeyedOperator, MapValues, MapWithState, Operator, Process,
    ProcessFn, ProcessStateful, ProcessTimed, Reduce, Sink, StatefulOperator, TimedOperator,
    TransactionalSink,
};
use crate::snapshot::OperatorKind;
use crate::stage::{Pipe, Then};
use crate::state::StateKey;
use crate::time::windows::{OnTime, WindowKind};

/// A stream that is partitioned by a key: all records of a key pass one worker, in order, and find its state there.
///
/// Every operator with state bears a name, which identifies the state in snapshots for ever.
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct KeyedStream<P>(Stream<P>);

impl<K: StateKey, V: 'static, P: Pipe<Item = Keyed<K, V>>> KeyedStream<P> {
    pub(crate) fn new(stream: Stream<P>) -> Self {
        Self(stream)
    }

    fn apply<Op: Operator<Keyed<K, V>, Out: 'static>>(self, operator: Op) -> KeyedStream<Then<P, Op>> {
        KeyedStream(self.0.apply(operator))
    }

    pub(super) fn plain(&self) -> &Stream<P> {
        &self.0
    }

    pub(super) fn into_plain(self) -> Stream<P> {
        self.0
    }

    #[track_caller]
    fn stateful<Op: Operator<Keyed<K, V>, Out: 'static>>(
        self,
        name: &str,
        operator: impl FnOnce(u32) -> Op,
    ) -> KeyedStream<Then<P, Op>> {
        self.0.job().register(name, OperatorKind::KeyedState);
        let n_bins = self.0.job().n_bins();
        self.apply(operator(n_bins))
    }

    /// Adds every value to the state of its key, and passes the new state on each time.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.fold("count", || 0_u64, |count, _| *count += 1).sink("counts", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "count", "counts"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn fold<S, I, F>(self, name: &str, init: I, add: F) -> KeyedStream<Then<P, Fold<K, S, I, F>>>
    where
        S: Data + Clone,
        I: FnMut() -> S + 'static,
        F: FnMut(&mut S, V) + 'static,
    {
        self.stateful(name, |n_bins| Fold::new(name, n_bins, init, add))
    }

    /// Adds every value to the state of its key, and passes each state on once, when the stream has ended.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.fold_final("count", || 0_u64, |count, _| *count += 1).sink("counts", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "count", "counts"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn fold_final<S, I, F>(
        self,
        name: &str,
        init: I,
        add: F,
    ) -> KeyedStream<Then<P, FoldFinal<K, S, I, F>>>
    where
        S: Data + Clone,
        I: FnMut() -> S + 'static,
        F: FnMut(&mut S, V) + 'static,
    {
        self.stateful(name, |n_bins| FoldFinal::new(name, n_bins, init, add))
    }

    /// Combines every value with what its key has so far, and passes the result on each time. The first value of a
    /// key is passed on as it is.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.reduce("largest", |most, n| *most = n.max(*most)).sink("maxima", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "largest", "maxima"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn reduce<F>(self, name: &str, combine: F) -> KeyedStream<Then<P, Reduce<K, V, F>>>
    where
        V: Data + Clone,
        F: FnMut(&mut V, V) + 'static,
    {
        self.stateful(name, |n_bins| Reduce::new(name, n_bins, combine))
    }

    /// Turns each value into another with the help of its key's state, which begins as the default.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     let steps = keyed.map_with_state("last", |_, last: &mut u64, n| n - std::mem::replace(last, n));
    ///     steps.sink("steps", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "last", "steps"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn map_with_state<S, W, F>(self, name: &str, map: F) -> KeyedStream<Then<P, MapWithState<K, S, F>>>
    where
        S: Data + Default,
        W: 'static,
        F: FnMut(&K, &mut S, V) -> W + 'static,
    {
        self.stateful(name, |n_bins| MapWithState::new(name, n_bins, map))
    }

    /// The general operator: `process(key, state, value, made)` reads and writes the state, which is `None` for a key
    /// not seen before and is forgotten when left `None`, and pushes whatever it makes.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     let pairs = keyed.process("pair", |_, waiting: &mut Option<u64>, n, made| match waiting.take() {
    ///         Some(first) => made.push((first, n)),
    ///         None => *waiting = Some(n),
    ///     });
    ///     pairs.sink("pairs", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "pair", "pairs"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out its operators")]
    #[track_caller]
    pub fn process<S, T, F>(
        self,
        name: &str,
        process: F,
    ) -> KeyedStream<Then<P, Process<K, S, ProcessFn<F, S, T>>>>
    where
        S: Data,
        T: 'static,
        F: FnMut(&K, &mut Option<S>, V, &mut Vec<T>) + 'static,
    {
        self.stateful(name, |n_bins| Process::new(name, n_bins, ProcessFn::new(process)))
    }

    /// Like [`process`](Self::process), with an operator of your own type.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, Emit, KeyedOperator, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// # use malstrom_core::element::Record;
    ///
    /// # struct First;
    /// # impl KeyedOperator<u64, u64> for First {
    /// #     type State = ();
    /// #     type Out = u64;
    /// #     fn process(&mut self, _: &u64, _: &mut Option<()>, n: Record<u64>, out: &mut impl Emit<u64>) { out.emit(n) }
    /// # }
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.process_with("first", First).sink("firsts", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "first", "firsts"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out its operators")]
    #[track_caller]
    pub fn process_with<Op: KeyedOperator<K, V, Out: 'static>>(
        self,
        name: &str,
        operator: Op,
    ) -> KeyedStream<Then<P, Process<K, Op::State, Op>>> {
        self.stateful(name, |n_bins| Process::new(name, n_bins, operator))
    }

    /// Like [`process_with`](Self::process_with), with timers in event time and by the clock.
    ///
    /// ```
    /// use malstrom_core::element::Record;
    /// use malstrom_core::operators::{Discard, Emit, TimedOperator, Timers, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::Due;
    ///
    /// /// Passes each value on ten units of event time later.
    /// struct Later;
    /// impl TimedOperator<u64, u64> for Later {
    ///     type State = Vec<u64>;
    ///     type Out = u64;
    ///     fn process(
    ///         &mut self, _: &u64, held: &mut Option<Vec<u64>>, record: Record<u64>, timers: &mut Timers<'_>,
    ///         _: &mut impl Emit<u64>,
    ///     ) {
    ///         timers.set_at(record.time.saturating_add(10));
    ///         held.get_or_insert_default().push(record.value);
    ///     }
    ///     fn on_timer(
    ///         &mut self, _: &u64, held: &mut Option<Vec<u64>>, due: Due, _: &mut Timers<'_>,
    ///         out: &mut impl Emit<u64>,
    ///     ) {
    ///         let Due::Event(time) = due else { return };
    ///         held.take().into_iter().flatten().for_each(|n| out.emit(Record::at(time, n)));
    ///     }
    /// }
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.process_timed("later", Later).sink("out", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "later", "out"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out its operators")]
    #[track_caller]
    pub fn process_timed<Op: TimedOperator<K, V, Out: 'static>>(
        self,
        name: &str,
        operator: Op,
    ) -> KeyedStream<Then<P, ProcessTimed<K, Op::State, Op>>> {
        self.stateful(name, |n_bins| ProcessTimed::new(name, n_bins, operator))
    }

    /// The general operator with several states, each with a name of its own, and with timers. It has its doctest at
    /// [`StatefulOperator`].
    ///
    /// In snapshots a state bears the operator's name and its own, as `words/count`.
    #[expect(clippy::type_complexity, reason = "a stream's type spells out its operators")]
    #[track_caller]
    pub fn process_stateful<Op: StatefulOperator<K, V, Out: 'static>>(
        self,
        name: &str,
        operator: Op,
    ) -> KeyedStream<Then<P, ProcessStateful<K, Op::States, Op>>> {
        let states = operator.states();
        for state in ProcessStateful::<K, Op::States, Op>::names(name, &states) {
            self.0.job().register(&state, OperatorKind::KeyedState);
        }
        self.stateful(name, |n_bins| ProcessStateful::new(name, n_bins, states, operator))
    }

    /// Cuts the stream of each key into windows of event time: [`Tumbling`](crate::time::windows::Tumbling),
    /// [`Sliding`](crate::time::windows::Sliding), [`Session`](crate::time::windows::Session),
    /// [`Global`](crate::time::windows::Global), [`Count`](crate::time::windows::Count).
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::element::Timestamp;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::{Watermarks, aggregates::mean, windows::Session};
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let clicks = job.source("clicks", from_iter(|| [("ann", 1_000), ("bob", 1_500), ("ann", 90_000)]));
    ///     let in_order = Watermarks::bounded_disorder(Duration::from_secs(5));
    ///     clicks
    ///         .assign_timestamps(|(_, millis)| Timestamp::from_millis(*millis), in_order)
    ///         .into_keyed(|(name, millis)| (name.to_owned(), millis))
    ///         .window(Session::with_gap(Duration::from_secs(60)))
    ///         .allowed_lateness(Duration::from_secs(60))
    ///         .aggregate("visits", mean(|millis: &i64| *millis as f64))
    ///         .sink("out", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["clicks", "visits", "out"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn window<W: WindowKind>(self, kind: W) -> Windowed<P, W> {
        Windowed::new(self, kind, OnTime)
    }

    /// Turns each value into another; the key stays.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.map_values(|key, n| n - key).sink("multiples", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "multiples"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn map_values<W: 'static, F: FnMut(&K, V) -> W + 'static>(
        self,
        map: F,
    ) -> KeyedStream<Then<P, MapValues<F>>> {
        self.apply(MapValues(map))
    }

    /// Keeps the records for which `keep` is true.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.filter(|record| record.value > record.key).sink("larger", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "larger"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn filter<F: FnMut(&Keyed<K, V>) -> bool + 'static>(
        self,
        keep: F,
    ) -> KeyedStream<Then<P, Filter<F>>> {
        self.apply(Filter(keep))
    }

    /// Looks at each record as it passes.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.inspect(|record| assert!(record.key < 3)).sink("checked", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "checked"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn inspect<F: FnMut(&Keyed<K, V>) + 'static>(self, look: F) -> KeyedStream<Then<P, Inspect<F>>> {
        self.apply(Inspect(look))
    }

    /// A stream of pairs, without the means to keep state by key.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.into_pairs().map(|(key, n)| key + n).sink("sums", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "sums"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn into_pairs(self) -> Stream<Then<P, IntoPairs>> {
        self.0.apply(IntoPairs)
    }

    /// Ends the stream in a sink that writes pairs at least once.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.sink("nowhere", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "nowhere"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn sink<S: Sink<(K, V)>>(self, name: &str, sink: S) {
        self.into_pairs().sink(name, sink);
    }

    /// Ends the stream in a sink that writes pairs exactly once.
    ///
    /// ```
    /// use malstrom_core::operators::{Collected, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let collected = Collected::<(u64, u64)>::new();
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.transactional_sink("collected", collected.sink());
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "collected"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn transactional_sink<S: TransactionalSink<(K, V)>>(self, name: &str, sink: S) {
        self.into_pairs().transactional_sink(name, sink);
    }

    /// Ends the stream in a closure that is called with each pair, at least once.
    ///
    /// ```
    /// use malstrom_core::operators::from_iter;
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     keyed.for_each("check", |(key, n)| assert_eq!(n % 3, key));
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "check"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn for_each<F: FnMut((K, V)) + 'static>(self, name: &str, take: F) {
        self.into_pairs().for_each(name, take);
    }
}

impl<P> fmt::Debug for KeyedStream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedStream")
    }
}
