//! The state of one operator: a table for each bin, and which of them a snapshot still waits for.
//!
//! # Rules
//! 1. A touch of a bin that nothing waits for costs one comparison, and marks the bin changed at the first touch since
//!    the last cut.
//! 2. A touch of a frozen bin saves what the key was at the cut, once per key. So it costs one entry, however large the
//!    bin: a storm of touches right behind a cut does not stop the stream for the time to encode all they touch. A key for
//!    which the table has to grow saves what is left of the bin, for growing costs as much.
//! 3. A frozen bin is encoded as it was at the cut: keys touched since are taken from what was saved.

mod saved;

use std::hash::Hash;

use self::saved::Saved;

use super::{AnyState, BinTable, EncodedBin, HandedTable};
use crate::codec::{self, CodecError};
use crate::exchange::{Data, bin_of, stable_hash};
use crate::ids::{Bin, SnapshotId};
use crate::limits::SAVED_ENTRY_BYTES_KEPT;
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};

/// What a stream can be keyed by, and state be kept for.
pub trait StateKey: Data + Hash + Eq + Clone {}
impl<K: Data + Hash + Eq + Clone> StateKey for K {}

/// Keyed state of one operator on one worker.
#[derive(Debug)]
pub struct KeyedState<K, S> {
    name: String,
    bins: Vec<BinSlot<K, S>>,
    mask: u64,
    /// The last snapshot cut; what changes now is newer than it.
    epoch: SnapshotId,
    frozen: Frozen,
    /// Of bins that are frozen, what was touched since the cut.
    saved: Saved,
    /// Keys saved since this was last asked.
    n_saved: usize,
    /// Bytes that an entry took when a bin was last encoded.
    entry_bytes: usize,
    /// What a bin was encoded into before.
    buffer: Vec<u8>,
    /// Where what is saved is encoded.
    entry: Vec<u8>,
    /// The first value that refused to be encoded on such a touch; told at the next occasion.
    failed: Option<CodecError>,
}

#[derive(Debug)]
struct BinSlot<K, S> {
    table: BinTable<K, S>,
    changed_at: SnapshotId,
}

impl<K: StateKey, S: Data> KeyedState<K, S> {
    /// No state yet, for a job of `n_bins` bins, a power of two.
    #[must_use]
    pub fn new(name: &str, n_bins: u32) -> Self {
        debug_assert!(n_bins.is_power_of_two());
        let slot = || BinSlot { table: BinTable::new(), changed_at: SnapshotId(0) };
        Self {
            name: name.to_owned(),
            bins: (0..n_bins).map(|_| slot()).collect(),
            mask: u64::from(n_bins) - 1,
            epoch: SnapshotId(0),
            frozen: Frozen::default(),
            saved: Saved::new(n_bins as usize),
            n_saved: 0,
            entry_bytes: 0,
            buffer: Vec::new(),
            entry: Vec::new(),
            failed: None,
        }
    }

