//! Records that are looked at beside a state which every worker has: what a broadcast stream of rules has come to.
//!
//! # Rules
//! 1. The rules before a cut have reached every worker at the cut. So the copy of the first worker is all that a snapshot
//!    needs, and every worker begins with it, however many there are.
//! 2. A newcomer to a running job has not seen the rules before it came. The first worker sends it its copy, as it is at
//!    the cut of the first route; the newcomer has nothing to read before that cut, and reads nothing behind it before
//!    the copy has come.
//!
//! # Caveats
//! Rules of one partition come to all workers in their order, those of two in any. What they come to must not depend on
//! that, or copies differ.

use super::{Inlet, Pipe, PullContext, Pulled, StageError};
use crate::codec::{self, CodecError};
use crate::element::{Record, Timestamp};
use crate::exchange::Data;
use crate::ids::{Bin, SnapshotId, WorkerId};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::operators::Emit;
use crate::ports::{Nanos, WorkerPort};
use crate::state::{AnyState, EncodedBin, StateVisitor};

/// A record, or a rule that changes how the records behind it are looked at.
#[derive(Debug)]
pub(crate) enum Beside<T, R> {
    Record(T),
    Rule(R),
}

/// A pipe that looks at records beside a state. See
/// [`Stream::map_with_broadcast`](crate::stream::Stream::map_with_broadcast).
pub(crate) struct Informed<P, S, U, A> {
    pipe: P,
    state: Copied<S>,
    /// Adds a rule to the state.
    update: U,
    /// Looks at a record beside the state.
    apply: A,
}

impl<P, S: Data + Default, U, A> Informed<P, S, U, A> {
    pub(crate) fn new(name: &str, pipe: P, update: U, apply: A) -> Self {
        Self { pipe, state: Copied::new(name), update, apply }
    }
}

impl<P, T, R, S, W, U, A> Pipe for Informed<P, S, U, A>
where
    P: Pipe<Item = Beside<T, R>>,
    T: 'static,
    R: 'static,
    S: Data + Default,
    W: 'static,
    U: FnMut(&mut S, R) + 'static,
    A: FnMut(&S, T) -> W + 'static,
{
    type Item = W;

    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<W>) -> Result<Pulled, StageError> {
        if self.state.coming == Coming::Waited {
            mark::hit(Mark::CopyAwaited);
            return Ok(Pulled::Dry(None));
        }
        let Self { pipe, state, update, apply } = self;
        pipe.pull(cx, &mut Enter { state, update, apply, out })
    }

    fn watermark(&mut self, time: Timestamp, out: &mut impl Emit<W>) -> bool {
        let Self { pipe, state, update, apply } = self;
        pipe.watermark(time, &mut Enter { state, update, apply, out })
    }

    fn tick(&mut self, now: Nanos, out: &mut impl Emit<W>) -> Option<Nanos> {
        let Self { pipe, state, update, apply } = self;
        pipe.tick(now, &mut Enter { state, update, apply, out })
    }

    fn flush(&mut self, out: &mut impl Emit<W>) {
        let Self { pipe, state, update, apply } = self;
        pipe.flush(&mut Enter { state, update, apply, out });
    }

    fn end(&mut self, out: &mut impl Emit<W>) {
        let Self { pipe, state, update, apply } = self;
        pipe.end(&mut Enter { state, update, apply, out });
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self.pipe.inlet()
    }

    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.pipe.connect(n_workers, port);
    }

    fn promised(&mut self) -> Option<Timestamp> {
        self.state.at_route();
        self.pipe.promised()
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        self.pipe.visit(visitor);
        visitor.visit(&mut self.state);
    }
}

/// Where the two streams come together.
struct Enter<'a, S, U, A, E> {
    state: &'a mut Copied<S>,
    update: &'a mut U,
    apply: &'a mut A,
    out: &'a mut E,
}

