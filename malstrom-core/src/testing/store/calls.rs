//! A call of the store: what it asks for, when it takes effect, when its caller hears of it, and what goes wrong with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::ambush::{Ambush, Moment, Side};
use super::super::clock::{Event, Shared};
use super::super::faults::Fault;
use super::super::world::STORE_DEADLINE;
use super::Objects;
use super::port::Slot;
use crate::ports::{ObjectInfo, StoreError};
use crate::snapshot::{LogEntry, log};
use crate::worker::messages::ToWorker;

/// What a call asks for.
#[derive(Clone, Debug)]
pub(in crate::testing) enum Ask {
    PutNew(String, Vec<u8>),
    Put(String, Vec<u8>),
    Get(String),
    GetRange(String, u64, u64),
    List(String),
    Delete(String),
}

/// What it gets.
#[derive(Clone, Debug)]
pub(in crate::testing) enum Answer {
    Done,
    Bytes(Vec<u8>),
    Listing(Vec<ObjectInfo>),
}

/// Who waits for the answer.
#[derive(Debug)]
pub(in crate::testing) enum Caller {
    Future { slot: Arc<Mutex<Slot>>, of: usize },
    Worker { actor: usize },
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) ask: Ask,
    /// The coordinator that calls, if it is one.
    pub(super) of: Option<usize>,
    caller: Option<Caller>,
    answer: Option<Result<Answer, StoreError>>,
    /// The caller is told that it failed, whatever became of it.
    is_reply_lost: bool,
    has_effect: bool,
    /// It takes effect once more, later.
    is_twice: bool,
    pub(super) is_applied: bool,
    is_replied: bool,
}

impl Call {
    /// A call that nothing has become of. One without a caller has nobody to reply to.
    fn new(ask: Ask, of: Option<usize>, caller: Option<Caller>) -> Self {
        Self {
            ask,
            of,
            is_replied: caller.is_none(),
            caller,
            answer: None,
            is_reply_lost: false,
            has_effect: true,
            is_twice: false,
            is_applied: false,
        }
    }
}

impl Shared {
    /// Begins a call.
    pub(in crate::testing) fn call(&self, ask: Ask, caller: Caller) {
        let mut core = self.lock();
        let core = &mut *core;
        let store = &mut core.objects;
        let latency = store.latency_us_max;
        let (mut effect, mut reply) = (store.rng.micros(5, latency), store.rng.micros(5, latency));
        let of = match &caller {
            Caller::Future { of, .. } => Some(*of),
            Caller::Worker { .. } => None,
        };
        let mut call = Call::new(ask, of, Some(caller));
        if let (Some(of), false) = (of, core.is_calm)
            && let Some(ambush) = store.take_ambush(&call.ask)
        {
            let due = &mut core.events_due;
            match ambush {
                Ambush::Pause(side, time) => {
                    // Whoever stands still before a call makes it when it goes on.
                    let begins = if side == Side::Behind { effect } else { Duration::ZERO };
                    effect += match side {
                        Side::Before => time,
                        Side::Behind => Duration::ZERO,
                        Side::Midway => time / 2,
                    };
                    due.push((begins, Event::Pause { of, time }));
                }
                Ambush::Lose(time) => {
                    due.push((Duration::ZERO, Event::Pause { of, time: time + effect }));
                    effect += time;
                    due.push((effect + Duration::from_micros(1), Event::Lose(of)));
                }
                Ambush::LoseWorker => due.push((effect, Event::Fault(Fault::CrashWorker))),
                Ambush::Deafen(time) => {
                    store.deaf_until.insert(of, core.now + time.as_nanos() as u64);
                }
            }
            core.counts.add(ambush.kind());
        }
        let wrong = store.go_wrong(&mut call, (&mut effect, &mut reply), core.now, core.is_calm);
        // A reply that says it is done comes behind the effect; one that says it failed may come before.
        if !call.is_reply_lost {
            reply += effect;
        }
        let again = call.is_twice.then(|| Call::new(call.ask.clone(), of, None));
        let id = store.begin(call);
        if let Some(kind) = wrong {
            core.counts.add(kind);
        }
        if let Some(call) = again {
            let id = store.begin(call);
            let again = effect + store.rng.micros(10, 300_000);
            core.after(again, Event::StoreApply(id));
        }
        for (delay, event) in std::mem::take(&mut core.events_due) {
            core.after(delay, event);
        }
        core.after(effect, Event::StoreApply(id));
        core.after(reply, Event::StoreReply(id));
    }

    /// A call takes effect.
    pub(in crate::testing) fn apply(&self, id: u64) {
        let mut core = self.lock();
        let core = &mut *core;
        let now = core.now;
        let store = &mut core.objects;
        let Some(mut call) = store.calls.remove(&id) else { return };
        let is_stale =
            !core.is_calm && store.rng.per_mille(store.faults_per_mille * 4 + store.stale_per_mille);
        if call.has_effect {
            call.answer = Some(store.apply(&call, now, is_stale));
        }
        for text in std::mem::take(&mut core.objects.fences.broken) {
            // A claim that cannot be read is not known to those who come later.
            if !core.objects.is_damaged {
                core.violation(text);
            }
        }
        let store = &mut core.objects;
        if let (Ask::PutNew(path, _) | Ask::Delete(path), Some(Ok(_))) = (&call.ask, &call.answer) {
            let after = if call.is_replied { ", after the reply" } else { "" };
            let text = format!("store: {} {path}{after}", call.ask.action().0);
            core.trace.note(now, text);
        }
        call.is_applied = true;
        if let Ask::Delete(path) = &call.ask
            && !store.is_damaged
        {
            let path = path.clone();
            let needed = store.missing();
            if needed.contains(&path) {
                core.violation(format!("I10: `{path}` was deleted though a commit in the log needs it"));
            }
        }
        if !call.is_replied {
            core.objects.calls.insert(id, call);
        }
    }

