//! Where a stage ends: what takes its records and control, and a sink as its worker sees it.

use super::{OpenError, StageError};
use crate::element::Control;
use crate::ids::SnapshotId;
use crate::operators::Emit;
use crate::ports::WorkerPort;
use crate::snapshot::{OperatorKind, RouteTable};
use crate::worker::messages::BinMove;

/// Where a stage ends.
pub trait Outlet<T>: Emit<T> + 'static {
    /// Passes on what waits for room; whether nothing waits any more.
    fn drain(&mut self) -> bool;
    /// Passes on batches that are not full.
    ///
    /// # Errors
    /// What a sink says.
    fn flush(&mut self) -> Result<(), StageError>;
    /// So many records were emitted since this was last told. It is told after each batch, so that no record pays for it.
    fn emitted(&mut self, n_records: usize) {
        let _ = n_records;
    }
    /// Passes on control, behind everything emitted so far.
    ///
    /// # Errors
    /// What a sink says.
    fn control(&mut self, control: Control) -> Result<(), StageError>;
    /// The first error of what was emitted since this was last asked.
    ///
    /// # Errors
    /// What a sink says.
    fn check(&mut self) -> Result<(), StageError> {
        Ok(())
    }
    /// From now on there are the workers 0 to `n_workers - 1`: opens channels to those that are new, and drops those to
    /// workers that are gone.
    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        let _ = (n_workers, port);
    }
    /// Takes a whole route table.
    fn set_routes(&mut self, routes: &RouteTable) {
        let _ = routes;
    }
    /// Changes the owners of some bins.
    fn move_bins(&mut self, moves: &[BinMove]) {
        let _ = moves;
    }
    /// The sink, if the stage ends in one.
    fn sink(&mut self) -> Option<&mut dyn AnySink> {
        None
    }
}

/// A sink, whatever its types.
pub trait AnySink {
    /// The name that identifies it for ever.
    fn name(&self) -> &str;
    /// Plain or transactional.
    fn kind(&self) -> OperatorKind;
    /// Called once, when the worker knows who it is.
    ///
    /// # Errors
    /// What the sink says.
    fn open(&mut self, cx: &crate::operators::SinkContext) -> Result<(), StageError>;
    /// Makes what was written durable; gives the handles of all that is prepared and not committed.
    ///
    /// # Errors
    /// What the sink says.
    fn prepare(&mut self, snapshot: SnapshotId) -> Result<Vec<Vec<u8>>, StageError>;
    /// Makes what was prepared up to this snapshot visible.
    ///
    /// # Errors
    /// What the sink says.
    fn commit(&mut self, snapshot: SnapshotId) -> Result<(), StageError>;
    /// Commits these handles and discards all else.
    ///
    /// # Errors
    /// What is wrong with a handle, or what the sink says.
    fn recover(&mut self, restored: Option<SnapshotId>, handles: &[Vec<u8>]) -> Result<(), OpenError>;
    /// Records written since this was last asked.
    fn take_n_written(&mut self) -> u64;
}