impl<T, R, S, W, U, A, E> Emit<Beside<T, R>> for Enter<'_, S, U, A, E>
where
    U: FnMut(&mut S, R),
    A: FnMut(&S, T) -> W,
    E: Emit<W>,
{
    fn emit(&mut self, record: Record<Beside<T, R>>) {
        match record.value {
            Beside::Record(value) => {
                let value = (self.apply)(&self.state.state, value);
                self.out.emit(Record { time: record.time, value });
            }
            Beside::Rule(rule) => {
                self.state.changed_at = self.state.epoch;
                (self.update)(&mut self.state.state, rule);
            }
        }
    }
}

/// The copy of one worker.
struct Copied<S> {
    name: String,
    state: S,
    changed_at: SnapshotId,
    /// The last snapshot cut.
    epoch: SnapshotId,
    /// Whether this is the copy that is stored and sent.
    is_first: bool,
    coming: Coming<S>,
    frozen: Option<Result<EncodedBin, CodecError>>,
}

/// A copy that comes to a newcomer.
#[derive(Debug)]
enum Coming<S> {
    /// None does, or it has come.
    Not,
    /// It does, and the cut is still to come.
    Soon,
    /// It has come before the cut.
    Early(S),
    /// The cut has come before it.
    Waited,
}

impl<S> PartialEq for Coming<S> {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// The bin as which a copy is stored.
const BIN: Bin = Bin(0);

impl<S: Data + Default> Copied<S> {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: S::default(),
            changed_at: SnapshotId(0),
            epoch: SnapshotId(0),
            is_first: false,
            coming: Coming::Not,
            frozen: None,
        }
    }

    /// This worker is at the cut of a route.
    fn at_route(&mut self) {
        match std::mem::replace(&mut self.coming, Coming::Not) {
            Coming::Not => {}
            Coming::Early(state) => self.state = state,
            Coming::Soon | Coming::Waited => self.coming = Coming::Waited,
        }
    }
}

impl<S: Data + Default> AnyState for Copied<S> {
    fn name(&self) -> &str {
        &self.name
    }

    fn n_keys(&self) -> u64 {
        0
    }

    fn n_bins(&self) -> usize {
        1
    }

    fn runs_on(&mut self, worker: WorkerId, is_newcomer: bool) {
        self.is_first = worker == WorkerId(0);
        if is_newcomer && !mutant::is(Mutant::CopyUnawaited) {
            self.coming = Coming::Soon;
        }
    }

    fn freeze(&mut self, id: SnapshotId, base: Option<SnapshotId>) {
        self.epoch = id;
        let is_due = self.is_first && base.is_none_or(|base| self.changed_at >= base);
        let encode = || codec::encode(&self.state).map(|bytes| EncodedBin { bin: BIN, keys: 1, bytes });
        self.frozen = is_due.then(encode);
    }

    fn encode_next(&mut self) -> Result<Option<EncodedBin>, CodecError> {
        self.frozen.take().transpose()
    }

    fn take(&mut self, bin: Bin) -> Result<(SnapshotId, EncodedBin), CodecError> {
        Ok((SnapshotId(0), EncodedBin { bin, keys: 0, bytes: Vec::new() }))
    }

    fn put(&mut self, bin: Bin, _: SnapshotId, bytes: &[u8]) -> Result<(), CodecError> {
        if bin == BIN && !bytes.is_empty() {
            self.state = codec::decode(bytes)?;
        }
        Ok(())
    }

    fn restored(&mut self, snapshot: SnapshotId) {
        self.epoch = snapshot;
    }

    fn copy(&self) -> Option<Result<Vec<u8>, CodecError>> {
        Some(codec::encode(&self.state))
    }

    fn put_copy(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        let state = codec::decode(bytes)?;
        match self.coming {
            Coming::Soon | Coming::Early(_) => self.coming = Coming::Early(state),
            Coming::Waited => {
                self.coming = Coming::Not;
                self.state = state;
            }
            Coming::Not => {}
        }
        Ok(())
    }
}
