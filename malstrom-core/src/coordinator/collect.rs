//! Deleting what no retained snapshot needs. The plan is made before anything is deleted; what fails to be deleted is
//! found again by the next plan.
//!
//! It is not done behind every snapshot: where these are small, to list the store, to read the log and to delete costs more
//! than the snapshots themselves ([`CollectAfter`]).

use super::{CollectAfter, Coordinator};
use crate::mark::{self, Mark};
use crate::snapshot::collect::{Holdings, OBJECTS_FOLDER, plan};
use crate::snapshot::log;

/// What has been stored since garbage was collected last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uncollected {
    /// Others may have left something, or a snapshot that was given up has.
    Unknown,
    /// What snapshots have stored that are committed.
    Committed { snapshots: u32, bytes: u64 },
}

impl Uncollected {
    /// A snapshot that has stored so many bytes is committed.
    pub(super) fn committed(&mut self, stored: u64) {
        if let Self::Committed { snapshots, bytes } = self {
            *snapshots += 1;
            *bytes = bytes.saturating_add(stored);
        }
    }

    fn is_due(self, after: CollectAfter) -> bool {
        match self {
            Self::Unknown => true,
            Self::Committed { snapshots, bytes } => snapshots >= after.snapshots || bytes >= after.bytes,
        }
    }
}

impl Coordinator {
    pub(super) async fn collect_if_due(&mut self) {
        if self.uncollected.is_due(self.config.collect_after) {
            // Whatever fails is tried again with the next: nothing waits for it.
            self.uncollected = Uncollected::Committed { snapshots: 0, bytes: 0 };
            self.collect().await;
        } else {
            mark::hit(Mark::CollectedLater);
        }
    }

    async fn collect(&mut self) {
        let Ok(listed) = self.retry("list", || self.store.list(OBJECTS_FOLDER)).await else { return };
        let objects: Vec<String> = listed.into_iter().map(|object| object.path).collect();
        let Ok(entries) = self.read_log().await else { return };
        let plan = plan(&Holdings {
            objects: &objects,
            entries: &entries,
            n_retained: self.config.n_retained,
            generation: self.generation,
            base: self.committed.as_ref().map(|manifest| manifest.snapshot),
        });
        if let Some(hold) = plan.held_by {
            tracing::warn!(job = self.config.job, "{hold}");
        }
        for number in plan.trim_log {
            // In ascending order, and none after one that could not be deleted: fencing relies on it.
            let path = log::path(number);
            // It may have been taken for a savepoint while it could not be read. What is written here later is none.
            self.log.savepoints.remove(&number);
            if self.retry("delete", || self.store.delete(&path)).await.is_err() {
                return;
            }
        }
        for path in plan.delete_objects {
            if let Err(error) = self.retry("delete", || self.store.delete(&path)).await {
                tracing::warn!(job = self.config.job, %error, "an object that nothing needs could not be deleted");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: CollectAfter = CollectAfter { snapshots: 3, bytes: 1000 };

    #[test]
    fn what_others_may_have_left_is_collected_at_once() {
        let mut uncollected = Uncollected::Unknown;
        assert!(uncollected.is_due(AFTER));
        uncollected.committed(1);
        assert!(uncollected.is_due(AFTER));
    }

    #[test]
    fn small_snapshots_are_counted_and_large_ones_weighed() {
        let mut uncollected = Uncollected::Committed { snapshots: 0, bytes: 0 };
        uncollected.committed(1);
        uncollected.committed(1);
        assert!(!uncollected.is_due(AFTER));
        uncollected.committed(1);
        assert!(uncollected.is_due(AFTER));

        let mut uncollected = Uncollected::Committed { snapshots: 0, bytes: 0 };
        uncollected.committed(999);
        assert!(!uncollected.is_due(AFTER));
        uncollected.committed(u64::MAX);
        assert!(uncollected.is_due(AFTER));
    }
}
