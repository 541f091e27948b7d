//! A store in simulated time. Calls take time, and fail in every way a port may: before the effect, after it, with the
//! effect much later, too late for whoever waits. What was acknowledged is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::clock::{Event, Shared};
use super::faults::{Moment, Side};
use super::fences::Fences;
use super::rng::Rng;
use crate::ids::{Generation, SnapshotId};
use crate::mutant;
use crate::ports::{ObjectInfo, SendFuture, SnapshotStore, StoreError};
use crate::snapshot::{LogEntry, Manifest, log, resolve};
use crate::worker::messages::ToWorker;

/// A handle to the simulated store, as a coordinator sees it.
#[derive(Clone, Debug)]
pub(super) struct SimStore {
    pub(super) core: Shared,
    /// The coordinator that it belongs to.
    pub(super) of: usize,
}

/// What a call asks for.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    PutNew(String, Vec<u8>),
    Put(String, Vec<u8>),
    Get(String),
    GetRange(String, u64, u64),
    List(String),
    Delete(String),
}

/// What it gets.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Done,
    Bytes(Vec<u8>),
    Listing(Vec<ObjectInfo>),
}

/// Who waits for the answer.
#[derive(Debug)]
pub(super) enum Caller {
    Future { slot: Arc<Mutex<Slot>>, of: usize },
    Worker { actor: usize },
}

