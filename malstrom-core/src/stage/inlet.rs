//! Where a stage begins, as its worker sees it: a source, or an exchange to which bins may be on their way.

use super::StageError;
use crate::element::{Control, Timestamp};
use crate::ids::{Bin, SnapshotId};
use crate::ports::WorkerPort;

/// Where a stage begins, as its worker sees it.
pub trait Inlet {
    /// From now on there are the workers 0 to `n_workers - 1`: opens channels from those that are new, and drops those from
    /// workers that are gone.
    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        let _ = (n_workers, port);
    }

    /// The source, if the stage begins with one.
    fn source(&mut self) -> Option<&mut dyn AnySource> {
        None
    }

    /// The stage has passed on the barrier of a route, behind which every promise is made anew. Gives the watermark that
    /// holds already; an inlet that must hear from others first gives none and announces it later.
    fn rerouted(&mut self) -> Option<Timestamp> {
        None
    }

    /// The arrivals of bins, if the stage begins with an exchange.
    fn arrivals(&mut self) -> Option<&mut dyn Arrivals> {
        None
    }
}

/// A source, whatever its types.
pub trait AnySource {
    /// The name that identifies it for ever.
    fn name(&self) -> &str;
    /// Asks for all partitions.
    ///
    /// # Errors
    /// What the source says.
    fn partitions(&mut self) -> Result<Vec<String>, StageError>;
    /// Begins to read a partition. Bytes that are not a position are told apart from a source that fails.
    ///
    /// # Errors
    /// What is wrong with the position, or what the source says.
    fn open(&mut self, partition: &str, position: Option<&[u8]>) -> Result<(), OpenError>;
    /// This partition is on its way here. Until it is open the source promises nothing and is not idle.
    fn expect(&mut self, partition: &str);
    /// Reads no further and gives the position; `None` if it is not read here.
    ///
    /// # Errors
    /// If the position refuses to be serialized.
    fn close(&mut self, partition: &str) -> Result<Option<Vec<u8>>, StageError>;
    /// Puts control into the stream, before any further record.
    fn inject(&mut self, control: Control);
    /// All positions, at the cut of a snapshot.
    ///
    /// # Errors
    /// If a position refuses to be serialized.
    fn positions(&mut self, snapshot: SnapshotId) -> Result<Vec<(String, Vec<u8>)>, StageError>;
    /// The snapshot is committed.
    fn committed(&mut self, snapshot: SnapshotId);
    /// Whether every partition read here has ended.
    fn is_exhausted(&self) -> bool;
}

/// Why a partition could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bytes are not a position of this source.
    #[error("the position of `{partition}` cannot be read: {reason}")]
    Position {
        /// The partition.
        partition: String,
        /// What is wrong.
        reason: String,
    },
    /// The source failed.
    #[error(transparent)]
    Failed(#[from] StageError),
}

/// Bins on their way to a stage.
pub trait Arrivals {
    /// These bins belong to this worker from now on; records for those whose state has not come yet are kept aside.
    fn expect(&mut self, bins: &[Bin]);
    /// The state of a bin is in place, whether it was expected already or is only going to be.
    fn arrived(&mut self, bin: Bin);
    /// How many bins are still on their way.
    fn n_missing(&self) -> usize;
    /// Whether a bin's state is in place that does not belong to this worker yet, since the cut is still to come.
    fn has_early(&self) -> bool;
    /// The merged watermark, which a worker that comes to a running job cannot know from what it hears.
    fn merged(&self) -> Timestamp;
    /// This worker comes to a running job: something is missing until it has been told the others' merged watermark.
    fn await_merged(&mut self);
    /// What that was when they were at the cut of this worker's first route.
    fn catch_up(&mut self, merged: Timestamp);
}
