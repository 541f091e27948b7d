//! Simulated time and what is going to happen at it. All chance in the order of things lies in the delays drawn here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::faults::{Ask, Fault, FaultCounts};
use super::rng::Rng;
use super::store::Objects;
use super::trace::Trace;
use super::wires::Place;
use crate::ids::{Generation, WorkerId};
use crate::ports::Nanos;
use crate::worker::messages::{Command, Report, ToWorker};

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Event {
    Step(usize),
    Nudge(usize),
    Poll(usize),
    Wake(Waker),
    Start {
        of: usize,
        generation: Generation,
        worker: WorkerId,
        n_bins: u32,
        start: u64,
    },
    Stop {
        actor: Option<usize>,
        done: Arc<Gate>,
    },
    Deliver(usize, ToWorker),
    Report {
        of: usize,
        actor: usize,
        report: Report,
    },
    /// A command that has lost its way: it comes to whoever has the worker's number now.
    StrayCommand(WorkerId, Command),
    /// A report that has lost its way: it comes to every coordinator.
    StrayReport(Report),
    Lost {
        of: usize,
        generation: Generation,
        worker: WorkerId,
        reason: String,
    },
    Parcel(usize),
    /// The bytes of a frame come to a place.
    Frame(Place, Vec<u8>),
    SessionTick(usize),
    /// A worker that was given up while it was cut off ends at last.
    Buried(usize),
    /// A cut link between two processes is whole again.
    Healed(u32, u32),
    /// A service has answered a worker.
    Answer {
        actor: usize,
        number: u64,
    },
    StoreApply(u64),
    StoreReply(u64),
    Fault(Fault),
    Ask(Ask),
    Launch,
    /// A coordinator stands still.
    Pause {
        of: usize,
        time: Duration,
    },
    Resume(usize),
    /// A coordinator is lost.
    Lose(usize),
    Calm,
}

impl Event {
    /// Its kind and number for the trace.
    pub(super) fn describe(&self) -> (&'static str, u64) {
        match self {
            Self::Step(actor) => ("step of actor", *actor as u64),
            Self::Nudge(actor) => ("timer of actor", *actor as u64),
            Self::Poll(of) => ("poll of coordinator", *of as u64),
            Self::Wake(_) => ("timer", 0),
            Self::Start { worker, .. } => ("start of worker", u64::from(worker.0)),
            Self::Stop { actor, .. } => ("stop of actor", actor.map_or(u64::MAX, |actor| actor as u64)),
            Self::Deliver(actor, _) => ("message to actor", *actor as u64),
            Self::Report { actor, .. } => ("report of actor", *actor as u64),
            Self::StrayCommand(worker, _) => ("stray command to worker", u64::from(worker.0)),
            Self::StrayReport(report) => ("stray report of worker", u64::from(report.worker.0)),
            Self::Lost { worker, .. } => ("loss of worker", u64::from(worker.0)),
            Self::Parcel(channel) => ("parcel in channel", *channel as u64),
            Self::Frame(_, bytes) => ("frame", u64::from(crc32c::crc32c(bytes))),
            Self::SessionTick(end) => ("timer of session", *end as u64),
            Self::Buried(actor) => ("end of the given-up actor", *actor as u64),
            Self::Healed(from, to) => ("link healed", u64::from(*from) << 32 | u64::from(*to)),
            Self::Answer { number, .. } => ("answer", *number),
            Self::StoreApply(call) => ("effect of store call", *call),
            Self::StoreReply(call) => ("reply to store call", *call),
            Self::Fault(_) => ("fault", 0),
            Self::Ask(_) => ("request", 0),
            Self::Launch => ("launch", 0),
            Self::Pause { of, .. } => ("pause of coordinator", *of as u64),
            Self::Resume(of) => ("resume of coordinator", *of as u64),
            Self::Lose(of) => ("loss of coordinator", *of as u64),
            Self::Calm => ("calm", 0),
        }
    }
}

