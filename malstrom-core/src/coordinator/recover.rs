//! The life of a job: claim, build, run, and again if a worker is lost.
//!
//! # Steps
//! 1. The log is read and a claim of the next generation appended: from here on nothing of an older one counts.
//! 2. The newest commit whose bytes are sound is restored, at the scale that is wanted. If it says that the job is
//!    finished, only the transactions it holds are made visible, in case nobody has yet, and that is all.
//! 3. Requests are served until the job ends or something breaks.
//! 4. If something breaks, all workers are stopped and it goes on at step 1, after a growing wait, a bounded number of
//!    times in a row.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::collect::Uncollected;
use super::facts::Interrupt;
use super::report::{Completion, JobError, JobEvent, JobPhase, Outcome};
use super::{Coordinator, RecoveryReport};
use crate::ids::WorkerId;
use crate::limits::LOG_APPEND_ATTEMPTS_MAX;
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::ports::{LocalFuture, Nanos, SendFuture, StoreError};
use crate::snapshot::{JobState, Refusal, Resolution, newest_generation, resolve};
use crate::worker::messages::{Order, RestoreOrder};

/// Why a generation ended before its time.
#[derive(Debug)]
pub(super) enum Failure {
    /// The job is cancelled.
    Cancelled,
    /// Something broke that another attempt may mend.
    Again(String),
    /// Stored bytes are damaged: another commit is to be restored. It is no fault of a worker.
    Damaged(String),
    /// No attempt can mend it.
    Fatal(JobError),
}

impl Failure {
    pub(super) fn again(reason: String) -> Self {
        Self::Again(reason)
    }
}

impl From<Interrupt> for Failure {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Lost(reason) | Interrupt::Deadline(reason) => Self::Again(reason),
            Interrupt::Cancelled => Self::Cancelled,
        }
    }
}

/// Attempts at one store operation.
const STORE_ATTEMPTS: u32 = 5;

