//! Which stored objects nobody needs any more. The plan is made before anything is deleted.
//!
//! # Steps
//! 1. List the objects, then read the log, and [`plan`].
//! 2. Delete the entries of [`Plan::trim_log`], one after the other in their order; stop at the first failure.
//! 3. Delete [`Plan::delete_objects`], in any order. What fails is found again by the next plan.
//!
//! # Guarantees
//! - Nothing is deleted that the newest commits, a savepoint, or the running snapshot needs (I10). The running one
//!   needs what it writes, which is of the coordinator's own generation and above the id of its base, and what its
//!   base needs. (The base may be older than the newest commits: these may have turned out to be damaged.)
//! - Every commit that is left in the log has all its objects, if they were there before.
//! - Nothing is deleted while something in the log cannot be read or explained; [`Plan::held_by`] says what.
//! - A number of the log whose entry was a claim is free again only after all claims below it are gone: the lower
//!   number is deleted first, and what stays in place are savepoints and the *newest* claim. So **a coordinator that
//!   has appended an entry and then still finds its own claim in the log, token and all, knows that the number was
//!   never used before** (I12): what a newer coordinator would have put there is a claim, which could only have been
//!   trimmed after its own. Without its claim it has been fenced: its entry is void and it had better delete it. (The
//!   token matters: another fenced coordinator may have written where the claim was.)
//! - A *claim* may land at a number that was used before, since what its writer has read may stay in place above nothing but
//!   the newest claim. So its writer looks for entries above it, and takes it back if there are any; and whoever reads a
//!   claim below commits of an older generation takes it for void, because the writer may be lost in between.
//!
//! # Assumptions
//! A coordinator collects only once it has restored, and so knows its base. Object paths are made by [`object_path`], with the snapshot for which they were written; what a path means that
//! is not made so is not known, and it is left alone.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use super::history::{History, ReadEntry};
use super::manifest::Manifest;
use crate::ids::{Generation, SnapshotId, WorkerId};
use crate::mutant::{self, Mutant};

/// The folder that holds blocks of state.
pub const OBJECTS_FOLDER: &str = "objects/";

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Holdings<'a> {
    /// The paths in [`OBJECTS_FOLDER`], listed before the log was read.
    pub objects: &'a [String],
    /// The whole log, ascending by number.
    pub entries: &'a [ReadEntry],
    /// How many commits to keep, savepoints among them.
    pub n_retained: NonZeroUsize,
    /// The generation of the coordinator that collects.
    pub generation: Generation,
    /// The snapshot that its next one is based on: the newest it has committed, or else the one it has restored.
    /// `None` if the job began afresh and nothing is committed yet.
    pub base: Option<SnapshotId>,
}

/// What to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Paths of objects that nothing needs.
    pub delete_objects: Vec<String>,
    /// Numbers of log entries that nothing needs, ascending: the order in which to delete them.
    pub trim_log: Vec<u64>,
    /// Why nothing is deleted, if something speaks against it.
    pub held_by: Option<Hold>,
}

/// What speaks against deleting anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Hold {
    /// An entry cannot be read; it may be a commit or a savepoint that needs any of the objects.
    #[error("nothing is collected while entry {number} of the job log cannot be read: {reason}")]
    Unreadable {
        /// The entry's number.
        number: u64,
        /// Why.
        reason: String,
    },
    /// An entry is gone that was never to be deleted.
    #[error("nothing is collected while entry {number} is missing from the job log")]
    Hole {
        /// The entry's number.
        number: u64,
    },
    /// The coordinator's own claim is not the newest: it has been fenced, or has not read the whole log.
    #[error("nothing is collected by {generation}: its claim is not the newest in the job log")]
    NotNewest {
        /// The coordinator's generation.
        generation: Generation,
    },
    /// The snapshot that the coordinator goes on from is not in the log: it has not read the whole log.
    #[error(
        "nothing is collected while the job log lacks the commit of {snapshot}, on which the next is based"
    )]
    BaseMissing {
        /// The snapshot.
        snapshot: SnapshotId,
    },
}

/// Decides what to delete.
#[must_use]
pub fn plan(holdings: &Holdings<'_>) -> Plan {
    let history = History::of(holdings.entries);
    if let Some(hold) = hold(holdings, &history) {
        return Plan { held_by: Some(hold), ..Plan::default() };
    }
    let by_count = history.standing.len().saturating_sub(holdings.n_retained.get());
    let base = history.standing.iter().rposition(|(_, manifest)| Some(manifest.snapshot) == holdings.base);
    // All from here on are kept, so that no gap is left below a commit which could be trimmed.
    let oldest = base.map_or(by_count, |base| base.min(by_count));
    let is_kept = |at: usize, manifest: &Manifest| at >= oldest || manifest.savepoint.is_some();
    let kept: Vec<(u64, &Manifest)> = (history.standing.iter().enumerate())
        .filter_map(|(at, &(number, manifest))| is_kept(at, manifest).then_some((number, manifest)))
        .collect();
    let end = history.standing.get(oldest).map_or(0, |(number, _)| *number);
    Plan {
        delete_objects: garbage(holdings, &kept),
        trim_log: trim(holdings.entries, &history, &kept, end),
        held_by: None,
    }
}

