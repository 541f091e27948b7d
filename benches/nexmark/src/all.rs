//! Runs all queries on all programs that have them, in turn, each run in a process of its own, and writes the table.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use malstrom_measure::outcome::BoxError;
use serde_json::Value;

use crate::args::{All, Program};
use crate::{plot, queries, renoir, timely};

/// The runs of one program for one query.
#[derive(Clone, Debug)]
pub struct Series {
    /// Who.
    pub program: Program,
    runs: Vec<Result<Value, String>>,
}

/// All about one query.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The query.
    pub query: u8,
    /// The programs, Malstrom first.
    pub series: Vec<Series>,
    /// What a run at a rate told.
    paced: Result<Value, String>,
}

/// Measures, writes `nexmark.md` and `nexmark.svg`, and returns the table and whether all programs gave the same answers.
///
/// # Errors
/// If a program cannot be started or the results cannot be written.
pub fn measure(args: &All) -> Result<(String, bool), BoxError> {
    let wanted = |query: &u8| args.only.is_empty() || args.only.contains(query);
    let answered: Vec<Answered> =
        queries::ALL.into_iter().filter(wanted).map(|query| answer(args, query)).collect::<Result<_, _>>()?;
    let (text, do_agree) = table(args, &answered);
    std::fs::create_dir_all(&args.results)?;
    std::fs::write(args.results.join("nexmark.md"), &text)?;
    plot::rates(&args.results.join("nexmark.svg"), args.workers, &answered)?;
    Ok((text, do_agree))
}

fn answer(args: &All, query: u8) -> Result<Answered, BoxError> {
    let mut programs = vec![Program::Malstrom];
    programs.extend(timely::QUERIES.contains(&query).then_some(Program::Timely));
    programs.extend(renoir::QUERIES.contains(&query).then_some(Program::Renoir));
    let mut series: Vec<Series> =
        programs.into_iter().map(|program| Series { program, runs: Vec::new() }).collect();
    // A B C A B C and not A A A: what changes on the machine meanwhile changes for all.
    for _ in 0..args.runs.max(1) {
        for one in &mut series {
            let flags =
                [format!("--events={}", args.input.events), format!("--program={}", one.program.name())];
            one.runs.push(run(args, query, &flags)?);
        }
    }
    let n_paced = args.rate * args.seconds;
    let paced = run(args, query, &[format!("--events={n_paced}"), format!("--rate={}", args.rate)])?;
    Ok(Answered { query, series, paced })
}

/// Runs a query once and returns what it tells; the inner error is that of the run.
fn run(args: &All, query: u8, flags: &[String]) -> Result<Result<Value, String>, BoxError> {
    let binary = std::env::current_exe()?;
    let mut command = match args.with.split_first() {
        None => Command::new(binary),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(binary);
            command
        }
    };
    command.args(["run", &format!("q{query}"), "--json", &format!("--workers={}", args.workers)]).args(flags);
    command.args([
        format!("--seed={}", args.input.seed),
        format!("--events-per-ms={}", args.input.events_per_ms),
    ]);
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Ok(Err(said.lines().next_back().unwrap_or("it failed").to_owned()));
    }
    Ok(Ok(serde_json::from_slice(&output.stdout)?))
}

impl Series {
    fn figure(&self, of: impl Fn(&Value) -> Option<f64>) -> Option<f64> {
        let mut figures: Vec<f64> = self.runs.iter().flatten().filter_map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied()
    }

    /// Millions of events a second, the median.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.figure(|run| Some(number(run, "/records")? / number(run, "/seconds")? / 1e6))
    }

    fn rate_per_core(&self) -> Option<f64> {
        self.figure(|run| Some(number(run, "/records")? / number(run, "/cpu_seconds")? / 1e6))
    }

    /// The median ratio of the runs of one round.
    fn ratio_to(&self, other: &Self) -> Option<f64> {
        let seconds = |run: &Result<Value, String>| number(run.as_ref().ok()?, "/seconds");
        let pairs = self.runs.iter().zip(&other.runs);
        let mut ratios: Vec<f64> =
            pairs.filter_map(|(one, two)| Some(seconds(two)? / seconds(one)?)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    }

    fn answers(&self) -> impl Iterator<Item = (String, String)> {
        self.runs.iter().flatten().map(|run| {
            let text = |name: &str| run.get(name).map(Value::to_string).unwrap_or_default();
            (text("outputs"), text("digest"))
        })
    }
}

impl Answered {
    fn find(&self, program: Program) -> Option<&Series> {
        self.series.iter().find(|one| one.program == program)
    }

    fn do_agree(&self) -> bool {
        let mut answers = self.series.iter().flat_map(Series::answers);
        let first = answers.next();
        // What tells each change depends on the order of events, and no peer is compared.
        self.series.len() == 1 || answers.all(|answer| Some(&answer) == first.as_ref())
    }
}

