//! One run of one program, in a process of its own.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::BoxError;
use crate::args::Args;
use crate::plan::{Case, Contestant};

/// Time between two looks whether a run has ended.
const POLL: Duration = Duration::from_millis(20);
/// Different words of the text.
const VOCABULARY: u32 = 500_000;

/// What a program says of its run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) records: u64,
    pub(crate) outputs: u64,
    pub(crate) digest: String,
    pub(crate) seconds: f64,
    pub(crate) seconds_to_end: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
    #[serde(default)]
    pub(crate) snapshots: Option<u64>,
}

impl Outcome {
    /// Millions of records a second.
    pub(crate) fn rate(&self) -> f64 {
        self.records as f64 / self.seconds / 1e6
    }
}

/// Makes the data, once.
pub(crate) fn prepare(args: &Args, cases: &[Case]) -> Result<(), BoxError> {
    std::fs::create_dir_all(&args.data)?;
    std::fs::create_dir_all(&args.results)?;
    let texts = cases
        .iter()
        .filter(|case| counts_words(case))
        .flat_map(|case| case.contestants.iter().map(|who| n_records(case, *who)).collect::<Vec<_>>());
    for n_words in texts {
        let path = text(args, n_words);
        if path.exists() {
            continue;
        }
        let mut make = contenders("system")?;
        make.arg("make-text").arg(&path).args(["--records", &n_words.to_string()]);
        if !make.args(["--vocabulary", &VOCABULARY.to_string()]).status()?.success() {
            return Err(format!("{}: could not be made", path.display()).into());
        }
    }
    Ok(())
}

/// Runs a program once; an error says why there is no figure.
pub(crate) fn run(args: &Args, case: &Case, who: Contestant) -> Result<Outcome, String> {
    try_run(args, case, who).map_err(|error| error.to_string())
}

fn try_run(args: &Args, case: &Case, who: Contestant) -> Result<Outcome, BoxError> {
    let n_records = n_records(case, who);
    let mut command = contenders(who.allocator)?;
    command.args(["run", who.program, case.workload]);
    command.args(["--workers", &case.n_workers.to_string()]).args(["--records", &n_records.to_string()]);
    command
        .args(["--keys", &case.n_keys.to_string()])
        .args(["--snapshot-every-ms", &case.snapshot_every_ms.to_string()])
        .arg("--scratch")
        .arg(&args.data);
    if counts_words(case) {
        command.arg("--text").arg(text(args, n_records));
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = read(child, Duration::from_secs(args.seconds_max))?;
    Ok(serde_json::from_slice(&output)?)
}

/// What a program prints until it has ended, or is ended because it takes too long.
fn read(mut child: Child, limit: Duration) -> Result<Vec<u8>, BoxError> {
    let began = Instant::now();
    let mut printed = Vec::new();
    let mut stdout = child.stdout.take().ok_or("no output")?;
    // Read meanwhile: a timeline is more than a pipe holds.
    let reading = std::thread::spawn(move || stdout.read_to_end(&mut printed).map(|_| printed));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(format!("not done after {} s", limit.as_secs()).into());
        }
        std::thread::sleep(POLL);
    };
    if !status.success() {
        let mut said = String::new();
        child.stderr.take().ok_or("no output")?.read_to_string(&mut said)?;
        return Err(said.lines().next_back().unwrap_or("it failed").to_owned().into());
    }
    Ok(reading.join().map_err(|_| "the output could not be read")??)
}

/// Runs a program once with these arguments and returns what it prints.
pub(crate) fn run_with(
    args: &Args,
    allocator: &str,
    given: &[String],
) -> Result<serde_json::Value, BoxError> {
    let mut command = contenders(allocator)?;
    command.arg("run").args(given).arg("--scratch").arg(&args.data);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = read(child, Duration::from_secs(args.seconds_max))?;
    Ok(serde_json::from_slice(&output)?)
}

fn counts_words(case: &Case) -> bool {
    case.workload.starts_with("W1")
}

fn n_records(case: &Case, who: Contestant) -> u64 {
    (case.n_records as f64 * who.share) as u64
}

fn text(args: &Args, n_words: u64) -> PathBuf {
    args.data.join(format!("zipf-{n_words}-{VOCABULARY}.txt"))
}

/// The contenders with an allocator. They lie beside this program.
fn contenders(allocator: &str) -> Result<Command, BoxError> {
    let linked_with = allocator.trim_end_matches("-huge");
    let binary = std::env::current_exe()?.with_file_name(format!("contenders-{linked_with}"));
    let mut command = Command::new(binary);
    if linked_with != allocator {
        command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    }
    Ok(command)
}
