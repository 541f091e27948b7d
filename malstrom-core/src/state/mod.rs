//! Keyed state, bin by bin: what an operator with state reads and writes, and what the engine freezes, encodes, moves
//! and restores behind its back.
//!
//! The state of one operator on one worker is one small table for each bin. A bin remembers the last snapshot cut
//! before its last change; that number alone tells whether an incremental snapshot must write it, and whether the
//! next touch must save something first because the bin is frozen for a snapshot under way. A record pays one
//! comparison for both.

mod bins;
mod table;

pub use bins::{KeyedState, StateKey};
pub use table::BinTable;

use std::any::Any;

use serde::{Deserialize, Serialize};

use crate::codec::CodecError;
use crate::element::Timestamp;
use crate::exchange::Data;
use crate::ids::{Bin, SnapshotId, WorkerId};

/// One bin in its encoded form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBin {
    /// Which bin.
    pub bin: Bin,
    /// How many keys it holds; an empty bin has no bytes.
    pub keys: u32,
    /// The encoded keys and states.
    pub bytes: Vec<u8>,
}

/// Keys and states of one bin on their way to another worker.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MovedBin {
    /// There are none.
    Empty,
    /// In their encoded form, for a worker in another process.
    Bytes(Vec<u8>),
    /// As they are, for a worker that shares memory.
    #[serde(skip)]
    Table(HandedTable),
}

impl MovedBin {
    /// How much is moved, in bytes: of the encoded form, or of memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Table(table) => table.memory_bytes,
        }
    }

    /// Bytes of encoded state that cost as much to move, beside the bin itself.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Table(table) => table.weight,
        }
    }
}

/// The table of a bin, whatever its types.
pub struct HandedTable {
    table: Box<dyn Any + Send>,
    memory_bytes: usize,
    weight: usize,
}

impl HandedTable {
    pub(crate) fn new<K: StateKey, S: Data>(table: BinTable<K, S>) -> Self {
        Self { memory_bytes: table.memory_bytes(), table: Box::new(table), weight: 0 }
    }

    /// Whoever receives it goes through all of it, which costs about as much as decoding.
    pub(crate) fn walked(self) -> Self {
        Self { weight: self.memory_bytes, ..self }
    }

    /// The table, if it has these types.
    pub(crate) fn into_table<K: StateKey, S: Data>(self) -> Option<BinTable<K, S>> {
        self.table.downcast().ok().map(|table| *table)
    }
}

/// A table is the same as itself alone.
impl PartialEq for HandedTable {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for HandedTable {}

impl std::fmt::Debug for HandedTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandedTable").field("memory_bytes", &self.memory_bytes).finish_non_exhaustive()
    }
}

/// The keyed state of one operator on one worker, whatever its types.
pub trait AnyState {
    /// The name that identifies the state for ever.
    fn name(&self) -> &str;
    /// How many keys it holds on this worker.
    fn n_keys(&self) -> u64;
    /// How many bins it is divided into: a snapshot has at most so many blocks of it.
    fn n_bins(&self) -> usize;
    /// The worker is at the cut of a snapshot: every bin that has changed since the cut of `base` is to be encoded as it
    /// is now. Whatever an earlier, abandoned snapshot left frozen is released.
    fn freeze(&mut self, id: SnapshotId, base: Option<SnapshotId>);
    /// The next bin of the snapshot under way, `None` when there is none left.
    ///
    /// # Errors
    /// If a key or a state refuses to be serialized.
    fn encode_next(&mut self) -> Result<Option<EncodedBin>, CodecError>;
    /// Takes back the memory of a bin that was encoded, to encode the next one into it.
    fn reuse(&mut self, bytes: Vec<u8>) {
        drop(bytes);
    }
    /// How many keys had to be saved since this was last asked, because they were touched while their bin was frozen.
    fn take_n_saved(&mut self) -> usize {
        0
    }
    /// Takes a bin out: the last cut before its last change, and its keys and states.
    ///
    /// # Errors
    /// If a key or a state refuses to be serialized.
    fn take(&mut self, bin: Bin) -> Result<(SnapshotId, EncodedBin), CodecError>;
    /// Takes a bin out as it is, for a worker that shares memory; nothing if it holds no key.
    fn take_table(&mut self, bin: Bin) -> (SnapshotId, Option<HandedTable>) {
        let _ = bin;
        (SnapshotId(0), None)
    }
    /// Puts such a bin in.
    ///
    /// # Errors
    /// If it is not a table of this operator.
    fn put_table(&mut self, bin: Bin, changed_at: SnapshotId, table: HandedTable) -> Result<(), CodecError> {
        let _ = (changed_at, table);
        Err(CodecError::Malformed {
            what: "table of state",
            reason: format!("`{}` bin {}: the operator keeps no keys", self.name(), bin.0),
        })
    }
    /// Puts a bin in that was taken out or stored elsewhere.
    ///
    /// # Errors
    /// If the bytes are not keys and states of this operator, or keys that do not belong to the bin.
    fn put(&mut self, bin: Bin, changed_at: SnapshotId, bytes: &[u8]) -> Result<(), CodecError>;
    /// The state was restored from this snapshot, or starts afresh at 0.
    fn restored(&mut self, snapshot: SnapshotId);
    /// The bin waits to be taken out: records for it go elsewhere already, and nothing that it has due may happen here.
    fn leave(&mut self, bin: Bin) {
        let _ = bin;
    }
    /// The worker that the state is on, and whether it came to a job that ran already.
    fn runs_on(&mut self, worker: WorkerId, is_newcomer: bool) {
        let _ = (worker, is_newcomer);
    }
    /// A copy for a newcomer, of a state that every worker has.
    fn copy(&self) -> Option<Result<Vec<u8>, CodecError>> {
        None
    }
    /// Takes such a copy.
    ///
    /// # Errors
    /// If the bytes are not a state of this operator.
    fn put_copy(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        let _ = bytes;
        Ok(())
    }
    /// How far event time has come for the operator, if it goes by it.
    fn watermark(&self) -> Option<Timestamp> {
        None
    }
    /// Event time had come so far in the snapshot that is restored.
    fn restored_watermark(&mut self, time: Timestamp) {
        let _ = time;
    }
    /// Records that came too late to count, since the worker was started.
    fn n_late(&self) -> u64 {
        0
    }
}

/// Walks over the keyed state of a stage's operators, in the order of the dataflow.
pub trait StateVisitor {
    /// Called once for each.
    fn visit(&mut self, state: &mut dyn AnyState);
}

impl<F: FnMut(&mut dyn AnyState)> StateVisitor for F {
    fn visit(&mut self, state: &mut dyn AnyState) {
        self(state);
    }
}
