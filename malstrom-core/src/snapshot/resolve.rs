//! What a job's log says: what to restore, and with which numbers to go on.

use std::collections::BTreeSet;

use super::history::{History, ReadEntry};
use super::manifest::{After, Manifest};
use crate::ids::{Generation, SnapshotId};

/// Snapshot ids that are left out for each entry that cannot be read. It may be a commit, and any number of snapshots
/// may have been given up between it and the one before; so many in a row are taken to be impossible.
const UNREADABLE_GAP_SNAPSHOTS: u64 = 1024;
/// Generations that are left out for each entry that cannot be read: it may be a claim, which takes one.
const UNREADABLE_GAP_GENERATIONS: u64 = 1;

/// How a coordinator begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The number at which it appends its claim: one past the highest that was found, readable or not.
    pub next_number: u64,
    /// The generation it claims: above all that were ever claimed.
    pub next_generation: Generation,
    /// The id of its first snapshot: above all that were ever committed.
    pub next_snapshot: SnapshotId,
    /// The commits that count, newest first: the first whose bytes are sound is restored.
    pub candidates: Vec<Candidate>,
    /// Entries that cannot be read, by number, and why.
    pub unreadable: Vec<(u64, String)>,
    /// Numbers of commits that do not count, because a coordinator that was fenced wrote them.
    pub void: Vec<u64>,
    /// Numbers of entries that are savepoints, or may be one for all that can be read: the coordinator's commits name them.
    pub savepoints: BTreeSet<u64>,
    /// How the job was left by its newest commit that counts.
    pub state: JobState,
}

/// A commit that can be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The number of its entry.
    pub number: u64,
    /// The snapshot.
    pub manifest: Manifest,
}

/// How a job was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Nothing was ever committed.
    Fresh,
    /// It was at work.
    Running,
    /// It was suspended and waits to be resumed.
    Suspended,
    /// Its sources had ended: it is complete.
    Finished,
}

/// Why a log is not acted upon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The store holds another job.
    #[error("the store belongs to the job `{found}`, not to `{job}`: give each job a store of its own")]
    OtherJob {
        /// The job that was to be started.
        job: String,
        /// The job whose log it is.
        found: String,
    },
    /// No commit can be read, but something that may be one cannot.
    #[error(
        "no commit of the job that surely counts can be read, and going on without could lose what is committed: entry \
         {number} of its log cannot be read ({reason}). Restore the entry, use a release that can read it, or remove the log"
    )]
    NothingReadable {
        /// The newest entry that cannot be read.
        number: u64,
        /// Why.
        reason: String,
    },
    /// An entry is gone that was never to be deleted.
    #[error(
        "entry {number} is missing from the job's log though nothing deletes it: what is committed cannot be known. \
         Restore the entry, or remove the log to start afresh"
    )]
    Hole {
        /// The entry's number.
        number: u64,
    },
    /// There is no next number of this kind.
    #[error("the log has used up all {what}")]
    UsedUp {
        /// Which numbers.
        what: &'static str,
    },
}

/// Decides what the log of `job` says.
///
/// # Guarantees
/// - Numbers, generations and snapshot ids go on above all that were used (I9), also by entries that cannot be read.
/// - What a fenced coordinator wrote is no candidate (I12).
/// - A job of which something may be committed is never said to be fresh (I16).
///
/// # Errors
/// If the log is another job's, or if what it says cannot be trusted.
pub fn resolve(job: &str, mut entries: Vec<ReadEntry>) -> Result<Resolution, Refusal> {
    entries.sort_by_key(|(number, _)| *number);
    let other = entries.iter().filter_map(|(_, entry)| entry.as_ref().ok()).find(|entry| entry.job() != job);
    if let Some(other) = other {
        return Err(Refusal::OtherJob { job: job.to_owned(), found: other.job().to_owned() });
    }
    let history = History::of(&entries);
    let unreadable = unreadable(&entries);
    // Whether a savepoint that ends at a gap counts would be said by the commits above it.
    let is_doubtful = history.hole.is_some() && history.standing.iter().all(|(_, of)| of.savepoint.is_some());
    if (history.standing.is_empty() || is_doubtful)
        && let Some((number, reason)) = unreadable.last().cloned()
    {
        return Err(Refusal::NothingReadable { number, reason });
    }
    if let Some(number) = history.hole {
        return Err(Refusal::Hole { number });
    }
    let next = |number: Option<u64>, what| number.ok_or(Refusal::UsedUp { what });
    let (generation, snapshot) = counters(&entries);
    let savepoints = history.standing.iter().filter(|(_, manifest)| manifest.savepoint.is_some());
    let savepoints = savepoints.map(|(number, _)| *number);
    Ok(Resolution {
        next_number: next(entries.last().map_or(Some(0), |(last, _)| last.checked_add(1)), "numbers")?,
        next_generation: Generation(next(generation.next(), "generations")?),
        next_snapshot: SnapshotId(next(snapshot.next(), "snapshot ids")?),
        state: state_after(history.standing.last().map(|(_, manifest)| manifest.after)),
        candidates: (history.standing.iter().rev())
            .map(|&(number, manifest)| Candidate { number, manifest: manifest.clone() })
            .collect(),
        savepoints: savepoints.chain(unreadable.iter().map(|(number, _)| *number)).collect(),
        void: history.void,
        unreadable,
    })
}

fn unreadable(entries: &[ReadEntry]) -> Vec<(u64, String)> {
    let why = |(number, entry): &ReadEntry| Some((*number, entry.as_ref().err()?.clone()));
    entries.iter().filter_map(why).collect()
}

fn state_after(after: Option<After>) -> JobState {
    match after {
        None => JobState::Fresh,
        Some(After::Run) => JobState::Running,
        Some(After::Suspend) => JobState::Suspended,
        Some(After::Finish) => JobState::Finished,
    }
}

/// A number that only grows along the log.
struct Counter {
    max: u64,
    /// What entries after the one with `max` may have used besides.
    hidden: u64,
    gap: u64,
}

impl Counter {
    fn new(gap: u64) -> Self {
        Self { max: 0, hidden: 0, gap }
    }

    /// Whoever wrote a greater number knew of all entries before it, those unreadable now included.
    fn see(&mut self, value: u64) {
        if value > self.max {
            (self.max, self.hidden) = (value, 0);
        }
    }

    fn see_unreadable(&mut self) {
        self.hidden = self.hidden.saturating_add(self.gap);
    }

    fn next(&self) -> Option<u64> {
        self.max.checked_add(self.hidden)?.checked_add(1)
    }
}

fn counters(entries: &[ReadEntry]) -> (Counter, Counter) {
    let mut generation = Counter::new(UNREADABLE_GAP_GENERATIONS);
    let mut snapshot = Counter::new(UNREADABLE_GAP_SNAPSHOTS);
    for (_, entry) in entries {
        match entry {
            Ok(entry) => {
                generation.see(entry.generation().0);
                snapshot.see(entry.manifest().map_or(0, |manifest| manifest.snapshot.0));
            }
            Err(_) => {
                generation.see_unreadable();
                snapshot.see_unreadable();
            }
        }
    }
    (generation, snapshot)
}

#[cfg(test)]
mod tests;
