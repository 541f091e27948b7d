//! What an operator, a source and a sink are: the traits a user implements for one of their own.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::element::{Record, Timestamp};
use crate::ids::{Generation, SnapshotId, WorkerId};
use crate::limits::IDLE_AFTER;
use crate::ports::Nanos;

/// Any error of a user's or a connector's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where an operator or a source puts what it makes.
pub trait Emit<T> {
    /// Passes a record on.
    fn emit(&mut self, record: Record<T>);

    /// Tells that this value will be emitted soon. It changes nothing but the time that takes: an operator with state
    /// begins to load what the value will touch.
    #[inline]
    fn hint(&mut self, upcoming: &T) {
        let _ = upcoming;
    }
}

/// What happens to each record of a stream. An author writes this and nothing else: barriers, routes, suspension and
/// the end are handled by the stage that runs the operator.
///
/// An operator's own fields are *not* part of a snapshot. What must survive belongs into keyed state: see
/// `KeyedStream::process`.
///
/// ```
/// use malstrom_core::{element::Record, operators::{Emit, Operator}};
///
/// /// Passes on every value that differs from the one before it.
/// struct Changes(Option<u64>);
/// impl Operator<u64> for Changes {
///     type Out = u64;
///     fn process(&mut self, record: Record<u64>, out: &mut impl Emit<u64>) {
///         if self.0.replace(record.value) != Some(record.value) {
///             out.emit(record);
///         }
///     }
/// }
/// # struct Out(Vec<u64>);
/// # impl Emit<u64> for Out { fn emit(&mut self, record: Record<u64>) { self.0.push(record.value) } }
/// # let (mut changes, mut out) = (Changes(None), Out(Vec::new()));
/// # [1, 1, 2, 1].into_iter().for_each(|n| changes.process(Record::new(n), &mut out));
/// # assert_eq!(out.0, [1, 2, 1]);
/// ```
pub trait Operator<In>: 'static {
    /// What it makes.
    type Out;

    /// Handles one record.
    fn process(&mut self, record: Record<In>, out: &mut impl Emit<Self::Out>);

    /// Event time has reached `time`: no record before it will follow. The watermark itself is passed on afterwards
    /// by the stage.
    #[inline]
    fn on_watermark(&mut self, time: Timestamp, out: &mut impl Emit<Self::Out>) {
        let _ = (time, out);
    }

    /// Like [`on_watermark`](Self::on_watermark), for an operator that may have much to say to one watermark: it does a
    /// slice of it and returns whether all is done. It is called again with the same time until it is; meanwhile the
    /// stage reads nothing and passes nothing on, so no barrier falls in between.
    #[inline]
    fn advance(&mut self, time: Timestamp, out: &mut impl Emit<Self::Out>) -> bool {
        self.on_watermark(time, out);
        true
    }

    /// The time on the worker's clock, told at the beginning of each turn. Does a slice of what is due by the clock and
    /// returns when it wants to be called again at the latest; a time that has come means at once.
    #[inline]
    fn on_time(&mut self, now: Nanos, out: &mut impl Emit<Self::Out>) -> Option<Nanos> {
        let _ = (now, out);
        None
    }

    /// Control is about to pass, or the input has run dry: what the operator holds back to combine it goes out now.
    #[inline]
    fn on_flush(&mut self, out: &mut impl Emit<Self::Out>) {
        let _ = out;
    }

    /// The stream has ended; what is emitted here is the last of it.
    #[inline]
    fn on_end(&mut self, out: &mut impl Emit<Self::Out>) {
        let _ = out;
    }

    /// See [`Emit::hint`].
    #[inline]
    fn hint(&mut self, upcoming: &In) {
        let _ = upcoming;
    }

    /// Shows keyed state to the engine. Only the engine's own operators have any; a user's operator leaves this as it
    /// is.
    #[doc(hidden)]
    fn visit(&mut self, visitor: &mut dyn crate::state::StateVisitor) {
        let _ = visitor;
    }
}

