//! A snapshot, as one worker takes it.
//!
//! # Steps
//! 1. The sources put the barrier into the stream.
//! 2. Each stage, once it has the barrier on all inputs, freezes its dirty bins, notes its sources' positions, prepares
//!    its sink's transaction, forwards the barrier and goes on.
//! 3. Frozen bins are encoded in slices between batches and handed to the store, many to an object. While the store is
//!    behind, encoding waits for it.
//! 4. When every stage was at the cut, no bin is frozen and every object is durable, the worker says so.
//!
//! # Guarantees
//! I8 (what is reported is the cut, whole and durable), and P2 (the longest pause is one bin).

use std::collections::BTreeSet;

use super::messages::{Fact, SnapshotPart};
use super::{After, Barrier, Control, OperatorKind, SnapshotId, Worker, WorkerError};
use crate::ids::Bin;
use crate::limits::{
    ENCODE_BYTES_PER_BIN, ENCODE_BYTES_PER_KEY_MIN, ENCODE_BYTES_PER_SAVED_KEY, ENCODE_SLICE_BYTES_MAX,
    OBJECT_BUFFERS_MAX, OBJECT_BUFFERS_READY, OBJECT_BYTES_MAX, OBJECT_PART_OF_SNAPSHOT, OBJECTS_HURRIED_MAX,
};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::ports::StoreError;
use crate::snapshot::{BlockRef, ObjectRef, block, object_path};
use crate::stage::AnyStage;
use crate::state::{AnyState, EncodedBin};

/// A snapshot under way.
pub(super) struct Snapshotting {
    id: SnapshotId,
    base: Option<SnapshotId>,
    at_cut: Vec<bool>,
    part: SnapshotPart,
    /// The object that is being filled.
    object: Vec<u8>,
    /// How large its objects are taken to become, in bytes: room is made at once for so much.
    object_bytes_expected: usize,
    /// The room that the largest bin so far has needed while it was packed, in bytes.
    bin_bytes_max: usize,
    object_bytes_min: usize,
    objects_storing_max: usize,
    n_objects: u32,
    /// What has been handed to the store, in bytes.
    n_bytes: usize,
    /// Keys that had to be saved.
    n_saved: usize,
    /// Objects that are not durable yet.
    storing: BTreeSet<String>,
}

/// The blocks of one state: where each bin lies, or `None` if it is empty now.
pub(super) type Blocks = Vec<(Bin, Option<BlockRef>)>;

/// What a slice of encoding came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slice {
    /// Something was encoded.
    Encoded,
    /// The store is behind.
    Waits,
    /// Nothing is left of what was at the cut.
    Empty,
}

