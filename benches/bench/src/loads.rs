//! Latency, snapshots, rescales and scaling: what has no single rate, each with a table of its own.

use std::fmt::Write as _;

use indicatif::ProgressBar;
use serde_json::Value;

use crate::BoxError;
use crate::args::Args;
use crate::{plot, run};

/// Runs that are shown in one table.
pub(crate) struct Load {
    title: &'static str,
    what: String,
    pub(crate) runs: Vec<Run>,
    columns: &'static [Column],
    /// What is compared, round by round.
    ratios: Vec<Ratio>,
    /// A folder that the first run of a round leaves to the last.
    keep: Option<std::path::PathBuf>,
}

/// One line of the table.
pub(crate) struct Run {
    name: String,
    allocator: String,
    given: Vec<String>,
}

/// Figures of one run by those of another in the same round.
struct Ratio {
    one: &'static str,
    other: &'static str,
    /// The headings of the columns.
    of: &'static [&'static str],
}

/// A heading, where its figure is found in what a run says, and what that is divided by.
type Column = (&'static str, &'static str, f64);

const LATENCY: &[Column] = &[
    ("p50 µs", "/latency/p50_us", 1.0),
    ("p99 µs", "/latency/p99_us", 1.0),
    ("p99.9 µs", "/latency/p999_us", 1.0),
    ("max µs", "/latency/max_us", 1.0),
    ("CPU s", "/cpu_seconds", 1.0),
];
const SNAPSHOTS: &[Column] = &[
    ("load s", "/latency/last_ms", 1e3),
    ("half an interval with one, of the half without", "/beside_none", 1.0),
    ("p50 µs", "/latency/p50_us", 1.0),
    ("p99 µs", "/latency/p99_us", 1.0),
    ("max ms", "/latency/max_us", 1e3),
    ("longest gap ms", "/latency/gap_ms", 1.0),
    ("snapshots", "/snapshots", 1.0),
    ("first ms", "/snapshot_reports/0/ms", 1.0),
    ("first MB", "/snapshot_reports/0/bytes", 1e6),
    ("third ms", "/snapshot_reports/2/ms", 1.0),
    ("third MB", "/snapshot_reports/2/bytes", 1e6),
    ("restored after ms", "/restore_to_first_output_ms", 1.0),
    ("peak MB", "/peak_bytes", 1e6),
];
const STEPS: &[Column] = &[
    ("ms", "/ms", 1.0),
    ("longest gap ms", "/gap_ms", 1.0),
    ("max ms", "/max_us", 1e3),
    ("p99.9 of the ms' maxima, ms", "/worst_slots_us", 1e3),
    ("MB at most", "/bytes", 1e6),
    ("MB at most since the step before", "/bytes_before", 1e6),
    ("MB moved", "/bytes_moved", 1e6),
    ("steps", "/n_steps", 1.0),
];
const COST: &[Column] =
    &[("seconds", "/seconds", 1.0), ("CPU s", "/cpu_seconds", 1.0), ("peak MB", "/peak_bytes", 1e6)];

/// Runs of W6 that are compared.
const FULL_LOAD_NONE: &str = "as fast as can be, none";
const FULL_LOAD: &str = "as fast as can be, every 2 s";
const SOME_LOAD_NONE: &str = "100,000/s, none";
const SOME_LOAD: &str = "100,000/s, every 2 s";

/// Records a second of the open loops with much state.
const LOAD_RATE: u64 = 100_000;

