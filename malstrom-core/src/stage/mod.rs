//! A stage: a source or an inbox, then operators, then an outbox or a sink, fused into one loop over a batch.
//!
//! Operators are composed by type, as iterator adapters are, so the compiler sees the whole loop. Records and control
//! take different ways: a record never pays for a branch on control, and the stage alone forwards watermarks,
//! barriers, suspension and the end, so no operator can forget to.

mod asking;
mod assigned;
mod batching;
mod inbox;
mod informed;
mod keyed_inbox;
mod limited;
mod outlets;
mod sinks;
mod source;

pub use assigned::Assigned;
pub use batching::Batching;
pub use inbox::Inbox;
pub(crate) use inbox::pull_from;
pub use keyed_inbox::KeyedInbox;
pub use limited::Limited;
pub use sinks::{PlainSink, Transactions};
pub use source::SourceInlet;

pub(crate) use asking::Asking;
pub(crate) use informed::{Beside, Informed};
pub(crate) use outlets::{FanOut, Fork, Single, Split};

use std::panic::Location;

use crate::element::{Barrier, Control, Record, Timestamp};
use crate::ids::{Bin, SnapshotId};
use crate::limits::{BATCH_RECORDS, SOURCE_READ_RECORDS, SOURCE_READ_RECORDS_MIN};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::operators::{BoxError, Emit, Operator};
use crate::ports::{Nanos, WorkerPort};
use crate::snapshot::{OperatorKind, RouteTable};
use crate::state::StateVisitor;
use crate::worker::messages::BinMove;

/// An error in a user's or a connector's code, and where.
#[derive(Debug, thiserror::Error)]
#[error("`{operator}` failed: {error}")]
pub struct StageError {
    /// The name of the source, operator or sink.
    pub operator: String,
    /// What it said.
    #[source]
    pub error: BoxError,
}

/// The part of a stage that has been built so far: something that can be asked for records, and puts what it makes
/// into an [`Emit`].
pub trait Pipe: 'static {
    /// What it makes.
    type Item: 'static;

    /// Works on at most one batch.
    ///
    /// # Errors
    /// What a source says.
    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<Self::Item>) -> Result<Pulled, StageError>;

    /// Tells the operators that event time has come so far, one after the other; whether all are done with it. If not,
    /// it is to be called again with the same time.
    fn watermark(&mut self, time: Timestamp, out: &mut impl Emit<Self::Item>) -> bool {
        let _ = (time, out);
        true
    }

    /// Tells all operators the time on the worker's clock; when they want to be told again at the latest.
    #[inline]
    fn tick(&mut self, now: Nanos, out: &mut impl Emit<Self::Item>) -> Option<Nanos> {
        let _ = (now, out);
        None
    }

    /// Has all operators pass on what they hold back.
    #[inline]
    fn flush(&mut self, out: &mut impl Emit<Self::Item>) {
        let _ = out;
    }

    /// Tells all operators that the stream has ended.
    fn end(&mut self, out: &mut impl Emit<Self::Item>) {
        let _ = out;
    }

    /// Where the stage begins.
    fn inlet(&mut self) -> &mut dyn Inlet;

    /// From now on there are the workers 0 to `n_workers - 1`: opens channels from those that are new, and drops those from
    /// workers that are gone.
    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.inlet().connect(n_workers, port);
    }

    /// What holds behind the barrier of a route that has been passed on. See [`Inlet::rerouted`].
    fn promised(&mut self) -> Option<Timestamp> {
        self.inlet().rerouted()
    }

    /// Shows the keyed state of all operators, in order.
    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        let _ = visitor;
    }
}

/// What a pull is told.
#[derive(Clone, Copy, Debug)]
pub struct PullContext {
    /// The time now.
    pub now: Nanos,
    /// Records that a source is to give at most; without any, only what is not a record. An inbox gives a batch or none.
    pub n_records_max: usize,
}

