//! Where timestamps and watermarks come from: a source whose partitions each know how far they have come.
//!
//! # Rules
//! 1. Each partition has a generator of its own; the source merges their promises by minimum, as for every source.
//! 2. What a partition has promised is part of its position: it survives a snapshot and moves with the partition. The
//!    generator itself begins anew, and its promise never falls below that.
//! 3. Before a partition's generator has promised anything, neither has the source.

use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::TimeSpan;
use crate::element::{Record, Timestamp};
use crate::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Source};

/// Says how far event time has come, from the records of one partition.
///
/// ```
/// use malstrom_core::element::Timestamp;
/// use malstrom_core::time::WatermarkGenerator;
///
/// /// Events come in order.
/// #[derive(Clone)]
/// struct Ascending(Timestamp);
/// impl<T> WatermarkGenerator<T> for Ascending {
///     fn on_record(&mut self, _: &T, time: Timestamp) { self.0 = self.0.max(time) }
///     fn watermark(&self) -> Timestamp { self.0 }
/// }
/// ```
pub trait WatermarkGenerator<T>: Clone + 'static {
    /// A record of this time has come.
    fn on_record(&mut self, value: &T, time: Timestamp);

    /// No record before this time is to follow; [`Timestamp::MIN`] if nothing is known yet. A promise that falls is not
    /// passed on.
    fn watermark(&self) -> Timestamp;
}

/// The usual ways to say how far event time has come.
#[derive(Clone, Copy, Debug)]
pub struct Watermarks;

impl Watermarks {
    /// No record is older than the newest before it by more than this.
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::element::Timestamp;
    /// use malstrom_core::stream::Dataflow;
    /// use malstrom_core::time::Watermarks;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let clicks = job.source("clicks", from_iter(|| [(1_000, "a"), (1_700, "b"), (1_200, "c")]));
    ///     clicks
    ///         .assign_timestamps(
    ///             |(millis, _)| Timestamp::from_millis(*millis),
    ///             Watermarks::bounded_disorder(Duration::from_secs(1)),
    ///         )
    ///         .sink("nowhere", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    pub fn bounded_disorder(delay: impl Into<TimeSpan>) -> BoundedDisorder {
        BoundedDisorder { delay: delay.into().0, newest: Timestamp::MIN }
    }

    /// No record is older than one before it.
    #[must_use]
    pub fn ascending() -> BoundedDisorder {
        Self::bounded_disorder(0)
    }

    /// Some records say how far event time has come: those for which the closure returns a time.
    pub fn punctuated<T, F: Fn(&T, Timestamp) -> Option<Timestamp> + Clone + 'static>(
        told: F,
    ) -> Punctuated<T, F> {
        Punctuated { told, watermark: Timestamp::MIN, of: PhantomData }
    }
}

/// See [`Watermarks::bounded_disorder`].
#[derive(Clone, Copy, Debug)]
pub struct BoundedDisorder {
    delay: i64,
    newest: Timestamp,
}

impl<T> WatermarkGenerator<T> for BoundedDisorder {
    #[inline]
    fn on_record(&mut self, _: &T, time: Timestamp) {
        self.newest = self.newest.max(time);
    }

    #[inline]
    fn watermark(&self) -> Timestamp {
        self.newest.saturating_sub(self.delay)
    }
}

/// See [`Watermarks::punctuated`].
pub struct Punctuated<T, F> {
    told: F,
    watermark: Timestamp,
    of: PhantomData<fn(&T)>,
}

impl<T, F: Clone> Clone for Punctuated<T, F> {
    fn clone(&self) -> Self {
        Self { told: self.told.clone(), watermark: self.watermark, of: PhantomData }
    }
}

impl<T, F> std::fmt::Debug for Punctuated<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Punctuated").field("watermark", &self.watermark).finish_non_exhaustive()
    }
}

impl<T: 'static, F> WatermarkGenerator<T> for Punctuated<T, F>
where
    F: Fn(&T, Timestamp) -> Option<Timestamp> + Clone + 'static,
{
    #[inline]
    fn on_record(&mut self, value: &T, time: Timestamp) {
        if let Some(told) = (self.told)(value, time) {
            self.watermark = self.watermark.max(told);
        }
    }

    fn watermark(&self) -> Timestamp {
        self.watermark
    }
}

/// A source whose records are given times, and whose partitions say how far event time has come.
#[derive(Debug)]
pub struct Timed<S, F, W> {
    source: S,
    time_of: F,
    watermarks: W,
}

impl<S, F, W> Timed<S, F, W> {
    /// Gives times to the records of a source. See
    /// [`assign_timestamps`](crate::stream::Stream::assign_timestamps).
    pub fn new(source: S, time_of: F, watermarks: W) -> Self {
        Self { source, time_of, watermarks }
    }
}

/// The position of a partition, and what it has promised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimedPosition<P> {
    position: P,
    watermark: Timestamp,
}

