//! Streams whose records are questions to a service.

use super::{KeyedStream, Stream};
use crate::element::{Either, Keyed};
use crate::exchange::Data;
use crate::operators::{AsyncOptions, KeyBy, Unanswered};
use crate::snapshot::OperatorKind;
use crate::stage::{Asking, Inbox, Pipe};
use crate::state::StateKey;

impl<P: Pipe> Stream<P> {
    /// Asks a service about each value, and passes on what it answers: `ask` makes a future, which is driven beside the
    /// worker while the stream goes on. Requests are made again after a failure, as the options say; one that comes to
    /// nothing is passed on as [`Unanswered`].
    ///
    /// The service is asked at least once, also again after a crash; the stream has each answer exactly once. Watermarks
    /// wait for the records before them. Barriers wait too: on a stream without a key a snapshot or a rescale waits until
    /// all requests under way are answered or given up, so keep `timeout` times attempts well below the deadline of
    /// snapshots, or key the stream: see [`KeyedStream::map_async`].
    ///
    /// ```
    /// use malstrom_core::operators::{AsyncOptions, Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let words = job.source("words", from_iter(|| ["to", "be"].map(String::from)));
    ///     let options = AsyncOptions::new().concurrency(64).retries(3).unordered();
    ///     let lengths = words.map_async("lengths", options, |word| async move {
    ///         Ok::<_, std::io::Error>(word.len())
    ///     });
    ///     lengths.filter_map(Result::ok).sink("out", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["words", "lengths", "out"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn map_async<R, E, A, F>(
        self,
        name: &str,
        options: AsyncOptions,
        mut ask: A,
    ) -> Stream<impl Pipe<Item = Result<R, Unanswered<P::Item, E>>>>
    where
        P::Item: Data + Clone,
        R: Send + 'static,
        E: Send + 'static,
        A: FnMut(P::Item) -> F + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        self.job().register(name, OperatorKind::KeyedState);
        let n_bins = self.job().n_bins();
        let unkeyed: fn(&P::Item) = |_| ();
        self.apply(KeyBy(unkeyed)).through(|pipe| {
            let ask = move |(), value| ask(value);
            Asking::new(name, n_bins, pipe, options, true, ask, |(), answer| answer)
        })
    }

    /// Like [`map_async`](Self::map_async), with what was answered and what was not as two streams.
    ///
    /// ```
    /// use malstrom_core::operators::{AsyncOptions, Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let words = job.source("words", from_iter(|| ["1", "be"].map(String::from)));
    ///     let parse = |word: String| async move { word.parse::<u64>() };
    ///     let (numbers, failed) = words.map_async_with_failed("parse", AsyncOptions::new(), parse);
    ///     numbers.sink("numbers", Discard);
    ///     failed.map(|failed| failed.to_string()).sink("failed", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 3);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out what it carries")]
    #[track_caller]
    pub fn map_async_with_failed<R, E, A, F>(
        self,
        name: &str,
        options: AsyncOptions,
        ask: A,
    ) -> (Stream<Inbox<R>>, Stream<Inbox<Unanswered<P::Item, E>>>)
    where
        P::Item: Data + Clone,
        R: Send + 'static,
        E: Send + 'static,
        A: FnMut(P::Item) -> F + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        self.map_async(name, options, ask).partition_map(|answer| match answer {
            Ok(answer) => Either::Left(answer),
            Err(failed) => Either::Right(failed),
        })
    }
}

impl<K: StateKey, V: Data + Clone, P: Pipe<Item = Keyed<K, V>>> KeyedStream<P> {
    /// Asks a service about each record, and passes on key and answer: `ask` makes a future, which is driven beside the
    /// worker while the stream goes on. Requests are made again after a failure, as the options say; one that comes to
    /// nothing is passed on as [`Unanswered`].
    ///
    /// A record whose request is not answered yet is part of snapshots, moves with its key, and is asked again behind a
    /// restore or a move: the service is asked at least once, and the stream has each answer exactly once. Neither
    /// snapshots nor rescales wait for the service. Watermarks wait for the records before them.
    ///
    /// What comes out is a stream of pairs: workers are not equally far in event time behind the requests, so what goes
    /// by event time, or keeps state, needs a [`key_by`](Stream::key_by) of its own.
    ///
    /// ```
    /// use malstrom_core::operators::{AsyncOptions, Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     let divided = keyed.map_async("divide", AsyncOptions::new(), |key, n| async move {
    ///         n.checked_div(key).ok_or("division by zero")
    ///     });
    ///     divided.sink("out", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "divide", "out"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out what it carries")]
    #[track_caller]
    pub fn map_async<R, E, A, F>(
        self,
        name: &str,
        options: AsyncOptions,
        ask: A,
    ) -> Stream<impl Pipe<Item = (K, Result<R, Unanswered<V, E>>)>>
    where
        R: Send + 'static,
        E: Send + 'static,
        A: FnMut(K, V) -> F + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        let stream = self.into_plain();
        stream.job().register(name, OperatorKind::KeyedState);
        let n_bins = stream.job().n_bins();
        stream
            .through(|pipe| Asking::new(name, n_bins, pipe, options, false, ask, |key, answer| (key, answer)))
    }

    /// Like [`map_async`](Self::map_async), with what was answered and what was not as two streams.
    ///
    /// ```
    /// use malstrom_core::operators::{AsyncOptions, Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     let divide = |key: u64, n: u64| async move { n.checked_div(key).ok_or("division by zero") };
    ///     let (divided, failed) = keyed.map_async_with_failed("divide", AsyncOptions::new(), divide);
    ///     divided.sink("out", Discard);
    ///     failed.sink("failed", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 4);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out what it carries")]
    #[track_caller]
    pub fn map_async_with_failed<R, E, A, F>(
        self,
        name: &str,
        options: AsyncOptions,
        ask: A,
    ) -> (Stream<Inbox<(K, R)>>, Stream<Inbox<(K, Unanswered<V, E>)>>)
    where
        R: Send + 'static,
        E: Send + 'static,
        A: FnMut(K, V) -> F + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        self.map_async(name, options, ask).partition_map(|(key, answer)| match answer {
            Ok(answer) => Either::Left((key, answer)),
            Err(failed) => Either::Right((key, failed)),
        })
    }
}
