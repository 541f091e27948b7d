//! What a rig has committed, and what of it each worker of the next generation is given.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::Rig;
use crate::coordinator::{least_watermarks, plan};
use crate::element::Timestamp;
use crate::ids::{Bin, SnapshotId, WorkerId};
use crate::snapshot::{BlockRef, ObjectRef, RouteTable};
use crate::worker::messages::{RestoreOrder, SnapshotPart};

/// The last snapshot that all workers had taken.
#[derive(Clone)]
pub(super) struct Committed {
    pub(super) id: SnapshotId,
    routes: RouteTable,
    state: BTreeMap<(String, Bin), (ObjectRef, BlockRef)>,
    sources: IndexMap<String, IndexMap<String, Vec<u8>>>,
    sinks: IndexMap<String, Vec<Vec<u8>>>,
    watermarks: IndexMap<String, Timestamp>,
}

impl Committed {
    /// What is committed when all workers have taken their parts of a snapshot: bins that none has written are as before.
    pub(super) fn new(
        id: SnapshotId,
        routes: RouteTable,
        before: Option<Self>,
        parts: Vec<SnapshotPart>,
    ) -> Self {
        let mut state = before.map(|committed| committed.state).unwrap_or_default();
        let (mut sources, mut sinks) = (IndexMap::new(), IndexMap::new());
        let watermarks = least_watermarks(&parts);
        for part in parts {
            for (operator, bins) in part.state {
                for (bin, block) in bins {
                    match block {
                        Some(block) => {
                            let object = part.objects[block.object as usize].clone();
                            state.insert((operator.clone(), bin), (object, block));
                        }
                        None => {
                            state.remove(&(operator.clone(), bin));
                        }
                    }
                }
            }
            for (source, positions) in part.sources {
                sources.entry(source).or_insert_with(IndexMap::new).extend(positions);
            }
            for (sink, handles) in part.sinks {
                sinks.entry(sink).or_insert_with(Vec::new).extend(handles);
            }
        }
        Self { id, routes, state, sources, sinks, watermarks }
    }
}

impl Rig {
    /// Says which worker is to own which bins, and to read which partitions.
    pub(super) fn place(&mut self, n_workers: u32) {
        let before = self.committed.as_ref().map_or_else(
            || plan::initial(self.config.n_bins, n_workers),
            |committed| committed.routes.clone(),
        );
        let moves = plan::rebalance(&before, n_workers);
        self.routes = plan::apply(&before, &moves, before.version.next());
        self.routes.n_workers = n_workers;
        self.partitions.clear();
        for (source, names) in self.facts[0].partitions.take().unwrap_or_default() {
            let readers = plan::place_partitions(&names, n_workers);
            self.partitions.insert(source, names.into_iter().zip(readers).collect());
        }
    }

    /// What a worker is given of the last commit.
    pub(super) fn restore_order(&self, worker: WorkerId) -> RestoreOrder {
        let mut objects: Vec<ObjectRef> = Vec::new();
        let mut state: IndexMap<String, Vec<(Bin, BlockRef)>> = IndexMap::new();
        let committed = self.committed.as_ref();
        for ((operator, bin), (object, block)) in committed.into_iter().flat_map(|all| &all.state) {
            let is_everywhere = self.everywhere.contains(operator);
            if !is_everywhere && self.routes.owners[bin.index()] != worker {
                continue;
            }
            let at = objects.iter().position(|known| known == object).unwrap_or_else(|| {
                objects.push(object.clone());
                objects.len() - 1
            });
            let block = BlockRef { object: u32::try_from(at).unwrap_or(u32::MAX), ..*block };
            state.entry(operator.clone()).or_default().push((*bin, block));
        }
        let mut partitions = IndexMap::new();
        for (source, readers) in &self.partitions {
            let positions = committed.and_then(|all| all.sources.get(source));
            let mine = readers.iter().filter(|(_, reader)| **reader == worker).map(|(partition, _)| {
                let position = positions.and_then(|positions| positions.get(partition)).cloned();
                (partition.clone(), position)
            });
            partitions.insert(source.clone(), mine.collect());
        }
        RestoreOrder {
            snapshot: self.committed(),
            routes: self.routes.clone(),
            objects,
            state,
            partitions,
            sinks: (worker == WorkerId(0))
                .then(|| committed.map(|all| all.sinks.clone()).unwrap_or_default()),
            watermarks: committed.map(|all| all.watermarks.clone()).unwrap_or_default(),
            is_newcomer: false,
        }
    }
}
