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
mod inlet;
mod keyed_inbox;
mod limited;
mod outlet;
mod outlets;
mod pipe;
mod sinks;
mod source;

pub use assigned::Assigned;
pub use batching::Batching;
pub use inbox::Inbox;
pub(crate) use inbox::pull_from;
pub use inlet::{AnySource, Arrivals, Inlet, OpenError};
pub use keyed_inbox::KeyedInbox;
pub use limited::Limited;
pub use outlet::{AnySink, Outlet};
pub use pipe::{Pipe, PullContext, Pulled, Then};
pub use sinks::{PlainSink, Transactions};
pub use source::SourceInlet;

pub(crate) use asking::Asking;
pub(crate) use informed::{Beside, Informed};
pub(crate) use outlets::{FanOut, Fork, Single, Split};

use std::panic::Location;

use pipe::Counted;

use crate::element::{Barrier, Control, Timestamp};
use crate::ids::Bin;
use crate::limits::{BATCH_RECORDS, FLUSH_EVERY, SOURCE_READ_RECORDS, SOURCE_READ_RECORDS_MIN};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::operators::BoxError;
use crate::ports::{Nanos, WorkerPort};
use crate::snapshot::RouteTable;
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
    /// When it last flushed while it had something to do.
    flushed_at: Nanos,
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
            flushed_at: Nanos(0),
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
                if cx.now.since(self.flushed_at) >= FLUSH_EVERY {
                    self.flushed_at = cx.now;
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
