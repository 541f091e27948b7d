//! `snapshot`, `savepoint` and `suspend`: a consistent cut, stored and committed.
//!
//! # Steps
//! 1. All workers are told to cut, with the id and the committed snapshot that clean bins are carried over from.
//! 2. Each reports what it stored.
//! 3. The manifest is appended to the job log. That append is the commit.
//! 4. Workers are told; transactional sinks make what they prepared visible, sources acknowledge.
//!
//! # Guarantees
//! I8 and I9. A request is answered after step 4 (I16).
//!
//! # Caveats
//! When step 1 or 2 fails the snapshot is given up and the job goes on; the next one writes what this one would have.
//! When it is not known whether step 3 took effect, the generation ends: the log is read again, which settles it.

use std::sync::Arc;
use std::time::Duration;

use super::Coordinator;
use super::collect::Uncollected;
use super::facts::{Interrupt, WorkerFacts};
use super::recover::Failure;
use super::report::{JobEvent, JobPhase, SnapshotReport};
use crate::ids::{SnapshotId, WorkerId};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::snapshot::After;
use crate::worker::messages::{Order, SnapshotPart};

/// Snapshots in a row that may miss their deadline before a worker is taken to be stuck.
const OVERDUE_MAX: u32 = 2;

/// A snapshot that was given up, without harm to the job.
#[derive(Debug)]
pub(super) struct GivenUp(pub(super) String);

impl Coordinator {
    /// Takes a snapshot. The inner error is one the job survives.
    pub(super) async fn snapshot(
        &mut self,
        savepoint: Option<String>,
        after: After,
    ) -> Result<Result<SnapshotReport, GivenUp>, Failure> {
        self.steady_gap();
        let begun = self.host.now();
        let id = self.next_snapshot;
        self.next_snapshot = id.next();
        let mut base = self.committed.as_ref().map(|manifest| manifest.snapshot);
        if mutant::is(Mutant::BaseTaken) {
            base = base.map(|_| SnapshotId(id.0 - 1));
        }
        self.publish_status(self.phase_of(after), Some(operation_name(&savepoint, after)));
        self.send_all(&Order::Snapshot { id, base, after });
        self.is_cut_open = true;
        if let Err(given_up) = self.wait_taken(id).await? {
            mark::hit(Mark::SnapshotGivenUp);
            self.uncollected = Uncollected::Unknown;
            if mutant::is(Mutant::SnapshotIdReused) {
                self.next_snapshot = id;
            }
            self.schedule_snapshot();
            self.publish_status(JobPhase::Running, None);
            self.host.event(JobEvent::SnapshotFailed { id, reason: given_up.0.clone() });
            return Ok(Err(given_up));
        }
        self.is_cut_open = false;
        let parts: Vec<SnapshotPart> = self.mailbox.with_facts(|facts| {
            let taken = |worker: WorkerId| facts.worker(worker).taken.take();
            (0..self.n_live).map(WorkerId).filter_map(taken).collect()
        });
        let bytes: u64 = parts.iter().flat_map(|part| &part.objects).map(|object| object.bytes).sum();
        let manifest = Arc::new(self.manifest(id, savepoint.clone(), after, parts));
        manifest.validate().map_err(|error| Failure::again(format!("the manifest of {id}: {error}")))?;
        self.append_commit(manifest.clone()).await?;
        self.committed = Some(manifest);
        self.uncollected.committed(bytes);
        let duration = self.host.now().since(begun);
        self.settle(id).await?;
        let gap = self.host.take_output_gap();
        // Behind a suspension and behind the end nothing is to come out, so nothing is missing.
        let gap_max = if after == After::Run { gap } else { Duration::ZERO };
        let report = SnapshotReport { id, savepoint, duration, bytes, gap_max };
        self.host.event(JobEvent::Snapshot(report.clone()));
        self.schedule_snapshot();
        self.publish_status(JobPhase::Running, None);
        Ok(Ok(report))
    }

    async fn wait_taken(&mut self, id: SnapshotId) -> Result<Result<(), GivenUp>, Failure> {
        let look = |facts: &mut WorkerFacts| {
            if let Some((_, reason)) = facts.failed.as_ref().filter(|(failed, _)| *failed == id) {
                return Some(Err(reason.clone()));
            }
            facts.taken.as_ref().is_some_and(|part| part.id == id).then_some(Ok(()))
        };
        let mut wait = self.wait("store its part of the snapshot", self.config.deadlines.snapshot);
        if mutant::is(Mutant::BarrierAckLost) {
            wait.only_below(self.n_live.saturating_sub(1).max(1));
        }
        let result = wait.all_or(look).await;
        match result {
            Ok(Ok(())) => {
                self.snapshots_overdue = 0;
                Ok(Ok(()))
            }
            Ok(Err(reason)) => Ok(Err(GivenUp(reason))),
            Err(Interrupt::Deadline(reason)) if self.snapshots_overdue + 1 < OVERDUE_MAX => {
                mark::hit(Mark::SnapshotOverdue);
                self.snapshots_overdue += 1;
                Ok(Err(GivenUp(reason)))
            }
            Err(interrupt) => {
                if matches!(interrupt, Interrupt::Deadline(_)) {
                    mark::hit(Mark::SnapshotStuck);
                }
                Err(interrupt.into())
            }
        }
    }

    async fn settle(&self, id: SnapshotId) -> Result<(), Failure> {
        self.send_all(&Order::Committed { id });
        let wait = self.wait("make the committed snapshot visible", self.config.deadlines.settle);
        wait.all(|facts| facts.settled >= id).await?;
        Ok(())
    }

    /// When the next periodic snapshot is due.
    pub(super) fn schedule_snapshot(&mut self) {
        let never = Duration::from_nanos(u64::MAX);
        self.snapshot_due = self.host.now().after(self.config.snapshot_interval.unwrap_or(never));
    }

    /// Closes the time in which nothing special went on.
    pub(super) fn steady_gap(&self) {
        let gap_max = self.host.take_output_gap();
        self.host.event(JobEvent::Steady { gap_max });
    }

    fn phase_of(&self, after: After) -> JobPhase {
        match after {
            After::Finish => JobPhase::Finishing,
            After::Run | After::Suspend => JobPhase::Running,
        }
    }
}

fn operation_name(savepoint: &Option<String>, after: After) -> &'static str {
    match (after, savepoint) {
        (After::Suspend, _) => "suspend",
        (After::Finish, _) => "finish",
        (After::Run, Some(_)) => "savepoint",
        (After::Run, None) => "snapshot",
    }
}