impl PullContext {
    /// A pull that nothing limits but the usual.
    pub(crate) fn at(now: Nanos) -> Self {
        Self { now, n_records_max: SOURCE_READ_RECORDS }
    }
}

/// What a pull came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Records were worked on.
    Worked,
    /// There is nothing now; ask again at this time at the latest, if one is named.
    Dry(Option<Nanos>),
    /// This control is due before anything else.
    Control(Control),
}

/// A pipe with one more operator behind it.
#[derive(Debug)]
pub struct Then<P, Op> {
    pipe: P,
    operator: Op,
    /// The watermark that the operator is done with.
    told: Timestamp,
}

impl<P, Op> Then<P, Op> {
    pub(crate) fn new(pipe: P, operator: Op) -> Self {
        Self { pipe, operator, told: Timestamp::MIN }
    }
}

impl<P: Pipe, Op: Operator<P::Item, Out: 'static>> Pipe for Then<P, Op> {
    type Item = Op::Out;

    #[inline]
    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<Op::Out>) -> Result<Pulled, StageError> {
        self.pipe.pull(cx, &mut Link { operator: &mut self.operator, out })
    }

    fn watermark(&mut self, time: Timestamp, out: &mut impl Emit<Op::Out>) -> bool {
        if !self.pipe.watermark(time, &mut Link { operator: &mut self.operator, out }) {
            return false;
        }
        if time > self.told {
            if !self.operator.advance(time, out) {
                return false;
            }
            self.told = time;
        }
        true
    }

    #[inline]
    fn tick(&mut self, now: Nanos, out: &mut impl Emit<Op::Out>) -> Option<Nanos> {
        let before = self.pipe.tick(now, &mut Link { operator: &mut self.operator, out });
        earliest(before, self.operator.on_time(now, out))
    }

    #[inline]
    fn flush(&mut self, out: &mut impl Emit<Op::Out>) {
        self.pipe.flush(&mut Link { operator: &mut self.operator, out });
        self.operator.on_flush(out);
    }

    fn end(&mut self, out: &mut impl Emit<Op::Out>) {
        self.pipe.end(&mut Link { operator: &mut self.operator, out });
        self.operator.on_end(out);
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self.pipe.inlet()
    }

    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.pipe.connect(n_workers, port);
    }

    fn promised(&mut self) -> Option<Timestamp> {
        self.pipe.promised()
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        self.pipe.visit(visitor);
        self.operator.visit(visitor);
    }
}

/// An operator as the place where the one before it puts its records.
struct Link<'a, Op, E> {
    operator: &'a mut Op,
    out: &'a mut E,
}

impl<In, Op: Operator<In>, E: Emit<Op::Out>> Emit<In> for Link<'_, Op, E> {
    #[inline(always)]
    fn emit(&mut self, record: Record<In>) {
        self.operator.process(record, self.out);
    }

    #[inline(always)]
    fn hint(&mut self, upcoming: &In) {
        self.operator.hint(upcoming);
    }
}

/// Counts what passes, in a variable of whoever asks for it and so in a register.
struct Counted<'a, E> {
    out: &'a mut E,
    n_records: usize,
}

impl<'a, E> Counted<'a, E> {
    fn new(out: &'a mut E) -> Self {
        Self { out, n_records: 0 }
    }
}

impl<T, E: Emit<T>> Emit<T> for Counted<'_, E> {
    #[inline(always)]
    fn emit(&mut self, record: Record<T>) {
        self.n_records += 1;
        self.out.emit(record);
    }

    #[inline(always)]
    fn hint(&mut self, upcoming: &T) {
        self.out.hint(upcoming);
    }
}

/// Where a stage begins, as its worker sees it.
pub trait Inlet {
    /// From now on there are the workers 0 to `n_workers - 1`: opens channels from those that are new, and drops those from
    /// workers that are gone.
    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        let _ = (n_workers, port);
    }

    /// The source, if the stage begins with one.
    fn source(&mut self) -> Option<&mut dyn AnySource> {
        None
    }

    /// The stage has passed on the barrier of a route, behind which every promise is made anew. Gives the watermark that
    /// holds already; an inlet that must hear from others first gives none and announces it later.
    fn rerouted(&mut self) -> Option<Timestamp> {
        None
    }

    /// The arrivals of bins, if the stage begins with an exchange.
    fn arrivals(&mut self) -> Option<&mut dyn Arrivals> {
        None
    }
}