impl Coordinator {
    pub(super) async fn live(&mut self) -> Result<Outcome, JobError> {
        self.config.check()?;
        let mut reason: Option<String> = None;
        loop {
            let failure = match self.claim().await {
                Ok(resolution) if resolution.state == JobState::Finished => {
                    mark::hit(Mark::FinishedRestarted);
                    match self.settle_finished(&resolution).await {
                        Ok(()) => return Ok(self.already_finished(resolution)),
                        Err(failure) => failure,
                    }
                }
                Ok(resolution) => match self.generation(resolution, reason.take()).await {
                    Ok(completion) => return Ok(self.outcome(completion)),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            self.stop_workers(0).await;
            match failure {
                Failure::Cancelled => return Ok(self.outcome(Completion::Cancelled)),
                Failure::Fatal(error) => return Err(error),
                Failure::Damaged(why) => {
                    self.host.event(JobEvent::Damaged { reason: why.clone() });
                    reason = Some(why);
                }
                Failure::Again(why) => {
                    self.back_off(&why).await?;
                    reason = Some(why);
                }
            }
            if self.mailbox.is_cancelled() {
                return Ok(self.outcome(Completion::Cancelled));
            }
        }
    }

    async fn generation(
        &mut self,
        resolution: Resolution,
        reason: Option<String>,
    ) -> Result<Completion, Failure> {
        self.publish_status(JobPhase::Building, Some("build"));
        self.is_cut_open = false;
        self.uncollected = Uncollected::Unknown;
        let restored = self.build(&resolution).await?;
        self.running_since = self.host.now();
        let gap_max = self.host.take_output_gap();
        let (generation, n_workers) = (self.generation, self.n_live);
        self.host.event(JobEvent::Running { generation, n_workers, restored, gap_max });
        if let Some(reason) = reason {
            self.host.event(JobEvent::Recovered(RecoveryReport { generation, reason, restored }));
        }
        self.serve().await
    }

    /// Reads the log and claims the next generation.
    async fn claim(&mut self) -> Result<Resolution, Failure> {
        // Another coordinator that claims at the same moment takes the number; each round one of them wins.
        for attempt in 1..=LOG_APPEND_ATTEMPTS_MAX {
            let entries = self.read_log().await.map_err(|error| Failure::again(error.to_string()))?;
            // The log does not end below what this coordinator has written to it. A listing that lags behind shows it
            // so if all that it lacks lies behind a gap that was trimmed: then no number leads there. Nothing follows from
            // such a log, nor that a claim in it stands (seed 144026061/11). If it stays so, the end of the log is gone,
            // and what is left is all there is.
            let is_behind = entries.last().map_or(0, |(last, _)| last.saturating_add(1)) < self.log.next;
            if is_behind
                && attempt < LOG_APPEND_ATTEMPTS_MAX
                && !mutant::is(Mutant::ShortLogBelieved)
                && !mutant::is(Mutant::HoleBelieved)
            {
                mark::hit(Mark::HoleRetried);
                self.host.sleep(self.backoff(attempt)).await;
                continue;
            }
            // A claim of our own of which we did not learn whether it was written does not fence us.
            let newest = newest_generation(&entries, &self.log.tokens);
            if self.generation.0 > 0 && newest > self.generation && !mutant::is(Mutant::ClaimsFought) {
                return Err(self.fenced(Some(newest)));
            }
            let resolution = match resolve(&self.config.job, entries) {
                // A listing that lags behind a log which is trimmed meanwhile looks as if something was missing.
                Err(Refusal::Hole { .. })
                    if attempt < LOG_APPEND_ATTEMPTS_MAX
                        && !mutant::is(Mutant::HoleBelieved)
                        && !mutant::is(Mutant::TrimmedReadBelieved) =>
                {
                    mark::hit(Mark::HoleRetried);
                    self.host.sleep(self.backoff(attempt)).await;
                    continue;
                }
                result => result.map_err(|no| Failure::Fatal(no.into()))?,
            };
            if !resolution.void.is_empty() {
                mark::hit(Mark::VoidCommit);
            }
            if resolution.next_generation <= self.generation {
                return Err(Failure::again("the job log is behind what was written to it".to_owned()));
            }
            if resolution.state == JobState::Finished && last_transactions(&resolution).is_empty() {
                return Ok(resolution);
            }
            self.log.next = resolution.next_number;
            if self.append_claim(resolution.next_generation).await? {
                self.generation = resolution.next_generation;
                self.next_snapshot = self.next_snapshot.max(resolution.next_snapshot);
                self.log.savepoints.clone_from(&resolution.savepoints);
                self.mailbox.with_facts(|facts| facts.begin(resolution.next_generation));
                for (number, reason) in &resolution.unreadable {
                    let reason = format!("entry {number} of the job log: {reason}");
                    self.host.event(JobEvent::Damaged { reason });
                }
                self.read_again(&resolution).await?;
                return Ok(resolution);
            }
        }
        Err(Failure::again("other coordinators keep claiming the job".to_owned()))
    }

    /// Reads the newest commit once more, behind the claim. It may have been damaged since it was read, and then others may
    /// have gone on from an older one and told the sinks so: what they have discarded would be missing.
    async fn read_again(&self, resolution: &Resolution) -> Result<(), Failure> {
        let newest = resolution.candidates.first().filter(|_| !mutant::is(Mutant::DamagedSinceBelieved));
        let Some(newest) = newest else { return Ok(()) };
        let entry =
            self.read_entry(newest.number).await.map_err(|error| Failure::again(error.to_string()))?;
        let is_there = entry.is_some_and(|entry| {
            entry.is_ok_and(|entry| {
                entry.manifest().is_some_and(|manifest| manifest.snapshot == newest.manifest.snapshot)
            })
        });
        if is_there {
            return Ok(());
        }
        mark::hit(Mark::DamagedSince);
        Err(Failure::again(format!("entry {} of the job log has changed since it was read", newest.number)))
    }

    async fn back_off(&mut self, reason: &str) -> Result<(), JobError> {
        let restarts = self.config.restarts;
        if self.host.now().since(self.running_since) >= restarts.stable_after && self.running_since.0 > 0 {
            self.n_restarts = 0;
        }
        // It counts once: what fails from here on without having run again is another failure in a row.
        self.running_since = Nanos(0);
        if self.n_restarts >= restarts.n_max {
            return Err(JobError::GivenUp { n_restarts: self.n_restarts, reason: reason.to_owned() });
        }
        let backoff =
            restarts.backoff_min.saturating_mul(1 << self.n_restarts.min(20)).min(restarts.backoff_max);
        self.n_restarts += 1;
        self.publish_status(JobPhase::Recovering, Some("recover"));
        self.host.event(JobEvent::Recovering { reason: reason.to_owned(), backoff });
        self.host.sleep(backoff).await;
        Ok(())
    }

    /// Makes visible what the last snapshot of a finished job prepared: whoever committed it may have been lost before
    /// its sinks were told.
    async fn settle_finished(&mut self, resolution: &Resolution) -> Result<(), Failure> {
        let handles = last_transactions(resolution);
        let Some(candidate) = resolution.candidates.first().filter(|_| !handles.is_empty()) else {
            return Ok(());
        };
        mark::hit(Mark::FinishedSettled);
        if mutant::is(Mutant::FinishedUnsettled) {
            return Ok(());
        }
        self.publish_status(JobPhase::Finishing, Some("finish"));
        self.config.n_bins = candidate.manifest.n_bins;
        self.start_workers(0, 1).await?;
        self.fit(&candidate.manifest)?;
        let order = RestoreOrder {
            snapshot: Some(candidate.manifest.snapshot),
            routes: candidate.manifest.routes.clone(),
            objects: Vec::new(),
            state: IndexMap::new(),
            partitions: IndexMap::new(),
            sinks: Some(handles),
            watermarks: IndexMap::new(),
            is_newcomer: false,
        };
        self.send(WorkerId(0), Order::Restore(Box::new(order)));
        self.wait_restored(candidate.manifest.snapshot).await
    }

    fn already_finished(&mut self, resolution: Resolution) -> Outcome {
        let manifest = resolution.candidates.into_iter().next().map(|candidate| candidate.manifest);
        self.committed = manifest.map(Arc::new);
        Outcome { was_finished: true, ..self.outcome(Completion::Finished) }
    }

    fn outcome(&self, completion: Completion) -> Outcome {
        Outcome {
            completion,
            n_workers: self.routes.n_workers,
            was_finished: false,
            manifest: self.committed.clone(),
        }
    }

    /// One answer of the store, or a failure when it takes too long.
    pub(super) async fn bounded<'a, T>(
        &self,
        action: &'static str,
        call: SendFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let late: LocalFuture<'static, ()> = self.host.sleep(self.config.deadlines.store);
        or_late(call, late).await.unwrap_or_else(|| {
            mark::hit(Mark::StoreLate);
            let reason = format!("no answer within {:?}", self.config.deadlines.store);
            Err(StoreError::Failed { action, path: String::new(), reason })
        })
    }

    /// A call that may be repeated, a few times if the store fails.
    pub(super) async fn retry<'a, T>(
        &self,
        action: &'static str,
        mut call: impl FnMut() -> SendFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut attempt = 0;
        loop {
            match self.bounded(action, call()).await {
                Err(StoreError::Failed { .. }) if attempt + 1 < STORE_ATTEMPTS => {
                    self.host.sleep(self.backoff(attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let restarts = self.config.restarts;
        restarts.backoff_min.saturating_mul(1 << attempt.min(20)).min(restarts.backoff_max)
    }
}

/// The handles that the newest commit holds, by sink, if there are any.
fn last_transactions(resolution: &Resolution) -> IndexMap<String, Vec<Vec<u8>>> {
    let mut sinks =
        resolution.candidates.first().map(|newest| newest.manifest.sinks.clone()).unwrap_or_default();
    sinks.retain(|_, handles| !handles.is_empty());
    sinks
}

/// The first to be ready: the call's answer, or `None` when it is late.
async fn or_late<T>(mut call: SendFuture<'_, T>, mut late: LocalFuture<'_, ()>) -> Option<T> {
    std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(answer) = call.as_mut().poll(cx) {
            return std::task::Poll::Ready(Some(answer));
        }
        late.as_mut().poll(cx).map(|()| None)
    })
    .await
}
