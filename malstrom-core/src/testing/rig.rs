//! A few real workers over ports that are driven by hand, and a coordinator of a page: the smallest place in which a
//! dataflow snapshots, restores and moves, one step after the other, as whoever holds the rig decides.
//!
//! It is what the [`OperatorTester`](super::OperatorTester) is made of, and small enough to enumerate every
//! interleaving in it. For whole jobs with faults there is [`Simulation`](super::Simulation).

mod facts;
mod ports;
mod restoring;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use indexmap::IndexMap;

use facts::Facts;
pub use ports::Link;
use ports::{Net, RigPort, SharedNet};
use restoring::Committed;

use crate::coordinator::plan;
use crate::ids::{Bin, Generation, SnapshotId, WorkerId};
use crate::ports::{Nanos, StoreError};
use crate::snapshot::{After, RouteTable};
use crate::stream::{BuildError, Dataflow, Job};
use crate::worker::messages::{BinMove, Command, MoveStep, Order, PartitionMove, Report, RestoreFailure};
use crate::worker::{Activity, Worker, WorkerError};

/// Rounds of steps after which something that was to happen is taken never to happen.
const ROUNDS_MAX: u32 = 10_000;
/// Rounds after which what does not come to pass is taken to wait for the clock.
const ROUNDS_STUCK: u32 = 1000;
/// Rounds after which a service answers even if there is something else to do.
const ROUNDS_PER_ANSWER: u32 = 16;

/// How a [`Rig`] is set up.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RigConfig {
    /// Bins of the job, a power of two.
    pub n_bins: u32,
    /// Parcels that a channel between two workers, or between two stages of one across an exchange, has room for.
    pub capacity: usize,
    /// Whether every channel refuses every other attempt to send, full or not.
    pub refuses_every_other: bool,
}

impl Default for RigConfig {
    fn default() -> Self {
        Self { n_bins: 4, capacity: 16, refuses_every_other: false }
    }
}

/// What went wrong in a rig.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RigError {
    /// The dataflow cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A worker failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A channel broke the grammar, or a batch did not survive its encoding.
    #[error("{0}")]
    Channel(String),
    /// A worker could not restore.
    #[error("a restore failed: {0:?}")]
    Restore(RestoreFailure),
    /// A worker could not take its part of a snapshot.
    #[error("a snapshot failed: {0}")]
    Snapshot(String),
    /// What was waited for did not come.
    #[error("it does not come to pass that {0}")]
    Stuck(&'static str),
}

impl From<StoreError> for RigError {
    fn from(error: StoreError) -> Self {
        Self::Worker(error.into())
    }
}

/// A few real workers over ports driven by hand, and a coordinator of a page: they do what they are told, when they
/// are told. The [`OperatorTester`](super::OperatorTester) is made of it; for whole jobs with faults there is
/// [`Simulation`](super::Simulation).
pub struct Rig {
    define: Rc<dyn Fn(&Job)>,
    config: RigConfig,
    net: SharedNet,
    workers: Vec<Worker>,
    facts: Vec<Facts>,
    generation: Generation,
    routes: RouteTable,
    partitions: IndexMap<String, IndexMap<String, WorkerId>>,
    last_snapshot: SnapshotId,
    committed: Option<Committed>,
    n_rounds: u32,
    /// Operators whose state every worker has.
    everywhere: BTreeSet<String>,
    /// When each worker that has nothing to do is to be woken.
    wake_at: Vec<Option<Nanos>>,
}

impl Rig {
    /// A rig without workers for the job that `define` builds.
    #[must_use]
    pub fn new(config: RigConfig, define: impl Fn(&Job) + 'static) -> Self {
        let net = Net::new(config.capacity, config.refuses_every_other);
        Self {
            define: Rc::new(define),
            config,
            net: Rc::new(RefCell::new(net)),
            workers: Vec::new(),
            facts: Vec::new(),
            generation: Generation(0),
            routes: plan::initial(config.n_bins, 1),
            partitions: IndexMap::new(),
            last_snapshot: SnapshotId(0),
            committed: None,
            n_rounds: 0,
            everywhere: BTreeSet::new(),
            wake_at: Vec::new(),
        }
    }

    /// Holds back what goes along some links until it is [delivered](Self::deliver). What is under way arrives as it
    /// would have.
    pub fn hold(&mut self, holds: fn(Link) -> bool) {
        self.net.borrow_mut().holds = Some(holds);
    }

