//! `rescale`: bins and partitions change hands in small steps while records flow.
//!
//! # Steps
//! 1. Workers that are to come are started, connected and run; they own nothing yet.
//! 2. The planner says which bins and partitions move. For each step of a few of them:
//!    a. the step is published, and acknowledged by all before anybody acts on it;
//!    b. the barrier of the new route version passes through the dataflow, and what moves is sent behind it;
//!    c. all workers report the step done.
//! 3. Between two steps a periodic snapshot is taken if one is due.
//! 4. A snapshot makes the new scale durable.
//! 5. Workers that are to go own nothing any more and are let go.
//!
//! # Guarantees
//! I3 and I5 (by the worker's part), P2 (a step moves a bounded number of bytes), I16 (by step 4).
//!
//! # Caveats
//! A worker that is lost meanwhile ends the generation. Recovery then rebuilds at the scale that was asked for, and
//! the request is answered when that is durable.

use std::time::Duration;

use indexmap::IndexMap;

use super::mailbox::Reply;
use super::recover::Failure;
use super::report::{JobEvent, JobPhase, RequestError, RescaleReport};
use super::snapshot::GivenUp;
use super::{Coordinator, plan};
use crate::ids::WorkerId;
use crate::limits::{MOVE_BINS_FIRST, MOVE_BINS_MAX, MOVE_STEP_BYTES};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::ports::Nanos;
use crate::snapshot::After;
use crate::worker::messages::{BinMove, MoveStep, Order, PartitionMove, RestoreOrder};

/// Attempts to make a new scale durable before the generation ends.
const DURABLE_ATTEMPTS: u32 = 3;

/// A rescale whose generation ended under it.
pub(super) struct Interrupted {
    from: u32,
    to: u32,
    begun: Nanos,
    bins_moved: u64,
    bytes_moved: u64,
    n_steps: u32,
    gap_max: Duration,
    reply: Reply<RescaleReport>,
}

impl Interrupted {
    pub(super) fn refuse(self) {
        (self.reply)(Err(RequestError::NotRunning));
    }
}

impl Coordinator {
    /// Rescales and answers.
    pub(super) async fn rescale(&mut self, to: u32, reply: Reply<RescaleReport>) -> Result<(), Failure> {
        if let Err(reason) = super::config::check_scale(to, self.config.n_bins) {
            mark::hit(Mark::RequestRefusedScale);
            reply(Err(RequestError::Scale { reason }));
            return Ok(());
        }
        self.steady_gap();
        let (from, begun) = (self.n_live, self.host.now());
        self.n_wanted = to;
        self.interrupted = Some(Interrupted {
            from,
            to,
            begun,
            bins_moved: 0,
            bytes_moved: 0,
            n_steps: 0,
            gap_max: Duration::ZERO,
            reply,
        });
        if to == from {
            mark::hit(Mark::RescaleToSame);
        }
        if to != from {
            self.host.event(JobEvent::Rescaling { from, to });
            self.publish_status(JobPhase::Running, Some("rescale"));
            // Barriers of a snapshot that was given up may still be on their way. A newcomer would get them from some
            // workers and wait for ever for the others': only behind a snapshot that all have cut is nothing on its way.
            if to > from && self.is_cut_open {
                mark::hit(Mark::WelcomeBehindCut);
            }
            if to > from
                && self.is_cut_open
                && !mutant::is(Mutant::OpenCutWelcome)
                && let Err(GivenUp(reason)) = self.snapshot(None, After::Run).await?
            {
                self.n_wanted = from;
                if let Some(rescale) = self.interrupted.take() {
                    (rescale.reply)(Err(RequestError::Failed { operation: "rescale", reason }));
                }
                return Ok(());
            }
            if to > from {
                self.welcome(to).await?;
            }
            self.move_all(to).await?;
        }
        self.complete_rescale().await
    }

    /// Makes the scale that was asked for durable, lets go who has nothing left, and answers. Also called when a
    /// recovery has rebuilt at that scale.
    pub(super) async fn complete_rescale(&mut self) -> Result<(), Failure> {
        if self.interrupted.as_ref().is_some_and(|rescale| rescale.from != rescale.to)
            && !mutant::is(Mutant::RescaledUndurable)
        {
            self.make_durable().await?;
        }
        if self.n_live > self.n_wanted {
            mark::hit(Mark::WorkersLetGo);
            self.connect(self.n_wanted).await?;
            self.stop_workers(self.n_wanted).await;
        }
        if let Some(done) = self.interrupted.take() {
            let report = RescaleReport {
                from: done.from,
                to: done.to,
                duration: self.host.now().since(done.begun),
                gap_max: done.gap_max.max(self.host.take_output_gap()),
                bins_moved: done.bins_moved,
                bytes_moved: done.bytes_moved,
                n_steps: done.n_steps,
            };
            if done.from != done.to {
                self.host.event(JobEvent::Rescaled(report.clone()));
            }
            (done.reply)(Ok(report));
        }
        self.publish_status(JobPhase::Running, None);
        Ok(())
    }

