//! Figures of a running job that cost its hot path next to nothing: they are written once a step.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use malstrom_core::ids::WorkerId;
use malstrom_core::ports::Nanos;

use super::clock;

/// Figures of a job, as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Records written to sinks since the job was started, by all workers of all generations.
    pub n_written: u64,
    /// By worker; workers that have gone are left out.
    pub workers: BTreeMap<WorkerId, WorkerFigures>,
}

/// Figures of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerFigures {
    /// Records written to sinks.
    pub n_written: u64,
    /// Keys held, by the name of the operator that holds them; a fraction of a second old.
    pub n_keys: BTreeMap<String, u64>,
    /// Records that came too late for their windows, by the name of the operator; a fraction of a second old.
    pub n_late: BTreeMap<String, u64>,
}

/// Where figures are kept.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    n_written: AtomicU64,
    /// When anything was last written, and when the current window began: nanoseconds of the shared clock.
    last_output: AtomicU64,
    window_began: AtomicU64,
    gap_max: AtomicU64,
    workers: Mutex<BTreeMap<WorkerId, WorkerFigures>>,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let metrics = Self::default();
        metrics.last_output.store(clock::now().0, Ordering::Relaxed);
        metrics.window_began.store(clock::now().0, Ordering::Relaxed);
        Arc::new(metrics)
    }

    /// Some worker has just written records.
    pub(crate) fn written(&self, n_records: u64, now: Nanos) {
        self.n_written.fetch_add(n_records, Ordering::Relaxed);
        let before = self.last_output.swap(now.0, Ordering::Relaxed);
        let since = before.max(self.window_began.load(Ordering::Relaxed));
        let gap = now.0.saturating_sub(since);
        if gap > self.gap_max.load(Ordering::Relaxed) {
            self.gap_max.fetch_max(gap, Ordering::Relaxed);
        }
    }

    /// The longest time without output in the window that ends now; the next begins.
    pub(crate) fn take_gap(&self) -> Duration {
        let now = clock::now().0;
        let since =
            self.last_output.load(Ordering::Relaxed).max(self.window_began.swap(now, Ordering::Relaxed));
        let open = now.saturating_sub(since);
        Duration::from_nanos(self.gap_max.swap(0, Ordering::Relaxed).max(open))
    }

    pub(crate) fn set_worker(&self, worker: WorkerId, figures: WorkerFigures) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, figures);
    }

    pub(crate) fn remove_worker(&self, worker: WorkerId) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).remove(&worker);
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures {
            n_written: self.n_written.load(Ordering::Relaxed),
            workers: self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