    /// Begins to load what an access with this hash will touch.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let bin = bin_of(hash, self.mask);
        self.bins[bin].table.prefetch(hash);
        if self.frozen.left > 0 {
            self.prefetch_saved(bin, hash);
        }
    }

    /// Begins to load what saving a key will touch: under load every key is, and its lines are in no cache.
    #[cold]
    #[inline(never)]
    fn prefetch_saved(&self, bin: usize, hash: u64) {
        if self.frozen.contains(bin) {
            self.saved.prefetch(bin, self.bins[bin].table.home(hash));
        }
    }

    /// The state of a key, made by `init` if there is none. The key is cloned only then.
    #[inline(always)]
    pub fn get_or_insert_with(&mut self, hash: u64, key: &K, init: impl FnOnce() -> S) -> (&K, &mut S) {
        let bin = self.touch(hash, key);
        self.bins[bin].table.get_or_insert_clone(hash, key, init, stable_hash)
    }

    /// The state of a key, if there is any. It is not marked as changed.
    #[inline]
    pub fn get(&self, hash: u64, key: &K) -> Option<&S> {
        self.bins[bin_of(hash, self.mask)].table.get(hash, key)
    }

    /// The state of a key, if there is any, to be changed.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut S> {
        let bin = self.touch(hash, key);
        self.bins[bin].table.get_mut(hash, key)
    }

    /// Forgets a key.
    #[inline]
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<(K, S)> {
        let bin = self.touch(hash, key);
        self.bins[bin].table.remove(hash, key)
    }

    /// All keys and states of this worker, bin by bin.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &S)> {
        self.bins.iter().flat_map(|slot| slot.table.iter())
    }

    /// All keys and states of one bin.
    pub fn iter_bin(&self, bin: Bin) -> impl Iterator<Item = (&K, &S)> {
        self.bins.get(bin.index()).into_iter().flat_map(|slot| slot.table.iter())
    }

    /// Every access that may change a key comes through here.
    #[inline]
    fn touch(&mut self, hash: u64, key: &K) -> usize {
        let bin = bin_of(hash, self.mask);
        // A frozen bin keeps its older mark until it is encoded, so this one comparison finds it too.
        if self.bins[bin].changed_at != self.epoch {
            self.touch_unmarked(bin, hash, key);
        }
        bin
    }

    #[cold]
    fn touch_unmarked(&mut self, bin: usize, hash: u64, key: &K) {
        if !self.frozen.contains(bin) {
            if !mutant::is(Mutant::ChangeUnmarked) {
                self.bins[bin].changed_at = self.epoch;
            }
            return;
        }
        if let Err(error) = self.save(bin, hash, key) {
            self.failed = self.failed.take().or(Some(error));
        }
    }

    /// Saves what an access to a key of a frozen bin may change.
    fn save(&mut self, bin: usize, hash: u64, key: &K) -> Result<(), CodecError> {
        if self.saved.is_unused() {
            let frozen = self.bins.iter().enumerate().filter(|(bin, _)| self.frozen.contains(*bin));
            self.saved.reserve(frozen.map(|(_, slot)| slot.table.n_chunks()).sum());
        }
        let table = &self.bins[bin].table;
        self.saved.touch(bin, table.n_chunks());
        if self.saved.is_whole(bin) {
            return Ok(());
        }
        self.entry.clear();
        let n_keys;
        match table.place_for(hash, |found| found == key) {
            Some(place) => {
                let at_cut = table.at(place);
                if at_cut.is_none() && mutant::is(Mutant::InsertedEncoded)
                    || !self.saved.settle(bin, place.chunk, place.slot)
                {
                    return Ok(());
                }
                n_keys = codec::encode_pairs_into(at_cut, &mut self.entry)?;
            }
            // The table is about to grow, which takes as long as encoding all of it.
            None => {
                let settled = self.saved.of(bin).and_then(|at_cut| at_cut.settled).unwrap_or_default();
                n_keys = codec::encode_pairs_into(table.iter_except(settled), &mut self.entry)?;
                mark::hit(Mark::FrozenBinGrown);
                self.saved.settle_whole(bin);
            }
        }
        mark::hit(Mark::KeySaved);
        self.n_saved += 1;
        self.saved.save(bin, n_keys, &self.entry);
        self.entry.shrink_to(SAVED_ENTRY_BYTES_KEPT);
        Ok(())
    }

    /// Encodes a bin: as it was at the cut, if it is frozen.
    fn encode(&mut self, bin: usize) -> Result<EncodedBin, CodecError> {
        let slot = &mut self.bins[bin];
        let keys;
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        bytes.reserve(size_of::<u32>() + (slot.table.len() + 8) * self.entry_bytes);
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        match self.saved.of(bin).filter(|_| !mutant::is(Mutant::SavedForgotten)) {
            None => {
                keys = codec::encode_pairs_into(&slot.table, &mut bytes)?;
            }
            Some(at_cut) => {
                mark::hit(Mark::FrozenTouchedEncoded);
                if !mutant::is(Mutant::TouchedFrozenUnmarked) {
                    slot.changed_at = self.epoch;
                }
                let settled = at_cut.settled.map(|settled| slot.table.iter_except(settled));
                let rest = codec::encode_pairs_into(settled.into_iter().flatten(), &mut bytes)?;
                keys = rest + at_cut.n_keys;
                self.saved.copy(bin, &mut bytes);
            }
        }
        self.saved.forget(bin);
        let keys = u32::try_from(keys).map_err(|_| CodecError::Encode {
            reason: format!("bin {bin} of `{}` holds {keys} keys, more than a block can", self.name),
        })?;
        if keys == 0 {
            bytes.clear();
        } else {
            bytes[..size_of::<u32>()].copy_from_slice(&keys.to_le_bytes());
            self.entry_bytes = bytes.len().div_ceil(keys as usize);
        }
        Ok(EncodedBin { bin: bin_number(bin), keys, bytes })
    }

    /// The bin is to move: no snapshot waits for it any more.
    fn release(&mut self, bin: Bin) {
        // A step begins when the snapshot before it is done or given up: nobody waits for a bin that is still frozen.
        if !self.frozen.remove(bin.index()) {
            return;
        }
        mark::hit(Mark::FrozenBinMoved);
        // Nor for what its keys were at the cut: it moves as it is now, and has changed if a key was touched.
        if !mutant::is(Mutant::MovedAsAtCut) && self.saved.forget(bin.index()) {
            self.bins[bin.index()].changed_at = self.epoch;
        }
    }

    /// The bin has moved: the last cut before its last change.
    fn leave_behind(&mut self, bin: Bin) -> SnapshotId {
        let changed_at = std::mem::take(&mut self.bins[bin.index()].changed_at);
        if mutant::is(Mutant::MovedMarkLost) { SnapshotId(0) } else { changed_at }
    }

    fn place(&mut self, bin: Bin, slot: BinSlot<K, S>) {
        debug_assert!(self.bins[bin.index()].table.is_empty(), "a bin has one owner");
        self.bins[bin.index()] = slot;
    }

    fn malformed(&self, bin: Bin, reason: &str) -> CodecError {
        CodecError::Malformed {
            what: "block of state",
            reason: format!("`{}` bin {}: {reason}", self.name, bin.0),
        }
    }
}

