//! The one coordinator of a job: it claims the job, drives the workers through their phases, and commits.
//!
//! Operations are straight-line asynchronous procedures, one a file. Workers report facts; facts go into the
//! [`Mailbox`]; a procedure sends orders and waits for a condition on the facts. The procedures are futures over ports
//! and tied to no executor: [`Coordinator::run`] is the whole job as one future.
//!
//! # Rules
//! 1. Conditions are on facts that only grow, never on a phase that can be missed.
//! 2. Every wait has a deadline, and ends when a worker is lost or the job is cancelled.
//! 3. One operation at a time; others wait in a bounded queue or are refused with the one that is in their way.
//! 4. A request is answered with success only when its effect is durable.

mod build;
mod collect;
mod commit;
mod config;
mod facts;
mod finish;
mod log;
mod mailbox;
pub mod plan;
mod recover;
mod report;
mod rescale;
mod serve;
mod snapshot;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

pub(crate) use commit::least_watermarks;
pub use config::{CollectAfter, Deadlines, JobConfig, Restarts};
pub use mailbox::{Event, Mailbox, Reply, Request};
pub use report::{
    Completion, JobError, JobEvent, JobPhase, Outcome, RecoveryReport, RequestError, RescaleReport,
    SnapshotReport, Status,
};

use crate::ids::{Generation, SnapshotId, WorkerId};
use crate::ports::{Host, Nanos, SnapshotStore};
use crate::snapshot::{Manifest, RouteTable};
use crate::worker::messages::{Command, GraphDescription, Order};
use facts::Wait;

/// The coordinator of one job.
pub struct Coordinator {
    host: Rc<dyn Host>,
    store: Arc<dyn SnapshotStore>,
    mailbox: Rc<Mailbox>,
    config: JobConfig,
    log: log::LogPosition,
    generation: Generation,
    next_snapshot: SnapshotId,
    /// The newest commit whose state the workers stand on: what the next snapshot is incremental to.
    committed: Option<Arc<Manifest>>,
    /// Log numbers of commits whose bytes turned out to be damaged.
    damaged: BTreeSet<u64>,
    graph: GraphDescription,
    routes: RouteTable,
    partitions: IndexMap<String, IndexMap<String, WorkerId>>,
    /// Workers that are alive, which during a rescale is more than the routes say.
    n_live: u32,
    /// The scale that is wanted, at which a recovery rebuilds.
    n_wanted: u32,
    epoch: u64,
    snapshot_due: Nanos,
    snapshots_overdue: u32,
    uncollected: collect::Uncollected,
    /// The last snapshot was given up, so its barriers may still be on their way.
    is_cut_open: bool,
    running_since: Nanos,
    n_restarts: u32,
    interrupted: Option<rescale::Interrupted>,
}

impl Coordinator {
    /// A coordinator that has done nothing yet.
    #[must_use]
    pub fn new(
        config: JobConfig,
        host: Rc<dyn Host>,
        store: Arc<dyn SnapshotStore>,
        mailbox: Rc<Mailbox>,
    ) -> Self {
        let routes = plan::initial(config.n_bins, config.n_workers);
        let n_wanted = config.n_workers;
        Self {
            host,
            store,
            mailbox,
            config,
            log: log::LogPosition::default(),
            generation: Generation(0),
            next_snapshot: SnapshotId(1),
            committed: None,
            damaged: BTreeSet::new(),
            graph: GraphDescription::default(),
            routes,
            partitions: IndexMap::new(),
            n_live: 0,
            n_wanted,
            epoch: 0,
            snapshot_due: Nanos(u64::MAX),
            snapshots_overdue: 0,
            uncollected: collect::Uncollected::Unknown,
            is_cut_open: false,
            running_since: Nanos(0),
            n_restarts: 0,
            interrupted: None,
        }
    }

    /// Runs the job to its end: claims it, restores it, serves requests, recovers it.
    ///
    /// # Errors
    /// Why the job could not be started, or cannot go on.
    pub async fn run(mut self) -> Result<Outcome, JobError> {
        let result = self.live().await;
        self.stop_workers(0).await;
        self.mailbox.close();
        if let Some(interrupted) = self.interrupted.take() {
            interrupted.refuse();
        }
        result
    }

    fn send(&self, worker: WorkerId, order: Order) {
        self.host.send(worker, Command { generation: self.generation, order });
    }

    fn send_all(&self, order: &Order) {
        for worker in self.live_workers() {
            self.send(worker, order.clone());
        }
    }

    fn live_workers(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.n_live).map(WorkerId)
    }

    fn wait(&self, what: &'static str, deadline: Duration) -> Wait<'_> {
        Wait::new(&self.mailbox, &*self.host, what, deadline, self.n_live)
    }

    /// Stops the workers from `first` on, and waits until they are gone or given up.
    async fn stop_workers(&mut self, first: u32) {
        for worker in first..self.n_live {
            self.host.stop_worker(WorkerId(worker)).await;
        }
        self.n_live = self.n_live.min(first);
        self.mailbox.forget_workers(first);
    }

    fn publish_status(&self, phase: JobPhase, operation: Option<&'static str>) {
        let mut bins_per_worker = vec![0; self.n_live.max(self.routes.n_workers) as usize];
        for owner in &self.routes.owners {
            if let Some(bins) = bins_per_worker.get_mut(owner.index()) {
                *bins += 1;
            }
        }
        self.mailbox.set_status(Status {
            phase,
            operation,
            generation: self.generation,
            n_workers: self.routes.n_workers,
            bins_per_worker,
            newest_snapshot: self.committed.as_ref().map(|manifest| manifest.snapshot),
            n_restarts: self.n_restarts,
        });
    }
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator")
            .field("job", &self.config.job)
            .field("generation", &self.generation)
            .field("n_live", &self.n_live)
            .finish_non_exhaustive()
    }
}
