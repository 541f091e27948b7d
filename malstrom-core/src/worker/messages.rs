//! All that is said between the coordinator and its workers, and among workers besides the stream itself. Every
//! message can be encoded, but for tables that are handed over in memory, and every one bears the generation it belongs to.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::element::Timestamp;
use crate::ids::{Bin, Generation, RouteVersion, SnapshotId, StageId, WorkerId};
use crate::ports::StoreError;
use crate::snapshot::{After, BlockRef, ObjectRef, OperatorKind, RouteTable};
use crate::state::MovedBin;

/// From the coordinator to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The generation of the coordinator that says so; a worker of another does not listen.
    pub generation: Generation,
    /// What to do.
    pub order: Order,
}

/// What a worker can be told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Ask all sources for their partitions. Answered by [`Fact::Partitions`].
    Discover,
    /// Have channels with exactly these workers. Answered by [`Fact::Connected`].
    Connect {
        /// Grows with each such order.
        epoch: u64,
        /// The job has the workers 0 to `n_workers - 1`.
        n_workers: u32,
    },
    /// Load state and positions. Answered by [`Fact::Restored`] or [`Fact::RestoreFailed`].
    Restore(Box<RestoreOrder>),
    /// Begin to process. Answered by [`Fact::Running`].
    Run,
    /// Take a snapshot. Answered by [`Fact::SnapshotTaken`] or [`Fact::SnapshotFailed`].
    Snapshot {
        /// Its id.
        id: SnapshotId,
        /// The committed snapshot from which clean bins are carried over; `None` to write all.
        base: Option<SnapshotId>,
        /// What follows it.
        after: After,
    },
    /// The snapshot is committed: make transactions visible, acknowledge positions. Answered by [`Fact::Settled`].
    Committed {
        /// Its id.
        id: SnapshotId,
    },
    /// Get ready for a step of a rescale. Answered by [`Fact::Published`].
    Publish(Box<MoveStep>),
    /// Carry out the step that was published. Answered by [`Fact::Moved`].
    Switch {
        /// Its version.
        version: RouteVersion,
    },
    /// All sources have ended everywhere: let the stream end. Answered by [`Fact::Ended`].
    Finish,
}

/// What a worker is to begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreOrder {
    /// The snapshot that is restored; `None` when the job starts afresh.
    pub snapshot: Option<SnapshotId>,
    /// Who owns which bin.
    pub routes: RouteTable,
    /// The objects that `state` refers to.
    pub objects: Vec<ObjectRef>,
    /// For each operator, the blocks of the bins this worker owns.
    pub state: IndexMap<String, Vec<(Bin, BlockRef)>>,
    /// For each source, the partitions this worker reads, with the position to go on from.
    pub partitions: IndexMap<String, IndexMap<String, Option<Vec<u8>>>>,
    /// For each transactional sink the handles to commit, if this is the worker that recovers the sinks.
    pub sinks: Option<IndexMap<String, Vec<Vec<u8>>>>,
    /// For each operator that goes by event time, how far it had come.
    #[serde(default)]
    pub watermarks: IndexMap<String, Timestamp>,
    /// Whether the worker comes to a job that runs already.
    #[serde(default)]
    pub is_newcomer: bool,
}

/// One step of a rescale: a few bins and partitions that change hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveStep {
    /// The route version that the step makes.
    pub version: RouteVersion,
    /// Bins that move.
    pub bins: Vec<BinMove>,
    /// Source partitions that move.
    pub partitions: Vec<PartitionMove>,
}

/// A bin that changes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinMove {
    /// Which one.
    pub bin: Bin,
    /// Who has it.
    pub from: WorkerId,
    /// Who gets it.
    pub to: WorkerId,
}

/// A source partition that changes hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionMove {
    /// The source's name.
    pub source: String,
    /// The partition's name.
    pub partition: String,
    /// Who reads it.
    pub from: WorkerId,
    /// Who goes on reading it.
    pub to: WorkerId,
}

/// From a worker to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The generation of the worker.
    pub generation: Generation,
    /// Who reports.
    pub worker: WorkerId,
    /// What is so.
    pub fact: Fact,
}