/// Where a stream begins: a set of named partitions that are read independently, each by one worker at a time.
///
/// The engine places partitions on workers, moves them when the job is rescaled, and makes their positions part of
/// every snapshot.
///
/// ```
/// # use malstrom_core::operators::{BoxError, Discard, Emit, Read, ReadContext, ReadStatus, Source};
/// # use malstrom_core::{element::Record, stream::Dataflow};
/// # struct Counter(u64);
/// # impl Read for Counter {
/// #     type Item = u64;
/// #     type Position = u64;
/// #     fn read(&mut self, cx: ReadContext, out: &mut impl Emit<u64>) -> Result<ReadStatus, BoxError> {
/// #         out.emit(Record::new(self.0));
/// #         self.0 += 1;
/// #         Ok(ReadStatus::More)
/// #     }
/// #     fn position(&self) -> u64 { self.0 }
/// # }
/// /// Two partitions that count for ever. `Counter` is the example of [`Read`].
/// struct Counters;
/// impl Source for Counters {
///     type Item = u64;
///     type Reader = Counter;
///     fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
///         Ok(vec!["one".into(), "two".into()])
///     }
///     fn open(&mut self, _partition: &str, position: Option<u64>) -> Result<Counter, BoxError> {
///         Ok(Counter(position.unwrap_or(0)))
///     }
/// }
/// # Dataflow::build(4, |job| job.source("counters", Counters).sink("nowhere", Discard))?;
/// # Ok::<(), malstrom_core::stream::BuildError>(())
/// ```
pub trait Source: 'static {
    /// What it yields.
    type Item: 'static;
    /// One partition being read.
    type Reader: Read<Item = Self::Item>;

    /// The names of all partitions. A name identifies a partition for ever; asked on one worker when a job starts,
    /// resumes or recovers.
    ///
    /// # Errors
    /// Whatever keeps the source from knowing.
    fn partitions(&mut self) -> Result<Vec<String>, BoxError>;

    /// Opens a partition at a position that its reader gave earlier, or at its beginning.
    ///
    /// # Errors
    /// Whatever keeps the partition from being read from there.
    fn open(
        &mut self,
        partition: &str,
        position: Option<<Self::Reader as Read>::Position>,
    ) -> Result<Self::Reader, BoxError>;

    /// How long a partition may have nothing before it is idle: then event time goes on without it, and what it yields
    /// later may be late. Without one it is never idle, and a partition that stays empty holds event time up for good. A
    /// partition that has ended is left out at once.
    ///
    /// A minute, unless it is given here or where the source is read
    /// ([`Stream::idle_after`](crate::stream::Stream::idle_after)).
    fn idle_after(&self) -> Option<Duration> {
        Some(IDLE_AFTER)
    }
}

/// What a reader has to say after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// There may be more right now.
    More,
    /// There is nothing now. Ask again at this time, or, without one, whenever the worker comes by.
    Wait(Option<Nanos>),
    /// The partition has ended. It is not read again.
    Ended,
}

/// What a reader is told when it is read.
#[derive(Clone, Copy, Debug)]
pub struct ReadContext {
    /// How many records to emit at most.
    pub n_records_max: usize,
    /// The time now, on the worker's clock.
    pub now: Nanos,
}

/// One partition of a [`Source`] being read. It never blocks.
///
/// ```
/// # use malstrom_core::{element::Record, operators::{BoxError, Emit, Read, ReadContext, ReadStatus}};
/// /// Counts for ever, from a position on.
/// struct Counter(u64);
/// impl Read for Counter {
///     type Item = u64;
///     type Position = u64;
///     fn read(&mut self, cx: ReadContext, out: &mut impl Emit<u64>) -> Result<ReadStatus, BoxError> {
///         let upto = self.0 + cx.n_records_max as u64;
///         (self.0..upto).for_each(|n| out.emit(Record::new(n)));
///         self.0 = upto;
///         Ok(ReadStatus::More)
///     }
///     fn position(&self) -> u64 { self.0 }
/// }
/// # struct Out(Vec<u64>);
/// # impl Emit<u64> for Out { fn emit(&mut self, record: Record<u64>) { self.0.push(record.value) } }
/// # let (mut counter, mut out) = (Counter(5), Out(Vec::new()));
/// # counter.read(ReadContext { n_records_max: 2, now: malstrom_core::ports::Nanos(0) }, &mut out)?;
/// # assert_eq!((out.0, counter.position()), (vec![5, 6], 7));
/// # Ok::<(), BoxError>(())
/// ```
pub trait Read: 'static {
    /// What it yields.
    type Item;
    /// Where reading stands: enough for [`Source::open`] to go on with exactly the next record.
    type Position: Serialize + DeserializeOwned;

    /// Emits at most [`ReadContext::n_records_max`] records.
    ///
    /// # Errors
    /// Whatever keeps the partition from being read; the job then recovers from its last snapshot.
    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Self::Item>) -> Result<ReadStatus, BoxError>;

    /// The position after the last record that was emitted.
    fn position(&self) -> Self::Position;

    /// The event time up to which this partition is complete, if it knows.
    fn watermark(&self) -> Option<Timestamp> {
        None
    }

    /// A snapshot that holds this position is committed: what came before will not be asked for again.
    fn acknowledge(&mut self, committed: Self::Position) {
        let _ = committed;
    }
}

