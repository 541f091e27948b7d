//! Keyed streams of which only the first of several goes on.

use super::{KeyedSides, KeyedStream, Stream};
use crate::element::Keyed;
use crate::exchange::Data;
use crate::operators::{Deduplicate, OnlyResults};
use crate::snapshot::OperatorKind;
use crate::stage::{Pipe, Then};
use crate::state::StateKey;
use crate::time::Ttl;

impl<K: StateKey, V: 'static, P: Pipe<Item = Keyed<K, V>>> KeyedStream<P> {
    /// Lets of the records of a key the first through, and none that comes within this time of it. In event time a record
    /// is late, and counted, when it comes behind the watermark: the first of its kind may have been forgotten.
    ///
    /// ```
    /// use malstrom_core::element::Timestamp;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::{Ttl, Watermarks};
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     let timed = numbers.assign_timestamps(|n| Timestamp(*n as i64), Watermarks::ascending());
    ///     timed.key_by(|n| n % 3).deduplicate("first", Ttl::event_time(5)).sink("firsts", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "first", "firsts"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out its operators")]
    #[track_caller]
    pub fn deduplicate(
        self,
        name: &str,
        within: Ttl,
    ) -> KeyedStream<Then<Then<P, Deduplicate<K, (), fn(&V)>>, OnlyResults>> {
        self.deduplicate_by(name, within, nothing::<V> as fn(&V))
    }

    /// Like [`deduplicate`](Self::deduplicate), of the records for which `what` gives the same.
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::Ttl;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     let an_hour = Ttl::clock(Duration::from_secs(3600));
    ///     numbers.deduplicate_by("digits", an_hour, |n| n % 10).sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "a stream's type spells out its operators")]
    #[track_caller]
    pub fn deduplicate_by<M, F>(
        self,
        name: &str,
        within: Ttl,
        what: F,
    ) -> KeyedStream<Then<Then<P, Deduplicate<K, M, F>>, OnlyResults>>
    where
        M: Data + Ord,
        F: FnMut(&V) -> M + 'static,
    {
        KeyedStream::new(self.deduplicated(name, within, what).apply(OnlyResults))
    }

    /// Like [`deduplicate_by`](Self::deduplicate_by), and gives the late records as a stream of their own: those of which
    /// nobody knows any more whether one like them has come.
    ///
    /// ```
    /// use malstrom_core::element::Timestamp;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::{Ttl, Watermarks};
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_i64));
    ///     let timed = numbers.assign_timestamps(|n| Timestamp(*n), Watermarks::ascending());
    ///     let keyed = timed.key_by(|n| n % 3);
    ///     let (firsts, late) = keyed.deduplicate_with_late("first", Ttl::event_time(5), |n| n % 2);
    ///     firsts.sink("firsts", Discard);
    ///     late.sink("late", Discard);
    /// })?;
    /// assert_eq!(dataflow.description().n_stages, 4);
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn deduplicate_with_late<M, F>(self, name: &str, within: Ttl, what: F) -> KeyedSides<K, V, V>
    where
        M: Data + Ord,
        F: FnMut(&V) -> M + 'static,
    {
        self.deduplicated(name, within, what).fork_keyed()
    }

    #[track_caller]
    fn deduplicated<M, F>(self, name: &str, within: Ttl, what: F) -> Stream<Then<P, Deduplicate<K, M, F>>>
    where
        M: Data + Ord,
        F: FnMut(&V) -> M + 'static,
    {
        let stream = self.into_plain();
        stream.job().register(name, OperatorKind::KeyedState);
        let n_bins = stream.job().n_bins();
        stream.apply(Deduplicate::new(name, n_bins, within, what))
    }
}

/// What all records of a key have in common.
fn nothing<V>(_: &V) {}
