//! Streams put together with others by their key.

use std::fmt;
use std::ops::RangeInclusive;

use super::{KeyedSides, KeyedStream, Stream};
use crate::element::{Either, Keyed};
use crate::exchange::{Data, Lane, local_channel};
use crate::operators::{
    AsOf, FullOuter, Inner, Interval, JoinHow, JoinRows, Latest, LeftOuter, OnlyResults, RightOuter,
    SameWindow,
};
use crate::snapshot::OperatorKind;
use crate::stage::{KeyedInbox, Pipe, Single, Then};
use crate::state::StateKey;
use crate::time::windows::WindowKind;
use crate::time::{TimeOffset, TimeSpan};

impl<K: StateKey, L: 'static, P: Pipe<Item = Keyed<K, L>>> KeyedStream<P> {
    /// Both streams as one that is still partitioned by the key: no record crosses to another worker for it, and no key is
    /// hashed again. Values of one stream keep their order; between the two there is none.
    ///
    /// ```
    /// use malstrom_core::element::Either;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     let words = job.source("words", from_iter(|| ["to", "be"].map(String::from)));
    ///     let both = numbers.connect(words.key_by(|word| word.len() as u64));
    ///     let seen = both.fold("seen", || (0, 0), |(numbers, words), value| match value {
    ///         Either::Left(_) => *numbers += 1,
    ///         Either::Right(_) => *words += 1,
    ///     });
    ///     seen.sink("out", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_edges, 2);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn connect<R: 'static, Q: Pipe<Item = Keyed<K, R>>>(
        self,
        other: KeyedStream<Q>,
    ) -> KeyedStream<KeyedInbox<K, Either<L, R>>> {
        let other = other.map_values(|_, value| Either::Right(value));
        self.map_values(|_, value| Either::Left(value)).union(other)
    }

    /// Both streams as one that is still partitioned by the key, see [`connect`](Self::connect).
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     let more = job.source("more", from_iter(|| 10..20_u64)).key_by(|n| n % 3);
    ///     numbers.union(more).fold("sum", || 0, |sum, n| *sum += n).sink("sums", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn union<Q: Pipe<Item = Keyed<K, L>>>(self, other: KeyedStream<Q>) -> KeyedStream<KeyedInbox<K, L>> {
        let job = self.plain().job().clone();
        let (one, one_end) = local_channel();
        let (two, two_end) = local_channel();
        self.into_plain().close(Single(Lane::new(one)));
        other.into_plain().close(Single(Lane::new(two)));
        KeyedStream::new(job.open(KeyedInbox::local([one_end, two_end], job.n_bins())))
    }

    /// Joins the records of two streams that have the same key. Which of them belong together is still to be said:
    /// [`between`](Joined::between), [`at_any_time`](Joined::at_any_time), [`window`](Joined::window),
    /// [`as_of`](Joined::as_of) or [`latest`](Joined::latest).
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::element::Timestamp;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::Watermarks;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let time_of = |(_, millis): &(&str, i64)| Timestamp::from_millis(*millis);
    ///     let clicks = job.source("clicks", from_iter(|| [("ann", 1_000), ("bob", 9_000)]));
    ///     let clicks = clicks.assign_timestamps(time_of, Watermarks::ascending());
    ///     let purchases = job.source("purchases", from_iter(|| [("ann", 60_000)]));
    ///     let purchases = purchases.assign_timestamps(time_of, Watermarks::ascending());
    ///     clicks
    ///         .into_keyed(|(name, millis)| (name.to_owned(), millis))
    ///         .join(purchases.into_keyed(|(name, millis)| (name.to_owned(), millis)))
    ///         .between(Duration::ZERO..=Duration::from_secs(600))
    ///         .combine("bought", |_, clicked, bought| bought - clicked)
    ///         .sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn join<R: 'static, Q: Pipe<Item = Keyed<K, R>>>(
        self,
        other: KeyedStream<Q>,
    ) -> Joined<KeyedInbox<K, Either<L, R>>> {
        self.connect(other).joined()
    }
}

impl<K: StateKey, L: 'static, R: 'static, P: Pipe<Item = Keyed<K, Either<L, R>>>> KeyedStream<P> {
    /// Joins the two sides of a stream that carries both: where they come from one source, they cross to the key's worker
    /// together. See [`join`](Self::join).
    ///
    /// ```
    /// use malstrom_core::element::{Either, Timestamp};
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::Watermarks;
    /// use malstrom_core::time::windows::Tumbling;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..100_i64));
    ///     let timed = numbers.assign_timestamps(|n| Timestamp(*n), Watermarks::ascending());
    ///     timed
    ///         .into_keyed(|n| (n % 5, if n % 2 == 0 { Either::Left(n) } else { Either::Right(n) }))
    ///         .joined()
    ///         .window(Tumbling::of(10))
    ///         .combine("even and odd", |_, even, odd| even * odd)
    ///         .sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn joined(self) -> Joined<P> {
        Joined { stream: self, kind: Inner(()), how: () }
    }
}