/// A source, whatever its types.
pub trait AnySource {
    /// The name that identifies it for ever.
    fn name(&self) -> &str;
    /// Asks for all partitions.
    ///
    /// # Errors
    /// What the source says.
    fn partitions(&mut self) -> Result<Vec<String>, StageError>;
    /// Begins to read a partition. Bytes that are not a position are told apart from a source that fails.
    ///
    /// # Errors
    /// What is wrong with the position, or what the source says.
    fn open(&mut self, partition: &str, position: Option<&[u8]>) -> Result<(), OpenError>;
    /// This partition is on its way here. Until it is open the source promises nothing and is not idle.
    fn expect(&mut self, partition: &str);
    /// Reads no further and gives the position; `None` if it is not read here.
    ///
    /// # Errors
    /// If the position refuses to be serialized.
    fn close(&mut self, partition: &str) -> Result<Option<Vec<u8>>, StageError>;
    /// Puts control into the stream, before any further record.
    fn inject(&mut self, control: Control);
    /// All positions, at the cut of a snapshot.
    ///
    /// # Errors
    /// If a position refuses to be serialized.
    fn positions(&mut self, snapshot: SnapshotId) -> Result<Vec<(String, Vec<u8>)>, StageError>;
    /// The snapshot is committed.
    fn committed(&mut self, snapshot: SnapshotId);
    /// Whether every partition read here has ended.
    fn is_exhausted(&self) -> bool;
}

/// Why a partition could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bytes are not a position of this source.
    #[error("the position of `{partition}` cannot be read: {reason}")]
    Position {
        /// The partition.
        partition: String,
        /// What is wrong.
        reason: String,
    },
    /// The source failed.
    #[error(transparent)]
    Failed(#[from] StageError),
}

/// Bins on their way to a stage.
pub trait Arrivals {
    /// These bins belong to this worker from now on; records for those whose state has not come yet are kept aside.
    fn expect(&mut self, bins: &[Bin]);
    /// The state of a bin is in place, whether it was expected already or is only going to be.
    fn arrived(&mut self, bin: Bin);
    /// How many bins are still on their way.
    fn n_missing(&self) -> usize;
    /// Whether a bin's state is in place that does not belong to this worker yet, since the cut is still to come.
    fn has_early(&self) -> bool;
    /// The merged watermark, which a worker that comes to a running job cannot know from what it hears.
    fn merged(&self) -> Timestamp;
    /// This worker comes to a running job: something is missing until it has been told the others' merged watermark.
    fn await_merged(&mut self);
    /// What that was when they were at the cut of this worker's first route.
    fn catch_up(&mut self, merged: Timestamp);
}

/// Where a stage ends.
pub trait Outlet<T>: Emit<T> + 'static {
    /// Passes on what waits for room; whether nothing waits any more.
    fn drain(&mut self) -> bool;
    /// Passes on batches that are not full.
    ///
    /// # Errors
    /// What a sink says.
    fn flush(&mut self) -> Result<(), StageError>;
    /// So many records were emitted since this was last told. It is told after each batch, so that no record pays for it.
    fn emitted(&mut self, n_records: usize) {
        let _ = n_records;
    }
    /// Passes on control, behind everything emitted so far.
    ///
    /// # Errors
    /// What a sink says.
    fn control(&mut self, control: Control) -> Result<(), StageError>;
    /// The first error of what was emitted since this was last asked.
    ///
    /// # Errors
    /// What a sink says.
    fn check(&mut self) -> Result<(), StageError> {
        Ok(())
    }
    /// From now on there are the workers 0 to `n_workers - 1`: opens channels to those that are new, and drops those to
    /// workers that are gone.
    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        let _ = (n_workers, port);
    }
    /// Takes a whole route table.
    fn set_routes(&mut self, routes: &RouteTable) {
        let _ = routes;
    }
    /// Changes the owners of some bins.
    fn move_bins(&mut self, moves: &[BinMove]) {
        let _ = moves;
    }
    /// The sink, if the stage ends in one.
    fn sink(&mut self) -> Option<&mut dyn AnySink> {
        None
    }
}

