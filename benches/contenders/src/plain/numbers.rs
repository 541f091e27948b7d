//! The chain without state, and counting integers.

use std::hash::BuildHasher;
use std::thread;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::owner;
use crate::data::{key, range};
use crate::mesh::{Port, mesh};
use crate::task::Task;
use crate::work;
use malstrom_measure::outcome::Outcome;
use malstrom_measure::tally::{LocalTally, Tally};

/// Keys in a batch.
const BATCH_KEYS: usize = 1024;

/// What hand and compiler make of the chain: the compiler has it in vector instructions.
pub(super) fn chain(task: &Task) -> Outcome {
    let tally = Tally::start();
    thread::scope(|scope| {
        for me in 0..task.workers {
            let mut tally = tally.local();
            scope.spawn(move || {
                let kept = range(task.records, me, task.workers).map(work::first).filter(|n| work::keep(*n));
                let (n, sum) = kept
                    .map(work::third)
                    .map(work::fourth)
                    .fold((0, 0_u64), |(n, sum), value| (n + 1, sum.wrapping_add(value)));
                tally.add_many(n, sum);
            });
        }
    });
    tally.outcome(task.records)
}

pub(super) fn count(task: &Task) -> Outcome {
    let tally = Tally::start();
    thread::scope(|scope| {
        for (me, port) in mesh(task.workers).into_iter().enumerate() {
            let counts =
                Counts { table: HashTable::new(), hasher: FixedState::default(), tally: tally.local() };
            scope.spawn(move || count_part(me, task, port, counts));
        }
    });
    tally.outcome(task.records)
}

fn count_part(me: usize, task: &Task, mut port: Port<Vec<(u64, u64)>>, mut counts: Counts) {
    let n_threads = task.workers;
    let mut outgoing = vec![Vec::with_capacity(BATCH_KEYS); n_threads];
    for i in range(task.records, me, n_threads) {
        let key = key(i, task.keys);
        let hash = counts.hasher.hash_one(key);
        let owner = owner(hash, n_threads);
        let batch = &mut outgoing[owner];
        batch.push((hash, key));
        if batch.len() < BATCH_KEYS {
            continue;
        }
        if owner == me {
            // A loop of look-ups alone lets the processor overlap them.
            counts.add_all(batch);
            batch.clear();
        } else {
            port.send(owner, batch, |keys| counts.add_all(keys));
        }
        port.receive(|keys| counts.add_all(keys));
    }
    counts.add_all(&outgoing[me]);
    for (owner, batch) in outgoing.iter_mut().enumerate() {
        port.send(owner, batch, |keys| counts.add_all(keys));
    }
    port.finish(|keys| counts.add_all(keys));
    counts.tally.publish();
}

struct Counts {
    table: HashTable<(u64, u64)>,
    hasher: FixedState,
    tally: LocalTally,
}

impl Counts {
    #[inline]
    fn add(&mut self, hash: u64, key: u64) {
        let count = match self.table.find_mut(hash, |entry| entry.0 == key) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.table.insert_unique(hash, (key, 1), |entry| self.hasher.hash_one(entry.0));
                1
            }
        };
        self.tally.add(work::number_count(key, count));
    }

    fn add_all(&mut self, keys: &[(u64, u64)]) {
        for (hash, key) in keys {
            self.add(*hash, *key);
        }
    }
}