/// Two streams with the same key that are to be joined. See [`KeyedStream::join`].
#[must_use = "a join does nothing until its rows are combined"]
pub struct Joined<P, J = Inner, H = ()> {
    stream: KeyedStream<P>,
    kind: J,
    how: H,
}

impl<P, J, H> Joined<P, J, H> {
    /// Has also left rows that are alone make something.
    pub fn left_outer(self) -> Joined<P, LeftOuter, H> {
        Joined { stream: self.stream, kind: LeftOuter(()), how: self.how }
    }

    /// Has also right rows that are alone make something.
    pub fn right_outer(self) -> Joined<P, RightOuter, H> {
        Joined { stream: self.stream, kind: RightOuter(()), how: self.how }
    }

    /// Has also rows of either side that are alone make something.
    pub fn full_outer(self) -> Joined<P, FullOuter, H> {
        Joined { stream: self.stream, kind: FullOuter(()), how: self.how }
    }

    fn how<G>(self, how: G) -> Joined<P, J, G> {
        Joined { stream: self.stream, kind: self.kind, how }
    }
}

impl<P, J> Joined<P, J> {
    /// Rows belong together when the right one is later than the left one by something in this range, in event time:
    /// `between(Duration::ZERO..=Duration::from_secs(60))`, or
    /// `between(TimeOffset::before(five)..=TimeOffset::after(ten))`, or `between(-5..=10)` in the unit of the timestamps.
    ///
    /// A pair is told when its second row comes, at the later of both times. A row that is alone is told when the
    /// watermark has passed all that could have been its partner. A row is late when it comes behind the watermark.
    pub fn between<B: Into<TimeOffset>>(self, range: RangeInclusive<B>) -> Joined<P, J, Interval> {
        self.how(Interval::new(range))
    }

    /// All rows of a key belong together, whatever their times. A pair is told when its second row comes, at the later of
    /// both times; a row that is alone is told at the end of the stream. No row is late, and all are kept for ever: where
    /// times say which rows can be partners, [`between`](Self::between) forgets them.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let people = job.source("people", from_iter(|| [(1_u64, "ann"), (2, "bob")]));
    ///     let people = people.into_keyed(|(id, name)| (id, name.to_owned()));
    ///     let orders = job.source("orders", from_iter(|| [(1_u64, 250_u64), (1, 30)]));
    ///     people
    ///         .join(orders.into_keyed(|order| order))
    ///         .at_any_time()
    ///         .combine("orders of people", |_, name, order| (name.clone(), *order))
    ///         .sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn at_any_time(self) -> Joined<P, J, Interval> {
        self.how(Interval::UNBOUNDED)
    }

    /// Rows belong together that are in the same window. They are told when the window is complete, at its last time; of
    /// a key in a window, each row of one side with each of the other. A row is late as in a window that is aggregated.
    pub fn window<W: WindowKind>(self, kind: W) -> Joined<P, J, SameWindow<W>> {
        self.how(SameWindow { kind, lateness: 0 })
    }

    /// The right side is a table whose versions are in force from their time on. A left row belongs to the version that
    /// was in force at its time: it is told once the watermark has passed that. A left row is late when it comes behind
    /// the watermark; a version is late when a newer one is in force, and is put in force otherwise.
    ///
    /// Of each key the version in force is kept for ever, older ones as long as the watermark needs them.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let orders = job.source("orders", from_iter(|| [("EUR", 250_u64), ("GBP", 30)]));
    ///     let rates = job.source("rates", from_iter(|| [("EUR", 108_u64), ("GBP", 127)]));
    ///     let orders = orders.into_keyed(|(currency, cents)| (currency.to_owned(), cents));
    ///     let rates = rates.into_keyed(|(currency, rate)| (currency.to_owned(), rate));
    ///     orders
    ///         .join(rates)
    ///         .left_outer()
    ///         .as_of()
    ///         .combine("in dollars as of then", |_, cents, rate: Option<&u64>| rate.map(|rate| cents * rate / 100))
    ///         .sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn as_of(self) -> Joined<P, J, AsOf> {
        self.how(AsOf)
    }

    /// The right side is a table, of which the latest version counts that has come when the left row comes: which one that
    /// is depends on how fast both streams are read. Of two versions that come out of order the one with the greater event
    /// time counts. Nothing waits, and nothing is late.
    ///
    /// Of each key one version is kept for ever.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let orders = job.source("orders", from_iter(|| [("EUR", 250_u64), ("GBP", 30)]));
    ///     let rates = job.source("rates", from_iter(|| [("EUR", 108_u64), ("GBP", 127)]));
    ///     let orders = orders.into_keyed(|(currency, cents)| (currency.to_owned(), cents));
    ///     let rates = rates.into_keyed(|(currency, rate)| (currency.to_owned(), rate));
    ///     orders
    ///         .join(rates)
    ///         .left_outer()
    ///         .latest()
    ///         .combine("in dollars by the latest rate", |_, cents, rate: Option<&u64>| rate.map(|rate| cents * rate / 100))
    ///         .sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn latest(self) -> Joined<P, J, Latest> {
        self.how(Latest)
    }
}

