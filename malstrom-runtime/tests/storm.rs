//! A million timers that are due at one watermark: what else a worker has to do goes on between them.
//!
//! What is asserted is counted in slices of timers, so it holds on any machine; times are printed
//! (`cargo test --release -p malstrom-runtime --test storm -- --nocapture`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how long it took is for whoever looks")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use malstrom_core::coordinator::JobEvent;
use malstrom_core::limits::TIMERS_FIRED_SLICE;
use malstrom_core::operators::{
    BoxError, Emit, Read, ReadContext, ReadStatus, Sink, Source, TimedOperator, Timers,
};
use malstrom_core::time::Due;
use malstrom_runtime::prelude::*;

const N_TIMERS: u64 = 1_000_000;
/// When all timers are due.
const DUE: i64 = 10;

/// What goes on, seen from outside the job.
#[derive(Debug, Default)]
struct Seen {
    fired: AtomicU64,
    /// Timers that had fired, and the time, whenever a pulse came through.
    pulses: Mutex<Vec<(u64, Instant)>>,
}

impl Seen {
    fn n_fired(&self) -> u64 {
        self.fired.load(Ordering::SeqCst)
    }

    fn is_over(&self) -> bool {
        self.n_fired() == N_TIMERS
    }
}

/// A key for each timer, then one record that brings event time to where they are due. It stays until they have fired, so
/// that a watermark does it and not the end.
#[derive(Clone)]
struct Keys(Arc<Seen>);

struct KeysReader {
    seen: Arc<Seen>,
    next: u64,
}

impl Source for Keys {
    type Item = (u64, i64);
    type Reader = KeysReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(vec!["all".to_owned()])
    }

    fn open(&mut self, _: &str, position: Option<u64>) -> Result<KeysReader, BoxError> {
        Ok(KeysReader { seen: self.0.clone(), next: position.unwrap_or(0) })
    }
}

impl Read for KeysReader {
    type Item = (u64, i64);
    type Position = u64;

    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<(u64, i64)>) -> Result<ReadStatus, BoxError> {
        for _ in 0..cx.n_records_max {
            let time = match self.next {
                0..N_TIMERS => 0,
                N_TIMERS => DUE,
                _ if self.seen.is_over() => return Ok(ReadStatus::Ended),
                _ => return Ok(ReadStatus::Wait(Some(cx.now.after(Duration::from_millis(1))))),
            };
            out.emit(Record::new((self.next, time)));
            self.next += 1;
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> u64 {
        self.next
    }
}

/// Sets a timer for each key.
struct Storm(Arc<Seen>);

impl TimedOperator<u64, i64> for Storm {
    type State = ();
    type Out = u64;

    fn process(
        &mut self,
        _: &u64,
        state: &mut Option<()>,
        record: Record<i64>,
        timers: &mut Timers<'_>,
        _: &mut impl Emit<u64>,
    ) {
        if record.value < DUE {
            *state = Some(());
            timers.set_at(Timestamp(DUE));
        }
    }

    fn on_timer(
        &mut self,
        key: &u64,
        state: &mut Option<()>,
        due: Due,
        _: &mut Timers<'_>,
        out: &mut impl Emit<u64>,
    ) {
        *state = None;
        self.0.fired.fetch_add(1, Ordering::SeqCst);
        if let Due::Event(time) = due {
            out.emit(Record::at(time, *key));
        }
    }
}

/// One record a read, for as long as the storm is not over: the worker's other work.
#[derive(Clone)]
struct Pulse(Arc<Seen>);

impl Source for Pulse {
    type Item = ();
    type Reader = PulseReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(vec!["all".to_owned()])
    }

    fn open(&mut self, _: &str, _: Option<()>) -> Result<PulseReader, BoxError> {
        Ok(PulseReader(self.0.clone()))
    }
}

struct PulseReader(Arc<Seen>);

impl Read for PulseReader {
    type Item = ();
    type Position = ();

    fn read(&mut self, _: ReadContext, out: &mut impl Emit<()>) -> Result<ReadStatus, BoxError> {
        if self.0.is_over() {
            return Ok(ReadStatus::Ended);
        }
        out.emit(Record::new(()));
        Ok(ReadStatus::More)
    }

    fn position(&self) {}
}

/// Notes when a pulse comes through.
#[derive(Clone)]
struct Noted(Arc<Seen>);

impl Sink<()> for Noted {
    fn write(&mut self, _: Record<()>) -> Result<(), BoxError> {
        self.0.pulses.lock().unwrap().push((self.0.n_fired(), Instant::now()));
        Ok(())
    }
}

#[test]
fn a_storm_of_a_million_timers_does_not_stop_the_worker_for_longer_than_a_slice_of_them() {
    let seen = Arc::new(Seen::default());
    let snapshots = Arc::new(Mutex::new(Vec::new()));
    let define = {
        let seen = seen.clone();
        move |job: &Job| {
            let keys = job.source("keys", Keys(seen.clone()));
            let timed = keys.assign_timestamps(|(_, time)| Timestamp(*time), Watermarks::ascending());
            timed
                .into_keyed(|pair| pair)
                .process_timed("storm", Storm(seen.clone()))
                .sink("fired", malstrom_core::operators::Discard);
            job.source("pulse", Pulse(seen.clone())).sink("pulses", Noted(seen.clone()));
        }
    };
    let told = snapshots.clone();
    let job = MultiThread::builder()
        .job("storm", define)
        .workers(1)
        .snapshot_interval(Duration::from_millis(500))
        .on_event(move |event| {
            if let JobEvent::Snapshot(report) = event {
                told.lock().unwrap().push(report.duration);
            }
        })
        .build()
        .unwrap();
    job.run().unwrap();

    let pulses = seen.pulses.lock().unwrap();
    let slices = |from: u64, to: u64| (to - from).div_ceil(TIMERS_FIRED_SLICE as u64);
    let (mut n_during, mut most_slices) = (0, 0);
    let (mut longest, mut longest_before) = (Duration::ZERO, Duration::ZERO);
    for pair in pulses.windows(2) {
        let ((fired, at), (fired_then, then)) = (pair[0], pair[1]);
        let gap = then - at;
        if fired_then > 0 {
            n_during += 1;
            most_slices = most_slices.max(slices(fired, fired_then));
            longest = longest.max(gap);
        } else {
            longest_before = longest_before.max(gap);
        }
    }
    let began = pulses.iter().rfind(|(fired, _)| *fired == 0).unwrap().1;
    let took = pulses.last().unwrap().1 - began;
    let snapshots = snapshots.lock().unwrap();
    println!(
        "{N_TIMERS} timers took {took:?}; {n_during} pulses meanwhile, at most {most_slices} slices and {longest:?} apart \
         (before, while timers were set: {longest_before:?}); longest snapshot {:?} of {}",
        snapshots.iter().max(),
        snapshots.len(),
    );
    // One slice lies between two turns of the other stage, of which some go to a barrier in place of a pulse.
    assert!(most_slices <= 8, "{most_slices} slices of timers fired between two pulses of another stage");
    assert!(
        n_during >= N_TIMERS / TIMERS_FIRED_SLICE as u64 / 2,
        "{n_during} pulses came while timers fired"
    );
}