/// Something that a future waits for and the world opens.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<(bool, Option<Waker>)>);

impl Gate {
    pub(super) fn open(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 = true;
        if let Some(waker) = inner.1.take() {
            waker.wake();
        }
    }

    /// Whether it is open; if not, the waker is called when it is.
    pub(super) fn is_open(&self, waker: &Waker) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.1 = Some(waker.clone());
        inner.0
    }
}

/// What every part of a simulation shares: time, chance, the store, the trace.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) now: u64,
    n_events: u64,
    events: BTreeMap<(u64, u64), Event>,
    /// What is to be scheduled while a part of this is in use.
    pub(super) events_due: Vec<(Duration, Event)>,
    pub(super) rng: Rng,
    pub(super) trace: Trace,
    pub(super) objects: Objects,
    pub(super) counts: FaultCounts,
    /// What must not happen and did.
    pub(super) violations: Vec<String>,
    /// When the last message on a link arrives: what follows comes later.
    links: BTreeMap<(u8, usize, usize), u64>,
    pub(super) is_calm: bool,
    /// A coordinator has begun to work since the job was last said to be finished, or since the commit that says so. That is
    /// right only if that commit was damaged.
    pub(super) is_reopened: bool,
    /// Sources out of a thousand whose partitions are found one after another.
    pub(super) growing_per_mille: u64,
    /// Since when.
    pub(super) calm_at: u64,
    n_tokens: u64,
    pub(super) n_unanswered: BTreeMap<usize, u64>,
}

impl Core {
    pub(super) fn new(mut rng: Rng, is_calm: bool) -> Self {
        let objects = Objects::new(rng.fork());
        Self {
            now: 1,
            n_events: 0,
            events: BTreeMap::new(),
            events_due: Vec::new(),
            rng,
            trace: Trace::default(),
            objects,
            counts: FaultCounts::default(),
            violations: Vec::new(),
            links: BTreeMap::new(),
            is_calm,
            is_reopened: false,
            growing_per_mille: 0,
            calm_at: 0,
            n_tokens: 0,
            n_unanswered: BTreeMap::new(),
        }
    }

    pub(super) fn nanos(&self) -> Nanos {
        Nanos(self.now)
    }

    pub(super) fn at(&mut self, time: u64, event: Event) {
        self.n_events += 1;
        self.events.insert((time.max(self.now), self.n_events), event);
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.nanos().after(delay).0, event);
    }

    /// Like [`after`](Self::after), but never before what went the same way earlier.
    pub(super) fn on_link(&mut self, link: (u8, usize, usize), delay: Duration, event: Event) {
        let due = self.nanos().after(delay).0;
        let last = self.links.entry(link).or_default();
        *last = due.max(*last + 1);
        let time = *last;
        self.at(time, event);
    }

    /// The next event; time moves on to it.
    pub(super) fn next(&mut self) -> Option<Event> {
        let ((time, _), event) = self.events.pop_first()?;
        // Behind a jump of the clock what was due is late.
        self.now = self.now.max(time);
        let (what, which) = event.describe();
        self.trace.decision(self.now, what, which);
        Some(event)
    }

    /// Nothing of what was to happen does.
    pub(super) fn forget_events(&mut self) {
        self.events.clear();
    }

    pub(super) fn note(&mut self, text: String) {
        self.trace.note(self.now, text);
    }

    pub(super) fn violation(&mut self, text: String) {
        self.note(format!("VIOLATION: {text}"));
        self.violations.push(text);
    }

    pub(super) fn token(&mut self) -> u128 {
        self.n_tokens += 1;
        u128::from(self.n_tokens) << 64 | u128::from(self.rng.next_u64())
    }
}

/// A handle to the core. The lock is never contended: everything is on one thread.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Core>>);

impl Shared {
    pub(super) fn new(core: Core) -> Self {
        Self(Arc::new(Mutex::new(core)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
