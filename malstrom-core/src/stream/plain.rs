//! Streams without a key.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::{Job, KeyedStream, WindowedBy};
use crate::element::{Keyed, Record, Timestamp};
use crate::exchange::{Data, Lane, Outbox, local_channel};
use crate::operators::{
    AnyTime, BoxError, Combine, Filter, FilterMap, FlatMap, FlatMapWith, Inspect, IntoKeyed, KeyBy, Map,
    Operator, Sink, Source, TransactionalSink,
};
use crate::snapshot::OperatorKind;
use crate::stage::{
    Assigned, FanOut, Inbox, KeyedInbox, Pipe, PlainSink, Single, SourceInlet, Split, Then, Transactions,
};
use crate::state::StateKey;
use crate::time::aggregates::Aggregate;
use crate::time::windows::{OnTime, PaneWindows};
use crate::time::{TimeSpan, Timed, WatermarkGenerator};

/// A stream of values. Its type spells out the operators since the last exchange, which is what lets the compiler
/// make one loop of them; [`boxed`](Self::boxed) gives it a type that can be named.
#[must_use = "a stream does nothing until it ends in a sink"]
pub struct Stream<P> {
    job: Job,
    pipe: P,
    id: u32,
}

impl<P: Pipe> Stream<P> {
    pub(crate) fn new(job: Job, pipe: P, id: u32) -> Self {
        Self { job, pipe, id }
    }

    pub(crate) fn job(&self) -> &Job {
        &self.job
    }

    /// Applies an operator of your own.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, Emit, Operator, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// # use malstrom_core::element::Record;
    ///
    /// # struct Halve;
    /// # impl Operator<u64> for Halve {
    /// #     type Out = u64;
    /// #     fn process(&mut self, record: Record<u64>, out: &mut impl Emit<u64>) { out.emit(record) }
    /// # }
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.apply(Halve).sink("halves", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn apply<Op: Operator<P::Item, Out: 'static>>(self, operator: Op) -> Stream<Then<P, Op>> {
        Stream { job: self.job, pipe: Then::new(self.pipe, operator), id: self.id }
    }

    /// Gives each record its event time in the middle of a stage, where a source cannot know it yet. Whatever time the
    /// records had before is void behind it. The name identifies what was promised in snapshots.
    ///
    /// Where the source can tell the time, [`assign_timestamps`](Stream::assign_timestamps) does it for each partition
    /// on its own, and loses none to lateness when a partition moves to another worker.
    ///
    /// ```
    /// use malstrom_core::element::Timestamp;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::Watermarks;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let lines = job.source("lines", from_iter(|| ["7 a", "9 b"].map(String::from)));
    ///     let parsed = lines.filter_map(|line| line.split(' ').next().and_then(|time| time.parse::<i64>().ok()));
    ///     let timed = parsed.reassign_timestamps("times", |time| Timestamp(*time), Watermarks::ascending());
    ///     timed.sink("nowhere", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["lines", "times", "nowhere"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn reassign_timestamps<F, W>(self, name: &str, time_of: F, watermarks: W) -> Stream<Assigned<P, F, W>>
    where
        F: Fn(&P::Item) -> Timestamp + 'static,
        W: WatermarkGenerator<P::Item>,
    {
        self.job.register(name, OperatorKind::KeyedState);
        Stream { job: self.job, pipe: Assigned::new(name, self.pipe, time_of, watermarks), id: self.id }
    }