impl<S, F, W> Source for Timed<S, F, W>
where
    S: Source,
    F: Fn(&S::Item) -> Timestamp + Clone + 'static,
    W: WatermarkGenerator<S::Item>,
{
    type Item = S::Item;
    type Reader = TimedReader<S::Reader, F, W>;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        self.source.partitions()
    }

    fn open(
        &mut self,
        partition: &str,
        position: Option<TimedPosition<<S::Reader as Read>::Position>>,
    ) -> Result<Self::Reader, BoxError> {
        let (position, watermark) = match position {
            None => (None, Timestamp::MIN),
            Some(TimedPosition { position, watermark }) => (Some(position), watermark),
        };
        Ok(TimedReader {
            reader: self.source.open(partition, position)?,
            time_of: self.time_of.clone(),
            generator: self.watermarks.clone(),
            watermark,
        })
    }

    fn idle_after(&self) -> Option<Duration> {
        self.source.idle_after()
    }
}

/// A partition of a [`Timed`] source.
#[derive(Debug)]
pub struct TimedReader<R, F, W> {
    reader: R,
    time_of: F,
    generator: W,
    /// What was promised.
    watermark: Timestamp,
}

impl<R, F, W> Read for TimedReader<R, F, W>
where
    R: Read<Item: 'static>,
    F: Fn(&R::Item) -> Timestamp + 'static,
    W: WatermarkGenerator<R::Item>,
{
    type Item = R::Item;
    type Position = TimedPosition<R::Position>;

    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<R::Item>) -> Result<ReadStatus, BoxError> {
        let Self { reader, time_of, generator, watermark } = self;
        let status = reader.read(cx, &mut Stamp { time_of, generator, out })?;
        *watermark = generator.watermark().max(*watermark);
        Ok(status)
    }

    fn position(&self) -> TimedPosition<R::Position> {
        TimedPosition { position: self.reader.position(), watermark: self.watermark }
    }

    fn watermark(&self) -> Option<Timestamp> {
        (self.watermark > Timestamp::MIN).then_some(self.watermark)
    }

    fn acknowledge(&mut self, committed: TimedPosition<R::Position>) {
        self.reader.acknowledge(committed.position);
    }
}

/// Gives times to records on their way.
pub(crate) struct Stamp<'a, F, W, E> {
    pub(crate) time_of: &'a mut F,
    pub(crate) generator: &'a mut W,
    pub(crate) out: &'a mut E,
}

impl<T, F: Fn(&T) -> Timestamp, W: WatermarkGenerator<T>, E: Emit<T>> Emit<T> for Stamp<'_, F, W, E> {
    #[inline(always)]
    fn emit(&mut self, record: Record<T>) {
        let time = (self.time_of)(&record.value);
        self.generator.on_record(&record.value, time);
        self.out.emit(Record { time, value: record.value });
    }

    #[inline(always)]
    fn hint(&mut self, upcoming: &T) {
        self.out.hint(upcoming);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::from_iter;
    use crate::ports::Nanos;

    struct Out(Vec<(i64, u64)>);

    impl Emit<u64> for Out {
        fn emit(&mut self, record: Record<u64>) {
            self.0.push((record.time.0, record.value));
        }
    }

    fn read(reader: &mut impl Read<Item = u64>, n: usize) -> (Vec<(i64, u64)>, Option<i64>) {
        let mut out = Out(Vec::new());
        reader.read(ReadContext { n_records_max: n, now: Nanos(0) }, &mut out).unwrap();
        (out.0, reader.watermark().map(|time| time.0))
    }

    fn source() -> impl Source<Item = u64> {
        let time_of = |n: &u64| Timestamp(*n as i64);
        Timed::new(from_iter(|| [5, 9, 7, 2, 30]), time_of, Watermarks::bounded_disorder(4))
    }

    #[test]
    fn bounded_disorder_follows_the_newest_record() {
        let mut reader = source().open("0", None).unwrap();
        assert_eq!(reader.watermark(), None);
        assert_eq!(read(&mut reader, 3), (vec![(5, 5), (9, 9), (7, 7)], Some(5)));
        assert_eq!(read(&mut reader, 1).1, Some(5));
        assert_eq!(read(&mut reader, 1).1, Some(26));
    }

    #[test]
    fn i6_what_was_promised_survives_with_the_position() {
        let mut source = source();
        let mut reader = source.open("0", None).unwrap();
        read(&mut reader, 3);
        let mut restored = source.open("0", Some(reader.position())).unwrap();
        assert_eq!(restored.watermark(), Some(Timestamp(5)));
        assert_eq!(read(&mut restored, 1), (vec![(2, 2)], Some(5)));
    }

    #[test]
    fn punctuation_comes_from_the_records_that_say_so() {
        let told = |n: &u64, _| n.is_multiple_of(10).then_some(Timestamp(*n as i64));
        let time_of = |n: &u64| Timestamp(*n as i64);
        let mut source = Timed::new(from_iter(|| [5, 10, 7, 30, 20]), time_of, Watermarks::punctuated(told));
        let mut reader = source.open("0", None).unwrap();
        assert_eq!(read(&mut reader, 1).1, None);
        assert_eq!(read(&mut reader, 2).1, Some(10));
        assert_eq!(read(&mut reader, 2).1, Some(30));
    }
}