/// Where a worker puts an object of a snapshot; `sequence` counts its objects of that snapshot.
#[must_use]
pub fn object_path(generation: Generation, snapshot: SnapshotId, worker: WorkerId, sequence: u64) -> String {
    format!("{OBJECTS_FOLDER}{generation}-{snapshot}-{worker}-{sequence}")
}

/// What the path of an object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The generation that wrote it.
    pub generation: Generation,
    /// The snapshot for which it was written.
    pub snapshot: SnapshotId,
    /// The worker that wrote it.
    pub worker: WorkerId,
    /// Which of the worker's objects of that snapshot it is.
    pub sequence: u64,
}

/// What a path says; `None` unless [`object_path`] makes exactly this path.
#[must_use]
pub fn parse_object_path(path: &str) -> Option<ObjectName> {
    let mut parts = path.strip_prefix(OBJECTS_FOLDER)?.splitn(4, '-');
    let name = ObjectName {
        generation: Generation(parts.next()?.strip_prefix('g')?.parse().ok()?),
        snapshot: SnapshotId(parts.next()?.strip_prefix('s')?.parse().ok()?),
        worker: WorkerId(parts.next()?.strip_prefix('w')?.parse().ok()?),
        sequence: parts.next()?.parse().ok()?,
    };
    (object_path(name.generation, name.snapshot, name.worker, name.sequence) == path).then_some(name)
}

/// An unreadable entry holds everything however old it is: it may be a savepoint, perhaps one that a newer release
/// wrote and can still read.
fn hold(holdings: &Holdings<'_>, history: &History<'_>) -> Option<Hold> {
    let unreadable = holdings.entries.iter().find_map(|(number, entry)| {
        Some(Hold::Unreadable { number: *number, reason: entry.as_ref().err()?.clone() })
    });
    let generation = holdings.generation;
    let is_newest = history.claims.last().is_some_and(|(_, newest)| *newest == generation)
        && history.standing.last().is_none_or(|(_, manifest)| manifest.generation <= generation);
    let is_base_missing =
        |base: &SnapshotId| !history.standing.iter().any(|(_, manifest)| manifest.snapshot == *base);
    unreadable
        .or_else(|| history.hole.map(|number| Hold::Hole { number }))
        .or_else(|| (!is_newest).then_some(Hold::NotNewest { generation }))
        .or_else(|| holdings.base.filter(is_base_missing).map(|snapshot| Hold::BaseMissing { snapshot }))
}

/// Objects that no commit in `kept` needs and the running snapshot cannot need.
fn garbage(holdings: &Holdings<'_>, kept: &[(u64, &Manifest)]) -> Vec<String> {
    let n_skipped = if mutant::is(Mutant::NeededCollected) { kept.len().saturating_sub(1) } else { 0 };
    let kept = &kept[n_skipped..];
    let needed: BTreeSet<&str> =
        kept.iter().flat_map(|(_, manifest)| &manifest.objects).map(|object| object.path.as_str()).collect();
    let base = holdings.base.unwrap_or_default();
    let is_garbage = |path: &&String| {
        parse_object_path(path).is_some_and(|name| {
            let may_be_running = name.generation == holdings.generation && name.snapshot > base;
            name.generation <= holdings.generation && !may_be_running && !needed.contains(path.as_str())
        })
    };
    holdings.objects.iter().filter(is_garbage).cloned().collect()
}

/// What is below the oldest commit that is retained, but for savepoints and the newest claim.
fn trim(entries: &[ReadEntry], history: &History<'_>, kept: &[(u64, &Manifest)], end: u64) -> Vec<u64> {
    let claim = history.claims.last().map(|(number, _)| *number);
    let claim = claim.filter(|_| !mutant::is(Mutant::ClaimTrimmed));
    let kept: BTreeSet<u64> = kept.iter().map(|(number, _)| *number).chain(claim).collect();
    let stays = |number: u64| kept.contains(&number);
    entries.iter().map(|(number, _)| *number).filter(|number| *number < end && !stays(*number)).collect()
}

#[cfg(test)]
mod tests;
