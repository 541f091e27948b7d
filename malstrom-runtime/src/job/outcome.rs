//! What is left of a job that has ended.

use std::sync::Arc;
use std::time::Duration;

use malstrom_core::coordinator::{
    Completion, JobEvent, Outcome, RecoveryReport, RescaleReport, SnapshotReport,
};
use malstrom_core::exchange::Data;
use malstrom_core::ids::SnapshotId;
use malstrom_core::ports::{SnapshotStore, StoreError};
use malstrom_core::snapshot::{Manifest, block};
use malstrom_core::state::{AnyState, KeyedState, StateKey};

/// Reports of each kind that are kept at most; later ones are counted only in what the job did.
const REPORTS_MAX: usize = 1 << 16;

/// How a job ended, and what it did on the way.
#[derive(Debug)]
pub struct JobOutcome {
    /// How it ended.
    pub completion: Completion,
    /// Its workers at the end.
    pub n_workers: u32,
    /// Whether it had ended already before it was started this time.
    pub was_finished: bool,
    /// The snapshot it was resumed from when it started.
    pub resumed_from: Option<SnapshotId>,
    /// Snapshots that were committed.
    pub snapshots: Vec<SnapshotReport>,
    /// Rescales that were done.
    pub rescales: Vec<RescaleReport>,
    /// Recoveries from the loss of a worker.
    pub recoveries: Vec<RecoveryReport>,
    /// The longest time without output while nothing else went on.
    pub gap_max_steady: Duration,
    manifest: Option<Manifest>,
    store: Arc<dyn SnapshotStore>,
}

/// What happened in a job so far.
#[derive(Debug, Default)]
pub(super) struct History {
    resumed_from: Option<SnapshotId>,
    has_run: bool,
    snapshots: Vec<SnapshotReport>,
    rescales: Vec<RescaleReport>,
    recoveries: Vec<RecoveryReport>,
    gap_max_steady: Duration,
}

impl History {
    pub(super) fn note(&mut self, event: &JobEvent) {
        match event {
            JobEvent::Running { restored, .. } if !self.has_run => {
                self.has_run = true;
                self.resumed_from = *restored;
            }
            JobEvent::Snapshot(report) => push(&mut self.snapshots, report),
            JobEvent::Rescaled(report) => push(&mut self.rescales, report),
            JobEvent::Recovered(report) => push(&mut self.recoveries, report),
            JobEvent::Steady { gap_max } => self.gap_max_steady = self.gap_max_steady.max(*gap_max),
            _ => {}
        }
    }
}

fn push<T: Clone>(reports: &mut Vec<T>, report: &T) {
    if reports.len() < REPORTS_MAX {
        reports.push(report.clone());
    }
}

/// Why the state of a snapshot could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateReadError {
    /// Nothing was ever committed.
    #[error("the job has no snapshot to read state from")]
    NoSnapshot,
    /// There is no such operator.
    #[error("the snapshot holds no keyed state named `{name}`; it holds {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bytes are damaged, or of other types.
    #[error("the state of `{name}` cannot be read: {reason}")]
    Unreadable {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
}

impl JobOutcome {
    pub(super) fn new(outcome: Outcome, history: History, store: Arc<dyn SnapshotStore>) -> Self {
        let resumed_from = match (&outcome.manifest, outcome.was_finished) {
            (Some(manifest), true) => Some(manifest.snapshot),
            _ => history.resumed_from,
        };
        Self {
            completion: outcome.completion,
            n_workers: outcome.n_workers,
            was_finished: outcome.was_finished,
            resumed_from,
            snapshots: history.snapshots,
            rescales: history.rescales,
            recoveries: history.recoveries,
            gap_max_steady: history.gap_max_steady,
            manifest: outcome.manifest.map(Arc::unwrap_or_clone),
            store,
        }
    }

    /// The keys and states that an operator held at the last snapshot, in no particular order. For a job that has
    /// finished this is its final state.
    ///
    /// # Errors
    /// If there is no snapshot, it has no such operator, or its state cannot be read as these types.
    pub fn keyed_state<K: StateKey, S: Data + Clone>(
        &self,
        name: &str,
    ) -> Result<Vec<(K, S)>, StateReadError> {
        let manifest = self.manifest.as_ref().ok_or(StateReadError::NoSnapshot)?;
        let bins = manifest.state.get(name).ok_or_else(|| StateReadError::Unknown {
            name: name.to_owned(),
            known: match manifest.state.is_empty() {
                true => "none".to_owned(),
                false => manifest.state.keys().cloned().collect::<Vec<_>>().join(", "),
            },
        })?;
        let unreadable = |reason: String| StateReadError::Unreadable { name: name.to_owned(), reason };
        let executor = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let executor = executor.map_err(|error| unreadable(error.to_string()))?;
        let mut state = KeyedState::<K, S>::new(name, manifest.n_bins);
        let mut object: Option<(u32, Vec<u8>)> = None;
        for (bin, at) in bins {
            if object.as_ref().is_none_or(|(held, _)| *held != at.object) {
                let path = &manifest.objects[at.object as usize].path;
                object = Some((at.object, executor.block_on(self.store.get(path))?));
            }
            let bytes = object.as_ref().map_or(&[][..], |(_, bytes)| bytes);
            let from = usize::try_from(at.offset).unwrap_or(usize::MAX);
            let sealed = bytes.get(from..).and_then(|rest| rest.get(..at.bytes as usize));
            let sealed = sealed.ok_or_else(|| unreadable("an object is too short".to_owned()))?;
            let raw =
                block::open_expecting(sealed, at.checksum).map_err(|error| unreadable(error.to_string()))?;
            state.put(*bin, SnapshotId(0), &raw).map_err(|error| unreadable(error.to_string()))?;
        }
        Ok(state.iter().map(|(key, state)| (key.clone(), state.clone())).collect())
    }
}