impl Worker {
    pub(super) fn begin_snapshot(
        &mut self,
        id: SnapshotId,
        base: Option<SnapshotId>,
        after: After,
    ) -> Result<(), WorkerError> {
        // An earlier one that was given up is replaced: its frozen bins are released by the next freeze.
        self.snapshotting = Some(Snapshotting {
            id,
            base,
            at_cut: vec![false; self.stages.len()],
            part: SnapshotPart { id, ..SnapshotPart::default() },
            object: Vec::new(),
            object_bytes_expected: self.object_bytes_expected(),
            bin_bytes_max: 0,
            object_bytes_min: self.port.object_bytes_min(),
            objects_storing_max: self.port.objects_storing_max(),
            n_objects: 0,
            n_bytes: 0,
            n_saved: 0,
            storing: BTreeSet::new(),
        });
        let barrier = Control::Barrier(Barrier::Snapshot(id));
        match after {
            After::Run => self.inject(&[barrier]),
            After::Suspend => self.inject(&[barrier, Control::Suspend]),
            // The stream has ended: every stage is at the cut already, and no barrier can follow the end.
            After::Finish => {
                for stage in 0..self.stages.len() {
                    self.note_cut(stage, id)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn cut_for_snapshot(&mut self, stage: usize, id: SnapshotId) -> Result<(), WorkerError> {
        if !mutant::is(Mutant::BarrierOvertakes) {
            self.stages[stage].flush()?;
        }
        self.note_cut(stage, id)?;
        self.stages[stage].forward(Barrier::Snapshot(id))?;
        Ok(())
    }

    fn note_cut(&mut self, stage: usize, id: SnapshotId) -> Result<(), WorkerError> {
        // The barrier of a snapshot that was given up still cuts: ids only grow, so state must see each of them.
        let mut given_up = Snapshotting::given_up(id);
        let task = match self.snapshotting.as_mut().filter(|task| task.id == id) {
            Some(task) => task,
            None => {
                mark::hit(Mark::BarrierOfGivenUp);
                &mut given_up
            }
        };
        let built = &mut self.stages[stage];
        built.visit(&mut |state: &mut dyn AnyState| {
            state.freeze(id, task.base);
            if let Some(time) = state.watermark() {
                task.part.watermarks.insert(state.name().to_owned(), time);
            }
        });
        if let Some(source) = built.inlet().source() {
            let positions = source.positions(id)?.into_iter().collect();
            task.part.sources.insert(source.name().to_owned(), positions);
        }
        if let Some(sink) = built.sink() {
            let mut handles = sink.prepare(id)?;
            if handles.len() > 1 {
                mark::hit(Mark::HandlesCarried);
            }
            if mutant::is(Mutant::HandlesDropped) {
                handles.drain(..handles.len().saturating_sub(1));
            }
            if mutant::is(Mutant::CommittedEarly) {
                sink.commit(id)?;
            }
            if sink.kind() == OperatorKind::TransactionalSink {
                task.part.sinks.insert(sink.name().to_owned(), handles);
            }
        }
        if let Some(at_cut) = task.at_cut.get_mut(stage) {
            *at_cut = true;
        }
        Ok(())
    }

    /// Encodes a slice; whether there was anything to do.
    pub(super) fn go_on_snapshotting(&mut self) -> Result<bool, WorkerError> {
        let Some(mut task) = self.snapshotting.take() else { return Ok(false) };
        let encoded = self.encode_slice(&mut task);
        match encoded {
            Err(reason) => {
                let id = task.id;
                self.report(Fact::SnapshotFailed { id, reason });
                Ok(true)
            }
            Ok(slice) => {
                let is_encoded = slice == Slice::Empty && task.at_cut.iter().all(|at_cut| *at_cut);
                if is_encoded && !task.object.is_empty() {
                    self.store_object(&mut task);
                }
                if is_encoded && (task.storing.is_empty() || mutant::is(Mutant::TakenBeforeStored)) {
                    self.report(Fact::SnapshotTaken(Box::new(task.part)));
                } else {
                    self.snapshotting = Some(task);
                }
                Ok(slice == Slice::Encoded)
            }
        }
    }

    fn encode_slice(&mut self, task: &mut Snapshotting) -> Result<Slice, String> {
        // Before anything waits for the store: keys that are saved are why it should not.
        let n_saved = self.take_n_saved(task);
        task.n_saved += n_saved;
        if task.is_object_full() {
            if !task.may_store() {
                mark::hit(Mark::StoreBehind);
                return Ok(Slice::Waits);
            }
            self.store_object(task);
        }
        let n_bytes_max = self.port.slice_bytes() + n_saved * ENCODE_BYTES_PER_SAVED_KEY;
        let mut n_bytes = 0;
        for stage in 0..self.stages.len() {
            if !task.at_cut[stage] {
                continue;
            }
            let mut failed = None;
            let mut is_full = false;
            self.stages[stage].visit(&mut |state: &mut dyn AnyState| {
                while !is_full && failed.is_none() {
                    match state.encode_next() {
                        Ok(None) => break,
                        Ok(Some(encoded)) => {
                            n_bytes += encoded.bytes.len() + ENCODE_BYTES_PER_BIN;
                            if task.object.capacity() == 0 && encoded.keys > 0 {
                                task.object = take_with_room(&mut self.buffers, task.room());
                            }
                            let list = || take_with_room(&mut self.block_lists, state.n_bins());
                            failed = task.add(state.name(), &encoded, list).err();
                            state.reuse(encoded.bytes);
                        }
                        Err(error) => failed = Some(format!("state of `{}`: {error}", state.name())),
                    }
                    is_full = n_bytes >= n_bytes_max.min(ENCODE_SLICE_BYTES_MAX) || task.is_object_full();
                }
            });
            if let Some(reason) = failed {
                return Err(reason);
            }
            if is_full {
                mark::hit(Mark::EncodingSliced);
                break;
            }
        }
        if task.is_object_full() && task.may_store() {
            self.store_object(task);
        }
        Ok(if n_bytes > 0 { Slice::Encoded } else { Slice::Empty })
    }

    /// Keys that had to be saved since this was last asked.
    fn take_n_saved(&mut self, task: &Snapshotting) -> usize {
        let mut n_saved = 0;
        for (stage, _) in self.stages.iter_mut().zip(&task.at_cut).filter(|(_, at_cut)| **at_cut) {
            stage.visit(&mut |state: &mut dyn AnyState| n_saved += state.take_n_saved());
        }
        n_saved
    }

    /// How large objects are taken to become, in bytes: as large as the last snapshot's, or what the keys come to at least
    /// if there was none.
    fn object_bytes_expected(&mut self) -> usize {
        if self.object_bytes > 0 {
            return self.object_bytes;
        }
        let n_keys = self.n_keys().into_iter().map(|(_, n_keys)| n_keys).sum::<u64>();
        usize::try_from(n_keys).map_or(OBJECT_BYTES_MAX, |n_keys| {
            n_keys.saturating_mul(ENCODE_BYTES_PER_KEY_MIN).min(OBJECT_BYTES_MAX)
        })
    }

    fn store_object(&mut self, task: &mut Snapshotting) {
        let path = object_path(self.generation, task.id, self.me, u64::from(task.n_objects));
        let bytes = std::mem::take(&mut task.object);
        self.object_bytes =
            if task.n_objects == 0 { bytes.len() } else { self.object_bytes.max(bytes.len()) };
        task.n_objects += 1;
        task.n_bytes += bytes.len();
        task.storing.insert(path.clone());
        task.part.objects.push(ObjectRef { path: path.clone(), bytes: bytes.len() as u64 });
        self.port.put(path, bytes);
    }

    pub(super) fn stored(&mut self, path: &str, result: Result<(), StoreError>, buffer: Vec<u8>) {
        keep_buffer(&mut self.buffers, buffer);
        let Some(task) = &mut self.snapshotting else { return };
        if !task.storing.remove(path) {
            return;
        }
        if let Err(error) = result {
            let id = task.id;
            self.snapshotting = None;
            self.report(Fact::SnapshotFailed { id, reason: error.to_string() });
        }
    }
}

impl Snapshotting {
    pub(super) fn is_cut(&self, stage: usize, id: SnapshotId) -> bool {
        self.id != id || self.at_cut[stage]
    }

    /// Stands for a snapshot nobody waits for any more: no bin has changed since the end of time, so none is frozen.
    fn given_up(id: SnapshotId) -> Self {
        Self {
            id,
            base: Some(SnapshotId(u64::MAX)),
            at_cut: Vec::new(),
            part: SnapshotPart::default(),
            object: Vec::new(),
            object_bytes_expected: 0,
            bin_bytes_max: 0,
            object_bytes_min: OBJECT_BYTES_MAX,
            objects_storing_max: 1,
            n_objects: 0,
            n_bytes: 0,
            n_saved: 0,
            storing: BTreeSet::new(),
        }
    }

    /// Whether it has come to its size; or to half of it, and might grow for the next bin, which would copy all of it.
    fn is_object_full(&self) -> bool {
        let (bytes, bytes_max) = (self.object.len(), self.object_bytes());
        bytes >= bytes_max || (bytes >= bytes_max / 2 && bytes + self.bin_bytes_max > self.object.capacity())
    }

    /// How much room is made at once for an object, in bytes.
    fn room(&self) -> usize {
        (self.object_bytes_expected + self.object_bytes_expected / 8).min(self.object_bytes())
    }

    /// How large an object is now, in bytes. In steps, so that buffers fit.
    fn object_bytes(&self) -> usize {
        let part = (self.n_bytes / OBJECT_PART_OF_SNAPSHOT).next_power_of_two();
        part.clamp(self.object_bytes_min, OBJECT_BYTES_MAX)
    }

    /// Whether one more object may be on its way to the store.
    fn may_store(&self) -> bool {
        let n_more = self.n_saved * ENCODE_BYTES_PER_SAVED_KEY / self.object_bytes_min;
        self.storing.len() < self.objects_storing_max + n_more.min(OBJECTS_HURRIED_MAX)
    }

    /// Adds a bin of an operator. `new_list` gives what its blocks are listed in, if it is the first.
    fn add(
        &mut self,
        operator: &str,
        encoded: &EncodedBin,
        new_list: impl FnOnce() -> Blocks,
    ) -> Result<(), String> {
        let block = if encoded.keys == 0 {
            None
        } else {
            let sealed = block::seal(&encoded.bytes, &mut self.object)
                .map_err(|error| format!("bin {} of `{operator}`: {error}", encoded.bin.0))?;
            self.bin_bytes_max = self.bin_bytes_max.max(block::sealed_bytes_max(encoded.bytes.len()));
            Some(BlockRef {
                object: self.n_objects,
                offset: sealed.offset,
                bytes: sealed.bytes,
                checksum: sealed.checksum,
                keys: encoded.keys,
            })
        };
        match self.part.state.get_mut(operator) {
            Some(blocks) => blocks.push((encoded.bin, block)),
            None => {
                let mut blocks = new_list();
                blocks.push((encoded.bin, block));
                self.part.state.insert(operator.to_owned(), blocks);
            }
        }
        Ok(())
    }
}

/// Buffers for the first objects of a worker, in memory that it has touched. The kernel clears memory when it is touched
/// first, and the host of a virtual machine may have to find it: some milliseconds, for which the stream would stand still in
/// the first snapshot.
pub(super) fn ready_buffers(object_bytes: usize) -> Vec<Vec<u8>> {
    let ready = || {
        let mut buffer = vec![u8::MAX; object_bytes];
        buffer.clear();
        buffer
    };
    std::iter::repeat_with(ready).take(OBJECT_BUFFERS_READY).collect()
}

/// What the blocks of each state are listed in by the first snapshot, in memory that was touched, as above.
pub(super) fn ready_block_lists(stages: &mut [Box<dyn AnyStage>]) -> Vec<Blocks> {
    let mut lists = Vec::new();
    for stage in stages {
        stage.visit(&mut |state: &mut dyn AnyState| {
            let mut blocks = vec![(Bin(u16::MAX), None); state.n_bins()];
            blocks.clear();
            lists.push(blocks);
        });
    }
    lists
}

/// One of those that are kept, empty, or a new one, with room for so many elements at once. Grown by doubling it would be
/// copied while the stream waits, and lie in memory of one size after another, which the kernel clears; so would room that is
/// not needed.
fn take_with_room<T>(kept: &mut Vec<Vec<T>>, room: usize) -> Vec<T> {
    let fitting = kept.iter().rposition(|one| one.capacity() >= room);
    fitting.map_or_else(
        || Vec::with_capacity(room),
        |at| {
            let mut one = kept.swap_remove(at);
            one.clear();
            one
        },
    )
}

/// Keeps what an object lay in, for another one: the largest few.
fn keep_buffer(buffers: &mut Vec<Vec<u8>>, buffer: Vec<u8>) {
    if buffer.capacity() > 0 {
        buffers.push(buffer);
    }
    if buffers.len() > OBJECT_BUFFERS_MAX {
        let smallest = (0..buffers.len()).min_by_key(|at| buffers[*at].capacity());
        drop(smallest.map(|at| buffers.swap_remove(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::OBJECT_BYTES_MIN;

    /// Bytes that do not pack.
    fn noise(n: usize) -> Vec<u8> {
        let mut seed = 7_u64;
        let next = || {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (seed >> 56) as u8
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    #[test]
    fn the_largest_buffers_stay_and_one_that_is_too_small_stays_too() {
        let mut buffers = Vec::new();
        let mib = |n: usize| Vec::with_capacity(n << 20);
        (1..=OBJECT_BUFFERS_MAX + 1).rev().for_each(|n| keep_buffer(&mut buffers, mib(n)));
        keep_buffer(&mut buffers, Vec::new());
        let capacities = |buffers: &[Vec<u8>]| buffers.iter().map(|b| b.capacity() >> 20).sum::<usize>();
        assert_eq!((buffers.len(), capacities(&buffers)), (4, 2 + 3 + 4 + 5));
        assert!(take_with_room(&mut buffers, 5 << 20).capacity() >= 5 << 20);
        assert_eq!(take_with_room(&mut buffers, 6 << 20).capacity(), 6 << 20);
        assert_eq!((buffers.len(), capacities(&buffers)), (3, 2 + 3 + 4), "none was taken that does not fit");
    }

    #[test]
    fn an_object_is_stored_before_it_grows_beyond_its_room() {
        for bin_bytes in [40, 3_000, 27_000, 300_000] {
            for bytes in [noise(bin_bytes), vec![7; bin_bytes]] {
                let mut task = Snapshotting {
                    object_bytes_min: OBJECT_BYTES_MIN,
                    object_bytes_expected: OBJECT_BYTES_MIN,
                    bin_bytes_max: 0,
                    ..Snapshotting::given_up(SnapshotId(1))
                };
                task.object = take_with_room(&mut Vec::new(), task.room());
                assert_eq!(task.object.capacity(), OBJECT_BYTES_MIN);
                while !task.is_object_full() {
                    let bin = EncodedBin { bin: Bin(0), keys: 1, bytes: bytes.clone() };
                    task.add("count", &bin, Vec::new).unwrap();
                }
                assert_eq!(task.object.capacity(), OBJECT_BYTES_MIN, "bins of {bin_bytes} bytes");
            }
        }
    }
}
