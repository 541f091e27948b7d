//! Records that wait for an answer from outside: a stage goes on while they do.
//!
//! # Rules
//! 1. A record whose request is not answered yet is part of the state of its key: it is frozen, restored and moved with
//!    its bin, and its request is made again. What is asked, and what was answered but not passed on, is not stored.
//! 2. At the limit nothing more is taken in. What is taken in comes in batches, so that some wait to be asked.
//! 3. A watermark, idleness and the end wait for every record that came before them, see `gate`. The barrier of a
//!    snapshot waits for none.
//! 4. Behind the cut of a route the requests of a bin that leaves are no longer ours, and those of a bin that comes are
//!    ours from the cut on, not before: what is passed on for a key then comes from one worker, in order.
//! 5. Without a key there is no bin to move or store pending records with: barriers wait for all of them.
//! 6. What the operators before have to say to a watermark, and to the end, is told them here, since those behind are
//!    told another one.

mod gate;
mod pending;
mod requests;

use gate::Gate;
use pending::{PendingState, Place};
use requests::{Done, Requests};

use super::{Inlet, Pipe, PullContext, Pulled, StageError};
use crate::element::{Barrier, Control, Keyed, Record, Timestamp};
use crate::exchange::Data;
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::operators::{AsyncOptions, Emit, Unanswered};
use crate::ports::{Driver, Nanos, WorkerPort};
use crate::state::{StateKey, StateVisitor};

/// A pipe whose records become requests, and go on as the answers to them. See
/// [`Stream::map_async`](crate::stream::Stream::map_async).
pub(crate) struct Asking<P, K, V, R, E, A, G> {
    name: String,
    pipe: P,
    /// Makes the future of a request.
    ask: A,
    /// Makes what goes on of a key and what was answered.
    give: G,
    state: PendingState<K, V>,
    requests: Requests<K, R, E>,
    gate: Gate,
    driver: Option<Box<dyn Driver>>,
    /// Whether barriers wait until nothing is pending.
    drains: bool,
    /// A watermark that the operators before are being told.
    telling: Option<Timestamp>,
    /// A barrier that waits.
    waiting: Option<Barrier>,
    end: End,
}

const PENDING_IS_THERE: &str = "a request is dropped before the record it is made for";

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// The operators before are being told.
    Telling,
    /// They have been; the last records wait for their answers.
    Told,
    Passed,
}

impl<P, K: StateKey, V: Data, R: Send + 'static, E: Send + 'static, A, G> Asking<P, K, V, R, E, A, G> {
    pub(crate) fn new(
        name: &str,
        n_bins: u32,
        pipe: P,
        options: AsyncOptions,
        drains: bool,
        ask: A,
        give: G,
    ) -> Self {
        Self {
            name: name.to_owned(),
            pipe,
            ask,
            give,
            state: PendingState::new(name, n_bins),
            requests: Requests::new(options),
            gate: Gate::new(),
            driver: None,
            drains,
            telling: None,
            waiting: None,
            end: End::NotYet,
        }
    }

    /// The operators before, and where they put their records.
    fn before(&mut self) -> (&mut P, Enter<'_, K, V, R, E>) {
        let Self { pipe, state, requests, gate, .. } = self;
        (pipe, Enter { state, requests, gate })
    }

    fn dry(&self, until: Option<Nanos>) -> Pulled {
        Pulled::Dry(super::earliest(until, self.requests.wake_at()))
    }
}

impl<P, K, V, R, E, A, G, Fut, Out> Asking<P, K, V, R, E, A, G>
where
    P: Pipe<Item = Keyed<K, V>>,
    K: StateKey,
    V: Data + Clone,
    R: Send + 'static,
    E: Send + 'static,
    A: FnMut(K, V) -> Fut + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    G: FnMut(K, Result<R, Unanswered<V, E>>) -> Out + 'static,
{
    /// Whether all that comes with a route is here. What came before the cut is not ours yet.
    fn take_over_bins(&mut self) -> bool {
        if let Some(is_leaving) = self.state.take_leaving() {
            self.requests.drop_those(is_leaving, |behind| self.gate.let_go(behind));
        }
        let arrivals = self.pipe.inlet().arrivals();
        let (has_early, is_complete) =
            arrivals.map_or((false, true), |arrivals| (arrivals.has_early(), arrivals.n_missing() == 0));
        if self.state.has_arrived() && !has_early {
            mark::hit(Mark::PendingArrived);
            for (place, behind) in self.state.take_arrived() {
                if !mutant::is(Mutant::PendingForgotten) {
                    self.gate.hold_behind(behind);
                    self.requests.add(place, behind);
                }
            }
        }
        is_complete
    }

    /// Passes on what was answered; how many records.
    fn answered(&mut self, now: Nanos, out: &mut impl Emit<Out>) -> Result<usize, StageError> {
        let settled = self.requests.settle(now).map_err(|requests::Vanished| StageError {
            operator: self.name.clone(),
            error: "a request's future panicked, or was dropped by what drives it".into(),
        })?;
        let n_answered = settled.len();
        for Done { place, behind, n_attempts, result } in settled {
            self.gate.let_go(behind);
            let Some(pending) = self.state.remove(&place) else { unreachable!("{PENDING_IS_THERE}") };
            let result = result.map_err(|error| Unanswered { value: pending.value, n_attempts, error });
            out.emit(Record { time: pending.time, value: (self.give)(place.key, result) });
        }
        Ok(n_answered)
    }

    /// Makes the requests that are due.
    fn ask(&mut self, now: Nanos) {
        let Some(driver) = self.driver.as_deref() else { return };
        while let Some((id, place)) = self.requests.next_to_ask(now) {
            let key = place.key.clone();
            let pending = self.state.get(place).map(|pending| pending.value.clone());
            let Some(value) = pending else { unreachable!("{PENDING_IS_THERE}") };
            self.requests.ask(id, now, (self.ask)(key, value), driver);
        }
    }

    /// Passes control on that came, or holds it.
    fn control(&mut self, control: Control) -> Pulled {
        match control {
            Control::Watermark(time) => self.telling = Some(time),
            Control::Idle => self.gate.idle(),
            Control::End => self.end = End::Telling,
            Control::Barrier(barrier) => self.waiting = Some(barrier),
            Control::Suspend => return Pulled::Control(control),
        }
        Pulled::Worked
    }

    /// Goes on with what the operators before are being told; whether there is anything.
    fn tell(&mut self) -> bool {
        let time = match (self.telling, self.end) {
            (Some(time), _) => time,
            (None, End::Telling) => Timestamp::MAX,
            _ => return false,
        };
        let is_end = self.telling.is_none();
        let (pipe, mut enter) = self.before();
        if !pipe.watermark(time, &mut enter) {
            return true;
        }
        pipe.flush(&mut enter);
        if is_end {
            pipe.end(&mut enter);
            self.end = End::Told;
        }
        self.telling = None;
        self.gate.watermark(time);
        true
    }
}

