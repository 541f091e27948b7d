//! An open loop through an exchange: thread 0 makes records when they are due and sends each to the thread that counts
//! its key, at once.

use std::thread::{self, Thread};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::data::key;
use crate::mesh::{Port, mesh};
use crate::task::{Program, Task};
use malstrom_measure::latency::{Latencies, LocalLatencies, Pace, this_thread_makes_records};
use malstrom_measure::outcome::Outcome;
use malstrom_measure::tally::Tally;

/// A key and when it was due.
type Due = (u64, u64);

/// The longest rest of a thread that is not woken.
const REST_MAX: Duration = Duration::from_millis(100);

pub(super) fn run(task: &Task) -> Outcome {
    let n_records = (task.rate as f64 * task.seconds) as u64;
    let pace = Pace::new(task.rate, 0);
    let latencies = Latencies::new(&pace, Duration::from_secs_f64(task.seconds + 60.0));
    let tally = Tally::start();
    pace.begin(Duration::from_millis(500));
    thread::scope(|scope| {
        let mut ports = mesh::<Vec<Due>>(task.workers).into_iter();
        let Some(first) = ports.next() else { return };
        let parks = task.program == Program::PlainParked;
        let others: Vec<Thread> = ports
            .map(|port| {
                let mut counts = Counts::new(latencies.local());
                scope.spawn(move || counts.receive_all(port, parks)).thread().clone()
            })
            .collect();
        let counts = Counts::new(latencies.local());
        let (task, pace) = (task.clone(), &pace);
        scope.spawn(move || make(&task, n_records, pace, first, counts, parks.then_some(others)));
    });
    let mut outcome = tally.outcome(n_records);
    outcome.note("latency", latencies.summary());
    outcome
}

fn make(
    task: &Task,
    n_records: u64,
    pace: &Pace,
    mut port: Port<Vec<Due>>,
    mut counts: Counts,
    to_wake: Option<Vec<Thread>>,
) {
    this_thread_makes_records();
    let mut batches = vec![Vec::new(); task.workers];
    let mut i = 0;
    while i < n_records {
        let now = pace.now_ns();
        while let Some(due) = pace.due_ns(i).filter(|due| *due <= now && i < n_records) {
            let key = key(i, task.keys);
            batches[(key >> 32) as usize % task.workers].push((key, due));
            i += 1;
        }
        for (to, batch) in batches.iter_mut().enumerate().filter(|(_, batch)| !batch.is_empty()) {
            if to == 0 {
                counts.add_all(batch);
                batch.clear();
                continue;
            }
            port.send(to, batch, |batch| counts.add_all(batch));
            if let Some(thread) = to_wake.as_ref().and_then(|threads| threads.get(to - 1)) {
                thread.unpark();
            }
        }
    }
    port.finish(|batch| counts.add_all(batch));
    to_wake.into_iter().flatten().for_each(|thread| thread.unpark());
}

struct Counts {
    table: HashMap<u64, u64, FixedState>,
    latencies: LocalLatencies,
}

impl Counts {
    fn new(latencies: LocalLatencies) -> Self {
        Self { table: HashMap::default(), latencies }
    }

    fn add_all(&mut self, batch: &[Due]) {
        for (key, due) in batch {
            *self.table.entry(*key).or_insert(0) += 1;
            self.latencies.note(*due, true);
        }
    }

    fn receive_all(&mut self, mut port: Port<Vec<Due>>, parks: bool) {
        port.stop_sending();
        while !port.is_over() {
            if port.receive(|batch| self.add_all(batch)) {
                continue;
            }
            if parks {
                thread::park_timeout(REST_MAX);
            } else {
                std::hint::spin_loop();
            }
        }
    }
}
