//! Deleting what no retained snapshot needs. The plan is made before anything is deleted; what fails to be deleted is
//! found again by the next plan.

use super::Coordinator;
use crate::snapshot::collect::{Holdings, OBJECTS_FOLDER, plan};
use crate::snapshot::log;

impl Coordinator {
    pub(super) async fn collect(&self) {
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
