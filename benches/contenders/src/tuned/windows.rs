//! Sums by key in windows of event time: a table with open addressing for each of the two windows that can be open,
//! small enough for the nearest cache. Each thread has tables of its own; the owners of keys get what a window came to.

use std::thread;

use super::table::{Key, Table};
use super::{BATCH_KEYS, owner};
use crate::data::{DISORDER_MS, WINDOW_MS, events, window_of};
use crate::mesh::{Port, mesh};
use crate::task::Task;
use crate::work;
use malstrom_measure::outcome::Outcome;
use malstrom_measure::tally::{LocalTally, Tally};

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
    let mut owned = Owned { open: Vec::new(), n_threads, tally };
    // Disorder is much less than a window: no more than two are open.
    let (mut current, mut next) = (Table::new(), Table::new());
    let mut start = 0;
    let mut newest = 0;
    let mut events = events(task.records, task.keys, me, n_threads);
    let mut is_over = false;
    while !is_over {
        is_over = true;
        for event in events.by_ref().take(BATCH_KEYS) {
            is_over = false;
            newest = newest.max(event.time_ms);
            let table = if event.time_ms - start < WINDOW_MS { &mut current } else { &mut next };
            table.add_sum(event.key.hash(), event.key, event.value);
        }
        while start + WINDOW_MS <= newest - DISORDER_MS || (is_over && start <= window_of(newest)) {
            send(me, &mut port, &mut owned, start, &current);
            current = std::mem::replace(&mut next, Table::new());
            start += WINDOW_MS;
        }
        port.receive(|partials| owned.take(partials));
    }
    port.finish(|partials| owned.take(partials));
}

fn send(me: usize, port: &mut Port<Vec<Partial>>, owned: &mut Owned, start: i64, sums: &Table<u64>) {
    let mut outgoing: Vec<Vec<Partial>> = vec![Vec::new(); owned.n_threads];
    for slot in sums.iter() {
        outgoing[owner(slot.key.hash(), owned.n_threads)].push((start, slot.key, slot.count - 1));
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

/// The keys a thread owns: the beginnings of open windows, how many threads have told them, and the sums.
struct Owned {
    open: Vec<(i64, usize, Table<u64>)>,
    n_threads: usize,
    tally: LocalTally,
}

impl Owned {
    fn take(&mut self, partials: &Vec<Partial>) {
        for (start, key, sum) in partials {
            let at = self.open.iter().position(|open| open.0 == *start).unwrap_or_else(|| {
                self.open.push((*start, 0, Table::new()));
                self.open.len() - 1
            });
            let open = &mut self.open[at];
            if *key != TOLD {
                open.2.add_sum(key.hash(), *key, *sum);
                continue;
            }
            open.1 += 1;
            if open.1 == self.n_threads {
                for slot in open.2.iter() {
                    self.tally.add(work::window_sum(slot.key, *start, slot.count - 1));
                }
                self.open.swap_remove(at);
                self.tally.publish();
            }
        }
    }
}