/// What a worker can report. Each stays true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// The dataflow stands.
    Built(GraphDescription),
    /// The partitions of each source.
    Partitions(IndexMap<String, Vec<String>>),
    /// Channels are as the order of this epoch asked.
    Connected {
        /// The order's epoch.
        epoch: u64,
    },
    /// State and positions are loaded.
    Restored,
    /// They are not, and cannot be.
    RestoreFailed(RestoreFailure),
    /// The worker processes.
    Running,
    /// Everything before the cut is stored.
    SnapshotTaken(Box<SnapshotPart>),
    /// The snapshot cannot be taken. The worker goes on.
    SnapshotFailed {
        /// Its id.
        id: SnapshotId,
        /// Why.
        reason: String,
    },
    /// Transactions of this snapshot are visible.
    Settled {
        /// Its id.
        id: SnapshotId,
    },
    /// Ready for the step of this version.
    Published {
        /// The step's version.
        version: RouteVersion,
    },
    /// All that was to leave has left, all that was to come has come.
    Moved {
        /// The step's version.
        version: RouteVersion,
        /// Bytes of state sent: encoded, or the memory of what was handed over.
        bytes: u64,
        /// Bytes of encoded state that cost as much to send and to receive.
        weight: u64,
    },
    /// All partitions that the worker has under this route version have ended.
    Exhausted {
        /// The route version.
        version: RouteVersion,
    },
    /// The stream has ended on all stages.
    Ended,
}

/// Why a worker could not restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestoreFailure {
    /// Stored bytes are missing or damaged: an earlier snapshot may do.
    Damaged {
        /// What is wrong, and where.
        reason: String,
    },
    /// The bytes are sound but the program cannot read them: no other snapshot will do.
    Incompatible {
        /// The operator or source.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// What one worker contributes to a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// The snapshot.
    pub id: SnapshotId,
    /// Objects written for it.
    pub objects: Vec<ObjectRef>,
    /// For each operator the bins that changed since the base: where each lies, or `None` if it is empty now.
    pub state: IndexMap<String, Vec<(Bin, Option<BlockRef>)>>,
    /// For each source the position of each partition that this worker reads.
    pub sources: IndexMap<String, IndexMap<String, Vec<u8>>>,
    /// For each transactional sink the handles it prepared.
    pub sinks: IndexMap<String, Vec<Vec<u8>>>,
    /// For each operator that goes by event time, what it was told of it before the cut.
    #[serde(default)]
    pub watermarks: IndexMap<String, Timestamp>,
}

/// What the builder made, as far as others must know. It is the same on every worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphDescription {
    /// Named operators, in the order of the dataflow.
    pub operators: IndexMap<String, OperatorKind>,
    /// How many stages there are.
    pub n_stages: u32,
    /// How many edges there are.
    pub n_edges: u32,
}

/// State on its way from one worker to another.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The generation it belongs to.
    pub generation: Generation,
    /// The step it belongs to.
    pub version: RouteVersion,
    /// What it brings.
    pub cargo: Cargo,
}

/// What can be moved.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cargo {
    /// The state of one bin in all operators of one stage.
    Bin {
        /// The stage.
        stage: StageId,
        /// The bin.
        bin: Bin,
        /// For each operator of the stage in order: the last snapshot cut before its last change, and its state.
        states: Vec<(SnapshotId, MovedBin)>,
    },
    /// What every worker has of one stage, for a newcomer.
    Copies {
        /// The stage.
        stage: StageId,
        /// The merged watermark at the cut, if the stage keeps state by key.
        merged: Option<Timestamp>,
        /// For each such state of the stage in order, its encoded form.
        states: Vec<Vec<u8>>,
    },
    /// The position of a source partition.
    Partition {
        /// The source's name.
        source: String,
        /// The partition's name.
        partition: String,
        /// Its encoded position.
        position: Vec<u8>,
    },
}

/// All that can arrive at a worker.
#[derive(Debug)]
pub enum ToWorker {
    /// From the coordinator.
    Command(Command),
    /// From another worker.
    Mail(Mail),
    /// How a put went.
    Stored {
        /// The object.
        path: String,
        /// Whether it is durable.
        result: Result<(), StoreError>,
        /// What its bytes lay in, to be filled again; without capacity if it is gone.
        buffer: Vec<u8>,
    },
    /// How a read went.
    Read {
        /// The object.
        path: String,
        /// Where the range began.
        offset: u64,
        /// The bytes of the range.
        result: Result<Vec<u8>, StoreError>,
    },
}

#[cfg(test)]
mod tests;