fn table(args: &All, answered: &[Answered]) -> (String, bool) {
    let mut text = format!(
        "# NEXMark\n\n{} events, {} workers, medians of {} runs in turn, mimalloc for all; Malstrom with a snapshot to the \
         local disk each second, the peers without any. Latency of Malstrom at {} events a second, from when the last event \
         of a row was due, also with a snapshot each second.\n\n{}\n\n",
        args.input.events,
        args.workers,
        args.runs,
        args.rate,
        machine(),
    );
    text += "| query | M events/s | per core | timely | renoir | of timely | of renoir | p50 ms | p99 ms | p99.9 ms | keys | \
             largest snapshot MB | snapshot ms | answers |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
    let mut do_all_agree = true;
    for one in answered {
        do_all_agree &= one.do_agree() && one.series.iter().all(|series| series.rate().is_some());
        text += &line(one);
    }
    text += &format!(
        "\nA dash: there is no such figure. Of a latency, because fewer than {} rows (p50), {} (p99) or {} (p99.9) came out \
         behind the moment at which they were due: windows that end every few seconds have few rows, and days and most \
         sessions end with the stream, before they are due. The rows of q12 are due by the clock and not by an event. Keys \
         are those held at most at once, of all operators.\n",
        PERCENTILES[0].1, PERCENTILES[1].1, PERCENTILES[2].1,
    );
    (text, do_all_agree)
}

/// The percentiles that are shown: the name of each, and the rows without which it says nothing.
const PERCENTILES: [(&str, u64); 3] = [("p50_us", 10), ("p99_us", 100), ("p999_us", 1000)];

/// A figure, with as many digits as say something.
fn shown(figure: Option<f64>) -> String {
    match figure {
        None => "–".to_owned(),
        Some(n) if n >= 99.95 => format!("{n:.0}"),
        Some(n) if n >= 9.995 => format!("{n:.1}"),
        Some(n) if n >= 0.005 => format!("{n:.2}"),
        Some(n) if n > 0.0 => "<0.01".to_owned(),
        Some(_) => "0".to_owned(),
    }
}

fn line(one: &Answered) -> String {
    let Some(ours) = one.find(Program::Malstrom) else { return String::new() };
    let (timely, renoir) = (one.find(Program::Timely), one.find(Program::Renoir));
    let mut line = format!("| q{} |", one.query);
    let mut cell = |figure: Option<f64>| {
        let _ = write!(line, " {} |", shown(figure));
    };
    cell(ours.rate());
    cell(ours.rate_per_core());
    cell(timely.and_then(Series::rate));
    cell(renoir.and_then(Series::rate));
    cell(timely.and_then(|peer| ours.ratio_to(peer)));
    cell(renoir.and_then(|peer| ours.ratio_to(peer)));
    // By the clock: the rows bear no time that an event was due at.
    let paced = one.paced.as_ref().ok().filter(|_| one.query != 12);
    for (name, n_rows) in PERCENTILES {
        let run = paced.filter(|run| number(run, "/latency/n").is_some_and(|n| n >= n_rows as f64));
        cell(run.and_then(|run| Some(number(run, &format!("/latency/{name}"))? / 1e3)));
    }
    let keys = |run: &Value| {
        let keys = run.get("keys_at_most")?.as_object().filter(|keys| !keys.is_empty())?;
        Some(keys.values().filter_map(Value::as_f64).fold(0.0, |sum, n| sum + n))
    };
    let _ = match ours.figure(keys) {
        Some(n) => write!(line, " {n:.0} |"),
        None => write!(line, " – |"),
    };
    let mut cell = |figure: Option<f64>| {
        let _ = write!(line, " {} |", shown(figure));
    };
    let most = |name: &'static str| {
        move |run: &Value| {
            let all = run.get("snapshots")?.as_array()?;
            all.iter().filter_map(|one| one.get(name)?.as_f64()).max_by(f64::total_cmp)
        }
    };
    cell(ours.figure(most("bytes")).map(|bytes| bytes / 1e6));
    cell(ours.figure(most("ms")));
    let why = one
        .series
        .iter()
        .flat_map(|series| &series.runs)
        .chain([&one.paced])
        .find_map(|run| run.as_ref().err());
    let told = match (why, one.do_agree(), one.series.len()) {
        (Some(why), ..) => format!("failed: {why}"),
        (_, false, _) => "DIFFER".to_owned(),
        (_, true, 1) => "no peer".to_owned(),
        (_, true, _) => "agree".to_owned(),
    };
    let _ = writeln!(line, " {told} |");
    line
}

fn number(run: &Value, pointer: &str) -> Option<f64> {
    run.pointer(pointer)?.as_f64()
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let n_cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{}, {n_cores} cores, Linux {}", model.map_or("", |(_, name)| name.trim()), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_as_many_digits_as_say_something() {
        let figures = [1234.5, 99.96, 45.67, 1.234, 0.0049, 0.0].map(|n| shown(Some(n)));
        assert_eq!(figures, ["1234", "100", "45.7", "1.23", "<0.01", "0"]);
        assert_eq!(shown(None), "–");
    }
}