/// A sink, whatever its types.
pub trait AnySink {
    /// The name that identifies it for ever.
    fn name(&self) -> &str;
    /// Plain or transactional.
    fn kind(&self) -> OperatorKind;
    /// Called once, when the worker knows who it is.
    ///
    /// # Errors
    /// What the sink says.
    fn open(&mut self, cx: &crate::operators::SinkContext) -> Result<(), StageError>;
    /// Makes what was written durable; gives the handles of all that is prepared and not committed.
    ///
    /// # Errors
    /// What the sink says.
    fn prepare(&mut self, snapshot: SnapshotId) -> Result<Vec<Vec<u8>>, StageError>;
    /// Makes what was prepared up to this snapshot visible.
    ///
    /// # Errors
    /// What the sink says.
    fn commit(&mut self, snapshot: SnapshotId) -> Result<(), StageError>;
    /// Commits these handles and discards all else.
    ///
    /// # Errors
    /// What is wrong with a handle, or what the sink says.
    fn recover(&mut self, restored: Option<SnapshotId>, handles: &[Vec<u8>]) -> Result<(), OpenError>;
    /// Records written since this was last asked.
    fn take_n_written(&mut self) -> u64;
}

/// What one turn of a stage came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It did something.
    Busy,
    /// It has nothing to do until something arrives, or until this time.
    Quiet(Option<Nanos>),
    /// It waits for room in a channel.
    Blocked,
    /// It is at a cut: the worker does what is due and then says [`AnyStage::forward`].
    Cut(Barrier),
}

/// A stage, whatever its types.
pub(crate) trait AnyStage {
    fn turn(&mut self, cx: &PullContext) -> Result<Turn, StageError>;
    fn forward(&mut self, barrier: Barrier) -> Result<(), StageError>;
    fn is_done(&self) -> bool;
    fn inlet(&mut self) -> &mut dyn Inlet;
    fn visit(&mut self, visitor: &mut dyn StateVisitor);
    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort);
    fn set_routes(&mut self, routes: &RouteTable);
    fn move_bins(&mut self, moves: &[BinMove]);
    fn sink(&mut self) -> Option<&mut dyn AnySink>;
    fn flush(&mut self) -> Result<(), StageError>;
    /// Where the program opened the stage.
    fn opened_at(&self) -> &'static Location<'static>;
}

/// A stage with all its types.
pub(crate) struct Stage<P, O> {
    pipe: P,
    /// Absent only while records are made, see [`Stage::emit`].
    outlet: Option<O>,
    is_done: bool,
    /// A watermark or the end that the operators are being told: nothing is read until all have done what it asks.
    telling: Option<Control>,
    /// What was read behind `telling`, and is to be worked on when that is done.
    behind: Option<Control>,
    /// Whether the stage reads a source, which has a watermark after every read: each would cut short the batches that
    /// are being built. Between two flushes only the last one counts, and it is told with the flush.
    reads_source: bool,
    /// That watermark.
    deferred: Option<Timestamp>,
    /// What the operators were told. For them event time never goes back, even where a source's promise does.
    watermark: Timestamp,
    reads_since_flush: u32,
    /// Records that a source is to give at most: as many as make about one batch behind the operators. A line has many words,
    /// and what it makes beyond a batch waits for its turn and drives out of the cache what the next stage will touch.
    n_records_max: usize,
    opened_at: &'static Location<'static>,
}

