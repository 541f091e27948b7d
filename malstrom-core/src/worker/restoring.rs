//! What a worker does before it runs: recover sinks, read its bins, open its partitions.
//!
//! Blocks that lie side by side in an object are read together; a bounded number of reads is under way at once.

use std::collections::{BTreeMap, VecDeque};

use indexmap::IndexMap;

use super::messages::{Fact, RestoreFailure, RestoreOrder};
use super::{Worker, WorkerError};
use crate::ids::{Bin, SnapshotId};
use crate::limits::{OBJECT_BYTES_MAX, RESTORE_READS_MAX};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::ports::StoreError;
use crate::snapshot::{BlockRef, block};
use crate::stage::OpenError;
use crate::state::AnyState;

/// A restore under way.
pub(super) struct Restoring {
    order: RestoreOrder,
    waiting: VecDeque<Extent>,
    reading: BTreeMap<(String, u64), Extent>,
    /// Ranges that have arrived, to be unpacked one at a time.
    arrived: VecDeque<(Extent, Vec<u8>)>,
}

/// A range of an object and the blocks in it.
struct Extent {
    path: String,
    offset: u64,
    bytes: u64,
    blocks: Vec<(String, Bin, BlockRef)>,
}

impl Worker {
    pub(super) fn begin_restoring(&mut self, mut order: RestoreOrder) -> Result<(), WorkerError> {
        self.routes = order.routes.version;
        for stage in &mut self.stages {
            stage.set_routes(&order.routes);
        }
        let snapshot = order.snapshot.unwrap_or(SnapshotId(0));
        for stage in &mut self.stages {
            stage.visit(&mut |state: &mut dyn AnyState| {
                state.runs_on(self.me, order.is_newcomer);
                state.restored(snapshot);
                let watermark = order.watermarks.get(state.name());
                if let Some(time) = watermark.filter(|_| !mutant::is(Mutant::FloorForgotten)) {
                    state.restored_watermark(*time);
                }
            });
        }
        if order.is_newcomer {
            for stage in &mut self.stages {
                if let Some(arrivals) = stage.inlet().arrivals() {
                    arrivals.await_merged();
                }
            }
        } else {
            self.n_informed = self.n_workers;
        }
        match extents(&mut order) {
            Ok(waiting) => {
                let restoring =
                    Restoring { order, waiting, reading: BTreeMap::new(), arrived: VecDeque::new() };
                self.restoring = Some(restoring);
            }
            Err(failure) => self.report(Fact::RestoreFailed(failure)),
        }
        Ok(())
    }

    pub(super) fn read_arrived(
        &mut self,
        path: &str,
        offset: u64,
        result: Result<Vec<u8>, StoreError>,
    ) -> Result<(), WorkerError> {
        let Some(restoring) = &mut self.restoring else { return Ok(()) };
        let Some(extent) = restoring.reading.remove(&(path.to_owned(), offset)) else { return Ok(()) };
        match result {
            Ok(bytes) => restoring.arrived.push_back((extent, bytes)),
            // A store that does not answer says nothing about the bytes: the snapshot is tried again.
            Err(error @ StoreError::Failed { .. }) if !mutant::is(Mutant::FailedReadIsDamage) => {
                mark::hit(Mark::RestoreRetried);
                return Err(error.into());
            }
            Err(error) => {
                self.restoring = None;
                self.report(Fact::RestoreFailed(RestoreFailure::Damaged { reason: error.to_string() }));
            }
        }
        Ok(())
    }

    /// Unpacks what has arrived and asks for more; whether there was anything to do.
    pub(super) fn go_on_restoring(&mut self) -> Result<bool, WorkerError> {
        let Some(mut restoring) = self.restoring.take() else { return Ok(false) };
        if let Some((extent, bytes)) = restoring.arrived.pop_front() {
            match self.put_extent(&extent, &bytes) {
                Ok(()) => self.restoring = Some(restoring),
                Err(failure) => self.report(Fact::RestoreFailed(failure)),
            }
            return Ok(true);
        }
        while restoring.reading.len() < RESTORE_READS_MAX {
            let Some(extent) = restoring.waiting.pop_front() else { break };
            self.port.get(extent.path.clone(), extent.offset, extent.bytes);
            restoring.reading.insert((extent.path.clone(), extent.offset), extent);
        }
        if !restoring.reading.is_empty() {
            self.restoring = Some(restoring);
            return Ok(false);
        }
        self.finish_restoring(&restoring.order)?;
        Ok(true)
    }

