//! Records whose requests are not answered yet: part of the state of their key.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::codec::CodecError;
use crate::element::Timestamp;
use crate::exchange::{Data, bin_of, stable_hash};
use crate::ids::{Bin, SnapshotId};
use crate::mutant::{self, Mutant};
use crate::state::{AnyState, EncodedBin, HandedTable, KeyedState, StateKey};

/// A record that waits for its answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pending<V> {
    /// Ascending within a key.
    pub(super) number: u64,
    pub(super) time: Timestamp,
    /// The watermark behind which it came.
    pub(super) behind: Timestamp,
    pub(super) value: V,
}

/// Where a pending record is.
#[derive(Clone, Debug)]
pub(super) struct Place<K> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) number: u64,
}

/// All pending records of a worker, by key.
#[derive(Debug)]
pub(super) struct PendingState<K, V> {
    state: KeyedState<K, VecDeque<Pending<V>>>,
    mask: u64,
    /// What came with bins and has no request yet.
    arrived: Vec<(Place<K>, Timestamp)>,
    /// Bins that wait to leave: their requests are no longer ours.
    leaving: Vec<usize>,
}

impl<K: StateKey, V: Data> PendingState<K, V> {
    pub(super) fn new(name: &str, n_bins: u32) -> Self {
        Self {
            state: KeyedState::new(name, n_bins),
            mask: u64::from(n_bins) - 1,
            arrived: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// Adds a record; its number.
    pub(super) fn push(&mut self, hash: u64, key: &K, time: Timestamp, behind: Timestamp, value: V) -> u64 {
        let (_, pending) = self.state.get_or_insert_with(hash, key, VecDeque::new);
        let number = pending.back().map_or(0, |last| last.number + 1);
        pending.push_back(Pending { number, time, behind, value });
        number
    }

    pub(super) fn get(&self, place: &Place<K>) -> Option<&Pending<V>> {
        let pending = self.state.get(place.hash, &place.key)?;
        let at = pending.binary_search_by_key(&place.number, |pending| pending.number).ok()?;
        pending.get(at)
    }

    pub(super) fn remove(&mut self, place: &Place<K>) -> Option<Pending<V>> {
        let pending = self.state.get_mut(place.hash, &place.key)?;
        let at = pending.binary_search_by_key(&place.number, |pending| pending.number).ok()?;
        let removed = pending.remove(at);
        if pending.is_empty() {
            self.state.remove(place.hash, &place.key);
        }
        removed
    }

    pub(super) fn prefetch(&self, hash: u64) {
        self.state.prefetch(hash);
    }

    pub(super) fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// What came with bins, and the watermark behind which each came.
    pub(super) fn take_arrived(&mut self) -> Vec<(Place<K>, Timestamp)> {
        std::mem::take(&mut self.arrived)
    }

    fn arrive(&mut self, bin: Bin) {
        for (key, pending) in self.state.iter_bin(bin) {
            let hash = stable_hash(key);
            self.arrived.extend(
                pending.iter().map(|pending| {
                    (Place { hash, key: key.clone(), number: pending.number }, pending.behind)
                }),
            );
        }
    }

    /// Tells which records lie in bins that have begun to leave since this was last asked.
    pub(super) fn take_leaving(&mut self) -> Option<impl Fn(&Place<K>) -> bool + use<K, V>> {
        if self.leaving.is_empty() {
            return None;
        }
        let (leaving, mask) = (std::mem::take(&mut self.leaving), self.mask);
        Some(move |place: &Place<K>| leaving.contains(&bin_of(place.hash, mask)))
    }
}

impl<K: StateKey, V: Data> AnyState for PendingState<K, V> {
    fn name(&self) -> &str {
        self.state.name()
    }

    fn n_keys(&self) -> u64 {
        self.state.n_keys()
    }

    fn n_bins(&self) -> usize {
        self.state.n_bins()
    }

    fn freeze(&mut self, id: SnapshotId, base: Option<SnapshotId>) {
        self.state.freeze(id, base);
    }

    fn reuse(&mut self, bytes: Vec<u8>) {
        self.state.reuse(bytes);
    }

    fn encode_next(&mut self) -> Result<Option<EncodedBin>, CodecError> {
        let encoded = self.state.encode_next()?;
        if mutant::is(Mutant::PendingUnsaved) {
            return Ok(encoded.map(|bin| EncodedBin { keys: 0, bytes: Vec::new(), ..bin }));
        }
        Ok(encoded)
    }

    fn take_n_saved(&mut self) -> usize {
        self.state.take_n_saved()
    }

    fn take(&mut self, bin: Bin) -> Result<(SnapshotId, EncodedBin), CodecError> {
        self.state.take(bin)
    }

    fn put(&mut self, bin: Bin, changed_at: SnapshotId, bytes: &[u8]) -> Result<(), CodecError> {
        self.state.put(bin, changed_at, bytes)?;
        self.arrive(bin);
        Ok(())
    }

    fn take_table(&mut self, bin: Bin) -> (SnapshotId, Option<HandedTable>) {
        let (changed_at, table) = self.state.take_table(bin);
        (changed_at, table.map(HandedTable::walked))
    }

    fn put_table(&mut self, bin: Bin, changed_at: SnapshotId, table: HandedTable) -> Result<(), CodecError> {
        self.state.put_table(bin, changed_at, table)?;
        self.arrive(bin);
        Ok(())
    }

    fn restored(&mut self, snapshot: SnapshotId) {
        self.state.restored(snapshot);
    }

    fn leave(&mut self, bin: Bin) {
        self.leaving.push(bin.index());
        let mask = self.mask;
        self.arrived.retain(|(place, _)| bin_of(place.hash, mask) != bin.index());
    }
}
