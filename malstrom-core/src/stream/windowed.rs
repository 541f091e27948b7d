//! Streams cut into windows.

use std::fmt;
use std::rc::Rc;

use super::{KeyedStream, Stream};
use crate::element::{Either, Keyed};
use crate::operators::{Combine, Counted, KeyBy, Merged, OnlyResults, Partial, Window};
use crate::snapshot::OperatorKind;
use crate::stage::{Inbox, KeyedInbox, Pipe, Then};
use crate::state::StateKey;
use crate::time::TimeSpan;
use crate::time::aggregates::Aggregate;
use crate::time::windows::{
    EarlyEvery, EarlyEveryRecords, OnTime, PaneWindows, Trigger, WindowKind, WindowResult,
};

/// A keyed stream cut into windows: what is to become of them is still to be said. See
/// [`KeyedStream::window`].
#[must_use = "windows do nothing until they are aggregated"]
pub struct Windowed<P, W, T = OnTime> {
    stream: KeyedStream<P>,
    kind: W,
    trigger: T,
    lateness: TimeSpan,
}

impl<P, W: WindowKind, T: Trigger> Windowed<P, W, T> {
    pub(crate) fn new(stream: KeyedStream<P>, kind: W, trigger: T) -> Self {
        Self { stream, kind, trigger, lateness: TimeSpan::ZERO }
    }

    /// Keeps windows for this long behind their end: a record that comes meanwhile is added, and its windows are told
    /// again. Without it a record that comes behind the end is late.
    pub fn allowed_lateness(self, span: impl Into<TimeSpan>) -> Self {
        Self { lateness: span.into(), ..self }
    }

    /// Tells windows before their time when the trigger says so.
    pub fn trigger<U: Trigger>(self, trigger: U) -> Windowed<P, W, U> {
        Windowed { stream: self.stream, kind: self.kind, trigger, lateness: self.lateness }
    }

    /// Tells windows early, every so long in event time.
    pub fn early_every(self, span: impl Into<TimeSpan>) -> Windowed<P, W, EarlyEvery> {
        self.trigger(EarlyEvery::new(span))
    }

    /// Tells windows early, every so many records.
    pub fn early_every_records(self, n: u64) -> Windowed<P, W, EarlyEveryRecords> {
        self.trigger(EarlyEveryRecords(n))
    }
}

impl<P, W, T> Windowed<P, W, T>
where
    W: WindowKind,
    T: Trigger,
{
    /// Aggregates the records of each window, as they come. Late records are counted in the figures of the job.
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
    ///     let sums = timed.key_by(|n| n % 3).window(Tumbling::of(10)).aggregate("sums", sum(|n: &u64| *n));
    ///     sums.map_values(|_, window| (window.start, window.value)).sink("out", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "sums", "out"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out its operators")]
    #[track_caller]
    pub fn aggregate<K, V, Agg>(
        self,
        name: &str,
        aggregate: Agg,
    ) -> KeyedStream<Then<Then<P, Window<K, V, W, Agg, T>>, OnlyResults>>
    where
        K: StateKey,
        V: 'static,
        P: Pipe<Item = Keyed<K, V>>,
        Agg: Aggregate<V>,
    {
        KeyedStream::new(self.told(name, aggregate).apply(OnlyResults))
    }

    /// Like [`aggregate`](Self::aggregate), and gives the late records as a stream of their own.
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
    ///     let windows = timed.key_by(|n| n % 3).window(Tumbling::of(10));
    ///     let (counts, late) = windows.aggregate_with_late("counts", count());
    ///     counts.sink("out", Discard);
    ///     late.sink("late", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 4);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out what it carries")]
    #[track_caller]
    pub fn aggregate_with_late<K, V, Agg>(
        self,
        name: &str,
        aggregate: Agg,
    ) -> (Stream<Inbox<(K, WindowResult<Agg::Out>)>>, Stream<Inbox<(K, V)>>)
    where
        K: StateKey,
        V: 'static,
        P: Pipe<Item = Keyed<K, V>>,
        Agg: Aggregate<V>,
    {
        let told = self.told(name, aggregate).map(|told| match told {
            Either::Left(keyed) => Either::Left((keyed.key, keyed.value)),
            Either::Right(keyed) => Either::Right((keyed.key, keyed.value)),
        });
        told.fork()
    }

    #[expect(clippy::type_complexity, reason = "a stream's type spells out its operators")]
    #[track_caller]
    fn told<K, V, Agg>(self, name: &str, aggregate: Agg) -> Stream<Then<P, Window<K, V, W, Agg, T>>>
    where
        K: StateKey,
        V: 'static,
        P: Pipe<Item = Keyed<K, V>>,
        Agg: Aggregate<V>,
    {
        let Self { stream, kind, trigger, lateness } = self;
        let stream = stream.into_plain();
        stream.job().register(name, OperatorKind::KeyedState);
        let n_bins = stream.job().n_bins();
        stream.apply(Window::new(name, n_bins, kind, aggregate, trigger, lateness.0))
    }
}