impl<K: StateKey, S: Data> AnyState for KeyedState<K, S> {
    fn name(&self) -> &str {
        &self.name
    }

    fn n_keys(&self) -> u64 {
        self.bins.iter().map(|slot| slot.table.len() as u64).sum()
    }

    fn n_bins(&self) -> usize {
        self.bins.len()
    }

    fn freeze(&mut self, id: SnapshotId, base: Option<SnapshotId>) {
        debug_assert!(id > self.epoch, "snapshot ids only grow");
        // What an abandoned snapshot still waited for has changed since its cut if it was touched.
        if mutant::is(Mutant::AbandonedUnmarked) {
            self.saved = Saved::new(self.bins.len());
            while let Some(bin) = self.frozen.pop() {
                self.bins[bin].changed_at = SnapshotId(0);
            }
        }
        let (bins, epoch) = (&mut self.bins, self.epoch);
        self.saved.forget_all(|bin| {
            mark::hit(Mark::AbandonedBinMarked);
            bins[bin].changed_at = epoch;
        });
        self.epoch = id;
        self.failed = None;
        let dirty =
            |slot: &BinSlot<K, S>| base.map_or(!slot.table.is_empty(), |base| slot.changed_at >= base);
        self.frozen = Frozen::of(self.bins.iter().map(dirty));
    }

