//! A query on Malstrom, with its guarantees: bins, an exchange, snapshots, rescales while it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use malstrom_measure::latency::Latencies;
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::Tally;
use malstrom_runtime::prelude::*;
use serde_json::json;

use crate::args::Run;
use crate::generator::DISORDER_MS;
use crate::out::Out;
use crate::queries;
use crate::source::{Events, Schedule};

/// Time between two looks at the clock and the figures.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How much longer than it should a run may take until its latencies are no longer noted.
const LATENCY_SLACK: Duration = Duration::from_secs(120);

/// Runs the query.
///
/// # Errors
/// If the job fails.
pub fn run(args: &Run) -> Result<Outcome, BoxError> {
    let generator = args.input.generator();
    let schedule = args.rate.map(Schedule::new);
    let latency = schedule.clone().zip(args.rate).map(|(schedule, rate)| {
        let at_most = Duration::from_secs(args.input.events / rate.max(1)) + LATENCY_SLACK;
        let latencies = Latencies::new(&schedule.pace, at_most);
        (schedule, latencies)
    });
    let tally = Tally::start();
    let out = Out { folder: args.output.clone(), tally: tally.clone(), generator, latency: latency.clone() };
    let source =
        Events { generator, n_events: args.input.events, n_partitions: args.partitions.max(1), schedule };
    let scratch = Scratch::new()?;
    let url = args.snapshots.clone().unwrap_or_else(|| scratch.0.display().to_string());
    let query = args.query;
    let define = move |job: &Job| {
        let events = job.source("events", source.clone()).assign_timestamps(
            |event| Timestamp::from_millis(event.time()),
            Watermarks::bounded_disorder(DISORDER_MS),
        );
        queries::define(query, events, &out);
    };
    let builder = MultiThread::builder()
        .job(&format!("nexmark-q{query}"), define)
        .workers(args.workers)
        .snapshots(&url)
        .on_event(tell);
    let builder = match args.snapshot_interval.is_zero() {
        true => builder,
        false => builder.snapshot_interval(args.snapshot_interval),
    };
    let runnable = builder.build()?;
    let api = runnable.api();
    let has_ended = Arc::new(AtomicBool::new(false));
    let steering = {
        let (args, api, has_ended) = (args.clone(), api.clone(), has_ended.clone());
        thread::spawn(move || steer(&args, &api, &has_ended))
    };
    let ended = runnable.start()?.wait();
    has_ended.store(true, Ordering::SeqCst);
    let most_keys = steering.join().map_err(|_| "the thread that steers has failed")?;
    let ended = ended?;
    let mut outcome = tally.outcome(args.input.events);
    if args.output.is_some() {
        // What files take is not noted row by row.
        outcome.seconds = outcome.seconds_to_end;
    }
    if let Some((_, latencies)) = latency {
        outcome.note("latency", latencies.summary());
    }
    outcome.note("completion", format!("{:?}", ended.completion));
    outcome.note("workers_at_the_end", ended.n_workers);
    outcome.note("resumed_from", json!(ended.resumed_from.map(|id| id.0)));
    outcome.note("keys_at_most", json!(most_keys));
    outcome.note("n_snapshots", ended.snapshots.len());
    outcome.note(
        "snapshots",
        ended
            .snapshots
            .iter()
            .map(|report| json!({"ms": ms(report.duration), "bytes": report.bytes, "gap_ms": ms(report.gap_max)}))
            .collect::<Vec<_>>(),
    );
    outcome.note(
        "rescales",
        ended
            .rescales
            .iter()
            .map(|report| {
                json!({
                    "from": report.from, "to": report.to, "ms": ms(report.duration),
                    "gap_ms": ms(report.gap_max), "bytes_moved": report.bytes_moved,
                })
            })
            .collect::<Vec<_>>(),
    );
    Ok(outcome)
}

/// Follows the schedule of rescales, suspends, and returns how many keys each operator held at most.
fn steer(args: &Run, api: &JobApi, has_ended: &AtomicBool) -> BTreeMap<String, u64> {
    let began = Instant::now();
    let mut rescales = args.rescale.iter().peekable();
    let mut suspend_after = args.suspend_after;
    let mut most: BTreeMap<String, u64> = BTreeMap::new();
    while !has_ended.load(Ordering::SeqCst) {
        if let Some((_, n_workers)) = rescales.next_if(|(at, _)| began.elapsed() >= *at)
            && let Err(error) = api.rescale(*n_workers)
        {
            say(&format!("not rescaled to {n_workers}: {error}"));
        }
        if suspend_after.take_if(|at| began.elapsed() >= *at).is_some()
            && let Err(error) = api.suspend()
        {
            say(&format!("not suspended: {error}"));
        }
        let mut held: BTreeMap<String, u64> = BTreeMap::new();
        for worker in api.figures().workers.into_values() {
            for (name, n) in worker.n_keys {
                *held.entry(name).or_default() += n;
            }
        }
        for (name, n) in held {
            let most = most.entry(name).or_default();
            *most = n.max(*most);
        }
        thread::sleep(LOOK_EVERY);
    }
    most
}

/// Tells what happens, for whoever watches.
fn tell(event: &JobEvent) {
    match event {
        JobEvent::Running { n_workers, restored: Some(id), .. } => {
            say(&format!("resumed from snapshot {} on {n_workers} workers", id.0));
        }
        JobEvent::Running { n_workers, .. } => say(&format!("running on {n_workers} workers")),
        JobEvent::Snapshot(report) => {
            say(&format!("snapshot {}, {:.1} ms, {} bytes", report.id.0, ms(report.duration), report.bytes));
        }
        JobEvent::Rescaled(report) => {
            say(&format!("rescaled {} -> {}, {:.1} ms", report.from, report.to, ms(report.duration)));
        }
        JobEvent::SnapshotFailed { reason, .. }
        | JobEvent::Recovering { reason, .. }
        | JobEvent::Damaged { reason } => say(reason),
        _ => {}
    }
}

#[expect(clippy::print_stderr, reason = "what goes on is shown beside what comes out")]
fn say(what: &str) {
    eprintln!("{what}");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A folder for snapshots that nobody wants to keep.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, BoxError> {
        let folder = std::env::temp_dir().join(format!("malstrom-nexmark-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
