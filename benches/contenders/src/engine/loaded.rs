//! Jobs under an open loop: latency, snapshots, rescales, and a job with nothing to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use malstrom_core::coordinator::{RescaleReport, SnapshotReport};
use malstrom_core::ids::SnapshotId;
use malstrom_core::key::KeyBytes;
use malstrom_runtime::prelude::*;
use serde_json::{Value, json};

use super::Scratch;
use super::paced::{Due, Measure, Paced};
use crate::task::{Snapshots, Task, Workload};
use malstrom_measure::latency::{Latencies, Pace};
use malstrom_measure::outcome::{BoxError, Outcome, resident_bytes};
use malstrom_measure::tally::Tally;

/// Partitions of the source: at least as many as a job has workers at its largest.
const PARTITIONS: u64 = 8;
/// Records that follow what a snapshot holds.
const RECORDS_AFTER_RESTORE: u64 = 1_000_000;
/// Time between two looks at the process's memory.
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
/// Time between two looks at what is committed.
const COMMITS_SEEN_EVERY: Duration = Duration::from_millis(10);
/// Steps of the timeline that is plotted, in milliseconds.
const TIMELINE_STEP_MS: u64 = 20;

pub(super) fn run(task: &Task) -> Result<Outcome, BoxError> {
    let source = source(task);
    let pace = source.pace.clone();
    let latencies = Latencies::new(&pace, Duration::from_secs_f64(task.seconds * 3.0 + 60.0));
    let tally = Tally::start();
    let folder = Scratch::new(task)?;
    let url =
        task.keep.as_ref().map_or_else(|| folder.url(task.snapshots), |keep| keep.display().to_string());
    let first_output_ns = Arc::new(AtomicU64::new(0));
    let define = {
        let (task, latencies, first) = (task.clone(), latencies.clone(), first_output_ns.clone());
        move |job: &Job| define(job, &task, source.clone(), &latencies, &first)
    };
    let builder =
        MultiThread::builder().job("bench", define).workers(u32::try_from(task.workers)?).snapshots(&url);
    let builder = match task.snapshots {
        Snapshots::Off => builder,
        _ => builder.snapshot_interval(task.snapshot_every()),
    };
    let started = Instant::now();
    let handle = builder.build()?.start()?;
    let api = handle.api().clone();
    let is_over = AtomicBool::new(false);
    let (memory, commits, steered) = thread::scope(|scope| {
        // Looking 50 times a second takes a worker's core as long as a small snapshot does: only where it is told.
        let memory = (task.workload == Workload::W7).then(|| scope.spawn(|| watch_memory(&pace, &is_over)));
        let is_full_load = task.workload == Workload::W6 && task.rate == 0;
        let commits = is_full_load.then(|| scope.spawn(|| watch_commits(&pace, &api, &is_over)));
        let steered = steer(task, &pace, &api);
        is_over.store(steered.is_err(), Ordering::SeqCst);
        if steered.is_err() {
            // The job may have ended by itself.
            let _ = api.cancel();
        }
        let ended = handle.wait();
        is_over.store(true, Ordering::SeqCst);
        let memory = memory.and_then(|memory| memory.join().ok()).unwrap_or_default();
        let commits = commits.and_then(|commits| commits.join().ok()).unwrap_or_default();
        (memory, commits, steered.and_then(|steps| Ok((steps, ended?))))
    });
    let (steps, ended) = steered?;

    let mut outcome = tally.outcome(task.records);
    outcome.seconds = outcome.seconds_to_end;
    outcome.note("latency", latencies.summary());
    outcome.note("snapshots", ended.snapshots.len());
    let snapshots: Vec<Value> = (ended.snapshots.iter())
        .map(|report| {
            json!({
                "ms": report.duration.as_secs_f64() * 1e3,
                "bytes": report.bytes,
                "gap_ms": report.gap_max.as_secs_f64() * 1e3,
            })
        })
        .collect();
    outcome.note("snapshot_reports", snapshots);
    if let Some(part) = beside_none(task, &ended.snapshots, &commits, &latencies) {
        outcome.note("beside_none", part);
    }
    if task.workload == Workload::W6Restore {
        let first = first_output_ns.load(Ordering::SeqCst);
        let started_ns = pace.now_ns().saturating_sub(started.elapsed().as_nanos() as u64);
        outcome.note("restore_to_first_output_ms", first.saturating_sub(started_ns) as f64 / 1e6);
    }
    if task.workload == Workload::W7 {
        outcome.note("steps", steps_told(&steps, &latencies, &memory));
    }
    if !steps.is_empty() {
        outcome.note("timeline_step_ms", TIMELINE_STEP_MS);
        outcome.note("timeline", latencies.timeline(TIMELINE_STEP_MS));
    }
    Ok(outcome)
}

