//! `build`: workers are started, connected and restored.
//!
//! # Steps
//! 1. Workers start and report what they built; all must have built the same.
//! 2. The first worker names the partitions of all sources.
//! 3. The newest commit that is not known to be damaged is checked against the dataflow, by name.
//! 4. Everybody is connected to everybody.
//! 5. Each worker loads the bins and partitions it is given; the first also recovers the transactional sinks.
//! 6. When all have, all run.

use std::sync::Arc;

use indexmap::IndexMap;

use super::facts::WorkerFacts;
use super::recover::Failure;
use super::{Coordinator, JobError, plan};
use crate::ids::{Bin, SnapshotId, WorkerId};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::snapshot::{BlockRef, Manifest, OperatorKind, Resolution, check_fit};
use crate::worker::messages::{Order, RestoreFailure, RestoreOrder};

impl Coordinator {
    /// Builds a generation; the snapshot that was restored.
    pub(super) async fn build(&mut self, resolution: &Resolution) -> Result<Option<SnapshotId>, Failure> {
        let candidate =
            resolution.candidates.iter().find(|candidate| !self.damaged.contains(&candidate.number));
        if candidate.is_none() && !resolution.candidates.is_empty() {
            mark::hit(Mark::NothingRestorable);
            let reason = "every commit in the log is damaged".to_owned();
            return Err(Failure::Fatal(JobError::NothingRestorable { reason }));
        }
        let manifest = candidate.map(|candidate| Arc::new(candidate.manifest.clone()));
        if let Some(manifest) = &manifest {
            self.config.n_bins = manifest.n_bins;
        }
        super::config::check_scale(self.n_wanted, self.config.n_bins)
            .map_err(|reason| Failure::Fatal(JobError::Config { reason }))?;
        self.start_workers(0, self.n_wanted).await?;
        let positions = match &manifest {
            None => IndexMap::new(),
            Some(manifest) => self.fit(manifest)?,
        };
        let discovered = self.discover().await?;
        self.place(manifest.as_deref(), &discovered, &positions)?;
        self.connect(self.n_wanted).await?;
        self.restore_all(manifest.as_deref(), &positions).await.inspect_err(|failure| {
            if let (Failure::Damaged(_), Some(candidate)) = (failure, candidate) {
                mark::hit(Mark::CommitDamaged);
                if !mutant::is(Mutant::DamageForgotten) {
                    self.damaged.insert(candidate.number);
                }
            }
        })?;
        let restored = manifest.as_ref().map(|manifest| manifest.snapshot);
        self.committed = manifest;
        self.run_workers(0).await?;
        Ok(restored)
    }

    /// Starts the workers `from..to` and waits until all stand and have built the same dataflow.
    pub(super) async fn start_workers(&mut self, from: u32, to: u32) -> Result<(), Failure> {
        self.n_live = self.n_live.max(to);
        for worker in (from..to).map(WorkerId) {
            self.host.start_worker(self.generation, worker, self.config.n_bins);
        }
        let wait = self.wait("build the dataflow", self.config.deadlines.build);
        wait.all(|facts| facts.built.is_some()).await?;
        let graphs = self.mailbox.with_facts(|facts| {
            (0..to)
                .map(|worker| facts.worker(WorkerId(worker)).built.clone().unwrap_or_default())
                .collect::<Vec<_>>()
        });
        for (worker, graph) in graphs.iter().enumerate() {
            if *graph != graphs[0] {
                let worker = WorkerId(u32::try_from(worker).unwrap_or(u32::MAX));
                return Err(Failure::Fatal(JobError::UnequalGraphs { worker }));
            }
        }
        if let Some(graph) = graphs.into_iter().next() {
            self.graph = graph;
        }
        Ok(())
    }

    /// Checks the dataflow against a snapshot; the source positions that are to be restored.
    pub(super) fn fit(
        &self,
        manifest: &Manifest,
    ) -> Result<IndexMap<String, IndexMap<String, Vec<u8>>>, Failure> {
        let fit = check_fit(manifest, &self.graph, &self.config.allow_drop);
        let fit = fit.map_err(|misfit| Failure::Fatal(misfit.into()))?;
        let mut sources = manifest.sources.clone();
        sources.retain(|name, _| !fit.dropped.contains(name));
        Ok(sources)
    }

    async fn discover(&self) -> Result<IndexMap<String, Vec<String>>, Failure> {
        self.send(WorkerId(0), Order::Discover);
        let mut wait = self.wait("name the partitions of its sources", self.config.deadlines.build);
        wait.only_first();
        wait.all(|facts| facts.partitions.is_some()).await?;
        Ok(self.mailbox.with_facts(|facts| facts.worker(WorkerId(0)).partitions.clone().unwrap_or_default()))
    }

