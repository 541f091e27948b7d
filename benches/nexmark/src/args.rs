//! The flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use crate::generator::{EVENTS_PER_MS, Generator};
use crate::queries;

/// The NEXMark queries on Malstrom and on peers.
#[derive(Clone, Debug, Parser)]
#[command(name = "nexmark", version)]
pub enum Command {
    /// Runs one query and tells how it went
    Run(Run),
    /// Writes all events to files, for whoever checks the answers
    Events(Events),
    /// Runs all queries on all programs in turn, and writes a table and a plot
    All(All),
}

/// Who answers a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// This repository.
    Malstrom,
    /// Timely Dataflow.
    Timely,
    /// Renoir.
    Renoir,
}

impl Program {
    /// As the flags name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malstrom => "malstrom",
            Self::Timely => "timely",
            Self::Renoir => "renoir",
        }
    }
}

/// One run.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The query: q0 to q9, q11 to q22
    #[arg(value_parser = parse_query)]
    pub query: u8,
    /// Who answers it
    #[arg(long, default_value = "malstrom")]
    pub program: Program,
    /// What happens
    #[command(flatten)]
    pub input: Input,
    /// Threads
    #[arg(long, default_value_t = 1)]
    pub workers: u32,
    /// Events a second, each due at its moment; then latency is measured. As fast as can be without it
    #[arg(long)]
    pub rate: Option<u64>,
    /// Partitions of the source
    #[arg(long, default_value_t = 8)]
    pub partitions: u64,
    /// Time between two snapshots; `0s` for none but the last
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub snapshot_interval: Duration,
    /// Where snapshots are kept. Run again with the same folder, a query resumes; without it they go to a folder that is
    /// removed
    #[arg(long)]
    pub snapshots: Option<String>,
    /// Changes the number of workers at times since the start: `2s:4,5s:1`
    #[arg(long, value_delimiter = ',', value_parser = parse_rescale)]
    pub rescale: Vec<(Duration, u32)>,
    /// Suspends the query after this time
    #[arg(long, value_parser = parse_duration)]
    pub suspend_after: Option<Duration>,
    /// A folder for the rows, written exactly once
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// Tells it as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// Which events there are.
#[derive(Clone, Copy, Debug, Args)]
pub struct Input {
    /// Events
    #[arg(long, default_value_t = 10_000_000)]
    pub events: u64,
    /// Where randomness begins
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Events in a millisecond of event time
    #[arg(long, default_value_t = EVENTS_PER_MS)]
    pub events_per_ms: u64,
}

impl Input {
    /// What makes the events.
    #[must_use]
    pub fn generator(&self) -> Generator {
        Generator { seed: self.seed, events_per_ms: self.events_per_ms.max(1) }
    }
}

/// Events as files.
#[derive(Clone, Debug, Args)]
pub struct Events {
    /// A folder for `person.csv`, `auction.csv` and `bid.csv`
    pub folder: PathBuf,
    /// What happens
    #[command(flatten)]
    pub input: Input,
}

/// All queries.
#[derive(Clone, Debug, Args)]
pub struct All {
    /// Only these queries
    #[arg(long, value_delimiter = ',', value_parser = parse_query)]
    pub only: Vec<u8>,
    /// What happens
    #[command(flatten)]
    pub input: Input,
    /// Threads
    #[arg(long, default_value_t = 2)]
    pub workers: u32,
    /// Runs of each
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Events a second of the runs that measure latency
    #[arg(long, default_value_t = 100_000)]
    pub rate: u64,
    /// Seconds of these
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// What each run is started with, such as `taskset -c 0,1`
    #[arg(long, value_delimiter = ' ')]
    pub with: Vec<String>,
    /// Where the table and the plot go
    #[arg(long, default_value = "results")]
    pub results: PathBuf,
}

fn parse_query(text: &str) -> Result<u8, String> {
    let query = text.trim_start_matches(['q', 'Q']).parse().ok().filter(|query| queries::ALL.contains(query));
    query.ok_or_else(|| "there are q0 to q9 and q11 to q22".to_owned())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|n| n * unit);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "a time is a number of s or ms, such as 500ms".to_owned())
}

fn parse_rescale(text: &str) -> Result<(Duration, u32), String> {
    let wrong = || "expected TIME:WORKERS, such as 2s:4".to_owned();
    let (at, n_workers) = text.split_once(':').ok_or_else(wrong)?;
    let n_workers = n_workers.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
    Ok((parse_duration(at)?, n_workers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        <Command as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn query_10_is_left_out() {
        assert_eq!(parse_query("q22"), Ok(22));
        assert!(parse_query("q10").is_err() && parse_query("q23").is_err() && parse_query("").is_err());
    }
}