/// What a sink knows about where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkContext {
    /// The name the sink was given.
    pub name: String,
    /// The worker it runs on.
    pub worker: WorkerId,
    /// The generation it belongs to.
    pub generation: Generation,
}

/// Where a stream ends. What it writes comes at least once: after a recovery, records since the last snapshot are
/// written again. See [`TransactionalSink`] for exactly once.
///
/// ```
/// use malstrom_core::{element::Record, operators::{BoxError, Sink}};
///
/// /// Writes lines to a file, a socket, a buffer.
/// struct Lines<W>(W);
/// impl<W: std::io::Write + 'static> Sink<String> for Lines<W> {
///     fn write(&mut self, record: Record<String>) -> Result<(), BoxError> {
///         Ok(writeln!(self.0, "{}", record.value)?)
///     }
///     fn flush(&mut self) -> Result<(), BoxError> { Ok(self.0.flush()?) }
/// }
/// # let mut lines = Lines(Vec::new());
/// # lines.write(Record::new("to be".to_owned()))?;
/// # assert_eq!(lines.0, b"to be\n");
/// # Ok::<(), BoxError>(())
/// ```
pub trait Sink<T>: 'static {
    /// Called once before anything else.
    ///
    /// # Errors
    /// Whatever keeps the sink from writing.
    fn open(&mut self, cx: &SinkContext) -> Result<(), BoxError> {
        let _ = cx;
        Ok(())
    }

    /// Takes one record.
    ///
    /// # Errors
    /// Whatever keeps it from being written; the job then recovers from its last snapshot.
    fn write(&mut self, record: Record<T>) -> Result<(), BoxError>;

    /// Passes on what is buffered. Called when the input runs dry, before every snapshot and at the end.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn flush(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A sink whose output becomes visible in transactions, one for each snapshot: what a reader sees is exactly once.
///
/// # Steps
/// 1. Records are written to a transaction nobody sees yet.
/// 2. At a snapshot's cut, [`prepare`](Self::prepare) makes it durable and returns a handle, which becomes part of
///    the snapshot.
/// 3. Once the snapshot is committed, [`commit`](Self::commit) makes it visible.
/// 4. When a job resumes or recovers, [`recover`](Self::recover) commits again what the snapshot holds and discards
///    whatever else was prepared.
///
/// # Assumptions
/// Commit is idempotent; any worker can commit a handle that another prepared.
pub trait TransactionalSink<T>: 'static {
    /// Names a prepared transaction.
    type Handle: Serialize + DeserializeOwned;

    /// Called once before anything else.
    ///
    /// # Errors
    /// Whatever keeps the sink from writing.
    fn open(&mut self, cx: &SinkContext) -> Result<(), BoxError> {
        let _ = cx;
        Ok(())
    }

    /// Takes one record into the current transaction.
    ///
    /// # Errors
    /// Whatever keeps it from being written; the job then recovers from its last snapshot.
    fn write(&mut self, record: Record<T>) -> Result<(), BoxError>;

    /// Makes the current transaction durable and begins the next one. `None` if nothing was written.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn prepare(&mut self, snapshot: SnapshotId) -> Result<Option<Self::Handle>, BoxError>;

    /// Makes a prepared transaction visible. Called at least once.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn commit(&mut self, snapshot: SnapshotId, handle: Self::Handle) -> Result<(), BoxError>;

    /// Called on one worker before any record flows, also when a job starts afresh (`restored` is then `None` and
    /// there are no handles): commits all handles of the snapshot restored and discards every other transaction
    /// of this sink, visible ones of later snapshots included.
    ///
    /// # Errors
    /// Whatever keeps the sink from doing so.
    fn recover(&mut self, restored: Option<SnapshotId>, handles: Vec<Self::Handle>) -> Result<(), BoxError>;
}