impl<P, J, W> Joined<P, J, SameWindow<W>> {
    /// Keeps windows for this long behind their end: a row that comes meanwhile is added, and all pairs of its windows are
    /// told again.
    pub fn allowed_lateness(mut self, span: impl Into<TimeSpan>) -> Self {
        self.how.lateness = span.into().0;
        self
    }
}

/// What a joined stream is made of.
pub type JoinPipe<P, Op> = Then<Then<P, Op>, OnlyResults>;

macro_rules! combine {
    ($kind:ident, $left:ty, $right:ty, $doc:literal) => {
        impl<P, H> Joined<P, $kind, H> {
            #[doc = $doc]
            ///
            /// Late rows are counted in the figures of the job. The name identifies the rows that are kept in snapshots.
            #[track_caller]
            pub fn combine<K, L, R, T, F>(self, name: &str, combine: F) -> KeyedStream<JoinPipe<P, H::Join>>
            where
                K: StateKey,
                L: Data,
                R: Data,
                T: 'static,
                P: Pipe<Item = Keyed<K, Either<L, R>>>,
                F: FnMut(&K, $left, $right) -> T + 'static,
                H: JoinHow<K, L, R, $kind<F>>,
            {
                KeyedStream::new(self.rows(name, $kind(combine)).apply(OnlyResults))
            }

            /// Like [`combine`](Self::combine), and gives the late rows as a stream of their own.
            #[track_caller]
            pub fn combine_with_late<K, L, R, T, F>(
                self,
                name: &str,
                combine: F,
            ) -> KeyedSides<K, T, Either<L, R>>
            where
                K: StateKey,
                L: Data,
                R: Data,
                T: 'static,
                P: Pipe<Item = Keyed<K, Either<L, R>>>,
                F: FnMut(&K, $left, $right) -> T + 'static,
                $kind<F>: JoinRows<K, L, R, Out = T>,
                H: JoinHow<K, L, R, $kind<F>>,
            {
                self.rows(name, $kind(combine)).fork_keyed()
            }
        }
    };
}

combine!(Inner, &L, &R, "Makes something of each pair: `combine(key, left, right)`.");
combine!(
    LeftOuter,
    &L,
    Option<&R>,
    "Makes something of each pair, and of each left row that is alone: `combine(key, left, right)`."
);
combine!(
    RightOuter,
    Option<&L>,
    &R,
    "Makes something of each pair, and of each right row that is alone: `combine(key, left, right)`."
);
combine!(
    FullOuter,
    Option<&L>,
    Option<&R>,
    "Makes something of each pair, and of each row that is alone: `combine(key, left, right)`."
);

impl<P, J, H> Joined<P, J, H> {
    #[track_caller]
    fn rows<K, L, R, F>(self, name: &str, rows: F) -> Stream<Then<P, H::Join>>
    where
        K: StateKey,
        L: Data,
        R: Data,
        P: Pipe<Item = Keyed<K, Either<L, R>>>,
        F: JoinRows<K, L, R>,
        H: JoinHow<K, L, R, F>,
    {
        let stream = self.stream.into_plain();
        stream.job().register(name, OperatorKind::KeyedState);
        let n_bins = stream.job().n_bins();
        stream.apply(self.how.operator(name, n_bins, rows))
    }
}

impl<P, J: fmt::Debug, H: fmt::Debug> fmt::Debug for Joined<P, J, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").field("kind", &self.kind).field("how", &self.how).finish_non_exhaustive()
    }
}