impl<P, O> Stage<P, O> {
    pub(crate) fn new(mut pipe: P, outlet: O, opened_at: &'static Location<'static>) -> Self
    where
        P: Pipe,
    {
        Self {
            reads_source: pipe.inlet().source().is_some(),
            pipe,
            outlet: Some(outlet),
            is_done: false,
            telling: None,
            behind: None,
            deferred: None,
            watermark: Timestamp::MIN,
            reads_since_flush: 0,
            n_records_max: SOURCE_READ_RECORDS,
            opened_at,
        }
    }
}

const OUTLET_IS_THERE: &str = "a stage whose operator panicked has no further turn";

impl<P: Pipe, O: Outlet<P::Item>> AnyStage for Stage<P, O> {
    fn turn(&mut self, cx: &PullContext) -> Result<Turn, StageError> {
        if !self.outlet().drain() {
            return Ok(Turn::Blocked);
        }
        if self.is_done {
            return Ok(Turn::Quiet(None));
        }
        if let Some(control) = self.telling {
            return self.tell(control);
        }
        if let Some(control) = self.behind.take() {
            return self.control(control);
        }
        let wake_at = self.tick(cx.now)?;
        let cx = PullContext { n_records_max: cx.n_records_max.min(self.n_records_max), ..*cx };
        let (pulled, n_made) = self.emit(|pipe, out| (pipe.pull(&cx, out), out.n_records))?;
        match pulled? {
            Pulled::Worked => {
                if n_made > 2 * BATCH_RECORDS {
                    self.n_records_max = (self.n_records_max / 2).max(SOURCE_READ_RECORDS_MIN);
                } else if n_made < BATCH_RECORDS / 2 && self.n_records_max < SOURCE_READ_RECORDS {
                    self.n_records_max *= 2;
                }
                self.reads_since_flush += 1;
                if self.reads_since_flush >= crate::limits::FLUSH_AFTER_READS {
                    self.flush()?;
                    self.tell_deferred()?;
                }
                Ok(Turn::Busy)
            }
            Pulled::Dry(until) => {
                self.flush()?;
                if self.tell_deferred()? {
                    return Ok(Turn::Busy);
                }
                let wake_at = earliest(wake_at, until);
                Ok(if wake_at.is_some_and(|at| at <= cx.now) { Turn::Busy } else { Turn::Quiet(wake_at) })
            }
            Pulled::Control(Control::Watermark(time)) if self.reads_source && time > self.watermark => {
                self.deferred = self.deferred.max(Some(time));
                Ok(Turn::Busy)
            }
            Pulled::Control(control) => {
                self.tell_deferred()?;
                if self.telling.is_some() {
                    self.behind = Some(control);
                    return Ok(Turn::Busy);
                }
                self.control(control)
            }
        }
    }

    fn forward(&mut self, barrier: Barrier) -> Result<(), StageError> {
        self.outlet().control(Control::Barrier(barrier))?;
        if let Barrier::Route(_) = barrier
            && let Some(time) = self.pipe.promised()
        {
            self.outlet().control(Control::Watermark(time))?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.is_done
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self.pipe.inlet()
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        self.pipe.visit(visitor);
    }

    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.pipe.connect(n_workers, port);
        self.outlet().connect(n_workers, port);
    }

    fn set_routes(&mut self, routes: &RouteTable) {
        self.outlet().set_routes(routes);
    }

    fn move_bins(&mut self, moves: &[BinMove]) {
        self.outlet().move_bins(moves);
    }

    fn sink(&mut self) -> Option<&mut dyn AnySink> {
        self.outlet().sink()
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.reads_since_flush = 0;
        if !mutant::is(Mutant::CombinedHeld) {
            self.emit(|pipe, out| pipe.flush(out))?;
        }
        self.outlet().flush()
    }

    fn opened_at(&self) -> &'static Location<'static> {
        self.opened_at
    }
}

