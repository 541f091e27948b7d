//! Sums of numbers by key and window of event time, on one thread: the engine beside a loop written by hand.
//!
//! `cargo run --release -p malstrom-runtime --example window_speed -- [RECORDS] [KEYS]`

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use malstrom_core::operators::from_iter;
use malstrom_runtime::prelude::*;

/// The length of a window: so many records each.
const WINDOW: u64 = 100_000;
/// How far out of order records are at most.
const DISORDER: u64 = 64;
/// Rounds of which the fastest counts.
const ROUNDS: usize = 3;

#[derive(Clone, Copy)]
struct Event {
    time: u64,
    key: u64,
    value: u64,
}

fn event(n: u64, n_keys: u64) -> Event {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Event { time: n + (mixed >> 58), key: (mixed >> 20) % n_keys, value: n & 0xff }
}

/// What becomes of all windows, so that both can be compared.
fn digest(key: u64, start: u64, sum: u64) -> u64 {
    (key.wrapping_mul(31).wrapping_add(start)).wrapping_mul(31).wrapping_add(sum)
}

#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, n: u64) {
        self.0 = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

fn by_hand(n_records: u64, n_keys: u64) -> u64 {
    // Per key the open windows: their starts and sums.
    let mut open: HashMap<u64, Vec<(u64, u64)>, BuildHasherDefault<Multiply>> = HashMap::default();
    let (mut newest, mut told, mut total) = (0, 0, 0_u64);
    for n in 0..n_records {
        let Event { time, key, value } = event(n, n_keys);
        newest = newest.max(time);
        let start = time / WINDOW * WINDOW;
        let windows = open.entry(key).or_default();
        match windows.iter_mut().find(|window| window.0 == start) {
            Some(window) => window.1 += value,
            None => windows.push((start, value)),
        }
        let watermark = newest.saturating_sub(DISORDER) / WINDOW * WINDOW;
        if watermark > told {
            told = watermark;
            for (key, windows) in &mut open {
                windows.retain(|(start, sum)| {
                    let is_open = start + WINDOW > watermark;
                    if !is_open {
                        total = total.wrapping_add(digest(*key, *start, *sum));
                    }
                    is_open
                });
            }
        }
    }
    for (key, windows) in open {
        for (start, sum) in windows {
            total = total.wrapping_add(digest(key, start, sum));
        }
    }
    total
}

fn engine(n_records: u64, n_keys: u64, is_combined: bool) -> Result<u64, Box<dyn std::error::Error>> {
    let total = Arc::new(AtomicU64::new(0));
    let sink = total.clone();
    let job = SingleThread::builder()
        .job("sums", move |job: &Job| {
            let sink = sink.clone();
            let events = job
                .source("events", from_iter(move || (0..n_records).map(move |n| event(n, n_keys))))
                .assign_timestamps(
                    |event| Timestamp(event.time as i64),
                    Watermarks::bounded_disorder(DISORDER as i64),
                );
            let windows = Tumbling::of(WINDOW as i64);
            let tell = move |(key, window): (u64, WindowResult<u64>)| {
                sink.fetch_add(digest(key, window.start.0 as u64, window.value), Ordering::Relaxed);
            };
            if is_combined {
                let of = aggregates::sum(|event: &Event| event.value);
                events.window_by(|event| event.key, windows).aggregate("sums", of).for_each("out", tell);
            } else {
                let of = aggregates::sum(|value: &u64| *value);
                let keyed = events.into_keyed(|event| (event.key, event.value));
                keyed.window(windows).aggregate("sums", of).for_each("out", tell);
            }
        })
        .build()?;
    job.run()?;
    Ok(total.load(Ordering::Relaxed))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let n_records = numbers.first().copied().unwrap_or(20_000_000);
    let n_keys = numbers.get(1).copied().unwrap_or(1000);
    let expected = by_hand(n_records, n_keys);
    let mut best = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        for (way, best) in best.iter_mut().enumerate() {
            let begun = Instant::now();
            let total = match way {
                0 => by_hand(n_records, n_keys),
                1 => engine(n_records, n_keys, true)?,
                _ => engine(n_records, n_keys, false)?,
            };
            assert_eq!(total, expected, "both come to the same");
            *best = best.min(begun.elapsed().as_secs_f64());
        }
    }
    for (what, seconds) in ["by hand", "combined before the exchange", "behind the exchange"].iter().zip(best)
    {
        let rate = n_records as f64 / seconds / 1e6;
        println!("{what}: {rate:.1} million records a second, {:.2} of by hand", best[0] / seconds);
    }
    Ok(())
}
