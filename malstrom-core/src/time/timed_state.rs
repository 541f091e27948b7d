//! Keyed state of which some is due at a time.
//!
//! # Rules
//! 1. What is due is part of the state of its key, so it is frozen, encoded, moved and restored with its bin. The queues
//!    that tell what is due next are derived: they are built anew when a bin is put in.
//! 2. A queue may name what the state no longer holds, because it was cancelled, has moved away, or is there twice.
//!    Whoever takes from a queue looks into the state.
//! 3. What a bin has due does not happen while the bin waits to leave: behind the cut it belongs to the new owner.
//! 4. How far event time has come is part of a snapshot too, so that after a restore a record is late if it was before.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::due::{DueQueue, Taken};
use crate::codec::CodecError;
use crate::element::Timestamp;
use crate::exchange::{Data, bin_of, stable_hash};
use crate::ids::{Bin, SnapshotId};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::ports::Nanos;
use crate::state::{AnyState, EncodedBin, HandedTable, KeyedState, StateKey};

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Due {
    /// When event time has come so far: when no earlier record is to follow.
    Event(Timestamp),
    /// When the worker's clock has come so far.
    Clock(Nanos),
}

/// A state that knows what of it is due.
pub trait Scheduled {
    /// Tells all that is due, in any order.
    fn each_due(&self, tell: &mut dyn FnMut(Due));
}

/// Keyed state of which some is due at a time.
#[derive(Debug)]
pub struct TimedState<K, S> {
    state: KeyedState<K, S>,
    mask: u64,
    event: DueQueue<Timestamp, K>,
    clock: DueQueue<Nanos, K>,
    leaving: BTreeSet<usize>,
    watermark: Timestamp,
    n_late: u64,
}

impl<K: StateKey, S: Data + Scheduled> TimedState<K, S> {
    /// No state yet, for a job of `n_bins` bins, a power of two.
    #[must_use]
    pub fn new(name: &str, n_bins: u32) -> Self {
        Self {
            state: KeyedState::new(name, n_bins),
            mask: u64::from(n_bins) - 1,
            event: DueQueue::new(),
            clock: DueQueue::new(),
            leaving: BTreeSet::new(),
            watermark: Timestamp::MIN,
            n_late: 0,
        }
    }

    /// The state itself.
    #[inline]
    pub fn keyed(&mut self) -> &mut KeyedState<K, S> {
        &mut self.state
    }

    /// The state of a key, if there is any. It is not marked as changed.
    #[inline]
    pub fn get(&self, hash: u64, key: &K) -> Option<&S> {
        self.state.get(hash, key)
    }

    /// How far event time has come, here or before the snapshot that was restored.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.watermark
    }

    /// Event time has come so far.
    pub fn advance(&mut self, time: Timestamp) {
        self.watermark = self.watermark.max(time);
    }

    /// Takes note that something of this key is due; the state must say so too.
    pub fn schedule(&mut self, due: Due, hash: u64, key: K) {
        match due {
            Due::Event(time) => self.event.push(time, hash, key),
            Due::Clock(time) => self.clock.push(time, hash, key),
        }
    }

    /// Like [`schedule`](Self::schedule), for a time in event time, if there is one.
    pub(crate) fn schedule_at(&mut self, due: Option<i64>, hash: u64, key: K) {
        if let Some(time) = due {
            self.schedule(Due::Event(Timestamp(time)), hash, key);
        }
    }

    /// Takes the earliest that may be due by event time.
    pub fn next_event(&mut self) -> Option<(Due, u64, K)> {
        loop {
            let Taken { time, hash, key, upcoming } = self.event.pop(self.watermark)?;
            if let Some(upcoming) = upcoming {
                self.state.prefetch(upcoming);
            }
            if self.is_ours(hash) {
                return Some((Due::Event(time), hash, key));
            }
        }
    }

    /// Takes the earliest that may be due by the clock.
    pub fn next_by_clock(&mut self, now: Nanos) -> Option<(Due, u64, K)> {
        loop {
            let Taken { time, hash, key, upcoming } = self.clock.pop(now)?;
            if let Some(upcoming) = upcoming {
                self.state.prefetch(upcoming);
            }
            if self.is_ours(hash) {
                return Some((Due::Clock(time), hash, key));
            }
        }
    }

    /// When something may be due by the clock next.
    #[inline]
    #[must_use]
    pub fn wake_at(&self) -> Option<Nanos> {
        self.clock.first()
    }

    /// Counts a record that came too late.
    pub fn count_late(&mut self, n_records: u64) {
        self.n_late += n_records;
    }

    /// A bin has come: takes note of all that it has due.
    fn schedule_bin(&mut self, bin: Bin) {
        if mutant::is(Mutant::TimersLost) {
            return;
        }
        let Self { state, event, clock, .. } = self;
        for (key, kept) in state.iter_bin(bin) {
            let hash = stable_hash(key);
            kept.each_due(&mut |due| match due {
                Due::Event(time) => event.push(time, hash, key.clone()),
                Due::Clock(time) => clock.push(time, hash, key.clone()),
            });
        }
    }

    fn is_ours(&self, hash: u64) -> bool {
        if self.leaving.is_empty() || !self.leaving.contains(&bin_of(hash, self.mask)) {
            return true;
        }
        mark::hit(Mark::TimerLeft);
        mutant::is(Mutant::LeavingFires)
    }
}

impl<K: StateKey, S: Data + Scheduled> AnyState for TimedState<K, S> {
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
        self.state.encode_next()
    }

    fn take_n_saved(&mut self) -> usize {
        self.state.take_n_saved()
    }

    fn take(&mut self, bin: Bin) -> Result<(SnapshotId, EncodedBin), CodecError> {
        self.leaving.remove(&bin.index());
        self.state.take(bin)
    }

    fn put(&mut self, bin: Bin, changed_at: SnapshotId, bytes: &[u8]) -> Result<(), CodecError> {
        self.state.put(bin, changed_at, bytes)?;
        self.schedule_bin(bin);
        Ok(())
    }

    fn take_table(&mut self, bin: Bin) -> (SnapshotId, Option<HandedTable>) {
        self.leaving.remove(&bin.index());
        let (changed_at, table) = self.state.take_table(bin);
        (changed_at, table.map(HandedTable::walked))
    }

    fn put_table(&mut self, bin: Bin, changed_at: SnapshotId, table: HandedTable) -> Result<(), CodecError> {
        self.state.put_table(bin, changed_at, table)?;
        self.schedule_bin(bin);
        Ok(())
    }

    fn restored(&mut self, snapshot: SnapshotId) {
        self.state.restored(snapshot);
    }

    fn leave(&mut self, bin: Bin) {
        self.leaving.insert(bin.index());
    }

    fn watermark(&self) -> Option<Timestamp> {
        Some(self.watermark)
    }

    fn restored_watermark(&mut self, time: Timestamp) {
        self.watermark = time;
    }

    fn n_late(&self) -> u64 {
        self.n_late
    }
}