impl<P: Pipe, O: Outlet<P::Item>> Stage<P, O> {
    fn control(&mut self, control: Control) -> Result<Turn, StageError> {
        if !(mutant::is(Mutant::CombinedHeld) && matches!(control, Control::Barrier(_))) {
            self.emit(|pipe, out| pipe.flush(out))?;
        }
        match control {
            // The worker does what the cut asks for, and flushes before.
            Control::Barrier(barrier) => Ok(Turn::Cut(barrier)),
            Control::Watermark(time) if time <= self.watermark => {
                self.outlet().control(control)?;
                Ok(Turn::Busy)
            }
            Control::Watermark(_) | Control::End => self.tell(control),
            Control::Idle => {
                self.outlet().control(Control::Idle)?;
                Ok(Turn::Busy)
            }
            Control::Suspend => {
                self.outlet().control(Control::Suspend)?;
                self.is_done = true;
                Ok(Turn::Busy)
            }
        }
    }

    /// Tells a watermark that was put off; whether there was one.
    fn tell_deferred(&mut self) -> Result<bool, StageError> {
        let Some(time) = self.deferred.take() else { return Ok(false) };
        self.tell(Control::Watermark(time))?;
        Ok(true)
    }

    /// Tells the operators a watermark, or the last one and the end; if they are not done with it in this turn, they go
    /// on in the next. It is passed on behind all that they had to say to it.
    fn tell(&mut self, control: Control) -> Result<Turn, StageError> {
        let time = if let Control::Watermark(time) = control { time } else { Timestamp::MAX };
        let is_done = self.emit(|pipe, out| pipe.watermark(time, out))?;
        if !is_done && !mutant::is(Mutant::WatermarkForwardedEarly) {
            mark::hit(Mark::WatermarkSliced);
            self.telling = Some(control);
            return Ok(Turn::Busy);
        }
        self.telling = None;
        self.watermark = self.watermark.max(time);
        self.emit(|pipe, out| pipe.flush(out))?;
        self.outlet().control(Control::Watermark(time))?;
        if control == Control::End {
            self.emit(|pipe, out| pipe.end(out))?;
            self.outlet().control(Control::End)?;
            self.is_done = true;
        }
        Ok(Turn::Busy)
    }

    /// Has the pipe make records, and counts and checks them.
    #[inline(always)]
    fn emit<R>(&mut self, make: impl FnOnce(&mut P, &mut Counted<'_, O>) -> R) -> Result<R, StageError> {
        // The outlet is moved here for that long: what a sink counts or adds up then lies in registers, and the compiler
        // can vectorise the loop. Through a reference every record would store it and wait for it.
        let Some(mut outlet) = self.outlet.take() else { unreachable!("{OUTLET_IS_THERE}") };
        let mut out = Counted::new(&mut outlet);
        let made = make(&mut self.pipe, &mut out);
        let n_records = out.n_records;
        outlet.emitted(n_records);
        let checked = outlet.check();
        self.outlet = Some(outlet);
        checked.map(|()| made)
    }

    fn outlet(&mut self) -> &mut O {
        self.outlet.as_mut().expect(OUTLET_IS_THERE)
    }

    /// Has the operators do what is due by the clock. A bin that came before its cut is not theirs yet: what it has due
    /// waits, or it would come out of two workers in no order.
    fn tick(&mut self, now: Nanos) -> Result<Option<Nanos>, StageError> {
        if self.pipe.inlet().arrivals().is_some_and(|arrivals| arrivals.has_early()) {
            return Ok(None);
        }
        self.emit(|pipe, out| pipe.tick(now, out))
    }
}

/// The earlier of two times, as far as there are any.
pub(crate) fn earliest(one: Option<Nanos>, other: Option<Nanos>) -> Option<Nanos> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The parts of a step of a rescale that concern one stage.
pub(crate) fn bins_to(moves: &[BinMove], me: crate::ids::WorkerId) -> Vec<Bin> {
    moves.iter().filter(|step| step.to == me).map(|step| step.bin).collect()
}

#[cfg(test)]
mod tests;
