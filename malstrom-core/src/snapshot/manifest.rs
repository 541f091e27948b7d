//! What a committed snapshot says about itself.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::element::Timestamp;
use crate::ids::{Bin, Generation, RouteVersion, SnapshotId, WorkerId};

/// Everything needed to restore a job: the cut, where its bytes lie, and what they belong to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job's name: a store holds one job.
    pub job: String,
    /// The generation that took the snapshot.
    pub generation: Generation,
    /// Its id.
    pub snapshot: SnapshotId,
    /// The name of a savepoint, which collection leaves alone.
    #[serde(default)]
    pub savepoint: Option<String>,
    /// Why the snapshot was taken, and so whether the job goes on after it.
    pub after: After,
    /// How many bins the job has; fixed for its life.
    pub n_bins: u32,
    /// Who owned which bin at the cut.
    pub routes: RouteTable,
    /// The named operators of the job, in the order of the dataflow.
    pub operators: IndexMap<String, OperatorKind>,
    /// Keyed state: for each operator its non-empty bins, in ascending order.
    pub state: IndexMap<String, Vec<(Bin, BlockRef)>>,
    /// The objects that `state` refers to, by index.
    pub objects: Vec<ObjectRef>,
    /// Source positions: for each source its partitions, each with its encoded position.
    pub sources: IndexMap<String, IndexMap<String, Vec<u8>>>,
    /// Prepared transactions: for each transactional sink the encoded handles to commit.
    pub sinks: IndexMap<String, Vec<Vec<u8>>>,
    /// How far event time had come for each operator that goes by it: the least that any worker was told.
    #[serde(default)]
    pub watermarks: IndexMap<String, Timestamp>,
}

/// What follows a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum After {
    /// The job goes on.
    Run,
    /// The job was suspended and waits to be resumed.
    Suspend,
    /// The sources had ended: the job is complete.
    Finish,
}

/// What kind of thing bears a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorKind {
    /// A source, whose partitions have positions.
    Source,
    /// An operator with keyed state.
    KeyedState,
    /// A sink that writes at least once and keeps nothing.
    Sink,
    /// A sink that writes in transactions.
    TransactionalSink,
    /// An operator whose state every worker has, as a broadcast stream has made it. It is stored as one bin.
    BroadcastState,
}

impl OperatorKind {
    /// The kind in words, for messages.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Source => "a source",
            Self::KeyedState => "an operator with keyed state",
            Self::Sink => "a sink",
            Self::TransactionalSink => "a transactional sink",
            Self::BroadcastState => "an operator with broadcast state",
        }
    }

    /// Whether its state lies in blocks.
    #[must_use]
    pub fn has_blocks(self) -> bool {
        matches!(self, Self::KeyedState | Self::BroadcastState)
    }
}

/// An object of the store that holds blocks of state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its path below the job's root.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// One bin of one operator, somewhere in an object.
///
/// It is written as the list of its fields, since a manifest has thousands of them and their names would be two thirds of
/// it; as a map, with names, it is read too. A field that is added later comes last and has a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct BlockRef {
    /// Index of the object in the list that the reference stands beside.
    pub object: u32,
    /// Where the block begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub bytes: u32,
    /// CRC-32C of those bytes without the last four, which hold the same.
    pub checksum: u32,
    /// How many keys the bin holds.
    pub keys: u32,
}

impl Serialize for BlockRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { object, offset, bytes, checksum, keys } = self;
        (object, offset, bytes, checksum, keys).serialize(serializer)
    }
}

/// Which worker owns each bin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Grows with every change.
    pub version: RouteVersion,
    /// How many workers there are: 0 to `n_workers - 1`.
    pub n_workers: u32,
    /// The owner of each bin, by bin.
    pub owners: Vec<WorkerId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    #[test]
    fn a_reference_to_a_block_is_read_as_a_list_and_as_a_map() {
        let block = BlockRef { object: 3, offset: 1 << 40, bytes: 70_000, checksum: 0xdead_beef, keys: 24 };
        assert_eq!(decode::<BlockRef>(&encode(&block).unwrap()).unwrap(), block);
        let mut named = std::collections::BTreeMap::new();
        named.insert("object", 3_u64);
        named.insert("offset", 1 << 40);
        named.insert("bytes", 70_000);
        named.insert("checksum", 0xdead_beef);
        named.insert("keys", 24);
        assert_eq!(decode::<BlockRef>(&encode(&named).unwrap()).unwrap(), block);
        assert!(decode::<BlockRef>(&encode(&(3, 4, 5, 6)).unwrap()).is_err());
        assert!(decode::<BlockRef>(&encode(&(3, 4, 5, 6, 7, 8)).unwrap()).is_err());
    }
}