/// A stream cut into windows by a key, whose records are combined before they cross to the key's worker. See
/// [`Stream::window_by`].
#[must_use = "windows do nothing until they are aggregated"]
pub struct WindowedBy<P, F, T = OnTime> {
    pub(super) stream: Stream<P>,
    pub(super) key: F,
    pub(super) kind: PaneWindows,
    pub(super) trigger: T,
    pub(super) lateness: TimeSpan,
}

impl<P, F, T: Trigger> WindowedBy<P, F, T> {
    /// See [`Windowed::allowed_lateness`].
    pub fn allowed_lateness(self, span: impl Into<TimeSpan>) -> Self {
        Self { lateness: span.into(), ..self }
    }

    /// See [`Windowed::early_every`].
    pub fn early_every(self, span: impl Into<TimeSpan>) -> WindowedBy<P, F, EarlyEvery> {
        let Self { stream, key, kind, lateness, .. } = self;
        WindowedBy { stream, key, kind, trigger: EarlyEvery::new(span), lateness }
    }

    /// Aggregates the records of each window: some on each worker that sends them, and what came of these on the worker
    /// that owns the key. Late records are counted in the figures of the job.
    #[track_caller]
    pub fn aggregate<K, Agg>(
        self,
        name: &str,
        aggregate: Agg,
    ) -> KeyedStream<CombinedPipe<K, P::Item, Agg, T>>
    where
        P: Pipe<Item: 'static>,
        K: StateKey,
        F: FnMut(&P::Item) -> K + 'static,
        Agg: Aggregate<P::Item>,
    {
        let aggregate = Rc::new(aggregate);
        let counted = Counted(aggregate.clone());
        let combined = self.stream.apply(KeyBy(self.key)).apply(Combine::new(self.kind, counted));
        let windows = Windowed {
            stream: combined.exchange(),
            kind: self.kind,
            trigger: self.trigger,
            lateness: self.lateness,
        };
        windows.aggregate(name, Merged::new(aggregate))
    }
}

/// What a stream of windows that were combined before an exchange is made of.
pub type CombinedPipe<K, V, Agg, T> = Then<
    Then<
        KeyedInbox<K, Partial<<Agg as Aggregate<V>>::Acc>>,
        Window<K, Partial<<Agg as Aggregate<V>>::Acc>, PaneWindows, Merged<V, Rc<Agg>>, T>,
    >,
    OnlyResults,
>;

impl<P, W, T> fmt::Debug for Windowed<P, W, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windowed").field("lateness", &self.lateness).finish_non_exhaustive()
    }
}

impl<P, F, T> fmt::Debug for WindowedBy<P, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowedBy").field("kind", &self.kind).finish_non_exhaustive()
    }
}