    /// Turns each value into another.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.map(|n| n * n).sink("squares", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn map<T: 'static, F: FnMut(P::Item) -> T + 'static>(self, map: F) -> Stream<Then<P, Map<F>>> {
        self.apply(Map(map))
    }

    /// Keeps the values for which `keep` is true.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.filter(|n| n % 2 == 0).sink("even", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn filter<F: FnMut(&P::Item) -> bool + 'static>(self, keep: F) -> Stream<Then<P, Filter<F>>> {
        self.apply(Filter(keep))
    }

    /// Turns each value into another or drops it.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let words = job.source("words", from_iter(|| ["to", "be", "or"].map(String::from)));
    ///     words.filter_map(|word| word.parse::<u64>().ok()).sink("numbers", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn filter_map<T: 'static, F: FnMut(P::Item) -> Option<T> + 'static>(
        self,
        map: F,
    ) -> Stream<Then<P, FilterMap<F>>> {
        self.apply(FilterMap(map))
    }

    /// Turns each value into any number of others.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.flat_map(|n| [n, n + 100]).sink("both", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn flat_map<I, F>(self, split: F) -> Stream<Then<P, FlatMap<F>>>
    where
        I: IntoIterator<Item: 'static>,
        F: FnMut(P::Item) -> I + 'static,
    {
        self.apply(FlatMap(split))
    }

    /// Turns each value into any number of others, passed to a callback: for parts that borrow from the value they are
    /// made from, so that no list of them need be built.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let lines = job.source("lines", from_iter(|| [String::from("to be or")]));
    ///     let lengths = lines.flat_map_with(|line, emit| line.split(' ').for_each(|word| emit(word.len())));
    ///     lengths.sink("lengths", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn flat_map_with<T, F>(self, split: F) -> Stream<Then<P, FlatMapWith<F, T>>>
    where
        T: 'static,
        F: FnMut(P::Item, &mut dyn FnMut(T)) + 'static,
    {
        self.apply(FlatMapWith::new(split))
    }

    /// Looks at each value as it passes.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.inspect(|n| assert!(*n < 10)).sink("checked", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn inspect<F: FnMut(&P::Item) + 'static>(self, look: F) -> Stream<Then<P, Inspect<F>>> {
        self.apply(Inspect(look))
    }

    /// Partitions the stream by a key: all values of one key go to one worker.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let words = job.source("words", from_iter(|| ["to", "be", "or"].map(String::from)));
    ///     words.key_by(|word| word.len()).sink("by_length", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_edges, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn key_by<K, F>(self, key: F) -> KeyedStream<KeyedInbox<K, P::Item>>
    where
        P::Item: Data,
        K: StateKey,
        F: FnMut(&P::Item) -> K + 'static,
    {
        self.apply(KeyBy(key)).exchange()
    }

    /// Partitions the stream by a key that is taken out of each value.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let words = job.source("words", from_iter(|| ["to", "be", "or"].map(String::from)));
    ///     let keyed = words.into_keyed(|word| (word.len(), word));
    ///     keyed.sink("by_length", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_edges, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn into_keyed<K, V, F>(self, split: F) -> KeyedStream<KeyedInbox<K, V>>
    where
        K: StateKey,
        V: Data,
        F: FnMut(P::Item) -> (K, V) + 'static,
    {
        self.apply(IntoKeyed(split)).exchange()
    }

    /// Partitions the stream by a key, and has what an aggregate keeps of some values of a key ([`Aggregate::Acc`])
    /// cross to the key's worker in place of these values; a stateful operator behind it adds them up. So a key that
    /// everyone has does not keep one worker busy and the others waiting, and little crosses.
    ///
    /// It is for keys that come again within milliseconds. To count numbers of up to a thousand keys takes half of the
    /// time with it on one worker, and a fifth on two. With 100,000 equally common keys, or the words of a text, it takes
    /// up to twice as long as [`into_keyed`](Self::into_keyed), since what is combined is looked for in vain.
    ///
    /// What is combined goes out every 2 ms, when the input runs dry, and before a watermark or a snapshot passes; how
    /// many values it is of depends on all this, and on nothing that can be relied upon. It bears the latest time among
    /// them. For windows there is [`window_by`](Self::window_by).
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::aggregates::count;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let words = job.source("words", from_iter(|| ["to", "be", "or", "to"].map(String::from)));
    ///     let counts = words.combine_by(|word| (word, ()), count()).reduce("count", |n, more| *n += more);
    ///     counts.sink("counts", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["words", "count", "counts"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn combine_by<K, V, Agg, F>(self, split: F, aggregate: Agg) -> KeyedStream<KeyedInbox<K, Agg::Acc>>
    where
        K: StateKey,
        V: 'static,
        Agg: Aggregate<V>,
        F: FnMut(P::Item) -> (K, V) + 'static,
    {
        self.apply(IntoKeyed(split)).apply(Combine::new(AnyTime, aggregate)).exchange()
    }

    /// Cuts the stream into windows by a key. What a window's aggregate keeps of records crosses to the key's worker, in
    /// place of the records: use it where there are many more records than keys.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::{Watermarks, aggregates::sum, windows::Tumbling};
    /// use malstrom_core::element::Timestamp;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..100_u64));
    ///     let timed = numbers.assign_timestamps(|n| Timestamp(*n as i64), Watermarks::ascending());
    ///     let sums = timed.window_by(|n| n % 3, Tumbling::of(10)).aggregate("sums", sum(|n: &u64| *n));
    ///     sums.sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn window_by<K: StateKey, F>(self, key: F, kind: PaneWindows) -> WindowedBy<P, F>
    where
        F: FnMut(&P::Item) -> K + 'static,
    {
        WindowedBy { stream: self, key, kind, trigger: OnTime, lateness: TimeSpan::ZERO }
    }

    /// Cuts the whole stream into windows, without a key: each worker aggregates what it has, and one of them what came
    /// of that.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::{Watermarks, aggregates::count, windows::Tumbling};
    /// use malstrom_core::element::Timestamp;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..100_u64));
    ///     let timed = numbers.assign_timestamps(|n| Timestamp(*n as i64), Watermarks::ascending());
    ///     timed.window_all(Tumbling::of(10)).aggregate("counts", count()).sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn window_all(self, kind: PaneWindows) -> WindowedBy<P, fn(&P::Item) -> ()> {
        self.window_by(|_| (), kind)
    }

    /// Both streams as one. Values of one stream keep their order; between the two there is none.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     let more = job.source("more", from_iter(|| 10..20_u64));
    ///     numbers.union(more).sink("all", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 3);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn union<Q: Pipe<Item = P::Item>>(self, other: Stream<Q>) -> Stream<Inbox<P::Item>> {
        let job = self.job.clone();
        let (one, one_end) = local_channel();
        let (two, two_end) = local_channel();
        self.close(Single(Lane::new(one)));
        other.close(Single(Lane::new(two)));
        job.open(Inbox::new([one_end, two_end]))
    }

    /// The same stream several times: `let [a, b] = stream.fan_out();`.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     let [one, two] = numbers.fan_out();
    ///     one.sink("as they are", Discard);
    ///     two.map(|n| n * n).sink("squares", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 3);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn fan_out<const N: usize>(self) -> [Stream<Inbox<P::Item>>; N]
    where
        P::Item: Clone,
    {
        let job = self.job.clone();
        let (lanes, streams) = branches(&job);
        self.close(FanOut(lanes));
        streams
    }

    /// Several streams, each value going to the one whose number `choose` returns:
    /// `let [even, odd] = numbers.split(|n| (n % 2) as usize);`. A number with no output fails the job.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     let [even, odd] = numbers.split(|n| (n % 2) as usize);
    ///     even.sink("even", Discard);
    ///     odd.sink("odd", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 3);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn split<const N: usize, F>(self, choose: F) -> [Stream<Inbox<P::Item>>; N]
    where
        F: FnMut(&P::Item) -> usize + 'static,
    {
        let job = self.job.clone();
        let (lanes, streams) = branches(&job);
        self.close(Split { lanes, choose, astray: None });
        streams
    }

    /// The same stream with a type that can be named, `Stream<Inbox<T>>`: it ends the stage here, which costs each
    /// record a place in a batch.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::{stage::Inbox, stream::Stream};
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     let stream: Stream<Inbox<u64>> = numbers.map(|n| n + 1).boxed();
    ///     stream.sink("out", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 2);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn boxed(self) -> Stream<Inbox<P::Item>> {
        let job = self.job.clone();
        let (lane, end) = local_channel();
        self.close(Single(Lane::new(lane)));
        job.open(Inbox::new([end]))
    }

    /// Ends the stream in a sink that writes at least once.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.sink("nowhere", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "nowhere"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn sink<S: Sink<P::Item>>(self, name: &str, sink: S) {
        self.job.register(name, OperatorKind::Sink);
        self.close(PlainSink::new(name, sink));
    }

    /// Ends the stream in a sink that writes exactly once.
    ///
    /// ```
    /// use malstrom_core::operators::{Collected, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let collected = Collected::new();
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.transactional_sink("collected", collected.sink());
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "collected"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn transactional_sink<S: TransactionalSink<P::Item>>(self, name: &str, sink: S) {
        self.job.register(name, OperatorKind::TransactionalSink);
        self.close(Transactions::new(name, sink));
    }

    /// Ends the stream in a closure that is called with each value, at least once.
    ///
    /// ```
    /// use malstrom_core::operators::from_iter;
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let sum = std::rc::Rc::new(std::cell::Cell::new(0));
    /// let total = sum.clone();
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.for_each("sum", move |n| total.set(total.get() + n));
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "sum"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn for_each<F: FnMut(P::Item) + 'static>(self, name: &str, take: F) {
        self.sink(name, ForEach(take));
    }

    /// The stream behind another pipe of the same stage.
    pub(super) fn through<Q: Pipe>(self, make: impl FnOnce(P) -> Q) -> Stream<Q> {
        Stream { job: self.job, pipe: make(self.pipe), id: self.id }
    }

    pub(super) fn close(self, outlet: impl crate::stage::Outlet<P::Item>) {
        self.job.close(self.id, self.pipe, outlet);
    }
}

