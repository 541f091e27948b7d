//! Sums by key in windows of event time. Each thread adds up its own events by window; when no earlier event of its own
//! can follow, it gives what a window came to to the threads that own the keys, and these tell a window when all have.

use std::hash::BuildHasher;
use std::thread;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::owner;
use crate::data::{DISORDER_MS, WINDOW_MS, events, window_of};
use crate::mesh::{Port, mesh};
use crate::task::Task;
use crate::work;
use malstrom_measure::outcome::Outcome;
use malstrom_measure::tally::{LocalTally, Tally};

/// Events between two looks at how far time has come.
const TURN_EVENTS: usize = 1024;
/// What no key is: that of the message that a thread has told a window.
const TOLD: u64 = 0;

pub(super) fn sums(task: &Task) -> Outcome {
    let tally = Tally::start();
    thread::scope(|scope| {
        for (me, port) in mesh(task.workers).into_iter().enumerate() {
            let tally = tally.local();
            scope.spawn(move || sum_part(me, task, port, tally));
        }
    });
    tally.outcome(task.records)
}

/// The beginning of a window, a key, its sum.
type Partial = (i64, u64, u64);

fn sum_part(me: usize, task: &Task, mut port: Port<Vec<Partial>>, tally: LocalTally) {
    let n_threads = task.workers;
    let mut mine = Windows::default();
    let mut owned = Owned { windows: Windows::default(), n_threads, tally };
    let mut newest = i64::MIN;
    let mut events = events(task.records, task.keys, me, n_threads).peekable();
    while events.peek().is_some() {
        for event in events.by_ref().take(TURN_EVENTS) {
            newest = newest.max(event.time_ms);
            mine.add(window_of(event.time_ms), event.key, event.value);
        }
        mine.close(newest - DISORDER_MS, |start, sums| send(me, &mut port, &mut owned, start, sums));
        port.receive(|partials| owned.take(partials));
    }
    mine.close(i64::MAX, |start, sums| send(me, &mut port, &mut owned, start, sums));
    port.finish(|partials| owned.take(partials));
}

fn send(me: usize, port: &mut Port<Vec<Partial>>, owned: &mut Owned, start: i64, sums: &Sums) {
    let mut outgoing: Vec<Vec<Partial>> = vec![Vec::new(); owned.n_threads];
    for (key, sum) in &sums.table {
        outgoing[owner(sums.hasher.hash_one(key), owned.n_threads)].push((start, *key, *sum));
    }
    for (to, batch) in outgoing.iter_mut().enumerate() {
        batch.push((start, TOLD, 0));
        if to == me {
            owned.take(batch);
        } else {
            port.send(to, batch, |partials| owned.take(partials));
        }
    }
}

/// The keys a thread owns.
struct Owned {
    windows: Windows,
    n_threads: usize,
    tally: LocalTally,
}

impl Owned {
    fn take(&mut self, partials: &Vec<Partial>) {
        for (start, key, sum) in partials {
            if *key != TOLD {
                self.windows.add(*start, *key, *sum);
                continue;
            }
            let n_threads = self.n_threads;
            let sums = self.windows.at(*start);
            sums.n_told += 1;
            if sums.n_told < n_threads {
                continue;
            }
            for (key, sum) in &sums.table {
                self.tally.add(work::window_sum(*key, *start, *sum));
            }
            self.windows.open.retain(|(open, _)| open != start);
            self.tally.publish();
        }
    }
}

/// The open windows: one or two, as a rule. The last one that was used comes last.
#[derive(Default)]
struct Windows {
    open: Vec<(i64, Sums)>,
}

#[derive(Default)]
struct Sums {
    table: HashTable<(u64, u64)>,
    hasher: FixedState,
    n_told: usize,
}

impl Windows {
    #[inline]
    fn add(&mut self, start: i64, key: u64, value: u64) {
        let Sums { table, hasher, .. } = self.at(start);
        let hash = hasher.hash_one(key);
        match table.find_mut(hash, |entry| entry.0 == key) {
            Some((_, sum)) => *sum += value,
            None => {
                table.insert_unique(hash, (key, value), |entry| hasher.hash_one(entry.0));
            }
        }
    }

    #[inline]
    fn at(&mut self, start: i64) -> &mut Sums {
        let last = self.open.len().wrapping_sub(1);
        if self.open.get(last).is_none_or(|(open, _)| *open != start) {
            self.find(start);
        }
        let last = self.open.len() - 1;
        &mut self.open[last].1
    }

    #[cold]
    fn find(&mut self, start: i64) {
        let found = self.open.iter().position(|(open, _)| *open == start).map(|at| self.open.remove(at));
        self.open.push(found.unwrap_or_else(|| (start, Sums::default())));
    }

    /// Gives away the windows that no event can be in any more.
    fn close(&mut self, watermark: i64, mut tell: impl FnMut(i64, &Sums)) {
        self.open.retain(|(start, sums)| {
            let is_open = start.saturating_add(WINDOW_MS) > watermark;
            if !is_open {
                tell(*start, sums);
            }
            is_open
        });
    }
}