    /// Decides who owns which bin and reads which partition.
    fn place(
        &mut self,
        manifest: Option<&Manifest>,
        discovered: &IndexMap<String, Vec<String>>,
        positions: &IndexMap<String, IndexMap<String, Vec<u8>>>,
    ) -> Result<(), Failure> {
        self.routes = match manifest {
            None => plan::initial(self.config.n_bins, self.n_wanted),
            Some(manifest) => {
                let moves = plan::rebalance(&manifest.routes, self.n_wanted);
                plan::apply(&manifest.routes, &moves, manifest.routes.version.next())
            }
        };
        self.routes.n_workers = self.n_wanted;
        self.partitions.clear();
        for (source, names) in discovered {
            let read = positions.get(source).into_iter().flatten().map(|(partition, _)| partition);
            for partition in read {
                if !names.contains(partition) && !self.config.allow_drop.contains(source) {
                    return Err(Failure::Fatal(JobError::PartitionGone {
                        source_name: source.clone(),
                        partition: partition.clone(),
                        snapshot: manifest.map(|manifest| manifest.snapshot).unwrap_or_default(),
                    }));
                }
            }
            let readers = plan::place_partitions(names, self.n_wanted);
            let placed = names.iter().cloned().zip(readers).collect();
            self.partitions.insert(source.clone(), placed);
        }
        Ok(())
    }

    /// Has the workers below `n_workers` connected with one another, and with nobody else.
    pub(super) async fn connect(&mut self, n_workers: u32) -> Result<(), Failure> {
        self.epoch += 1;
        let epoch = self.epoch;
        for worker in (0..n_workers).map(WorkerId) {
            self.send(worker, Order::Connect { epoch, n_workers });
        }
        let mut wait = self.wait("connect", self.config.deadlines.build);
        wait.only_below(n_workers);
        wait.all(|facts| facts.connected >= epoch).await?;
        Ok(())
    }

    async fn restore_all(
        &self,
        manifest: Option<&Manifest>,
        positions: &IndexMap<String, IndexMap<String, Vec<u8>>>,
    ) -> Result<(), Failure> {
        for worker in self.live_workers() {
            let order = RestoreOrder {
                snapshot: manifest.map(|manifest| manifest.snapshot),
                routes: self.routes.clone(),
                objects: manifest.map(|manifest| manifest.objects.clone()).unwrap_or_default(),
                state: manifest.map(|manifest| self.state_of(manifest, worker)).unwrap_or_default(),
                partitions: self.partitions_of(worker, positions),
                sinks: (worker == WorkerId(0))
                    .then(|| manifest.map(|manifest| manifest.sinks.clone()).unwrap_or_default()),
                watermarks: manifest.map(|manifest| manifest.watermarks.clone()).unwrap_or_default(),
                is_newcomer: false,
            };
            self.send(worker, Order::Restore(Box::new(order)));
        }
        self.wait_restored(manifest.map(|manifest| manifest.snapshot).unwrap_or_default()).await
    }

    /// Waits until all workers have restored.
    pub(super) async fn wait_restored(&self, snapshot: SnapshotId) -> Result<(), Failure> {
        let wait = self.wait("load its state", self.config.deadlines.restore);
        let look = |facts: &mut WorkerFacts| match &facts.restore_failed {
            Some(failure) => Some(Err(failure.clone())),
            None => facts.is_restored.then_some(Ok(())),
        };
        wait.all_or(look).await?.map_err(|failure| match failure {
            RestoreFailure::Damaged { reason } => Failure::Damaged(format!("snapshot {snapshot}: {reason}")),
            RestoreFailure::Incompatible { name, reason } => {
                Failure::Fatal(JobError::Incompatible { name, snapshot, reason })
            }
        })
    }

    /// Lets the workers process.
    pub(super) async fn run_workers(&self, first: u32) -> Result<(), Failure> {
        for worker in (first..self.n_live).map(WorkerId) {
            self.send(worker, Order::Run);
        }
        let wait = self.wait("begin to process", self.config.deadlines.build);
        wait.all(|facts| facts.is_running).await?;
        Ok(())
    }

    fn state_of(&self, manifest: &Manifest, worker: WorkerId) -> IndexMap<String, Vec<(Bin, BlockRef)>> {
        let mut state = IndexMap::new();
        for (operator, bins) in &manifest.state {
            let is_everywhere = match self.graph.operators.get(operator) {
                Some(OperatorKind::KeyedState) => mutant::is(Mutant::RestoredEverywhere),
                Some(OperatorKind::BroadcastState) => true,
                _ => continue,
            };
            let owned =
                bins.iter().filter(|(bin, _)| is_everywhere || self.routes.owners[bin.index()] == worker);
            state.insert(operator.clone(), owned.copied().collect());
        }
        state
    }

    fn partitions_of(
        &self,
        worker: WorkerId,
        positions: &IndexMap<String, IndexMap<String, Vec<u8>>>,
    ) -> IndexMap<String, IndexMap<String, Option<Vec<u8>>>> {
        let mut mine = IndexMap::new();
        for (source, readers) in &self.partitions {
            let position =
                |partition: &String| positions.get(source).and_then(|read| read.get(partition)).cloned();
            let read = readers.iter().filter(|(_, reader)| **reader == worker);
            let read = read.map(|(partition, _)| (partition.clone(), position(partition))).collect();
            mine.insert(source.clone(), read);
        }
        mine
    }
}
