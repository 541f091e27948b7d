//! How a run went, for people.

use malstrom_measure::outcome::Outcome;
use serde_json::Value;

use crate::args::Run;

/// A few lines about a run.
#[must_use]
pub fn lines(args: &Run, outcome: &Outcome) -> String {
    let rate = outcome.records as f64 / outcome.seconds;
    let cores = outcome.cpu_seconds / outcome.seconds_to_end.max(1e-9);
    let mut text = format!(
        "q{} on {}, {} workers: {} events, {} rows, {:.3} s, {:.2} M events/s, {:.2} M events/s per core ({:.2} cores)\n",
        args.query,
        args.program.name(),
        args.workers,
        outcome.records,
        outcome.outputs,
        outcome.seconds,
        rate / 1e6,
        outcome.records as f64 / outcome.cpu_seconds.max(1e-9) / 1e6,
        cores,
    );
    let more = |name: &str| outcome.more.get(name).cloned().unwrap_or(Value::Null);
    let latency = more("latency");
    if latency.get("n").is_some_and(|n| n == 0) {
        text += "latency: no row came behind the moment at which it was due\n";
    } else if latency.is_object() {
        let us = |name: &str| latency.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        text += &format!(
            "latency from when an event was due: p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, at most {:.0} us; longest time without a row {} ms\n",
            us("p50_us"),
            us("p99_us"),
            us("p999_us"),
            us("max_us"),
            us("gap_ms"),
        );
    }
    if let Value::Object(keys) = more("keys_at_most") {
        let keys: Vec<String> = keys.iter().map(|(name, n)| format!("{name} {n}")).collect();
        if !keys.is_empty() {
            text += &format!("keys held at most: {}\n", keys.join(", "));
        }
    }
    for snapshots in more("snapshots").as_array().into_iter().filter(|all| !all.is_empty()) {
        let most =
            |name: &str| snapshots.iter().filter_map(|one| one.get(name)?.as_f64()).fold(0.0, f64::max);
        text += &format!(
            "{} snapshots: {:.0} ms, {:.2} MB and {:.1} ms without a row at most\n",
            snapshots.len(),
            most("ms"),
            most("bytes") / 1e6,
            most("gap_ms")
        );
    }
    for rescale in more("rescales").as_array().into_iter().flatten() {
        let figure = |name: &str| rescale.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        text += &format!(
            "rescale {} -> {}: {:.0} ms, {:.2} MB moved, {:.1} ms without a row at most\n",
            figure("from"),
            figure("to"),
            figure("ms"),
            figure("bytes_moved") / 1e6,
            figure("gap_ms")
        );
    }
    text
}