impl<P, K, V, R, E, A, G, Fut, Out> Pipe for Asking<P, K, V, R, E, A, G>
where
    P: Pipe<Item = Keyed<K, V>>,
    K: StateKey,
    V: Data + Clone,
    R: Send + 'static,
    E: Send + 'static,
    A: FnMut(K, V) -> Fut + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    G: FnMut(K, Result<R, Unanswered<V, E>>) -> Out + 'static,
    Out: 'static,
{
    type Item = Out;

    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<Out>) -> Result<Pulled, StageError> {
        let is_complete = self.take_over_bins();
        if self.answered(cx.now, out)? > 0 {
            return Ok(Pulled::Worked);
        }
        self.ask(cx.now);
        if let Some(control) = self.gate.next(is_complete) {
            return Ok(Pulled::Control(control));
        }
        let is_empty = self.requests.is_empty() && !self.state.has_arrived();
        if let Some(barrier) = self.waiting {
            if self.drains && !is_empty {
                mark::hit(Mark::BarrierDrained);
                return Ok(self.dry(None));
            }
            self.waiting = None;
            return Ok(Pulled::Control(Control::Barrier(barrier)));
        }
        if self.requests.is_full() {
            mark::hit(Mark::RequestsFull);
            return Ok(self.dry(None));
        }
        if self.tell() {
            return Ok(Pulled::Worked);
        }
        if self.end == End::Told {
            if !is_empty && !mutant::is(Mutant::PendingEnded) {
                mark::hit(Mark::EndHeld);
                return Ok(self.dry(None));
            }
            self.end = End::Passed;
            return Ok(Pulled::Control(Control::End));
        }
        let (pipe, mut enter) = self.before();
        let pulled = pipe.pull(cx, &mut enter)?;
        if let Pulled::Control(Control::Barrier(_)) = pulled {
            pipe.flush(&mut enter);
        }
        self.ask(cx.now);
        Ok(match pulled {
            Pulled::Worked => Pulled::Worked,
            Pulled::Dry(until) => self.dry(until),
            Pulled::Control(control) => self.control(control),
        })
    }

    fn watermark(&mut self, _: Timestamp, _: &mut impl Emit<Out>) -> bool {
        true
    }

    fn tick(&mut self, now: Nanos, _: &mut impl Emit<Out>) -> Option<Nanos> {
        // What is made by the clock waits as all else does, and goes behind a barrier that waits.
        if self.waiting.is_some() || self.requests.is_full() {
            return None;
        }
        let (pipe, mut enter) = self.before();
        pipe.tick(now, &mut enter)
    }

    fn flush(&mut self, _: &mut impl Emit<Out>) {
        let (pipe, mut enter) = self.before();
        pipe.flush(&mut enter);
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self.pipe.inlet()
    }

    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.pipe.connect(n_workers, port);
        if self.driver.is_none() {
            self.driver = Some(port.driver());
        }
    }

    fn promised(&mut self) -> Option<Timestamp> {
        let promised = self.pipe.promised();
        self.gate.rerouted(promised);
        None
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        self.pipe.visit(visitor);
        if !self.drains {
            visitor.visit(&mut self.state);
        }
    }
}

/// Where the operators before put their records.
struct Enter<'a, K, V, R, E> {
    state: &'a mut PendingState<K, V>,
    requests: &'a mut Requests<K, R, E>,
    gate: &'a mut Gate,
}

impl<K, V, R, E> Emit<Keyed<K, V>> for Enter<'_, K, V, R, E>
where
    K: StateKey,
    V: Data,
    R: Send + 'static,
    E: Send + 'static,
{
    fn emit(&mut self, record: Record<Keyed<K, V>>) {
        let Keyed { hash, key, value } = record.value;
        let behind = self.gate.hold();
        let number = self.state.push(hash, &key, record.time, behind, value);
        self.requests.add(Place { hash, key, number }, behind);
    }

    fn hint(&mut self, upcoming: &Keyed<K, V>) {
        self.state.prefetch(upcoming.hash);
    }
}

#[cfg(test)]
mod tests;
