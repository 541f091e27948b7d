//! The same work done by several programs. In reading order:
//!
//! - [`task`]: what is to be done. What one run tells, and how it is measured, is in `malstrom-measure`.
//! - [`data`]: the input, equal for all.
//! - [`work`]: the parts of the work that must be the same everywhere.
//! - [`mesh`]: batches between threads, for the programs written by hand.
//! - [`plain`], [`tuned`]: the programs written by hand.
//! - [`engine`] is Malstrom.
//! - [`timely`], [`renoir`] and [`earlier`] are the peers.
//!
//! Everything is compiled once and linked twice, with the system's allocator and with mimalloc.

pub mod data;
pub mod earlier;
pub mod engine;
pub mod mesh;
pub mod plain;
pub mod renoir;
mod storing;
pub mod task;
pub mod timely;
pub mod tuned;
pub mod work;

use std::process::ExitCode;

use clap::Parser;
use malstrom_measure::outcome::{BoxError, Outcome};

use crate::task::{Command, Program, Task};

/// Does what the command line says; `allocator` names what this binary was linked with.
#[must_use]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a line of JSON is what this program is for")]
pub fn main(allocator: &'static str) -> ExitCode {
    let done = match Command::parse() {
        Command::Run(task) => run(&task, allocator).map(|outcome| println!("{outcome}")),
        Command::MakeText { path, records, vocabulary } => data::make_text(&path, records, vocabulary),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task, allocator: &'static str) -> Result<Outcome, BoxError> {
    let mut outcome = match task.program {
        Program::Plain | Program::PlainParked => plain::run(task),
        Program::Tuned => tuned::run(task),
        Program::Malstrom | Program::TunedInBins => engine::run(task),
        Program::Timely | Program::TimelyParked => timely::run(task),
        Program::Renoir | Program::RenoirStoring | Program::RenoirTwoPhase => renoir::run(task),
        Program::Earlier => earlier::run(task),
    }?;
    outcome.note("program", serde_json::to_value(task.program)?);
    outcome.note("workload", serde_json::to_value(task.workload)?);
    outcome.note("workers", task.workers);
    outcome.note("allocator", allocator);
    Ok(outcome)
}
