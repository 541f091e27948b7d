//! What the coordinator says to the outside: reports, events, outcomes, errors.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::{Generation, SnapshotId, WorkerId};
use crate::ports::StoreError;
use crate::snapshot::{Manifest, Misfit, Refusal};
use crate::stream::BuildError;

/// A snapshot that is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Its id.
    pub id: SnapshotId,
    /// The name, if it is a savepoint.
    pub savepoint: Option<String>,
    /// From the order to the commit.
    pub duration: Duration,
    /// Bytes of state written for it; what is carried over from an earlier one does not count.
    pub bytes: u64,
    /// The longest time without output while it was taken; zero if the stream ended with it.
    pub gap_max: Duration,
}

/// A rescale that is done and durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RescaleReport {
    /// Workers before.
    pub from: u32,
    /// Workers after.
    pub to: u32,
    /// From the request to the moment it is durable.
    pub duration: Duration,
    /// The longest time without output meanwhile.
    pub gap_max: Duration,
    /// Bins that changed hands.
    pub bins_moved: u64,
    /// Bytes of state that changed hands: encoded, or the memory of what was handed over within a process.
    pub bytes_moved: u64,
    /// Steps it took.
    pub n_steps: u32,
}

/// A recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The generation that began.
    pub generation: Generation,
    /// Why the one before ended.
    pub reason: String,
    /// The snapshot that was restored, if there was one.
    pub restored: Option<SnapshotId>,
}

/// What happens in a job, as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobEvent {
    /// The workers process, from this snapshot on.
    Running {
        /// The generation.
        generation: Generation,
        /// How many workers.
        n_workers: u32,
        /// The snapshot that was restored.
        restored: Option<SnapshotId>,
        /// The longest time without output while it was not running.
        gap_max: Duration,
    },
    /// A snapshot is committed.
    Snapshot(SnapshotReport),
    /// A snapshot was given up; the job goes on.
    SnapshotFailed {
        /// Its id.
        id: SnapshotId,
        /// Why.
        reason: String,
    },
    /// A rescale began.
    Rescaling {
        /// Workers now.
        from: u32,
        /// Workers to be.
        to: u32,
    },
    /// A rescale is done.
    Rescaled(RescaleReport),
    /// A generation ended before its time; the job recovers.
    Recovering {
        /// Why.
        reason: String,
        /// Time until the next attempt.
        backoff: Duration,
    },
    /// The job has recovered.
    Recovered(RecoveryReport),
    /// A commit could not be restored; an earlier one is tried.
    Damaged {
        /// What is wrong, and where.
        reason: String,
    },
    /// Nothing special went on for a while; the longest time without output in it.
    Steady {
        /// That time.
        gap_max: Duration,
    },
}

/// What a job is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobPhase {
    /// Workers are built and restored.
    #[default]
    Building,
    /// Records flow.
    Running,
    /// A lost worker is recovered from.
    Recovering,
    /// All sources have ended; what is in flight is worked on.
    Finishing,
    /// The job is no longer run by this coordinator.
    Stopped,
}

/// How a job stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub phase: JobPhase,
    /// The operation under way.
    pub operation: Option<&'static str>,
    /// Its generation.
    pub generation: Generation,
    /// How many workers it has.
    pub n_workers: u32,
    /// How many bins each worker owns.
    pub bins_per_worker: Vec<u32>,
    /// The newest snapshot that is committed.
    pub newest_snapshot: Option<SnapshotId>,
    /// Recoveries in a row.
    pub n_restarts: u32,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// All sources ended and everything is committed.
    Finished,
    /// It is suspended and can be resumed.
    Suspended,
    /// It was cancelled; what its last snapshot holds can be resumed.
    Cancelled,
}

/// What is left of a job that has ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub completion: Completion,
    /// Its workers at the end.
    pub n_workers: u32,
    /// Whether it had ended already before it was started this time.
    pub was_finished: bool,
    /// The newest commit.
    pub manifest: Option<Arc<Manifest>>,
}

/// Why a job could not be started, or could not go on.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A setting is impossible.
    #[error("{reason}")]
    Config {
        /// What is wrong, and what would do.
        reason: String,
    },
    /// The dataflow cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The log says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The dataflow does not fit the snapshot.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// A source no longer has a partition that the snapshot has read from.
    #[error(
        "the source `{source_name}` no longer has the partition `{partition}`, which the snapshot {snapshot} has read \
         from: bring it back, or allow the state of `{source_name}` to be dropped"
    )]
    PartitionGone {
        /// The source.
        source_name: String,
        /// The partition.
        partition: String,
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// The bytes of a snapshot are sound but the program cannot read them.
    #[error(
        "the state of `{name}` in snapshot {snapshot} cannot be read by this program ({reason}): use the types it was \
         written with, or allow `{name}` to be dropped"
    )]
    Incompatible {
        /// The operator or source.
        name: String,
        /// The snapshot.
        snapshot: SnapshotId,
        /// What is wrong.
        reason: String,
    },
    /// No commit can be restored.
    #[error("no snapshot of the job can be restored; the last that was tried: {reason}")]
    NothingRestorable {
        /// What is wrong with the last one.
        reason: String,
    },
    /// Two workers built different dataflows.
    #[error(
        "{worker} built another dataflow than w0: the job's closure must build the same one each time it is called"
    )]
    UnequalGraphs {
        /// The worker.
        worker: WorkerId,
    },
    /// A newer coordinator has the job.
    #[error("a newer coordinator ({by}) has taken over the job `{job}`; this one has stopped")]
    Fenced {
        /// The job.
        job: String,
        /// The newer generation.
        by: Generation,
    },
    /// The store failed for good.
    #[error("the snapshot store does not work: {0}")]
    Store(#[from] StoreError),
    /// Workers were lost too often.
    #[error("the job was given up after {n_restarts} recoveries: {reason}")]
    GivenUp {
        /// Recoveries in a row.
        n_restarts: u32,
        /// What happened last: the user's own error and where it came from.
        reason: String,
    },
    /// The runtime could not start.
    #[error("{reason}")]
    Runtime {
        /// Why.
        reason: String,
    },
}

/// Why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is nobody to carry it out.
    #[error("the job is not running: it has ended, or is suspended")]
    NotRunning,
    /// Too much waits already.
    #[error("`{operation}` is under way and {n_waiting} requests wait already: try again when it is done")]
    Busy {
        /// The operation in the way.
        operation: &'static str,
        /// Requests that wait for it.
        n_waiting: usize,
    },
    /// The scale is impossible.
    #[error("cannot rescale to {reason}")]
    Scale {
        /// What is wrong with it.
        reason: String,
    },
    /// The name is no name for a savepoint.
    #[error("a savepoint needs a name")]
    EmptyName,
    /// It was tried and failed; the job goes on.
    #[error("{operation} failed: {reason}")]
    Failed {
        /// The operation.
        operation: &'static str,
        /// Why.
        reason: String,
    },
}