/// Where the answer to a future is put.
#[derive(Debug, Default)]
pub(super) struct Slot {
    answer: Option<Result<Answer, StoreError>>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Call {
    ask: Ask,
    /// The coordinator that calls, if it is one.
    of: Option<usize>,
    caller: Option<Caller>,
    answer: Option<Result<Answer, StoreError>>,
    /// The caller is told that it failed, whatever became of it.
    is_reply_lost: bool,
    has_effect: bool,
    is_applied: bool,
    is_replied: bool,
}

/// The objects, the calls under way, and how often what fails.
#[derive(Debug)]
pub(super) struct Objects {
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    /// What the log says, entry by entry.
    entries: BTreeMap<u64, LogEntry>,
    /// Every commit that was ever made by who had the newest claim: the snapshot, and the scale.
    committed: BTreeMap<SnapshotId, u32>,
    newest_claim: Generation,
    /// The newest claim that stands: one that landed where the log had been trimmed claims nothing.
    standing_claim: Generation,
    /// Numbers that were deleted. A put that takes effect only after its entry was trimmed brings the entry back;
    /// whoever restores it finds its objects gone and goes on to another, and the next collection trims it again.
    trimmed: BTreeSet<u64>,
    /// The last number that each coordinator has written.
    written: BTreeMap<usize, u64>,
    pub(super) is_damaged: bool,
    /// An entry of the log was taken out: nobody can know what it said.
    pub(super) is_entry_lost: bool,
    pub(super) fences: Fences,
    /// At the next such call its coordinator stands still.
    pub(super) pauses: VecDeque<(Moment, Side, Duration)>,
    calls: BTreeMap<u64, Call>,
    n_calls: u64,
    /// Calls out of a thousand that fail, while the faults last.
    pub(super) faults_per_mille: u64,
    pub(super) stale_per_mille: u64,
    pub(super) slow_per_mille: u64,
    /// Until then no put succeeds: the disk is full.
    pub(super) full_until: u64,
    /// The usual time to an effect and again to its answer, at most, in microseconds.
    pub(super) latency_us_max: u64,
    rng: Rng,
}

impl Objects {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            objects: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: BTreeMap::new(),
            newest_claim: Generation(0),
            standing_claim: Generation(0),
            trimmed: BTreeSet::new(),
            written: BTreeMap::new(),
            is_damaged: false,
            is_entry_lost: false,
            fences: Fences::default(),
            pauses: VecDeque::new(),
            calls: BTreeMap::new(),
            n_calls: 0,
            faults_per_mille: 0,
            stale_per_mille: 0,
            slow_per_mille: 0,
            full_until: 0,
            latency_us_max: 2000,
            rng,
        }
    }

    /// Whether this snapshot was committed, by who was entitled to.
    pub(super) fn has_commit(&self, snapshot: SnapshotId) -> bool {
        self.committed.contains_key(&snapshot)
    }

    /// Whether this snapshot or a later one was committed.
    pub(super) fn has_commit_from(&self, snapshot: SnapshotId) -> bool {
        self.committed.range(snapshot..).next().is_some()
    }

    /// The newest generation that was ever claimed.
    pub(super) fn newest_claim(&self) -> Generation {
        self.newest_claim
    }

    /// Whether a snapshot was committed at this scale.
    pub(super) fn has_scale(&self, n_workers: u32) -> bool {
        self.committed.values().any(|n| *n == n_workers)
    }

    /// The commits that count, newest first.
    fn standing(&self) -> Vec<Manifest> {
        let entries = self
            .entries
            .iter()
            .map(|(number, entry)| (*number, Ok(std::rc::Rc::new(entry.clone()))))
            .collect();
        let resolution = mutant::without(|| resolve("simulated", entries));
        let candidates = resolution.map(|resolution| resolution.candidates).unwrap_or_default();
        let candidates = candidates.into_iter().filter(|candidate| !self.trimmed.contains(&candidate.number));
        candidates.map(|candidate| candidate.manifest).collect()
    }

    /// Paths that a commit in the log needs and that are not there.
    pub(super) fn missing(&self) -> Vec<String> {
        let standing = self.standing();
        let needed = standing.iter().flat_map(|manifest| &manifest.objects);
        needed.filter(|object| !self.objects.contains_key(&object.path)).map(|o| o.path.clone()).collect()
    }

    fn note_entry(&mut self, number: u64, entry: LogEntry, by: Option<usize>) {
        match &entry {
            LogEntry::Claimed { generation, .. } => {
                self.newest_claim = self.newest_claim.max(*generation);
                if !self.trimmed.contains(&number) {
                    self.standing_claim = self.standing_claim.max(*generation);
                    by.into_iter().for_each(|by| self.fences.claimed(by, *generation));
                }
            }
            LogEntry::Committed { manifest, .. } if manifest.generation >= self.standing_claim => {
                self.committed.insert(manifest.snapshot, manifest.routes.n_workers);
                self.fences.committed(manifest.generation, manifest.snapshot);
            }
            LogEntry::Committed { .. } => {}
        }
        self.entries.insert(number, entry);
    }

    /// Takes the log back to one of its older commits that count, as if nothing had followed; which, if there is one.
    pub(super) fn rewind(&mut self) -> Option<SnapshotId> {
        let standing: Vec<SnapshotId> = self.standing().iter().map(|manifest| manifest.snapshot).collect();
        let older = standing.get(1..).filter(|older| !older.is_empty())?;
        let chosen = older[self.rng.below(older.len() as u64) as usize];
        let is_chosen =
            |entry: &LogEntry| entry.manifest().is_some_and(|manifest| manifest.snapshot == chosen);
        let number = *self.entries.iter().rev().find(|(_, entry)| is_chosen(entry))?.0;
        for (number, _) in self.entries.split_off(&(number + 1)) {
            self.objects.remove(&log::path(number));
        }
        self.trimmed.retain(|trimmed| *trimmed < number);
        self.newest_claim = self.entries.values().map(LogEntry::generation).max().unwrap_or_default();
        self.standing_claim = self.newest_claim;
        self.calls.clear();
        self.fences.rewind();
        Some(chosen)
    }

    /// Whether a coordinator is to stand still at this call, and for how long.
    fn take_pause(&mut self, ask: &Ask) -> Option<(Moment, Side, Duration)> {
        let moment = Moment::of(ask)?;
        let at = self.pauses.iter().position(|(at, ..)| *at == moment)?;
        self.pauses.remove(at)
    }

    /// Harms an object of every commit that counts; how many. The job must say that it cannot be restored.
    pub(super) fn damage_all(&mut self) -> Option<(&'static str, String)> {
        let mut paths = BTreeSet::new();
        for manifest in self.standing() {
            // One without state is restored all the same.
            paths.insert(manifest.objects.first()?.path.clone());
        }
        for path in &paths {
            let (bytes, _) = self.objects.get_mut(path)?;
            let at = self.rng.below(bytes.len() as u64) as usize;
            *bytes.get_mut(at)? ^= 1;
        }
        self.is_damaged |= !paths.is_empty();
        (!paths.is_empty()).then(|| ("damage: an object of every commit", format!("{paths:?} are damaged")))
    }

    /// Harms the log's entry of the newest commit or claim; which, and how. Mostly an older commit stays readable.
    pub(super) fn damage_entry(
        &mut self,
        is_claim: bool,
        may_be_lost: bool,
    ) -> Option<(&'static str, String)> {
        let is_it = |entry: &LogEntry| entry.manifest().is_none() == is_claim;
        let number = *self.entries.iter().rev().find(|(_, entry)| is_it(entry))?.0;
        let n_commits = self.entries.values().filter(|entry| entry.manifest().is_some()).count();
        if n_commits < 2 && !self.rng.per_mille(200) {
            return None;
        }
        let path = log::path(number);
        self.is_damaged = true;
        // A claim that vanishes before there is a commit takes with it that there ever was a generation: the next coordinator
        // begins again with the first, and nobody could tell.
        // One whose put is still to take effect once more would come back, as no store that loses an object would have it.
        let is_put = |call: &Call| matches!(&call.ask, Ask::PutNew(of, _) if *of == path) && !call.is_applied;
        let is_under_way = self.calls.values().any(is_put);
        let may_be_lost = may_be_lost && !is_under_way && (!is_claim || n_commits > 0);
        let how = self.rng.below(if may_be_lost { 4 } else { 3 });
        let (bytes, _) = self.objects.get_mut(&path)?;
        let at = self.rng.below(bytes.len() as u64) as usize;
        let kind = match how {
            0 if !bytes.is_empty() => {
                bytes[at] ^= 1 << self.rng.below(8);
                if is_claim {
                    "damage: claim with a flipped bit"
                } else {
                    "damage: log entry with a flipped bit"
                }
            }
            1 => {
                bytes.truncate(at);
                if is_claim { "damage: claim truncated" } else { "damage: log entry truncated" }
            }
            3 => {
                self.objects.remove(&path);
                self.is_entry_lost = true;
                if is_claim { "damage: claim missing" } else { "damage: log entry missing" }
            }
            _ => {
                bytes.clear();
                if is_claim { "damage: claim empty" } else { "damage: log entry empty" }
            }
        };
        Some((kind, format!("{path}: {kind}")))
    }

    /// Harms an object of the newest commit; which, and how.
    pub(super) fn damage(&mut self) -> Option<(&'static str, String)> {
        let objects = self.standing().first().map(|manifest| manifest.objects.clone())?;
        let path = objects.get(self.rng.below(objects.len() as u64) as usize)?.path.clone();
        self.is_damaged = true;
        let how = self.rng.below(5);
        let other = objects.iter().rfind(|object| object.path != path);
        let other = other.and_then(|object| self.objects.get(&object.path)).map(|(bytes, _)| bytes.clone());
        let (bytes, _) = self.objects.get_mut(&path)?;
        let at = self.rng.below(bytes.len() as u64) as usize;
        let kind = match (how, other) {
            (0, _) if !bytes.is_empty() => {
                bytes[at] ^= 1 << self.rng.below(8);
                "damage: object with a flipped bit"
            }
            (1, _) => {
                bytes.truncate(at);
                "damage: object truncated"
            }
            (2, _) => {
                bytes.clear();
                "damage: object empty"
            }
            (3, Some(other)) => {
                *bytes = other;
                "damage: object exchanged for another"
            }
            _ => {
                self.objects.remove(&path);
                "damage: object missing"
            }
        };
        Some((kind, format!("{path}: {kind}")))
    }

    /// Whether a listing may lack what is younger. One that shows nothing behind what was trimmed looks like a log without
    /// commits to whoever has written nothing there: nobody could tell, and stores whose listings lag so far are not
    /// supported.
    fn may_lag(&self, of: Option<usize>, seen_until: u64) -> bool {
        let Some(last_trimmed) = self.trimmed.last() else { return true };
        let is_seen =
            |number: &u64| self.objects.get(&log::path(*number)).is_some_and(|(_, at)| *at <= seen_until);
        let shows_end = self.entries.range(last_trimmed + 1..).any(|(number, _)| is_seen(number));
        shows_end || of.and_then(|of| self.written.get(&of)).is_some_and(|written| written > last_trimmed)
    }

    fn apply(&mut self, call: &Call, now: u64, is_stale: bool) -> Result<Answer, StoreError> {
        let not_found = |path: &String| StoreError::NotFound { path: path.clone() };
        match &call.ask {
            Ask::PutNew(path, _) if self.objects.contains_key(path) => {
                Err(StoreError::Exists { path: path.clone() })
            }
            Ask::PutNew(path, bytes) | Ask::Put(path, bytes) => {
                if let (Some(number), Ok(entry)) = (log::number_of(path), log::decode(bytes)) {
                    self.note_entry(number, entry, call.of);
                    if let Some(of) = call.of {
                        self.written.insert(of, number);
                    }
                }
                self.objects.insert(path.clone(), (bytes.clone(), now));
                Ok(Answer::Done)
            }
            Ask::Get(path) => {
                let (bytes, _) = self.objects.get(path).ok_or_else(|| not_found(path))?;
                Ok(Answer::Bytes(bytes.clone()))
            }
            Ask::GetRange(path, offset, n) => {
                let (bytes, _) = self.objects.get(path).ok_or_else(|| not_found(path))?;
                let from = (*offset as usize).min(bytes.len());
                let to = from.saturating_add(*n as usize).min(bytes.len());
                Ok(Answer::Bytes(bytes[from..to].to_vec()))
            }
            Ask::List(prefix) => {
                // A stale listing lacks what is younger than 50 ms.
                let seen_until = now.saturating_sub(50_000_000);
                let is_stale = is_stale && self.may_lag(call.of, seen_until);
                let seen_until = if is_stale { seen_until } else { now };
                let found = self
                    .objects
                    .iter()
                    .filter(|(path, (_, at))| path.starts_with(prefix.as_str()) && *at <= seen_until);
                let info = |(path, (bytes, _)): (&String, &(Vec<u8>, u64))| ObjectInfo {
                    path: path.clone(),
                    bytes: bytes.len() as u64,
                };
                Ok(Answer::Listing(found.map(info).collect()))
            }
            Ask::Delete(path) => {
                if let Some(number) = log::number_of(path) {
                    self.entries.remove(&number);
                    self.trimmed.insert(number);
                }
                self.objects.remove(path);
                Ok(Answer::Done)
            }
        }
    }
}

