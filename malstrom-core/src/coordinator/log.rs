//! Reading and appending to the job log: commit and fencing in one mechanism.
//!
//! # Steps
//! 1. Entries are created, never written over, each at the next free number.
//! 2. A put whose reply was lost is settled by reading the entry back and comparing its token.
//! 3. A number that somebody else has taken means a newer coordinator: this one stops.
//!
//! # Guarantees
//! I12: once a newer claim is in the log, nothing of an older coordinator is appended behind it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::recover::Failure;
use super::{Coordinator, JobError};
use crate::ids::Generation;
use crate::limits::{LOG_APPEND_ATTEMPTS_MAX, LOG_ENTRIES_MAX, LOG_READ_ATTEMPTS_MAX};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::ports::StoreError;
use crate::snapshot::{LogEntry, Manifest, ReadEntry, log};

/// Where the coordinator stands in the log.
#[derive(Clone, Debug, Default)]
pub(super) struct LogPosition {
    /// The number of the next entry.
    pub(super) next: u64,
    /// The number and the token of our own claim.
    claim: (u64, u128),
    /// The tokens of all claims that we have tried to append.
    pub(super) tokens: Vec<u128>,
    /// The entries that our next commit names ([`LogEntry::Committed`]).
    pub(super) savepoints: BTreeSet<u64>,
    /// Entries by number as they were read or appended last, with their bytes. The log is read behind every snapshot, and
    /// to decode a manifest of thousands of bins costs a hundred times what it costs to see that it is the same.
    known: RefCell<BTreeMap<u64, Known>>,
}

/// The bytes of an entry and what they say.
type Known = (Vec<u8>, Rc<LogEntry>);

/// How an append ended.
enum Appended {
    Mine,
    /// Somebody else has the number.
    Taken(Option<Generation>),
}

/// What follows an entry.
enum Behind {
    Nothing,
    /// A claim, as it does when a successor has read the entry.
    Successor(Generation),
    /// Anything else: the entry was written where the log had been trimmed.
    Others,
}

impl Coordinator {
    /// Reads the whole log, as it was at one moment: when a listed entry is gone by the time it is read, somebody trims
    /// the log, and what was read of it does not fit together.
    pub(super) async fn read_log(&self) -> Result<Vec<ReadEntry>, StoreError> {
        for attempt in 0..LOG_READ_ATTEMPTS_MAX {
            if let Some(entries) = self.read_listed().await? {
                let is_there = |number: &u64| entries.binary_search_by_key(number, |(at, _)| *at).is_ok();
                self.log.known.borrow_mut().retain(|number, _| is_there(number));
                return Ok(entries);
            }
            self.host.sleep(self.backoff(attempt)).await;
        }
        let reason = "its entries are deleted faster than they can be read".to_owned();
        Err(StoreError::Failed { action: "get", path: log::FOLDER.to_owned(), reason })
    }

    async fn read_listed(&self) -> Result<Option<Vec<ReadEntry>>, StoreError> {
        let listed = self.retry("list", || self.store.list(log::FOLDER)).await?;
        let mut numbers: Vec<u64> = listed.iter().filter_map(|object| log::number_of(&object.path)).collect();
        numbers.sort_unstable();
        let mut entries = Vec::with_capacity(numbers.len());
        for number in numbers.into_iter().take(LOG_ENTRIES_MAX) {
            let Some(entry) = self.read_entry(number).await? else {
                mark::hit(Mark::LogTrimmedWhileRead);
                if mutant::is(Mutant::TrimmedReadBelieved) {
                    continue;
                }
                return Ok(None);
            };
            entries.push((number, entry));
        }
        // A listing may lag behind: what it does not show yet is read by its number.
        let mut next = entries.last().map_or(0, |(last, _): &ReadEntry| last + 1);
        while let Some(entry) = self.read_entry(next).await? {
            mark::hit(Mark::ListingRepaired);
            entries.push((next, entry));
            next += 1;
        }
        Ok(Some(entries))
    }