    /// Starts this many fresh workers in a new generation from the last committed snapshot, or from the beginning.
    /// Whatever workers there were are dropped, as a crash drops them.
    ///
    /// # Errors
    /// What keeps them from running.
    pub fn start(&mut self, n_workers: u32) -> Result<(), RigError> {
        self.crash();
        self.generation = self.generation.next();
        for worker in (0..n_workers).map(WorkerId) {
            let dataflow = Dataflow::build(self.config.n_bins, |job| (self.define)(job))?;
            let port = RigPort { me: worker, net: self.net.clone() };
            self.workers.push(Worker::new(worker, self.generation, dataflow, Box::new(port)));
            self.facts.push(Facts::default());
            self.wake_at.push(None);
        }
        let holds = self.net.borrow_mut().holds.take();
        self.send(WorkerId(0), Order::Discover);
        self.run_until("the sources name their partitions", |rig| rig.facts[0].partitions.is_some())?;
        self.place(n_workers);
        self.send_all(&Order::Connect { epoch: 1, n_workers });
        self.run_until("the workers connect", |rig| rig.facts.iter().all(|facts| facts.is_connected))?;
        for worker in (0..n_workers).map(WorkerId) {
            let order = self.restore_order(worker);
            self.send(worker, Order::Restore(Box::new(order)));
        }
        self.run_until("the workers restore", |rig| rig.facts.iter().all(|facts| facts.is_restored))?;
        self.net.borrow_mut().holds = holds;
        self.send_all(&Order::Run);
        Ok(())
    }

    /// Drops all workers and all that is on its way. Stored objects and the last commit stay.
    pub fn crash(&mut self) {
        self.workers.clear();
        self.facts.clear();
        self.wake_at.clear();
        self.net.borrow_mut().clear();
    }

    /// How many workers there are.
    #[must_use]
    pub fn n_workers(&self) -> usize {
        self.workers.len()
    }

    /// The last snapshot that was committed.
    #[must_use]
    pub fn committed(&self) -> Option<SnapshotId> {
        self.committed.as_ref().map(|committed| committed.id)
    }

    /// Has one worker take one step; whether it did anything that could be seen, or says that it has more to do.
    ///
    /// # Errors
    /// What the worker says, or what a channel did not allow.
    pub fn step(&mut self, worker: WorkerId) -> Result<bool, RigError> {
        let before = {
            let mut net = self.net.borrow_mut();
            net.begin();
            net.n_acts
        };
        let activity = self.workers[worker.index()].step()?;
        if let Activity::Idle(until) = activity {
            self.wake_at[worker.index()] = until;
        }
        let mut net = self.net.borrow_mut();
        let has_acted = net.n_acts > before || activity == Activity::Busy;
        if has_acted {
            net.keep(worker);
        }
        if let Some(violation) = net.violations.first() {
            return Err(RigError::Channel(violation.clone()));
        }
        let reports: Vec<Report> = net.reports.drain(..).collect();
        drop(net);
        reports.into_iter().try_for_each(|report| self.note(report))?;
        Ok(has_acted)
    }

