//! Streams taken apart into two of different types: side outputs.
//!
//! An operator that has more to say than its results makes an [`Either`]: results to the left, the rest to the right.
//! Whoever has more than two kinds forks one of the two again.

use super::{KeyedStream, Stream};
use crate::element::{Either, Keyed};
use crate::exchange::{Lane, local_channel};
use crate::stage::{Fork, Inbox, KeyedInbox, Pipe};
use crate::state::StateKey;

/// Two streams with a key, and with values of different types.
pub type KeyedSides<K, A, B> = (KeyedStream<KeyedInbox<K, A>>, KeyedStream<KeyedInbox<K, B>>);

impl<A: 'static, B: 'static, P: Pipe<Item = Either<A, B>>> Stream<P> {
    /// Takes the stream apart into two, each with a type of its own.
    ///
    /// ```
    /// use malstrom_core::element::{Either, Record};
    /// use malstrom_core::operators::{Discard, Emit, Operator, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// /// Reads numbers; what is none goes to a side output.
    /// struct Parse;
    /// impl Operator<String> for Parse {
    ///     type Out = Either<u64, String>;
    ///     fn process(&mut self, record: Record<String>, out: &mut impl Emit<Either<u64, String>>) {
    ///         let parsed = record.value.parse().map_or(Either::Right(record.value), Either::Left);
    ///         out.emit(Record::at(record.time, parsed));
    ///     }
    /// }
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let lines = job.source("lines", from_iter(|| ["7", "seven"].map(String::from)));
    ///     let (numbers, others) = lines.apply(Parse).fork();
    ///     numbers.key_by(|n| n % 3).fold("sum", || 0, |sum, n| *sum += n).sink("sums", Discard);
    ///     others.sink("rejected", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn fork(self) -> (Stream<Inbox<A>>, Stream<Inbox<B>>) {
        let job = self.job().clone();
        let (left, left_end) = local_channel();
        let (right, right_end) = local_channel();
        self.close(Fork { left: Lane::new(left), right: Lane::new(right) });
        (job.open(Inbox::new([left_end])), job.open(Inbox::new([right_end])))
    }
}

impl<P: Pipe> Stream<P> {
    /// Turns each value into one of two and gives the two as streams of their own.
    ///
    /// ```
    /// use malstrom_core::element::Either;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let lines = job.source("lines", from_iter(|| ["7", "seven"].map(String::from)));
    ///     let (numbers, others) = lines.partition_map(|line| match line.parse::<u64>() {
    ///         Ok(number) => Either::Left(number),
    ///         Err(_) => Either::Right(line),
    ///     });
    ///     numbers.sink("numbers", Discard);
    ///     others.sink("rejected", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 3);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn partition_map<A: 'static, B: 'static, F>(self, choose: F) -> (Stream<Inbox<A>>, Stream<Inbox<B>>)
    where
        F: FnMut(P::Item) -> Either<A, B> + 'static,
    {
        self.map(choose).fork()
    }
}

impl<K, A, B, P> KeyedStream<P>
where
    K: StateKey,
    A: 'static,
    B: 'static,
    P: Pipe<Item = Keyed<K, Either<A, B>>>,
{
    /// Takes the stream apart into two, each with a type of its own. Both are still partitioned by the key.
    ///
    /// ```
    /// use malstrom_core::element::Either;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..100_u64)).key_by(|n| n % 3);
    ///     // Sums, and an alert whenever one grows past a multiple of a hundred.
    ///     let sums = keyed.process("sum", |_, sum: &mut Option<u64>, n, made| {
    ///         let before = sum.unwrap_or(0);
    ///         *sum = Some(before + n);
    ///         made.push(Either::Left(before + n));
    ///         if (before + n) / 100 > before / 100 {
    ///             made.push(Either::Right(format!("{n} was the last straw")));
    ///         }
    ///     });
    ///     let (sums, alerts) = sums.fork();
    ///     sums.sink("sums", Discard);
    ///     alerts.fold("n alerts", || 0, |n, _| *n += 1).sink("alerts", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn fork(self) -> KeyedSides<K, A, B> {
        let either = self.into_plain().map(|Keyed { hash, key, value }| match value {
            Either::Left(value) => Either::Left(Keyed { hash, key, value }),
            Either::Right(value) => Either::Right(Keyed { hash, key, value }),
        });
        either.fork_keyed()
    }
}

impl<K, A, B, P> Stream<P>
where
    K: StateKey,
    A: 'static,
    B: 'static,
    P: Pipe<Item = Either<Keyed<K, A>, Keyed<K, B>>>,
{
    /// Takes a stream behind an exchange apart into two that are still partitioned by the key.
    #[track_caller]
    pub(super) fn fork_keyed(self) -> KeyedSides<K, A, B> {
        let job = self.job().clone();
        let n_bins = job.n_bins();
        let (left, left_end) = local_channel();
        let (right, right_end) = local_channel();
        self.close(Fork { left: Lane::new(left), right: Lane::new(right) });
        let left = KeyedStream::new(job.open(KeyedInbox::local([left_end], n_bins)));
        (left, KeyedStream::new(job.open(KeyedInbox::local([right_end], n_bins))))
    }
}
