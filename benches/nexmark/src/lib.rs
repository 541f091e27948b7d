//! NEXMark: people, auctions and bids, and questions about them. In reading order:
//!
//! - [`event`] and [`generator`]: what happens, by the rules of the benchmark.
//! - [`calc`]: what is done to one bid alone, and [`rows`]: what comes out; the same for all programs.
//! - [`queries`]: the queries on Malstrom; [`source`] and [`out`] are their two ends, and [`engine`] runs them.
//! - [`timely`] and [`renoir`]: the peers.
//! - [`export`]: all events as files; `check` and `sql` beside this crate answer the queries from them with DuckDB.
//! - [`report`] tells of one run, [`all`] runs everything in turn and writes the table and, with [`plot`], its picture.
//! - [`args`]: the flags.

pub mod all;
pub mod args;
pub mod calc;
pub mod engine;
pub mod event;
pub mod export;
pub mod generator;
mod out;
pub mod plot;
pub mod queries;
pub mod renoir;
pub mod report;
pub mod rows;
mod source;
pub mod timely;

use malstrom_measure::outcome::{BoxError, Outcome};

use crate::args::{Program, Run};

/// Runs a query on whoever is to answer it.
///
/// # Errors
/// If it fails, or the program cannot express it.
pub fn run(args: &Run) -> Result<Outcome, BoxError> {
    match args.program {
        Program::Malstrom => engine::run(args),
        Program::Timely => timely::run(args),
        Program::Renoir => renoir::run(args),
    }
}