    fn encode_next(&mut self) -> Result<Option<EncodedBin>, CodecError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.frozen.pop().map(|bin| self.encode(bin)).transpose()
    }

    fn reuse(&mut self, bytes: Vec<u8>) {
        self.buffer = bytes;
    }

    fn take_n_saved(&mut self) -> usize {
        std::mem::take(&mut self.n_saved)
    }

    fn take(&mut self, bin: Bin) -> Result<(SnapshotId, EncodedBin), CodecError> {
        self.release(bin);
        let encoded = self.encode(bin.index())?;
        if !mutant::is(Mutant::MovedBinKept) {
            self.bins[bin.index()].table = BinTable::new();
        }
        Ok((self.leave_behind(bin), encoded))
    }

    fn take_table(&mut self, bin: Bin) -> (SnapshotId, Option<HandedTable>) {
        self.release(bin);
        let table = std::mem::take(&mut self.bins[bin.index()].table);
        (self.leave_behind(bin), (!table.is_empty()).then(|| HandedTable::new(table)))
    }

    fn put_table(&mut self, bin: Bin, changed_at: SnapshotId, table: HandedTable) -> Result<(), CodecError> {
        if bin.index() >= self.bins.len() {
            return Err(self.malformed(bin, "the job has no such bin"));
        }
        let table =
            table.into_table().ok_or_else(|| self.malformed(bin, "its keys or states have another type"))?;
        self.place(bin, BinSlot { table, changed_at });
        Ok(())
    }

    fn put(&mut self, bin: Bin, changed_at: SnapshotId, bytes: &[u8]) -> Result<(), CodecError> {
        if bin.index() >= self.bins.len() {
            return Err(self.malformed(bin, "the job has no such bin"));
        }
        let mut table = BinTable::new();
        if !bytes.is_empty() {
            let (count, mut rest) =
                bytes.split_first_chunk::<4>().ok_or_else(|| self.malformed(bin, "it has no count"))?;
            let count = u32::from_le_bytes(*count) as usize;
            // Every entry takes at least two bytes, so a count cannot make us reserve more than the bytes warrant.
            if count > rest.len() {
                return Err(self.malformed(bin, "it holds fewer keys than it says"));
            }
            table.reserve(count, stable_hash);
            for _ in 0..count {
                let (key, state): (K, S) =
                    codec::decode_next(&mut rest).map_err(|error| self.malformed(bin, &error.to_string()))?;
                let hash = stable_hash(&key);
                if bin_of(hash, self.mask) != bin.index() {
                    return Err(self.malformed(bin, "it holds a key whose hash belongs to another bin"));
                }
                table.get_or_insert_with(hash, key, || state, stable_hash);
            }
            if !rest.is_empty() || table.len() != count {
                return Err(self.malformed(bin, "it does not hold the keys it says"));
            }
        }
        self.place(bin, BinSlot { table, changed_at });
        Ok(())
    }

    fn restored(&mut self, snapshot: SnapshotId) {
        self.epoch = snapshot;
    }
}

fn bin_number(bin: usize) -> Bin {
    Bin(u16::try_from(bin).expect("a job has at most 2^15 bins"))
}

/// The bins that a snapshot still waits for.
#[derive(Debug, Default)]
struct Frozen {
    words: Vec<u64>,
    left: usize,
    cursor: usize,
}

impl Frozen {
    fn of(bins: impl Iterator<Item = bool>) -> Self {
        let mut frozen = Self::default();
        for (bin, is_frozen) in bins.enumerate() {
            if bin % 64 == 0 {
                frozen.words.push(0);
            }
            if is_frozen {
                frozen.words[bin / 64] |= 1 << (bin % 64);
                frozen.left += 1;
            }
        }
        frozen
    }

    fn contains(&self, bin: usize) -> bool {
        self.words.get(bin / 64).is_some_and(|word| word & (1 << (bin % 64)) != 0)
    }

    fn remove(&mut self, bin: usize) -> bool {
        let was = self.contains(bin);
        if was {
            self.words[bin / 64] &= !(1 << (bin % 64));
            self.left -= 1;
        }
        was
    }

    fn pop(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        while self.words[self.cursor] == 0 {
            self.cursor += 1;
        }
        let bin = self.cursor * 64 + self.words[self.cursor].trailing_zeros() as usize;
        self.remove(bin);
        Some(bin)
    }
}

#[cfg(test)]
mod tests;