fn source(task: &Task) -> Paced {
    let spins = task.workload == Workload::W5;
    // One thread makes all records where latency through an exchange is measured.
    let n_partitions = if spins { 1 } else { PARTITIONS };
    let loads = matches!(task.workload, Workload::W6 | Workload::W7);
    // What was restored goes on at once: its next record was due long ago.
    let restores = task.workload == Workload::W6Restore;
    let pace = Pace::new(if restores { 0 } else { task.rate }, n_partitions as usize);
    if !loads {
        pace.begin(Duration::from_millis(if restores { 0 } else { 500 }));
    }
    let n_records = match (task.workload, task.rate) {
        (Workload::Idle, _) => 0,
        (Workload::W6Restore, rate) => (rate as f64 * task.seconds) as u64 + RECORDS_AFTER_RESTORE,
        (_, 0) => task.records,
        (_, rate) => (rate as f64 * task.seconds) as u64,
    };
    Paced { pace, n_partitions, n_keys: task.keys, loads, n_records, spins }
}

/// What a user writes.
fn define(job: &Job, task: &Task, source: Paced, latencies: &Arc<Latencies>, first: &Arc<AtomicU64>) {
    if task.workload == Workload::Idle {
        let idle = super::paced::Nothing { seconds: task.seconds };
        return job
            .source("nothing", idle)
            .into_keyed(|n| (n, ()))
            .fold("count", || 0_u64, |n, ()| *n += 1)
            .for_each("end", |_| {});
    }
    let measure = Measure { latencies: latencies.local(), crossed: source.spins };
    let (pace, first) = (source.pace.clone(), first.clone());
    let keyed = job.source("load", source).into_keyed(|(key, due): Due| (key, due));
    let value_bytes = task.value_bytes;
    let mut noted = false;
    let mut note_first = move || {
        if !std::mem::replace(&mut noted, true) {
            // Whoever is first counts.
            let _ = first.compare_exchange(0, pace.now_ns(), Ordering::SeqCst, Ordering::SeqCst);
        }
    };
    if value_bytes == 0 {
        keyed
            .map_with_state("count", move |_key, count: &mut u64, due| {
                *count += 1;
                note_first();
                due
            })
            .sink("measure", measure);
    } else {
        keyed
            .map_with_state("value", move |key, value: &mut KeyBytes, due| {
                if value.is_empty() {
                    *value = KeyBytes::from(vec![*key as u8; value_bytes]);
                }
                note_first();
                due
            })
            .sink("measure", measure);
    }
}

/// A rescale, between two moments since the load began.
struct Step {
    report: RescaleReport,
    from_ms: u64,
    to_ms: u64,
}

/// Waits for the load, goes through the scales, and suspends or lets the job end.
fn steer(task: &Task, pace: &Pace, api: &JobApi) -> Result<Vec<Step>, BoxError> {
    if task.workload == Workload::Idle {
        return Ok(Vec::new());
    }
    while pace.began_ns().is_none() {
        thread::sleep(Duration::from_millis(10));
        api.status()?;
    }
    let since_ms = || pace.now_ns().saturating_sub(pace.began_ns().unwrap_or(0)) / 1_000_000;
    let mut steps = Vec::new();
    if !task.rescales.is_empty() {
        // As much time steady as for each step.
        let rest = Duration::from_secs_f64(task.seconds / (task.rescales.len() + 1) as f64);
        for (i, n_workers) in task.rescales.iter().enumerate() {
            let due_ms = rest.as_millis() as u64 * (i as u64 + 1);
            thread::sleep(Duration::from_millis(due_ms.saturating_sub(since_ms())));
            let from_ms = since_ms();
            let report = api.rescale(*n_workers)?;
            steps.push(Step { report, from_ms, to_ms: since_ms() });
        }
    }
    if task.keep.is_some() && task.workload == Workload::W6 {
        let end_ms = (task.seconds * 1e3) as u64;
        thread::sleep(Duration::from_millis(end_ms.saturating_sub(since_ms() + 200)));
        api.suspend()?;
    }
    Ok(steps)
}

