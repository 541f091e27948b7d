//! A store in simulated time. Calls take time, and fail in every way a port may: before the effect, after it, with the
//! effect much later, too late for whoever waits. What was acknowledged is kept.
//!
//! Here is what lies in it and what its log says; `port` is what a coordinator holds of it, `calls` how a call comes to
//! its effect and to its answer, `damage` what is done to what was acknowledged.

mod calls;
mod damage;
mod port;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use calls::{Answer, Call};
pub(super) use calls::{Ask, Caller};
pub(super) use port::SimStore;

use super::ambush::{Ambush, Moment};
use super::fences::Fences;
use super::rng::Rng;
use crate::ids::{Generation, SnapshotId};
use crate::mutant;
use crate::ports::{ObjectInfo, StoreError};
use crate::snapshot::{LogEntry, Manifest, log, resolve};

/// The objects, the calls under way, and how often what fails.
#[derive(Debug)]
pub(super) struct Objects {
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    /// What the log says, entry by entry.
    entries: BTreeMap<u64, LogEntry>,
    /// Every commit that was ever made by who had the newest claim: the snapshot, and the scale.
    committed: BTreeMap<SnapshotId, u32>,
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
    /// What waits for whichever coordinator makes such a call next.
    pub(super) ambushes: VecDeque<(Moment, Ambush)>,
    /// Until when each coordinator hears of none of its calls.
    deaf_until: BTreeMap<usize, u64>,
    calls: BTreeMap<u64, Call>,
    n_calls: u64,
    /// Calls out of a thousand that fail, while the faults last.
    pub(super) faults_per_mille: u64,
    pub(super) stale_per_mille: u64,
    /// What is younger is not in a listing that lags.
    pub(super) listing_lag: Duration,
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
            standing_claim: Generation(0),
            trimmed: BTreeSet::new(),
            written: BTreeMap::new(),
            is_damaged: false,
            is_entry_lost: false,
            fences: Fences::default(),
            ambushes: VecDeque::new(),
            deaf_until: BTreeMap::new(),
            calls: BTreeMap::new(),
            n_calls: 0,
            faults_per_mille: 0,
            stale_per_mille: 0,
            listing_lag: Duration::ZERO,
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

    /// The newest generation that was claimed where nothing had been trimmed.
    pub(super) fn standing_claim(&self) -> Generation {
        self.standing_claim
    }

    /// Whether a snapshot was committed at this scale.
    pub(super) fn has_scale(&self, n_workers: u32) -> bool {
        self.committed.values().any(|n| *n == n_workers)
    }

    /// The commits that count, newest first.
    fn standing(&self) -> Vec<Manifest> {
        let entries =
            self.entries.iter().map(|(number, entry)| (*number, Ok(Rc::new(entry.clone())))).collect();
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
        self.standing_claim = self.entries.values().map(LogEntry::generation).max().unwrap_or_default();
        self.calls.clear();
        self.fences.rewind();
        Some(chosen)
    }

    /// The log has an entry more.
    fn note_entry(&mut self, number: u64, entry: LogEntry, by: Option<usize>) {
        match &entry {
            LogEntry::Claimed { generation, .. } => {
                if !self.trimmed.contains(&number) {
                    self.standing_claim = self.standing_claim.max(*generation);
                    by.into_iter().for_each(|by| self.fences.claimed(by, *generation));
                }
            }
            LogEntry::Committed { manifest, .. } if manifest.generation >= self.fence_of(number) => {
                self.committed.insert(manifest.snapshot, manifest.routes.n_workers);
                self.fences.committed(manifest.generation, manifest.snapshot);
            }
            LogEntry::Committed { .. } => {}
        }
        self.entries.insert(number, entry);
    }

    /// The generation below which nothing may be committed at this number. A claim that was damaged fences nobody any more:
    /// then what is left of the log decides, in its order. One that was written where the log had been trimmed never did.
    fn fence_of(&self, number: u64) -> Generation {
        if !self.is_damaged {
            return self.standing_claim;
        }
        let below = self.entries.range(..number).filter(|(number, entry)| {
            let bytes = self.objects.get(&log::path(**number)).map(|(bytes, _)| bytes);
            let is_sound = bytes.is_some_and(|bytes| log::decode(bytes).is_ok());
            entry.manifest().is_none() && is_sound && !self.trimmed.contains(number)
        });
        below.map(|(_, entry)| entry.generation()).max().unwrap_or_default()
    }

    /// What waits for a coordinator at this call.
    fn take_ambush(&mut self, ask: &Ask) -> Option<Ambush> {
        let moment = Moment::of(ask)?;
        let at = self.ambushes.iter().position(|(at, _)| *at == moment)?;
        self.ambushes.remove(at).map(|(_, ambush)| ambush)
    }

    /// Whether a listing may lack what is younger. One that shows nothing behind what was trimmed looks like a log without
    /// commits to whoever has written nothing there: nobody could tell, and stores whose listings lag so far are not
    /// supported. Who has written what it does not show can tell.
    fn may_lag(&self, of: Option<usize>, seen_until: u64) -> bool {
        let Some(last_trimmed) = self.trimmed.last() else { return true };
        let is_seen =
            |number: &u64| self.objects.get(&log::path(*number)).is_some_and(|(_, at)| *at <= seen_until);
        let shows_end = self.entries.range(last_trimmed + 1..).any(|(number, _)| is_seen(number));
        let written = of.and_then(|of| self.written.get(&of));
        let is_there = |number: &u64| self.objects.contains_key(&log::path(*number));
        shows_end || written.is_some_and(|own| own > last_trimmed || (is_there(own) && !is_seen(own)))
    }

    /// A call takes effect: what its caller is told.
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
                let seen_until = now.saturating_sub(self.listing_lag.as_nanos() as u64);
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
