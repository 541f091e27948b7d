//! The NEXMark queries on the command line: see [`malstrom_nexmark`].

use std::process::ExitCode;

use clap::Parser;
use malstrom_measure::outcome::BoxError;
use malstrom_nexmark::args::{All, Command, Run};
use malstrom_nexmark::{export, report};

/// One allocator for all programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stderr, reason = "a program on the command line")]
fn main() -> ExitCode {
    match act(&Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: &Command) -> Result<(), BoxError> {
    match command {
        Command::Run(args) => run(args),
        Command::Events(args) => Ok(export::write(args)?),
        Command::All(args) => all(args),
    }
}

#[expect(clippy::print_stdout, reason = "how it went is what this program is for")]
fn run(args: &Run) -> Result<(), BoxError> {
    let outcome = malstrom_nexmark::run(args)?;
    if args.json {
        println!("{outcome}");
    } else {
        print!("{}", report::lines(args, &outcome));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn all(args: &All) -> Result<(), BoxError> {
    let (table, do_agree) = malstrom_nexmark::all::measure(args)?;
    println!("{table}");
    if do_agree { Ok(()) } else { Err("the programs do not agree".into()) }
}