fn steps_told(steps: &[Step], latencies: &Latencies, memory: &[(u64, u64)]) -> Vec<Value> {
    // Without any step, all of the load.
    let first_ms = steps.first().map_or(latencies.last_ms(), |step| step.from_ms);
    let peak = |from_ms: u64, to_ms: u64| {
        let during = memory.iter().filter(|(at, _)| (from_ms..=to_ms).contains(at));
        during.map(|(_, bytes)| *bytes).max().unwrap_or(0)
    };
    let steady_from = first_ms / 2;
    let steady = json!({
        "what": "steady",
        "gap_ms": latencies.gap_ms(steady_from, first_ms),
        "max_us": latencies.max_us(steady_from, first_ms),
        "worst_slots_us": latencies.worst_slots_us(steady_from, first_ms),
        "bytes": peak(steady_from, first_ms),
    });
    let began_ms = std::iter::once(steady_from).chain(steps.iter().map(|step| step.to_ms));
    let told = steps.iter().zip(began_ms).map(|(step, began_ms)| {
        let report = &step.report;
        json!({
            "what": format!("{} -> {}", report.from, report.to),
            "from_ms": step.from_ms,
            "ms": report.duration.as_secs_f64() * 1e3,
            "gap_ms": latencies.gap_ms(step.from_ms, step.to_ms),
            "max_us": latencies.max_us(step.from_ms, step.to_ms),
            "worst_slots_us": latencies.worst_slots_us(step.from_ms, step.to_ms),
            "bytes": peak(step.from_ms, step.to_ms + 40),
            "bytes_before": peak(began_ms, step.from_ms),
            "bytes_moved": report.bytes_moved,
            "bins_moved": report.bins_moved,
            "n_steps": report.n_steps,
        })
    });
    std::iter::once(steady).chain(told).collect()
}

/// When each snapshot was committed, in milliseconds since the load began.
fn watch_commits(pace: &Pace, api: &JobApi, is_over: &AtomicBool) -> BTreeMap<SnapshotId, u64> {
    let mut commits = BTreeMap::new();
    while !is_over.load(Ordering::SeqCst) {
        let newest = api.status().ok().and_then(|status| status.job.newest_snapshot);
        if let (Some(id), Some(began_ns)) = (newest, pace.began_ns()) {
            commits.entry(id).or_insert_with(|| pace.now_ns().saturating_sub(began_ns) / 1_000_000);
        }
        thread::sleep(COMMITS_SEEN_EVERY);
    }
    commits
}

/// What comes out in half an interval that begins with a snapshot, by what comes out in the half behind it, in which none is
/// taken: the median of all snapshots. Seconds apart, both are slowed by the same neighbours.
fn beside_none(
    task: &Task,
    snapshots: &[SnapshotReport],
    commits: &BTreeMap<SnapshotId, u64>,
    latencies: &Latencies,
) -> Option<f64> {
    let half_ms = task.snapshot_every().as_millis() as u64 / 2;
    let parts = snapshots.iter().filter_map(|report| {
        let from_ms = commits.get(&report.id)?.checked_sub(report.duration.as_millis() as u64)?;
        let (middle_ms, to_ms) = (from_ms + half_ms, from_ms + 2 * half_ms);
        let without = latencies.n_between(middle_ms, to_ms);
        let is_whole = from_ms > 0 && to_ms < latencies.last_ms();
        is_whole.then(|| latencies.n_between(from_ms, middle_ms) as f64 / without as f64)
    });
    let mut parts: Vec<f64> = parts.collect();
    parts.sort_by(f64::total_cmp);
    parts.get(parts.len() / 2).copied()
}

/// The memory of the process over time, in milliseconds since the load began and bytes.
fn watch_memory(pace: &Pace, is_over: &AtomicBool) -> Vec<(u64, u64)> {
    let mut samples = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        if let (Some(began), Some(bytes)) = (pace.began_ns(), resident_bytes()) {
            samples.push((pace.now_ns().saturating_sub(began) / 1_000_000, bytes));
        }
        thread::sleep(SAMPLE_EVERY);
    }
    samples
}