    /// Starts the workers up to `to` and connects them; they own nothing yet.
    async fn welcome(&mut self, to: u32) -> Result<(), Failure> {
        let first = self.n_live;
        self.start_workers(first, to).await?;
        self.connect(to).await?;
        for worker in (first..to).map(WorkerId) {
            let order = RestoreOrder {
                // Bins that come are judged by the cuts they have seen; a newcomer has seen the last commit.
                snapshot: (self.committed.as_ref().map(|manifest| manifest.snapshot))
                    .filter(|_| !mutant::is(Mutant::NewcomerBlank)),
                routes: self.routes.clone(),
                objects: Vec::new(),
                state: IndexMap::new(),
                partitions: self.partitions.keys().map(|source| (source.clone(), IndexMap::new())).collect(),
                sinks: None,
                watermarks: IndexMap::new(),
                is_newcomer: true,
            };
            self.send(worker, Order::Restore(Box::new(order)));
        }
        self.wait_restored(self.committed.as_ref().map(|manifest| manifest.snapshot).unwrap_or_default())
            .await?;
        self.run_workers(first).await
    }

    async fn move_all(&mut self, to: u32) -> Result<(), Failure> {
        let mut bins = plan::rebalance(&self.routes, to);
        let mut partitions = plan::rebalance_partitions(&self.partitions, to);
        let mut n_bins = MOVE_BINS_FIRST;
        bins.reverse();
        partitions.reverse();
        while !bins.is_empty() || !partitions.is_empty() {
            let step_bins = take_last(&mut bins, n_bins);
            let step_partitions = take_last(&mut partitions, n_bins);
            let n_moved = step_bins.len() as u64;
            let weight = self.move_step(step_bins, step_partitions).await?;
            // The next step moves about as much as a step should, and at most twice as many bins.
            let fitting = MOVE_STEP_BYTES.saturating_mul(n_moved) / weight.max(1);
            n_bins =
                usize::try_from(fitting).unwrap_or(MOVE_BINS_MAX).clamp(1, MOVE_BINS_MAX.min(2 * n_bins));
            if self.host.now() >= self.snapshot_due && !bins.is_empty() {
                self.periodic_snapshot_within_rescale().await?;
            }
        }
        self.routes.n_workers = to;
        Ok(())
    }

    /// Carries out one step; what it weighed.
    async fn move_step(
        &mut self,
        bins: Vec<BinMove>,
        partitions: Vec<PartitionMove>,
    ) -> Result<u64, Failure> {
        let version = self.routes.version.next();
        let step = MoveStep { version, bins, partitions };
        self.send_all(&Order::Publish(Box::new(step.clone())));
        let wait = self.wait("acknowledge a step of the rescale", self.config.deadlines.step);
        if !mutant::is(Mutant::SwitchedUnpublished) {
            wait.all(|facts| facts.published >= version).await?;
        }
        let before = self.moved();
        self.send_all(&Order::Switch { version });
        let wait = self.wait("carry out a step of the rescale", self.config.deadlines.step);
        wait.all(|facts| facts.moved >= version).await?;
        self.routes = plan::apply(&self.routes, &step.bins, version);
        for moved in &step.partitions {
            if let Some(reader) =
                self.partitions.get_mut(&moved.source).and_then(|read| read.get_mut(&moved.partition))
            {
                *reader = moved.to;
            }
        }
        let now = self.moved();
        if let Some(rescale) = &mut self.interrupted {
            rescale.bins_moved += step.bins.len() as u64;
            rescale.bytes_moved += now.0.saturating_sub(before.0);
            rescale.n_steps += 1;
            rescale.gap_max = rescale.gap_max.max(self.host.take_output_gap());
        }
        self.publish_status(JobPhase::Running, Some("rescale"));
        Ok(now.1.saturating_sub(before.1))
    }

    async fn periodic_snapshot_within_rescale(&mut self) -> Result<(), Failure> {
        mark::hit(Mark::SnapshotWithinRescale);
        // One that is given up is told as an event and tried again when the next is due.
        let _ = self.snapshot(None, After::Run).await?;
        self.publish_status(JobPhase::Running, Some("rescale"));
        Ok(())
    }

    async fn make_durable(&mut self) -> Result<(), Failure> {
        let mut reason = String::new();
        for _ in 0..DURABLE_ATTEMPTS {
            match self.snapshot(None, After::Run).await? {
                Ok(_) => return Ok(()),
                Err(given_up) => reason = given_up.0,
            }
        }
        Err(Failure::again(format!("the new scale could not be made durable: {reason}")))
    }

    /// What all workers have moved by now: bytes, and what they weigh.
    fn moved(&self) -> (u64, u64) {
        self.mailbox.with_facts(|facts| {
            self.live_workers().fold((0, 0), |(bytes, weight), worker| {
                let facts = facts.worker(worker);
                (bytes + facts.bytes_moved, weight + facts.weight_moved)
            })
        })
    }
}

fn take_last<T>(items: &mut Vec<T>, n: usize) -> Vec<T> {
    let mut taken = items.split_off(items.len().saturating_sub(n));
    taken.reverse();
    taken
}
