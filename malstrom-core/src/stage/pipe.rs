//! What a stage is made of between its two ends: operators composed by type, one loop over a batch.

use super::{Inlet, StageError, earliest};
use crate::element::{Control, Record, Timestamp};
use crate::limits::SOURCE_READ_RECORDS;
use crate::operators::{Emit, Operator};
use crate::ports::{Nanos, WorkerPort};
use crate::state::StateVisitor;

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
pub(super) struct Counted<'a, E> {
    out: &'a mut E,
    pub(super) n_records: usize,
}

impl<'a, E> Counted<'a, E> {
    pub(super) fn new(out: &'a mut E) -> Self {
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
