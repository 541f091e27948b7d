//! From the parts that workers stored to a manifest.

use indexmap::{IndexMap, IndexSet};

use super::Coordinator;
use crate::element::Timestamp;
use crate::ids::{Bin, SnapshotId};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::snapshot::{After, BlockRef, Manifest, ObjectRef, OperatorKind};
use crate::worker::messages::SnapshotPart;

impl Coordinator {
    /// The manifest of a snapshot: what the parts hold, and from the base what has not changed since.
    pub(super) fn manifest(
        &self,
        id: SnapshotId,
        savepoint: Option<String>,
        after: After,
        parts: Vec<SnapshotPart>,
    ) -> Manifest {
        let mut objects = IndexSet::new();
        let mut state = IndexMap::new();
        let is_keyed = |(name, kind): (&String, &OperatorKind)| kind.has_blocks().then(|| name.clone());
        let mut from_base = self.committed.as_ref().map(|base| (base, Carried::of(&base.objects)));
        let mut from_parts: Vec<Carried<'_>> = parts.iter().map(|part| Carried::of(&part.objects)).collect();
        for operator in self.graph.operators.iter().filter_map(is_keyed) {
            let mut blocks = vec![None; self.config.n_bins as usize];
            if let Some((base, carried)) = &mut from_base {
                for (bin, block) in base.state.get(&operator).into_iter().flatten() {
                    mark::hit(Mark::BlockCarried);
                    put(&mut blocks, *bin, Some(carried.take_over(&mut objects, *block)));
                }
            }
            for (part, carried) in parts.iter().zip(&mut from_parts) {
                for (bin, block) in part.state.get(&operator).into_iter().flatten() {
                    match block {
                        Some(block) => {
                            put(&mut blocks, *bin, Some(carried.take_over(&mut objects, *block)));
                        }
                        None if mutant::is(Mutant::EmptiedCarried) => {}
                        None => {
                            if put(&mut blocks, *bin, None).is_some() {
                                mark::hit(Mark::BinEmptied);
                            }
                        }
                    }
                }
            }
            state.insert(operator, blocks);
        }
        // Only objects that something still refers to stay; a base's block that was replaced drops its object.
        let (objects, state) = compact(&objects, state);
        let mut sources: IndexMap<String, IndexMap<String, Vec<u8>>> = IndexMap::new();
        let mut sinks: IndexMap<String, Vec<Vec<u8>>> = IndexMap::new();
        let watermarks = least_watermarks(&parts);
        for part in parts {
            for (source, positions) in part.sources {
                sources.entry(source).or_default().extend(positions);
            }
            for (sink, handles) in part.sinks {
                sinks.entry(sink).or_default().extend(handles);
            }
        }
        Manifest {
            job: self.config.job.clone(),
            generation: self.generation,
            snapshot: id,
            savepoint,
            after,
            n_bins: self.config.n_bins,
            routes: self.routes.clone(),
            operators: self.graph.operators.clone(),
            state,
            objects,
            sources,
            sinks,
            watermarks,
        }
    }
}

/// What all workers were told of event time, by operator: a worker that was told more may be told so again.
pub(crate) fn least_watermarks<'a>(
    parts: impl IntoIterator<Item = &'a SnapshotPart>,
) -> IndexMap<String, Timestamp> {
    let mut least: IndexMap<String, Timestamp> = IndexMap::new();
    for (operator, time) in parts.into_iter().flat_map(|part| &part.watermarks) {
        least.entry(operator.clone()).and_modify(|least| *least = (*least).min(*time)).or_insert(*time);
    }
    least
}

/// A list of objects of which some are taken over into another, where they have other numbers.
struct Carried<'a> {
    objects: &'a [ObjectRef],
    /// The numbers there, of those that were taken over already.
    numbers: Vec<Option<u32>>,
}

impl<'a> Carried<'a> {
    fn of(objects: &'a [ObjectRef]) -> Self {
        Self { objects, numbers: vec![None; objects.len()] }
    }

    /// A block as it stands beside the other list.
    fn take_over(&mut self, others: &mut IndexSet<ObjectRef>, block: BlockRef) -> BlockRef {
        let at = block.object as usize;
        let object = *self.numbers[at].get_or_insert_with(|| {
            let (number, _) = others.insert_full(self.objects[at].clone());
            u32::try_from(number).expect("a manifest has fewer than 2^32 objects")
        });
        BlockRef { object, ..block }
    }
}

type State = IndexMap<String, Vec<(Bin, BlockRef)>>;

/// Where each bin of an operator lies, by bin. A job has thousands of bins, and its coordinator shares a core with a worker.
type Blocks = Vec<Option<BlockRef>>;

/// Puts a block in the place of its bin and gives what was there. A bin that the job has not gets a place as well, and is
/// refused with the whole manifest.
fn put(blocks: &mut Blocks, bin: Bin, block: Option<BlockRef>) -> Option<BlockRef> {
    if bin.index() >= blocks.len() {
        blocks.resize(bin.index() + 1, None);
    }
    std::mem::replace(&mut blocks[bin.index()], block)
}

fn compact(objects: &IndexSet<ObjectRef>, state: IndexMap<String, Blocks>) -> (Vec<ObjectRef>, State) {
    let objects: Vec<ObjectRef> = objects.iter().cloned().collect();
    let mut used = IndexSet::new();
    let mut carried = Carried::of(&objects);
    let mut compacted = State::new();
    for (operator, blocks) in state {
        let there = blocks.into_iter().zip(0..=u16::MAX).filter_map(|(block, bin)| Some((Bin(bin), block?)));
        let renumber = |(bin, block): (Bin, BlockRef)| (bin, carried.take_over(&mut used, block));
        compacted.insert(operator, there.map(renumber).collect());
    }
    (used.into_iter().collect(), compacted)
}