    fn put_extent(&mut self, extent: &Extent, bytes: &[u8]) -> Result<(), RestoreFailure> {
        for (operator, bin, block_ref) in &extent.blocks {
            let damaged = |reason: String| RestoreFailure::Damaged {
                reason: format!("bin {} of `{operator}` in `{}`: {reason}", bin.0, extent.path),
            };
            let from = usize::try_from(block_ref.offset - extent.offset).unwrap_or(usize::MAX);
            let sealed = bytes.get(from..).and_then(|rest| rest.get(..block_ref.bytes as usize));
            let sealed = sealed.ok_or_else(|| damaged("the object is too short".to_owned()))?;
            let raw = block::open_expecting(sealed, block_ref.checksum)
                .map_err(|error| damaged(error.to_string()))?;
            let mut result = None;
            for stage in &mut self.stages {
                stage.visit(&mut |state: &mut dyn AnyState| {
                    if state.name() == operator {
                        result = Some(state.put(*bin, SnapshotId(0), &raw));
                    }
                });
            }
            let name = operator.clone();
            match result {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    return Err(RestoreFailure::Incompatible { name, reason: error.to_string() });
                }
                None => {
                    let reason = "the job has no operator of this name".to_owned();
                    return Err(RestoreFailure::Incompatible { name, reason });
                }
            }
        }
        Ok(())
    }

    fn finish_restoring(&mut self, order: &RestoreOrder) -> Result<(), WorkerError> {
        match self.open_all(order) {
            Ok(()) => self.report(Fact::Restored),
            Err(OpenError::Failed(error)) => return Err(WorkerError::Stage(error)),
            Err(OpenError::Position { partition, reason }) => {
                let failure = RestoreFailure::Incompatible { name: partition, reason };
                self.report(Fact::RestoreFailed(failure));
            }
        }
        Ok(())
    }

    fn open_all(&mut self, order: &RestoreOrder) -> Result<(), OpenError> {
        // A sink learns its name and generation first: with these it fences older generations before it recovers.
        if !mutant::is(Mutant::SinkRecoveredUnopened) {
            self.open_sinks()?;
        }
        if let Some(handles) = order.sinks.as_ref().filter(|_| !mutant::is(Mutant::SinksUnrecovered)) {
            for stage in &mut self.stages {
                if let Some(sink) = stage.sink() {
                    let handles = handles.get(sink.name()).map_or(&[][..], Vec::as_slice);
                    sink.recover(order.snapshot, handles)?;
                }
            }
        }
        if mutant::is(Mutant::SinkRecoveredUnopened) {
            self.open_sinks()?;
        }
        for stage in &mut self.stages {
            let Some(source) = stage.inlet().source() else { continue };
            let partitions: Option<&IndexMap<String, Option<Vec<u8>>>> = order.partitions.get(source.name());
            for (partition, position) in partitions.into_iter().flatten() {
                source.open(partition, position.as_deref())?;
            }
        }
        Ok(())
    }
}

/// The ranges to read for an order, in the order in which they lie in the store.
fn extents(order: &mut RestoreOrder) -> Result<VecDeque<Extent>, RestoreFailure> {
    let mut blocks: Vec<(String, Bin, BlockRef)> = Vec::new();
    for (operator, bins) in std::mem::take(&mut order.state) {
        blocks.extend(bins.into_iter().map(|(bin, block)| (operator.clone(), bin, block)));
    }
    blocks.sort_by_key(|(_, _, block)| (block.object, block.offset));
    let mut extents: VecDeque<Extent> = VecDeque::new();
    for (operator, bin, block) in blocks {
        let path = order.objects.get(block.object as usize).map(|object| object.path.clone());
        let path = path.ok_or_else(|| RestoreFailure::Damaged {
            reason: format!("bin {} of `{operator}` refers to an object that the manifest lacks", bin.0),
        })?;
        let end = block.offset + u64::from(block.bytes);
        match extents.back_mut() {
            Some(extent)
                if extent.path == path
                    && block.offset >= extent.offset + extent.bytes
                    && end - extent.offset <= 2 * OBJECT_BYTES_MAX as u64 =>
            {
                extent.bytes = end - extent.offset;
                extent.blocks.push((operator, bin, block));
            }
            _ => extents.push_back(Extent {
                path,
                offset: block.offset,
                bytes: u64::from(block.bytes),
                blocks: vec![(operator, bin, block)],
            }),
        }
    }
    Ok(extents)
}