impl<S: Source> Stream<SourceInlet<S>> {
    /// How long a partition of the source may have nothing before event time goes on without it; `None` for ever. What it
    /// yields afterwards may be late. Unless this says otherwise it is what the source says
    /// ([`Source::idle_after`]): a minute.
    ///
    /// Short where a partition is often empty and its records, when they come, may be late; `None` where event time must
    /// not go on without any, though one that stays empty then holds up every window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::element::Timestamp;
    /// use malstrom_core::operators::{Discard, from_iters};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::Watermarks;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     job.source("clicks", from_iters(2, |i| [10 * i, 10 * i + 1]))
    ///         .idle_after(Duration::from_secs(5))
    ///         .assign_timestamps(|n| Timestamp(*n as i64), Watermarks::ascending())
    ///         .sink("nowhere", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn idle_after(self, after: impl Into<Option<Duration>>) -> Self {
        let after = after.into();
        self.through(|pipe| pipe.idle_after(after))
    }

    /// Gives each record of a source its event time, and has each partition of the source say how far event time has
    /// come. What a partition has promised is part of its position, so it survives snapshots and rescales.
    ///
    /// ```
    /// use malstrom_core::element::Timestamp;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::Watermarks;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..100_u64));
    ///     let timed = numbers.assign_timestamps(|n| Timestamp(*n as i64), Watermarks::bounded_disorder(5));
    ///     timed.sink("nowhere", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn assign_timestamps<F, W>(self, time_of: F, watermarks: W) -> Stream<SourceInlet<Timed<S, F, W>>>
    where
        F: Fn(&S::Item) -> Timestamp + Clone + 'static,
        W: WatermarkGenerator<S::Item>,
    {
        let pipe = self.pipe.map_source(|source| Timed::new(source, time_of, watermarks));
        Stream { job: self.job, pipe, id: self.id }
    }
}

