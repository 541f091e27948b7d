//! The watch-map: what workers have reported, and waiting for a condition on it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use indexmap::IndexMap;

use super::mailbox::Mailbox;
use crate::ids::{Generation, RouteVersion, SnapshotId, WorkerId};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::ports::Host;
use crate::worker::messages::{Fact, GraphDescription, Report, RestoreFailure, SnapshotPart};

/// What is known of all workers of the current generation.
#[derive(Debug, Default)]
pub(super) struct Facts {
    generation: Generation,
    workers: BTreeMap<WorkerId, WorkerFacts>,
    lost: Option<(WorkerId, String)>,
}

/// What one worker has reported. Every entry only grows.
#[derive(Debug, Default)]
pub(super) struct WorkerFacts {
    pub(super) built: Option<GraphDescription>,
    pub(super) partitions: Option<IndexMap<String, Vec<String>>>,
    pub(super) connected: u64,
    pub(super) is_restored: bool,
    pub(super) restore_failed: Option<RestoreFailure>,
    pub(super) is_running: bool,
    pub(super) taken: Option<SnapshotPart>,
    pub(super) failed: Option<(SnapshotId, String)>,
    pub(super) settled: SnapshotId,
    pub(super) published: RouteVersion,
    pub(super) moved: RouteVersion,
    pub(super) bytes_moved: u64,
    pub(super) weight_moved: u64,
    pub(super) exhausted: Option<RouteVersion>,
    pub(super) is_ended: bool,
}

impl Facts {
    /// A new generation begins: nothing of the old one is true any more.
    pub(super) fn begin(&mut self, generation: Generation) {
        *self = Self { generation, ..Self::default() };
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Forgets the workers from `first` on: they are gone as they should be.
    pub(super) fn forget(&mut self, first: u32) {
        self.workers.retain(|worker, _| worker.0 < first);
        self.lost = self.lost.take().filter(|(worker, _)| worker.0 < first);
    }

    pub(super) fn note(&mut self, Report { generation, worker, fact }: Report) {
        if generation != self.generation && !mutant::is(Mutant::ReportsOfAnyGeneration) {
            mark::hit(Mark::StaleReport);
            return;
        }
        let facts = self.workers.entry(worker).or_default();
        match fact {
            Fact::Built(graph) => facts.built = Some(graph),
            Fact::Partitions(partitions) => facts.partitions = Some(partitions),
            Fact::Connected { epoch } => facts.connected = facts.connected.max(epoch),
            Fact::Restored => facts.is_restored = true,
            Fact::RestoreFailed(failure) => facts.restore_failed = Some(failure),
            Fact::Running => facts.is_running = true,
            Fact::SnapshotTaken(part) => facts.taken = Some(*part),
            Fact::SnapshotFailed { id, reason } => facts.failed = Some((id, reason)),
            Fact::Settled { id } => facts.settled = facts.settled.max(id),
            Fact::Published { version } => facts.published = facts.published.max(version),
            Fact::Moved { version, bytes, weight } => {
                if version > facts.moved {
                    facts.moved = version;
                    facts.bytes_moved += bytes;
                    facts.weight_moved += weight;
                }
            }
            Fact::Exhausted { version } => facts.exhausted = facts.exhausted.max(Some(version)),
            Fact::Ended => facts.is_ended = true,
        }
    }

    pub(super) fn lost(&mut self, generation: Generation, worker: WorkerId, reason: String) {
        if generation == self.generation && self.lost.is_none() && !mutant::is(Mutant::LossUnnoticed) {
            self.lost = Some((worker, reason));
        }
    }

    /// The loss of a worker, in words.
    pub(super) fn loss(&self) -> Option<String> {
        self.lost.as_ref().map(|(worker, reason)| format!("{worker}: {reason}"))
    }

    pub(super) fn worker(&mut self, worker: WorkerId) -> &mut WorkerFacts {
        self.workers.entry(worker).or_default()
    }
}

/// Why a wait ended without what it waited for.
#[derive(Clone, Debug)]
pub(super) enum Interrupt {
    /// A worker is gone.
    Lost(String),
    /// It took too long.
    Deadline(String),
    /// The job is cancelled.
    Cancelled,
}

/// A wait for a condition on all workers.
pub(super) struct Wait<'a> {
    mailbox: &'a Mailbox,
    host: &'a dyn Host,
    what: &'static str,
    deadline: Duration,
    n_workers: u32,
}

impl<'a> Wait<'a> {
    pub(super) fn new(
        mailbox: &'a Mailbox,
        host: &'a dyn Host,
        what: &'static str,
        deadline: Duration,
        n_workers: u32,
    ) -> Self {
        Self { mailbox, host, what, deadline, n_workers }
    }

    /// Asks only the first worker.
    pub(super) fn only_first(&mut self) {
        self.only_below(1);
    }

    /// Asks only the workers below `n_workers`.
    pub(super) fn only_below(&mut self, n_workers: u32) {
        self.n_workers = self.n_workers.min(n_workers);
    }

    /// Waits until `is_so` holds for every worker.
    pub(super) async fn all(&self, mut is_so: impl FnMut(&mut WorkerFacts) -> bool) -> Result<(), Interrupt> {
        self.all_or(|facts| is_so(facts).then_some(Ok::<(), std::convert::Infallible>(()))).await.map(
            |result| match result {
                Ok(()) => {}
                Err(never) => match never {},
            },
        )
    }

    /// Waits until `look` answers for every worker, or an error for one.
    pub(super) async fn all_or<E>(
        &self,
        mut look: impl FnMut(&mut WorkerFacts) -> Option<Result<(), E>>,
    ) -> Result<Result<(), E>, Interrupt> {
        let mut sleep = self.host.sleep(self.deadline);
        poll_fn(|cx| {
            self.mailbox.wake_with(cx.waker());
            let missing = self.mailbox.with_facts(|facts| {
                if let Some(reason) = facts.loss() {
                    return Err(Interrupt::Lost(reason));
                }
                let mut missing = Vec::new();
                for worker in (0..self.n_workers).map(WorkerId) {
                    match look(facts.worker(worker)) {
                        None => missing.push(worker),
                        Some(Ok(())) => {}
                        Some(Err(error)) => return Ok(Err(error)),
                    }
                }
                Ok(Ok(missing))
            });
            match missing {
                Err(interrupt) => return Poll::Ready(Err(interrupt)),
                Ok(Err(error)) => return Poll::Ready(Ok(Err(error))),
                Ok(Ok(missing)) if missing.is_empty() => return Poll::Ready(Ok(Ok(()))),
                Ok(Ok(missing)) => {
                    if self.mailbox.is_cancelled() {
                        return Poll::Ready(Err(Interrupt::Cancelled));
                    }
                    if sleep.as_mut().poll(cx).is_ready() {
                        let who: Vec<String> = missing.iter().map(ToString::to_string).collect();
                        return Poll::Ready(Err(Interrupt::Deadline(format!(
                            "{} did not {} within {:?}",
                            who.join(", "),
                            self.what,
                            self.deadline
                        ))));
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}