/// All that is asked for, in order.
pub(crate) fn cases(args: &Args) -> Vec<Load> {
    let wanted = |name: &str| {
        args.workloads.is_empty() || args.workloads.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    let mut loads = Vec::new();
    if wanted("W5") {
        loads.extend([100_000, 1_000_000].map(|rate| latency(args, rate)));
    }
    if wanted("W6") {
        loads.push(snapshots(args));
    }
    if wanted("W7") {
        loads.push(rescales(args));
    }
    if wanted("W8") {
        loads.push(scaling(args));
    }
    loads
}

fn latency(args: &Args, rate: u64) -> Load {
    let programs =
        ["plain", "plain-parked", "malstrom", "timely", "timely-parked", "renoir", "renoir-storing"];
    let wanted =
        programs.into_iter().filter(|name| args.only.is_empty() || args.only.iter().any(|o| o == name));
    let seconds = (10.0 * args.scale).max(1.0);
    let given = |program: &str, more: &str| {
        format!("{program} W5 --workers 2 --keys 100000 --rate {rate} --seconds {seconds}{more}")
    };
    let mut runs: Vec<Run> = wanted.map(|program| run(args, program, &given(program, ""))).collect();
    if args.only.is_empty() {
        // What a snapshot each second costs, which no other program takes.
        let (seldom, never) = (" --snapshot-every-ms 10000", " --snapshots off");
        runs.push(run(args, "malstrom, a snapshot every 10 s", &given("malstrom", seldom)));
        runs.push(run(args, "malstrom, no snapshots", &given("malstrom", never)));
    }
    Load {
        title: "W5, latency through an exchange",
        what: format!("{rate} records a second, 2 workers, from the time a record should have been sent"),
        runs,
        columns: LATENCY,
        ratios: ["plain-parked", "timely-parked", "renoir", "renoir-storing"]
            .into_iter()
            .map(|other| Ratio { one: "malstrom", other, of: &["p50 µs", "p99 µs", "p99.9 µs"] })
            .collect(),
        keep: None,
    }
}

fn snapshots(args: &Args) -> Load {
    let keys = scaled(args, 10_000_000);
    // Some ten snapshots: the first ones also pay for memory that the process and the page cache have not had before.
    let records = scaled(args, 400_000_000);
    // Ten of them again, each beside as long a time without.
    let n_more = 2 * records;
    let seconds = (20.0 * args.scale).max(4.0);
    let keep = args.data.join(format!("kept-{}", std::process::id()));
    let folder = keep.display();
    let runs = vec![
        run(
            args,
            FULL_LOAD_NONE,
            &format!("malstrom W6 --workers 2 --keys {keys} --rate 0 --records {records} --snapshots off"),
        ),
        run(
            args,
            FULL_LOAD,
            &format!(
                "malstrom W6 --workers 2 --keys {keys} --rate 0 --records {records} --snapshot-every-ms 2000"
            ),
        ),
        run(
            args,
            "as fast as can be, every 4 s",
            &format!(
                "malstrom W6 --workers 2 --keys {keys} --rate 0 --records {n_more} --snapshot-every-ms 4000"
            ),
        ),
        run(
            args,
            SOME_LOAD_NONE,
            &format!(
                "malstrom W6 --workers 2 --keys {keys} --rate {LOAD_RATE} --seconds {seconds} --snapshots off"
            ),
        ),
        run(
            args,
            SOME_LOAD,
            &format!(
                "malstrom W6 --workers 2 --keys {keys} --rate {LOAD_RATE} --seconds {seconds} --snapshot-every-ms 2000 --keep {folder}"
            ),
        ),
        run(
            args,
            "restored on 3 workers",
            &format!(
                "malstrom W6-restore --workers 3 --keys {keys} --rate {LOAD_RATE} --seconds {seconds} --snapshots off --keep {folder}"
            ),
        ),
    ];
    Load {
        title: "W6, snapshots",
        what: format!("{keys} keys, 2 workers"),
        runs,
        columns: SNAPSHOTS,
        ratios: vec![
            Ratio { one: FULL_LOAD_NONE, other: FULL_LOAD, of: &["load s"] },
            Ratio { one: FULL_LOAD, other: FULL_LOAD_NONE, of: &["longest gap ms"] },
            Ratio { one: SOME_LOAD, other: SOME_LOAD_NONE, of: &["longest gap ms"] },
        ],
        keep: Some(keep),
    }
}

fn rescales(args: &Args) -> Load {
    let seconds = (20.0 * args.scale).max(5.0);
    let rescales = " --rescales 2,1,4,2";
    let line = |name: &str, keys: u64, bytes: usize, rescales: &str| {
        let keys = scaled(args, keys);
        run(
            args,
            name,
            &format!(
                "malstrom W7 --workers 1 --keys {keys} --value-bytes {bytes} --rate {LOAD_RATE} --seconds {seconds}{rescales} --snapshots local --snapshot-every-ms 5000"
            ),
        )
    };
    let runs = vec![
        line("1M keys", 1_000_000, 0, rescales),
        line("10M keys", 10_000_000, 0, rescales),
        line("10M keys, never rescaled", 10_000_000, 0, ""),
        line("1M keys of 1 KB", 1_000_000, 1024, rescales),
        line("1M keys of 1 KB, never rescaled", 1_000_000, 1024, ""),
    ];
    Load {
        title: "W7, rescales 1 -> 2 -> 1 -> 4 -> 2 under load",
        what: format!("{LOAD_RATE} records a second"),
        runs,
        columns: STEPS,
        ratios: Vec::new(),
        keep: None,
    }
}

fn scaling(args: &Args) -> Load {
    let records = scaled(args, 20_000_000);
    let mut runs: Vec<Run> = [1, 2, 4, 8]
        .map(|n| {
            run(args, &format!("W3, {n} workers"), &format!("malstrom W3 --workers {n} --records {records}"))
        })
        .into();
    runs.extend([1_000_u64, 10_000, 100_000, 1_000_000, 10_000_000, 30_000_000].map(|keys| {
        run(
            args,
            &format!("W3, {keys} keys"),
            &format!("malstrom W3 --workers 1 --records {records} --keys {keys}"),
        )
    }));
    runs.push(run(args, "idle for 10 s, 2 workers", "malstrom idle --workers 2 --seconds 10"));
    let what = format!("{records} records");
    Load { title: "W8, scaling", what, runs, columns: COST, ratios: Vec::new(), keep: None }
}

fn run(args: &Args, name: &str, given: &str) -> Run {
    let allocator = args.allocators.first().map_or("system", String::as_str).to_owned();
    Run { name: name.to_owned(), allocator, given: given.split(' ').map(str::to_owned).collect() }
}

fn scaled(args: &Args, n: u64) -> u64 {
    (n as f64 * args.scale) as u64
}

impl Load {
    /// Runs all in turn and returns the table.
    pub(crate) fn measure(&self, args: &Args, bar: &ProgressBar) -> Result<String, BoxError> {
        let mut said: Vec<Vec<Result<Value, String>>> = self.runs.iter().map(|_| Vec::new()).collect();
        for round in 0..args.runs {
            for at in self.order(round) {
                let run = &self.runs[at];
                bar.set_message(format!("{}: {}", self.title, run.name));
                let outcome = run::run_with(args, &run.allocator, &run.given);
                said[at].push(outcome.map_err(|error| error.to_string()));
                bar.inc(1);
            }
            if let Some(keep) = &self.keep {
                // It is not there if no run got as far.
                let _ = std::fs::remove_dir_all(keep);
            }
        }
        let mut text = format!(
            "\n### {}\n\n{}; medians (least to greatest) of {} runs\n\n|  |",
            self.title, self.what, args.runs
        );
        self.columns.iter().for_each(|(name, ..)| text += &format!(" {name} |"));
        text += &format!("\n|---|{}\n", "---|".repeat(self.columns.len()));
        for (run, said) in self.runs.iter().zip(&said) {
            text += &self.lines(run, said);
            let timeline = said.iter().flatten().find(|value| value.get("timeline").is_some());
            if let Some(value) = timeline {
                plot::timeline(args, &run.name, value)?;
            }
        }
        text.push('\n');
        self.ratios.iter().for_each(|ratio| text += &self.compared(ratio, &said));
        for run in &self.runs {
            let _ = writeln!(text, "- {}: `{}`, {}", run.name, run.given.join(" "), run.allocator);
        }
        Ok(text)
    }

    /// Every second round goes the other way. A machine that has rested is faster for a while, and one that has worked has memory
    /// ready: so each of two runs that are compared comes first as often as the other. What reads a kept folder stays last.
    fn order(&self, round: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.runs.len()).collect();
        let n_turned = order.len() - usize::from(self.keep.is_some());
        if round % 2 == 1 {
            order[..n_turned].reverse();
        }
        order
    }

    fn lines(&self, run: &Run, said: &[Result<Value, String>]) -> String {
        let done: Vec<&Value> = said.iter().flatten().collect();
        let Some(first) = done.first() else {
            let why = said.iter().find_map(|said| said.as_ref().err()).map_or("not run", String::as_str);
            return format!("| {} | failed: {why} |\n", run.name);
        };
        let n_steps = first.get("steps").and_then(Value::as_array).map_or(0, Vec::len);
        if n_steps == 0 {
            return self.line(&run.name, &done, "");
        }
        let steps = (0..n_steps).map(|i| {
            let place = format!("/steps/{i}");
            let what = first.pointer(&format!("{place}/what")).and_then(Value::as_str).unwrap_or_default();
            self.line(&format!("{}, {what}", run.name), &done, &place)
        });
        steps.collect()
    }

    fn line(&self, name: &str, done: &[&Value], place: &str) -> String {
        let mut line = format!("| {name} |");
        for (_, pointer, unit) in self.columns {
            let figures = done.iter().filter_map(|said| said.pointer(&format!("{place}{pointer}"))?.as_f64());
            line += &format!(" {} |", spread(figures.map(|figure| figure / unit).collect()));
        }
        line + "\n"
    }

    /// The ratios of two runs, of which both are there.
    fn compared(&self, ratio: &Ratio, said: &[Vec<Result<Value, String>>]) -> String {
        let at = |name: &str| self.runs.iter().position(|run| run.name == name);
        let (Some(one), Some(other)) = (at(ratio.one), at(ratio.other)) else { return String::new() };
        let mut line = format!("- {} by {}, round by round:", ratio.one, ratio.other);
        for (name, pointer, _) in self.columns.iter().filter(|(name, ..)| ratio.of.contains(name)) {
            let of = |said: &Result<Value, String>| said.as_ref().ok()?.pointer(pointer)?.as_f64();
            let rounds = said[one].iter().zip(&said[other]);
            // A gap of less than a slot of the clock is told as 0.
            let ratios = rounds.filter_map(|(one, other)| Some(of(one)? / of(other)?.max(1.0)));
            line += &format!(" {name} {};", spread(ratios.collect()));
        }
        line + "\n"
    }
}

/// The median, and from where to where if there are several.
fn spread(mut figures: Vec<f64>) -> String {
    figures.sort_by(f64::total_cmp);
    match &*figures {
        [] => String::new(),
        [only] => figure(*only),
        [least, .., greatest] => {
            let median = figures[figures.len() / 2];
            format!("{} ({} to {})", figure(median), figure(*least), figure(*greatest))
        }
    }
}

fn figure(n: f64) -> String {
    match n {
        n if n.fract() == 0.0 || n >= 100.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.1}"),
        n => format!("{n:.3}"),
    }
}