impl Moment {
    fn of(ask: &Ask) -> Option<Self> {
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

    fn failed(&self) -> StoreError {
        let (action, path) = self.action();
        StoreError::Failed { action, path: path.to_owned(), reason: "simulated".to_owned() }
    }
}

impl Shared {
    /// Begins a call.
    pub(super) fn call(&self, ask: Ask, caller: Caller) {
        let mut core = self.lock();
        let core = &mut *core;
        let store = &mut core.objects;
        let id = store.n_calls;
        store.n_calls += 1;
        let latency = store.latency_us_max;
        let (mut effect, mut reply) = (store.rng.micros(5, latency), store.rng.micros(5, latency));
        let mut call = Call {
            of: match &caller {
                Caller::Future { of, .. } => Some(*of),
                Caller::Worker { .. } => None,
            },
            ask,
            caller: Some(caller),
            answer: None,
            is_reply_lost: false,
            has_effect: true,
            is_applied: false,
            is_replied: false,
        };
        let mut kind = None;
        let mut duplicate = None;
        if let (Some(of), false) = (call.of, core.is_calm)
            && let Some((_, side, time)) = store.take_pause(&call.ask)
        {
            // Whoever stands still before a call makes it when it goes on.
            let begins = if side == Side::Behind { effect } else { Duration::ZERO };
            effect += match side {
                Side::Before => time,
                Side::Behind => Duration::ZERO,
                Side::Midway => time / 2,
            };
            core.events_due.push((begins, Event::Pause { of, time }));
            core.counts.add(side.kind());
        }
        let is_put = matches!(call.ask, Ask::Put(..) | Ask::PutNew(..));
        if is_put && core.now < store.full_until {
            call.is_reply_lost = true;
            call.has_effect = false;
            kind = Some("store: full disk");
        } else if !core.is_calm && store.rng.per_mille(store.faults_per_mille) {
            call.is_reply_lost = true;
            kind = Some(match store.rng.below(4) {
                0 => {
                    call.has_effect = false;
                    "store: failed before the effect"
                }
                1 => "store: reply lost",
                2 if matches!(call.ask, Ask::Put(..) | Ask::PutNew(..)) => {
                    call.is_reply_lost = false;
                    duplicate = Some(Call {
                        ask: call.ask.clone(),
                        of: call.of,
                        caller: None,
                        answer: None,
                        is_reply_lost: false,
                        has_effect: true,
                        is_applied: false,
                        is_replied: true,
                    });
                    "store: duplicate put"
                }
                _ => {
                    effect = store.rng.micros(1000, 800_000);
                    "store: effect after the reply"
                }
            });
        } else if !core.is_calm && store.rng.per_mille(store.slow_per_mille) {
            reply = store.rng.micros(1000, 900_000);
            kind = Some(if reply > super::world::STORE_DEADLINE {
                "store: slow past the deadline"
            } else {
                "store: slow reply"
            });
        }
        // A reply that says it is done comes behind the effect; one that says it failed may come before.
        if !call.is_reply_lost {
            reply += effect;
        }
        store.calls.insert(id, call);
        if let Some(kind) = kind {
            core.counts.add(kind);
        }
        if let Some(call) = duplicate {
            let id = store.n_calls;
            store.n_calls += 1;
            store.calls.insert(id, call);
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
    pub(super) fn apply(&self, id: u64) {
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
    pub(super) fn reply(&self, id: u64) {
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
                        Some(ToWorker::Stored { path: path.clone(), result: answer.map(drop) })
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

impl SimStore {
    fn call<'a, T: 'a>(
        &self,
        ask: Ask,
        take: impl Fn(Answer) -> Option<T> + Send + 'a,
    ) -> SendFuture<'a, Result<T, StoreError>> {
        let slot = Arc::new(Mutex::new(Slot::default()));
        let odd = ask.failed();
        self.core.call(ask, Caller::Future { slot: slot.clone(), of: self.of });
        Box::pin(std::future::poll_fn(move |cx| {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.waker = Some(cx.waker().clone());
            match slot.answer.take() {
                None => Poll::Pending,
                Some(answer) => {
                    Poll::Ready(answer.and_then(|answer| take(answer).ok_or_else(|| odd.clone())))
                }
            }
        }))
    }
}

fn done(answer: Answer) -> Option<()> {
    matches!(answer, Answer::Done).then_some(())
}

fn bytes(answer: Answer) -> Option<Vec<u8>> {
    match answer {
        Answer::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

impl SnapshotStore for SimStore {
    fn put_new<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        self.call(Ask::PutNew(path.to_owned(), bytes), done)
    }

    fn put<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        self.call(Ask::Put(path.to_owned(), bytes), done)
    }

    fn get<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        self.call(Ask::Get(path.to_owned()), bytes)
    }

    fn get_range<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        n: u64,
    ) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        self.call(Ask::GetRange(path.to_owned(), offset, n), bytes)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> SendFuture<'a, Result<Vec<ObjectInfo>, StoreError>> {
        self.call(Ask::List(prefix.to_owned()), |answer| match answer {
            Answer::Listing(listing) => Some(listing),
            _ => None,
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<(), StoreError>> {
        self.call(Ask::Delete(path.to_owned()), done)
    }
}