    pub(super) async fn read_entry(
        &self,
        number: u64,
    ) -> Result<Option<Result<Rc<LogEntry>, String>>, StoreError> {
        let path = log::path(number);
        match self.retry("get", || self.store.get(&path)).await {
            Ok(bytes) => Ok(Some(self.decode(number, bytes))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn decode(&self, number: u64, bytes: Vec<u8>) -> Result<Rc<LogEntry>, String> {
        let mut known = self.log.known.borrow_mut();
        if let Some((_, entry)) = known.get(&number).filter(|(before, _)| *before == bytes) {
            return Ok(entry.clone());
        }
        let entry = Rc::new(log::decode(&bytes).map_err(|error| error.to_string())?);
        known.insert(number, (bytes, entry.clone()));
        Ok(entry)
    }

    /// Appends a claim of the next generation; whether it is ours. If not, the log has changed: read it again.
    pub(super) async fn append_claim(&mut self, generation: Generation) -> Result<bool, Failure> {
        let token = self.host.token();
        if !mutant::is(Mutant::FencedByItself) {
            self.log.tokens.push(token);
        }
        let entry = LogEntry::Claimed { job: self.config.job.clone(), generation, token };
        let number = self.log.next;
        if let Appended::Taken(_) = self.append(entry).await? {
            mark::hit(Mark::ClaimLost);
            return Ok(false);
        }
        if mutant::is(Mutant::ClaimUnchecked) {
            self.log.claim = (number, token);
            return Ok(true);
        }
        // The number may have been free because the log has grown past it and been trimmed since it was read. A claim
        // below other entries claims nothing, and would make readers take them for fenced.
        match self.behind(number).await.map_err(|error| Failure::again(error.to_string()))? {
            Behind::Nothing => {}
            Behind::Successor(by) if by > generation && !mutant::is(Mutant::ClaimAlwaysWithdrawn) => {
                return Err(self.fenced(Some(by)));
            }
            Behind::Successor(_) | Behind::Others => {
                mark::hit(Mark::ClaimWithdrawn);
                let path = log::path(number);
                let _ = self.retry("delete", || self.store.delete(&path)).await;
                return Ok(false);
            }
        }
        self.log.claim = (number, token);
        Ok(true)
    }

    /// What is in the log behind an entry of our own. The next entry is read last: it may come at any moment, and then
    /// it must not be taken for a gap.
    async fn behind(&self, number: u64) -> Result<Behind, StoreError> {
        let listed = self.list_with(number).await?;
        let is_behind = listed.into_iter().any(|listed| listed > number);
        match self.read_entry(number + 1).await?.as_ref().map(|entry| entry.as_deref()) {
            Some(Ok(LogEntry::Claimed { generation, .. })) => Ok(Behind::Successor(*generation)),
            None if !is_behind => Ok(Behind::Nothing),
            _ => Ok(Behind::Others),
        }
    }

    /// The numbers of a listing that is not older than our own entry.
    async fn list_with(&self, own: u64) -> Result<Vec<u64>, StoreError> {
        for attempt in 0..LOG_READ_ATTEMPTS_MAX {
            let listed = self.retry("list", || self.store.list(log::FOLDER)).await?;
            let numbers: Vec<u64> = listed.iter().filter_map(|object| log::number_of(&object.path)).collect();
            if numbers.contains(&own) || mutant::is(Mutant::OldListingBelieved) {
                return Ok(numbers);
            }
            mark::hit(Mark::ListingTooOld);
            self.host.sleep(self.backoff(attempt)).await;
        }
        let reason = format!("entry {own} was written and is not listed");
        Err(StoreError::Failed { action: "list", path: log::FOLDER.to_owned(), reason })
    }

    /// Appends a commit. When this returns, the snapshot is committed.
    pub(super) async fn append_commit(&mut self, manifest: Arc<Manifest>) -> Result<(), Failure> {
        let is_savepoint = manifest.savepoint.is_some();
        let savepoints = Some(self.log.savepoints.iter().copied().collect());
        let entry = LogEntry::Committed { token: self.host.token(), savepoints, manifest };
        while mutant::is(Mutant::FenceIgnored) && matches!(self.read_entry(self.log.next).await, Ok(Some(_)))
        {
            self.log.next += 1;
        }
        if let Appended::Taken(by) = self.append(entry).await? {
            mark::hit(Mark::CommitFenced);
            return Err(self.fenced(by));
        }
        if mutant::is(Mutant::CommitUnchecked) {
            return Ok(());
        }
        // The number may have been free because a successor has trimmed the log past it. Trimming goes upwards and never
        // takes the newest claim, so then our own claim is gone, or the number holds somebody else's entry.
        let (claimed_at, token) = self.log.claim;
        match self.read_entry(claimed_at).await {
            Ok(Some(Ok(claim))) if claim.token() == token => {
                self.log.savepoints.extend(is_savepoint.then_some(self.log.next - 1));
                Ok(())
            }
            // The entry is left where it is. If it was written late, whoever reads the log knows it for void; if not, it
            // was there before the successor's claim, and the successor may have restored it.
            Ok(_) => {
                mark::hit(Mark::CommitVoid);
                Err(self.fenced(None))
            }
            Err(error) => Err(Failure::again(error.to_string())),
        }
    }

    pub(super) fn fenced(&self, by: Option<Generation>) -> Failure {
        let by = by.unwrap_or(self.generation.next());
        Failure::Fatal(JobError::Fenced { job: self.config.job.clone(), by })
    }

    /// Creates an entry at the next number. An unknown end is an error: the log must be read again before anything
    /// else is done.
    async fn append(&mut self, entry: LogEntry) -> Result<Appended, Failure> {
        let bytes = log::encode(&entry)
            .map_err(|error| Failure::Fatal(JobError::Config { reason: error.to_string() }))?;
        let path = log::path(self.log.next);
        let mut reason = String::new();
        for attempt in 0..LOG_APPEND_ATTEMPTS_MAX {
            match self.bounded("put", self.store.put_new(&path, bytes.clone())).await {
                Ok(()) => {
                    self.log.known.get_mut().insert(self.log.next, (bytes, Rc::new(entry)));
                    self.log.next += 1;
                    return Ok(Appended::Mine);
                }
                Err(StoreError::Exists { .. }) => match self.read_entry(self.log.next).await {
                    Ok(Some(Ok(found))) if found.token() == entry.token() => {
                        mark::hit(Mark::AppendSettled);
                        self.log.next += 1;
                        return Ok(Appended::Mine);
                    }
                    Ok(Some(found)) => {
                        return Ok(Appended::Taken(found.ok().map(|found| found.generation())));
                    }
                    Ok(None) => reason = "an entry exists and cannot be found".to_owned(),
                    Err(error) => reason = error.to_string(),
                },
                Err(_) if mutant::is(Mutant::AppendAssumed) => {
                    self.log.next += 1;
                    return Ok(Appended::Mine);
                }
                Err(error) => reason = error.to_string(),
            }
            self.host.sleep(self.backoff(attempt)).await;
        }
        mark::hit(Mark::AppendUnknown);
        Err(Failure::again(format!("whether the job log has a new entry is not known: {reason}")))
    }
}
