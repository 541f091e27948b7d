//! Counts integers.

use std::thread;

use super::table::{Key, Table};
use super::{BATCH_KEYS, LOOKAHEAD, fold, owner};
use crate::data::{key, range};
use crate::mesh::{Port, mesh};
use crate::task::Task;
use crate::work;
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::{LocalTally, Tally};

pub(super) fn count(task: &Task) -> Result<Outcome, BoxError> {
    let tally = Tally::start();
    thread::scope(|scope| {
        for (me, port) in mesh(task.workers).into_iter().enumerate() {
            let counts = Counts { table: Table::new(), tally: tally.local() };
            scope.spawn(move || count_part(me, task, port, counts));
        }
    });
    Ok(tally.outcome(task.records))
}

fn count_part(me: usize, task: &Task, mut port: Port<Vec<u64>>, mut counts: Counts) {
    let n_threads = task.workers;
    let mut batches = vec![Vec::with_capacity(BATCH_KEYS); n_threads];
    let records = range(task.records, me, n_threads);
    let mut next = records.start;
    while next < records.end {
        let upto = records.end.min(next + BATCH_KEYS as u64);
        for i in next..upto {
            let key = key(i, task.keys);
            let to = if n_threads == 1 { 0 } else { owner(key.hash(), n_threads) };
            batches[to].push(key);
        }
        next = upto;
        for (to, batch) in batches.iter_mut().enumerate() {
            if to == me {
                counts.add_all(batch);
                batch.clear();
            } else if batch.len() >= BATCH_KEYS {
                port.send(to, batch, |keys| counts.add_all(keys));
            }
        }
        port.receive(|keys| counts.add_all(keys));
    }
    for (to, batch) in batches.iter_mut().enumerate() {
        port.send(to, batch, |keys| counts.add_all(keys));
    }
    port.finish(|keys| counts.add_all(keys));
    counts.tally.publish();
}

impl Key for u64 {
    #[inline]
    fn hash(self) -> u64 {
        fold(self ^ 0xa409_3822_299f_31d0, 0x243f_6a88_85a3_08d3)
    }
}

/// Counts in a table for each bin of the key space, as a job needs that moves and stores its state by bin.
pub(crate) struct CountsInBins {
    bins: Vec<Table<u64>>,
    tally: LocalTally,
}

impl CountsInBins {
    /// Bins that the engine has if nothing is said.
    const BINS: usize = 4096;
    /// Slots of the table of a bin at first.
    const SLOTS_MIN: usize = 16;

    pub(crate) fn new(tally: LocalTally) -> Self {
        Self { bins: (0..Self::BINS).map(|_| Table::with_slots(Self::SLOTS_MIN)).collect(), tally }
    }

    /// Low bits, as a table takes the high ones.
    #[inline]
    fn bin_of(hash: u64) -> usize {
        hash as usize % Self::BINS
    }

    #[inline]
    fn prefetch(&self, key: u64) {
        let hash = key.hash();
        self.bins[Self::bin_of(hash)].prefetch(hash);
    }

    pub(crate) fn add_all(&mut self, keys: &[u64]) {
        keys.iter().take(LOOKAHEAD).for_each(|key| self.prefetch(*key));
        let mut sum = 0_u64;
        for (i, key) in keys.iter().enumerate() {
            if let Some(ahead) = keys.get(i + LOOKAHEAD) {
                self.prefetch(*ahead);
            }
            let hash = key.hash();
            let count = self.bins[Self::bin_of(hash)].add(hash, *key);
            sum = sum.wrapping_add(work::number_count(*key, count));
        }
        self.tally.add_many(keys.len() as u64, sum);
    }

    pub(crate) fn publish(&mut self) {
        self.tally.publish();
    }
}

struct Counts {
    table: Table<u64>,
    tally: LocalTally,
}

impl Counts {
    fn add_all(&mut self, keys: &[u64]) {
        for key in keys.iter().take(LOOKAHEAD) {
            self.table.prefetch(key.hash());
        }
        let mut sum = 0_u64;
        for (i, key) in keys.iter().enumerate() {
            if let Some(ahead) = keys.get(i + LOOKAHEAD) {
                self.table.prefetch(ahead.hash());
            }
            let count = self.table.add(key.hash(), *key);
            sum = sum.wrapping_add(work::number_count(*key, count));
        }
        self.tally.add_many(keys.len() as u64, sum);
    }
}
