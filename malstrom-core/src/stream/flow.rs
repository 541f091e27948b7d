//! How a stream flows: how fast, in what portions, and over which workers.

use super::{KeyedStream, Stream};
use crate::element::Keyed;
use crate::exchange::Data;
use crate::operators::{Batch, Batches, RateLimit, Spread, Unspread};
use crate::snapshot::OperatorKind;
use crate::stage::{Batching, KeyedInbox, Limited, Pipe, Then};
use crate::state::StateKey;

impl<P: Pipe> Stream<P> {
    /// Lets no more than so many records a second pass, by the worker's clock; those before wait. Nothing is held back,
    /// so nothing is added to snapshots.
    ///
    /// Right behind a source it asks for no more records than may pass. Behind an exchange, `union` and the like, records
    /// come in batches of up to [`BATCH_RECORDS`](crate::limits::BATCH_RECORDS): such a batch passes as a whole, and
    /// nothing more, barriers included, until its time is over. A slow rate belongs to the source.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, RateLimit, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.rate_limit(RateLimit::per_job(5000.0)).sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn rate_limit(self, limit: RateLimit) -> Stream<Limited<P>> {
        self.through(|pipe| Limited::new(pipe, limit))
    }

    /// Passes values on together, so many that come to a worker one after the other, or those of some time. Snapshots and
    /// rescales cut a batch short, and so does an input that is idle.
    ///
    /// A batch belongs to the greatest time of its records, or to that of the watermark that has passed meanwhile, so it
    /// is never late where its records were not.
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::operators::{Batches, Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     let batches = numbers.batch(Batches::of(100).within(Duration::from_millis(20)));
    ///     batches.map(|batch: Vec<u64>| batch.len()).sink("lengths", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn batch(self, batches: Batches) -> Stream<Batching<P>> {
        self.through(|pipe| Batching::new(pipe, batches))
    }

    /// Spreads the records over all workers in turn: for streams that come from few partitions, or from partitions that
    /// have more than others, before work that takes long. Records do not keep their order.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.rebalance().map(|n| n * n).sink("squares", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_edges, 1);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn rebalance(self) -> Stream<Then<KeyedInbox<(), P::Item>, Unspread>>
    where
        P::Item: Data,
    {
        let n_bins = self.job().n_bins();
        self.apply(Spread::new(n_bins)).exchange().into_plain().apply(Unspread)
    }
}

impl<K: StateKey, V: Data, P: Pipe<Item = Keyed<K, V>>> KeyedStream<P> {
    /// Passes the values of a key on together, so many that come one after the other, or those of some time. What is held
    /// back is part of the key's state; the end of the stream lets all of it go.
    ///
    /// A batch belongs to the greatest time of its records, or to that of the watermark that has passed meanwhile, so it
    /// is never late where its records were not.
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::operators::{Batches, Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     let batches = keyed.batch("batches", Batches::of(100).within(Duration::from_millis(20)));
    ///     batches.map_values(|_, batch: Vec<u64>| batch.len()).sink("lengths", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "batches", "lengths"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn batch(self, name: &str, batches: Batches) -> KeyedStream<Then<P, Batch<K, V>>> {
        let stream = self.into_plain();
        stream.job().register(name, OperatorKind::KeyedState);
        let n_bins = stream.job().n_bins();
        KeyedStream::new(stream.apply(Batch::new(name, n_bins, batches)))
    }
}