    /// Links on which something is held back.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        self.net.borrow().links()
    }

    /// Lets the oldest message of a link go.
    pub fn deliver(&mut self, link: Link) {
        self.net.borrow_mut().deliver(link);
    }

    /// A hash of all that the workers have seen and of all that is on its way: two rigs that were driven from the same
    /// start and have the same one are in the same state.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.net.borrow().fingerprint()
    }

    /// Tells all workers to take a snapshot.
    pub fn begin_snapshot(&mut self, after: After) {
        self.last_snapshot = self.last_snapshot.next();
        let (id, base) = (self.last_snapshot, self.committed());
        self.send_all(&Order::Snapshot { id, base, after });
    }

    /// Whether all workers have taken the snapshot that was begun last.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let is_taken = |facts: &Facts| facts.part.as_ref().is_some_and(|part| part.id == self.last_snapshot);
        self.facts.iter().all(is_taken)
    }

    /// Commits the snapshot that all workers have taken, and tells them.
    pub fn commit(&mut self) {
        let id = self.last_snapshot;
        let parts = self.facts.iter_mut().filter_map(|facts| facts.part.take()).collect();
        self.committed = Some(Committed::new(id, self.routes.clone(), self.committed.take(), parts));
        self.send_all(&Order::Committed { id });
    }

    /// Tells all workers of a step in which each of these bins, and every partition, goes to the next worker.
    pub fn publish(&mut self, bins: impl IntoIterator<Item = Bin>) {
        let n_workers = self.routes.n_workers;
        let next = |worker: WorkerId| WorkerId((worker.0 + 1) % n_workers);
        let owner = |bin: Bin| self.routes.owners[bin.index()];
        let bins: Vec<BinMove> =
            bins.into_iter().map(|bin| BinMove { bin, from: owner(bin), to: next(owner(bin)) }).collect();
        let version = self.routes.version.next();
        let mut partitions = Vec::new();
        for (source, readers) in &mut self.partitions {
            for (partition, reader) in readers {
                let (from, to) = (*reader, next(*reader));
                *reader = to;
                let (source, partition) = (source.clone(), partition.clone());
                partitions.push(PartitionMove { source, partition, from, to });
            }
        }
        self.routes = plan::apply(&self.routes, &bins, version);
        self.send_all(&Order::Publish(Box::new(MoveStep { version, bins, partitions })));
    }

    /// Whether all workers know of the step that was published last.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.facts.iter().all(|facts| facts.published == self.routes.version)
    }

    /// Has the workers carry out the step that was published.
    pub fn switch(&mut self) {
        let version = self.routes.version;
        self.send_all(&Order::Switch { version });
    }

    /// Whether all workers are done with the step that was published last.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        self.facts.iter().all(|facts| facts.moved == self.routes.version)
    }

    /// Whether all sources have ended on all workers.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.facts.iter().all(|facts| facts.exhausted == Some(self.routes.version))
    }

    /// Lets the stream end.
    pub fn end(&mut self) {
        self.send_all(&Order::Finish);
    }

    /// Whether the stream has ended on all workers.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.facts.iter().all(|facts| facts.is_ended)
    }

    /// Whether the last commit is visible on all workers.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.facts.iter().all(|facts| Some(facts.settled) == self.committed())
    }

    /// Takes a snapshot and commits it.
    ///
    /// # Errors
    /// What keeps it from being taken.
    pub fn snapshot(&mut self, after: After) -> Result<(), RigError> {
        self.begin_snapshot(after);
        self.run_until("all workers have taken the snapshot", Self::is_taken)?;
        self.commit();
        self.run_until("the snapshot is settled", Self::is_settled)
    }

    /// Waits until all sources have ended, ends the stream and commits what it left.
    ///
    /// # Errors
    /// What keeps it from ending.
    pub fn finish(&mut self) -> Result<(), RigError> {
        self.run_until("all sources end", Self::is_exhausted)?;
        self.end();
        self.run_until("the stream ends", Self::is_ended)?;
        self.snapshot(After::Finish)
    }

    /// Gives every worker a turn, the later ones fewer; whether anybody did anything. Where nobody did, one message of
    /// each link that is held back is let go: what is held is later than all else.
    ///
    /// # Errors
    /// As for [`step`](Self::step).
    pub fn round(&mut self) -> Result<bool, RigError> {
        let mut has_acted = false;
        let n_workers = u32::try_from(self.workers.len()).unwrap_or(u32::MAX);
        for worker in (0..n_workers).map(WorkerId) {
            // The first worker fills the others' channels before they look.
            for _ in 0..if worker.0 == 0 { 3 } else { 1 } {
                has_acted |= self.step(worker)?;
            }
        }
        if !has_acted {
            for link in self.links() {
                self.deliver(link);
                has_acted = true;
            }
        }
        // What a service answers comes last of all, and what was asked last first; but a sender without room tries for
        // ever, and may wait for just that.
        self.n_rounds += 1;
        if !has_acted || self.n_rounds.is_multiple_of(ROUNDS_PER_ANSWER) {
            has_acted |= Net::answer(&self.net);
        }
        Ok(has_acted)
    }

    /// Goes on until there is nothing to do.
    ///
    /// # Errors
    /// As for [`step`](Self::step); or that it never comes to rest.
    pub fn drain(&mut self) -> Result<(), RigError> {
        for _ in 0..ROUNDS_MAX {
            if !self.round()? {
                return Ok(());
            }
        }
        Err(RigError::Stuck("there is nothing more to do"))
    }

    /// Goes on until something is so.
    ///
    /// # Errors
    /// As for [`step`](Self::step); or that it does not come to pass.
    pub fn run_until(
        &mut self,
        what: &'static str,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> Result<(), RigError> {
        for round in 0..ROUNDS_MAX {
            if is_so(self) {
                return Ok(());
            }
            // A sender without room tries for ever, and may wait for time to pass.
            let is_stuck = round > ROUNDS_STUCK && round.is_multiple_of(ROUNDS_PER_ANSWER);
            if !self.round()? || is_stuck {
                self.let_time_pass();
            }
        }
        Err(RigError::Stuck(what))
    }

    /// Nobody has anything to do: goes on to when somebody will have.
    fn let_time_pass(&mut self) {
        let mut net = self.net.borrow_mut();
        let next = self.wake_at.iter().flatten().copied().min();
        net.now = next.map_or(net.now, |next| next.max(net.now));
    }

    fn send(&self, worker: WorkerId, order: Order) {
        let command = Command { generation: self.generation, order };
        let command = crate::worker::messages::ToWorker::Command(command);
        self.net.borrow_mut().send(Link::Command(worker), command);
    }

    fn send_all(&self, order: &Order) {
        for worker in 0..self.workers.len() {
            self.send(WorkerId(u32::try_from(worker).unwrap_or(u32::MAX)), order.clone());
        }
    }
}

impl fmt::Debug for Rig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rig")
            .field("workers", &self.workers)
            .field("routes", &self.routes)
            .field("committed", &self.committed())
            .finish_non_exhaustive()
    }
}