impl<K: StateKey, V: Data, P: Pipe<Item = Keyed<K, V>>> Stream<P> {
    #[track_caller]
    pub(super) fn exchange(self) -> KeyedStream<KeyedInbox<K, V>> {
        let job = self.job.clone();
        let edge = job.next_edge();
        self.close(Outbox::new(edge, job.n_bins()));
        KeyedStream::new(job.open(KeyedInbox::new(edge, job.n_bins())))
    }
}

impl<P> fmt::Debug for Stream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).finish_non_exhaustive()
    }
}

#[track_caller]
fn branches<T: 'static, const N: usize>(job: &Job) -> (Vec<Lane<T>>, [Stream<Inbox<T>>; N]) {
    // A closure does not pass on who called.
    let opened_at = Location::caller();
    let mut lanes = Vec::with_capacity(N);
    let streams = std::array::from_fn(|_| {
        let (lane, end) = local_channel();
        lanes.push(Lane::new(lane));
        job.open_at(Inbox::new([end]), opened_at)
    });
    (lanes, streams)
}

struct ForEach<F>(F);

impl<T, F: FnMut(T) + 'static> Sink<T> for ForEach<F> {
    fn write(&mut self, record: Record<T>) -> Result<(), BoxError> {
        (self.0)(record.value);
        Ok(())
    }
}
