//! Several records of a worker as one, on a stream without a key.
//!
//! # Rules
//! 1. Nothing is held when a barrier passes: a snapshot or a route cuts the batch short. So nothing has to be stored or
//!    moved, and the order of each partition is kept.
//! 2. Nor when idleness or the end passes. A batch belongs to the time of its last record, or to that of the watermark
//!    that has passed it.

use super::{Inlet, Pipe, PullContext, Pulled, StageError};
use crate::element::{Control, Record, Timestamp};
use crate::mutant::{self, Mutant};
use crate::operators::{Batches, Emit};
use crate::ports::{Nanos, WorkerPort};
use crate::state::StateVisitor;

/// A pipe whose records go on together. See [`Stream::batch`](crate::stream::Stream::batch).
#[derive(Debug)]
pub struct Batching<P: Pipe> {
    pipe: P,
    held: Held<P::Item>,
}

#[derive(Debug)]
struct Held<T> {
    batches: Batches,
    values: Vec<T>,
    /// The greatest time of the records.
    time: Timestamp,
    /// When the batch is complete at the latest.
    due: Option<Nanos>,
    watermark: Timestamp,
    now: Nanos,
}

impl<P: Pipe> Batching<P> {
    pub(crate) fn new(pipe: P, batches: Batches) -> Self {
        let held = Held {
            batches,
            values: Vec::new(),
            time: Timestamp::MIN,
            due: None,
            watermark: Timestamp::MIN,
            now: Nanos(0),
        };
        Self { pipe, held }
    }
}

impl<T> Held<T> {
    fn add(&mut self, record: Record<T>, out: &mut impl Emit<Vec<T>>) {
        if self.values.is_empty() {
            self.due = self.batches.due(self.now);
            self.time = record.time;
        }
        self.time = self.time.max(record.time);
        self.values.push(record.value);
        if self.batches.is_complete(self.values.len()) {
            self.pass_on(out);
        }
    }

    fn pass_on(&mut self, out: &mut impl Emit<Vec<T>>) {
        self.due = None;
        if !self.values.is_empty() {
            let values = std::mem::take(&mut self.values);
            out.emit(Record::at(self.time.max(self.watermark), values));
        }
    }
}

impl<P: Pipe> Pipe for Batching<P> {
    type Item = Vec<P::Item>;

    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<Self::Item>) -> Result<Pulled, StageError> {
        self.held.now = cx.now;
        let pulled = self.pipe.pull(cx, &mut Enter { held: &mut self.held, out })?;
        if let Pulled::Control(Control::Barrier(_) | Control::Idle) = pulled
            && !mutant::is(Mutant::BatchHeld)
        {
            self.pipe.flush(&mut Enter { held: &mut self.held, out });
            self.held.pass_on(out);
        }
        Ok(pulled)
    }

    fn watermark(&mut self, time: Timestamp, out: &mut impl Emit<Self::Item>) -> bool {
        if !self.pipe.watermark(time, &mut Enter { held: &mut self.held, out }) {
            return false;
        }
        if time == Timestamp::MAX {
            self.pipe.flush(&mut Enter { held: &mut self.held, out });
            self.held.pass_on(out);
        }
        self.held.watermark = time.max(self.held.watermark);
        true
    }

    fn tick(&mut self, now: Nanos, out: &mut impl Emit<Self::Item>) -> Option<Nanos> {
        self.held.now = now;
        let before = self.pipe.tick(now, &mut Enter { held: &mut self.held, out });
        if self.held.due.is_some_and(|due| due <= now) {
            self.held.pass_on(out);
        }
        super::earliest(before, self.held.due)
    }

    fn flush(&mut self, out: &mut impl Emit<Self::Item>) {
        self.pipe.flush(&mut Enter { held: &mut self.held, out });
    }

    fn end(&mut self, out: &mut impl Emit<Self::Item>) {
        self.pipe.end(&mut Enter { held: &mut self.held, out });
        self.held.pass_on(out);
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
    }
}

struct Enter<'a, T, E> {
    held: &'a mut Held<T>,
    out: &'a mut E,
}

impl<T, E: Emit<Vec<T>>> Emit<T> for Enter<'_, T, E> {
    #[inline]
    fn emit(&mut self, record: Record<T>) {
        self.held.add(record, self.out);
    }
}
