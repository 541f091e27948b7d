//! What a coordinator is told before it starts.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::limits::{BINS_DEFAULT, BINS_MAX, BINS_MIN, COLLECT_BYTES, COLLECT_SNAPSHOTS};

use super::JobError;

/// The settings of a job.
#[derive(Clone, Debug)]
pub struct JobConfig {
    /// The job's name: a store holds one job.
    pub job: String,
    /// How many workers it starts with.
    pub n_workers: u32,
    /// How many bins it has, a power of two. Only a job that starts afresh is asked: a resumed one keeps its own.
    pub n_bins: u32,
    /// The time between two periodic snapshots; `None` for none.
    pub snapshot_interval: Option<Duration>,
    /// How many snapshots are kept besides savepoints.
    pub n_retained: NonZeroUsize,
    /// When what nothing needs any more is collected.
    pub collect_after: CollectAfter,
    /// Names whose state may be dropped when a snapshot holds them and the job does not.
    pub allow_drop: BTreeSet<String>,
    /// How long anything may take.
    pub deadlines: Deadlines,
    /// How often a lost worker is recovered from.
    pub restarts: Restarts,
}

/// How much snapshots store, besides what is to be kept, before what nothing needs any more is collected: whichever comes
/// first. The first snapshot of a generation collects what those before it have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectAfter {
    /// So many snapshots.
    pub snapshots: u32,
    /// So many bytes.
    pub bytes: u64,
}

impl Default for CollectAfter {
    fn default() -> Self {
        Self { snapshots: COLLECT_SNAPSHOTS, bytes: COLLECT_BYTES }
    }
}

/// How long an operation may take before it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Workers to be built and connected.
    pub build: Duration,
    /// Workers to load their state.
    pub restore: Duration,
    /// All workers to have stored a snapshot.
    pub snapshot: Duration,
    /// One step of a rescale.
    pub step: Duration,
    /// Sinks to make a committed snapshot visible.
    pub settle: Duration,
    /// What is in flight to be worked on once all sources have ended.
    pub finish: Duration,
    /// One answer of the store.
    pub store: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            build: Duration::from_secs(60),
            restore: Duration::from_secs(600),
            snapshot: Duration::from_secs(300),
            step: Duration::from_secs(60),
            settle: Duration::from_secs(60),
            finish: Duration::from_secs(600),
            store: Duration::from_secs(60),
        }
    }
}

/// How a job recovers from the loss of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// Recoveries in a row before the job fails.
    pub n_max: u32,
    /// The wait before the first; each further one waits twice as long.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// A job that has run for so long has recovered: the next loss counts as the first.
    pub stable_after: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            n_max: 5,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(10),
            stable_after: Duration::from_secs(60),
        }
    }
}

impl JobConfig {
    /// The default settings for a job of this name.
    #[must_use]
    pub fn new(job: &str, n_workers: u32) -> Self {
        Self {
            job: job.to_owned(),
            n_workers,
            n_bins: BINS_DEFAULT,
            snapshot_interval: None,
            n_retained: NonZeroUsize::MIN.saturating_add(2),
            collect_after: CollectAfter::default(),
            allow_drop: BTreeSet::new(),
            deadlines: Deadlines::default(),
            restarts: Restarts::default(),
        }
    }

    /// Checks what a user can get wrong.
    ///
    /// # Errors
    /// What is wrong, and what would do.
    pub fn check(&self) -> Result<(), JobError> {
        let refuse = |reason: String| Err(JobError::Config { reason });
        if self.job.is_empty() {
            return refuse("the job has no name; its name tells its snapshots from another's".to_owned());
        }
        if !self.n_bins.is_power_of_two() || !(BINS_MIN..=BINS_MAX).contains(&self.n_bins) {
            return refuse(format!("{} bins: choose a power of two up to {BINS_MAX}", self.n_bins));
        }
        check_scale(self.n_workers, self.n_bins).or_else(refuse)
    }
}

/// Whether a job of `n_bins` bins can have `n_workers` workers.
pub(super) fn check_scale(n_workers: u32, n_bins: u32) -> Result<(), String> {
    if n_workers == 0 {
        return Err("0 workers: a job needs at least 1".to_owned());
    }
    if n_workers > n_bins {
        return Err(format!(
            "{n_workers} workers: the job has {n_bins} bins, so at most {n_bins} can have work"
        ));
    }
    Ok(())
}
