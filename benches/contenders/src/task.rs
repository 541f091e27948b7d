//! What is to be done, as the command line tells it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use serde::Serialize;

/// Does one piece of work with one program and prints one line of JSON about it.
#[derive(Clone, Debug, Parser)]
#[command(name = "contenders")]
pub enum Command {
    /// Does one piece of work
    Run(Task),
    /// Writes the text that words are counted of
    MakeText {
        /// Where to
        path: PathBuf,
        /// Words to write
        #[arg(long, default_value_t = 30_000_000)]
        records: u64,
        /// Different words
        #[arg(long, default_value_t = 500_000)]
        vocabulary: u32,
    },
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Program {
    /// What a good programmer writes in an afternoon.
    Plain,
    /// The same, whose threads rest when there is nothing to do.
    PlainParked,
    /// All that the machine gives.
    Tuned,
    /// The engine's stages and exchange before the tuned table, cut into bins: no state of it is in a snapshot, or could
    /// be moved. It bounds what another table could do.
    TunedInBins,
    /// This repository.
    Malstrom,
    /// Timely Dataflow.
    Timely,
    /// The same, whose workers rest when there is nothing to do.
    TimelyParked,
    /// Renoir.
    Renoir,
    /// Renoir, beside threads that store as many keys as often as Malstrom does: what that costs whoever does it.
    RenoirStoring,
    /// Renoir, adding up before it exchanges.
    RenoirTwoPhase,
    /// Malstrom 0.1.0.
    Earlier,
}

/// The work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[value(rename_all = "UPPER")]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Workload {
    /// Counts words, each new count passes on.
    #[value(alias = "w1")]
    W1,
    /// Counts words, the last counts pass on.
    #[value(name = "W1b", alias = "w1b")]
    #[serde(rename = "W1b")]
    W1b,
    /// A chain without state.
    #[value(alias = "w2")]
    W2,
    /// Counts integers, each new count passes on.
    #[value(alias = "w3")]
    W3,
    /// Sums by key in windows of event time.
    #[value(alias = "w4")]
    W4,
    /// Latency through an exchange, open loop; the threads that make records do not rest.
    #[value(alias = "w5")]
    W5,
    /// Snapshots of much state under load.
    #[value(alias = "w6")]
    W6,
    /// What W6 has left, restored.
    #[value(name = "W6-restore")]
    #[serde(rename = "W6-restore")]
    W6Restore,
    /// Rescales of much state under load.
    #[value(alias = "w7")]
    W7,
    /// A job that has nothing to do.
    #[value(name = "idle")]
    #[serde(rename = "idle")]
    Idle,
}

/// Where Malstrom's snapshots go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshots {
    /// To a folder, written through to the disk.
    Local,
    /// To memory.
    Memory,
    /// None are taken but the one at the end.
    Off,
}

/// One piece of work.
#[derive(Clone, Debug, Args)]
pub struct Task {
    /// Who does it
    pub program: Program,
    /// What is done
    pub workload: Workload,
    /// Threads
    #[arg(long, default_value_t = 1)]
    pub workers: usize,
    /// Records; of text, what the file has
    #[arg(long, default_value_t = 50_000_000)]
    pub records: u64,
    /// Different keys
    #[arg(long, default_value_t = 10_000_000)]
    pub keys: u64,
    /// The text
    #[arg(long)]
    pub text: Option<PathBuf>,
    /// Malstrom's snapshots
    #[arg(long, default_value = "local")]
    pub snapshots: Snapshots,
    /// Milliseconds between two of them
    #[arg(long, default_value_t = 1_000)]
    pub snapshot_every_ms: u64,
    /// Records a second under an open loop; 0 is as fast as can be
    #[arg(long, default_value_t = 100_000)]
    pub rate: u64,
    /// Seconds of load
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Bytes of each value that is kept, if more than a count
    #[arg(long, default_value_t = 0)]
    pub value_bytes: usize,
    /// Scales to go through, such as 2,1,4,2
    #[arg(long, value_delimiter = ',')]
    pub rescales: Vec<u32>,
    /// A folder for snapshots that stays
    #[arg(long)]
    pub keep: Option<PathBuf>,
    /// Where folders for snapshots are made
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub scratch: PathBuf,
}

impl Task {
    /// Whether the input is text.
    #[must_use]
    pub fn counts_words(&self) -> bool {
        matches!(self.workload, Workload::W1 | Workload::W1b)
    }

    /// Time between two snapshots.
    #[must_use]
    pub fn snapshot_every(&self) -> Duration {
        Duration::from_millis(self.snapshot_every_ms)
    }
}
