//! `finish`: all sources have ended, and so does the job.
//!
//! # Steps
//! 1. Every worker has reported that the partitions it has under the current routes have ended.
//! 2. The sources end the stream; the end passes through the dataflow, and operators emit what they kept for it.
//! 3. A last snapshot makes everything durable and visible.

use super::Coordinator;
use super::recover::Failure;
use super::report::{Completion, JobPhase};
use crate::ids::WorkerId;
use crate::mutant::{self, Mutant};
use crate::snapshot::After;
use crate::worker::messages::Order;

/// Attempts at the last snapshot.
const LAST_SNAPSHOT_ATTEMPTS: u32 = 3;

impl Coordinator {
    /// Whether there is nothing left to read anywhere.
    pub(super) fn is_exhausted(&self) -> bool {
        let version = Some(self.routes.version);
        if mutant::is(Mutant::EndedEarly) {
            return self.mailbox.with_facts(|facts| facts.worker(WorkerId(0)).exhausted == version);
        }
        if mutant::is(Mutant::ExhaustedStale) {
            return self.mailbox.with_facts(|facts| {
                self.live_workers().all(|worker| facts.worker(worker).exhausted.is_some())
            });
        }
        self.mailbox
            .with_facts(|facts| self.live_workers().all(|worker| facts.worker(worker).exhausted == version))
    }

    pub(super) async fn finish(&mut self) -> Result<Completion, Failure> {
        self.steady_gap();
        self.publish_status(JobPhase::Finishing, Some("finish"));
        self.send_all(&Order::Finish);
        let wait = self.wait("work on what was in flight at the end", self.config.deadlines.finish);
        wait.all(|facts| facts.is_ended).await?;
        if mutant::is(Mutant::FinishedUncommitted) {
            return Ok(Completion::Finished);
        }
        let mut reason = String::new();
        for _ in 0..LAST_SNAPSHOT_ATTEMPTS {
            match self.snapshot(None, After::Finish).await? {
                Ok(_) => return Ok(Completion::Finished),
                Err(given_up) => reason = given_up.0,
            }
        }
        Err(Failure::again(format!("the end of the job could not be made durable: {reason}")))
    }
}