    /// The caller hears of it.
    pub(in crate::testing) fn reply(&self, id: u64) {
        let mut core = self.lock();
        let Some(mut call) = core.objects.calls.remove(&id) else { return };
        let failed = || Err(call.ask.failed());
        let answer = if call.is_reply_lost { failed() } else { call.answer.clone().unwrap_or_else(failed) };
        call.is_replied = true;
        match call.caller.take() {
            None => {}
            Some(Caller::Future { slot, .. }) => {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                slot.answer = Some(answer);
                if let Some(waker) = slot.waker.take() {
                    waker.wake();
                }
            }
            Some(Caller::Worker { actor }) => {
                let message = match (&call.ask, answer) {
                    (Ask::Put(path, _), answer) => {
                        Some(ToWorker::Stored {
                            path: path.clone(),
                            result: answer.map(drop),
                            // As a buffer that was used before, whose bytes must not be seen again.
                            buffer: vec![0xff; 64],
                        })
                    }
                    (Ask::GetRange(path, offset, _), Ok(Answer::Bytes(bytes))) => {
                        Some(ToWorker::Read { path: path.clone(), offset: *offset, result: Ok(bytes) })
                    }
                    (Ask::GetRange(path, offset, _), Err(error)) => {
                        Some(ToWorker::Read { path: path.clone(), offset: *offset, result: Err(error) })
                    }
                    _ => None,
                };
                if let Some(message) = message {
                    core.at(0, Event::Deliver(actor, message));
                }
            }
        }
        if !call.is_applied {
            core.objects.calls.insert(id, call);
        }
    }
}

impl Objects {
    /// Draws what goes wrong with a call, if anything: its kind.
    fn go_wrong(
        &mut self,
        call: &mut Call,
        (effect, reply): (&mut Duration, &mut Duration),
        now: u64,
        is_calm: bool,
    ) -> Option<&'static str> {
        let is_put = matches!(call.ask, Ask::Put(..) | Ask::PutNew(..));
        if is_put && now < self.full_until {
            call.is_reply_lost = true;
            call.has_effect = false;
            return Some("store: full disk");
        }
        if is_calm {
            return None;
        }
        if call.of.and_then(|of| self.deaf_until.get(&of)).is_some_and(|until| now < *until) {
            call.is_reply_lost = true;
            return Some("store: reply lost");
        }
        if self.rng.per_mille(self.faults_per_mille) {
            call.is_reply_lost = true;
            return Some(match self.rng.below(4) {
                0 => {
                    call.has_effect = false;
                    "store: failed before the effect"
                }
                1 => "store: reply lost",
                2 if is_put => {
                    call.is_reply_lost = false;
                    call.is_twice = true;
                    "store: duplicate put"
                }
                _ => {
                    *effect = self.rng.micros(1000, 800_000);
                    "store: effect after the reply"
                }
            });
        }
        if self.rng.per_mille(self.slow_per_mille) {
            *reply = self.rng.micros(1000, 900_000);
            let is_late = *reply > STORE_DEADLINE;
            return Some(if is_late { "store: slow past the deadline" } else { "store: slow reply" });
        }
        None
    }

    /// Takes note of a call; its number.
    fn begin(&mut self, call: Call) -> u64 {
        let id = self.n_calls;
        self.n_calls += 1;
        self.calls.insert(id, call);
        id
    }
}

impl Moment {
    /// What a call is to those who stand still at it.
    pub(super) fn of(ask: &Ask) -> Option<Self> {
        let is_entry = |path: &str| log::number_of(path).is_some();
        match ask {
            Ask::PutNew(path, bytes) if is_entry(path) => match log::decode(bytes).ok()? {
                LogEntry::Claimed { .. } => Some(Self::Claim),
                LogEntry::Committed { .. } => Some(Self::Commit),
            },
            Ask::Get(path) if is_entry(path) => Some(Self::ReadEntry),
            Ask::List(prefix) if prefix == log::FOLDER => Some(Self::ListLog),
            Ask::Delete(path) if is_entry(path) => Some(Self::Trim),
            Ask::Delete(_) => Some(Self::Collect),
            _ => None,
        }
    }
}

impl Ask {
    fn action(&self) -> (&'static str, &str) {
        match self {
            Self::PutNew(path, _) | Self::Put(path, _) => ("put", path),
            Self::Get(path) | Self::GetRange(path, ..) => ("get", path),
            Self::List(path) => ("list", path),
            Self::Delete(path) => ("delete", path),
        }
    }

    pub(super) fn failed(&self) -> StoreError {
        let (action, path) = self.action();
        StoreError::Failed { action, path: path.to_owned(), reason: "simulated".to_owned() }
    }
}
