//! Manifests and log entries for the tests of this room.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{After, BlockRef, LogEntry, Manifest, ObjectRef, OperatorKind, RouteTable, object_path};
use crate::ids::{Bin, Generation, RouteVersion, SnapshotId, WorkerId};

/// A small manifest with something in every field.
pub(super) fn manifest(job: &str, generation: u64, snapshot: u64) -> Manifest {
    let (generation, snapshot) = (Generation(generation), SnapshotId(snapshot));
    let block = |offset, bytes| BlockRef { object: 0, offset, bytes, checksum: 0xdead_beef, keys: 3 };
    Manifest {
        job: job.to_owned(),
        generation,
        snapshot,
        savepoint: None,
        after: After::Run,
        n_bins: 4,
        routes: RouteTable {
            version: RouteVersion(1),
            n_workers: 2,
            owners: [0, 0, 1, 1].map(WorkerId).to_vec(),
        },
        operators: IndexMap::from([
            ("lines".to_owned(), OperatorKind::Source),
            ("counts".to_owned(), OperatorKind::KeyedState),
            ("print".to_owned(), OperatorKind::Sink),
            ("totals".to_owned(), OperatorKind::TransactionalSink),
        ]),
        state: IndexMap::from([("counts".to_owned(), vec![(Bin(0), block(0, 60)), (Bin(2), block(60, 40))])]),
        objects: vec![ObjectRef { path: object_path(generation, snapshot, WorkerId(0), 0), bytes: 100 }],
        sources: IndexMap::from([(
            "lines".to_owned(),
            IndexMap::from([("part-0".to_owned(), vec![1, 2]), ("part-1".to_owned(), vec![])]),
        )]),
        sinks: IndexMap::from([("totals".to_owned(), vec![vec![9], vec![8, 7]])]),
        watermarks: IndexMap::new(),
    }
}

/// A claim.
pub(super) fn claim(generation: u64) -> LogEntry {
    LogEntry::Claimed { job: "job".to_owned(), generation: Generation(generation), token: 7 }
}

/// A commit of the manifest above, as it was before commits named savepoints.
pub(super) fn commit(generation: u64, snapshot: u64) -> LogEntry {
    LogEntry::Committed {
        token: 7,
        savepoints: None,
        manifest: Arc::new(manifest("job", generation, snapshot)),
    }
}

/// A commit that names the savepoints below it.
pub(super) fn commit_above(savepoints: &[u64], generation: u64, snapshot: u64) -> LogEntry {
    let manifest = Arc::new(manifest("job", generation, snapshot));
    LogEntry::Committed { token: 7, savepoints: Some(savepoints.to_vec()), manifest }
}

/// A commit of a savepoint.
pub(super) fn savepoint(generation: u64, snapshot: u64) -> LogEntry {
    let manifest = Manifest { savepoint: Some("kept".to_owned()), ..manifest("job", generation, snapshot) };
    LogEntry::Committed { token: 7, savepoints: None, manifest: Arc::new(manifest) }
}
