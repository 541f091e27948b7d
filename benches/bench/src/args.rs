//! The flags.

use std::path::PathBuf;

use clap::Parser;

/// Runs the same work on programs written by hand, on Malstrom and on the peers, and compares them.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Args {
    /// The workloads, such as W1 or W3; all if none is given
    pub(crate) workloads: Vec<String>,
    /// Runs of each program
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// A part of the records to do, such as 0.1
    #[arg(long, default_value_t = 1.0)]
    pub(crate) scale: f64,
    /// Only these programs, such as `plain` or `timely`
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Numbers of workers
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    pub(crate) workers: Vec<usize>,
    /// The allocators all programs are run with, in turn: system, system-huge (told to ask for huge pages), mimalloc
    #[arg(long, value_delimiter = ',', default_value = "system,mimalloc")]
    pub(crate) allocators: Vec<String>,
    /// Seconds one run may take
    #[arg(long, default_value_t = 300)]
    pub(crate) seconds_max: u64,
    /// Where tables and plots go
    #[arg(long, default_value = "results")]
    pub(crate) results: PathBuf,
    /// Where data and snapshots go: a folder on a local disk
    #[arg(long, default_value = "data")]
    pub(crate) data: PathBuf,
    /// The name of the table, with which the names of its plots begin
    #[arg(long, default_value = "throughput")]
    pub(crate) name: String,
}

impl Args {
    /// Where the plot of something goes: a table of another name does not draw over it.
    pub(crate) fn plot_path(&self, of: &str) -> PathBuf {
        self.results.join(format!("{}-{of}.svg", self.name))
    }
}
