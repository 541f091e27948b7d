//! Counts words while it is rescaled, suspended, killed and resumed: the main job of Malstrom.
//!
//! In reading order:
//!
//! - [`job`]: the dataflow, which is all that a stream processor's user writes.
//! - [`text`]: what is counted, and [`pace`]: how fast it comes.
//! - [`live`]: what the sink shows of the counts as they grow; [`view`]: how that looks.
//! - [`steer`]: rescales and suspends the job on schedule, and on Ctrl-C.
//! - [`report`], [`check`], [`output`]: what is told and written at the end.
//! - [`args`]: the flags.

mod args;
mod check;
mod failure;
mod job;
mod live;
mod output;
mod pace;
mod report;
mod show;
mod steer;
mod text;
mod view;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use malstrom_core::key::KeyBytes;
use malstrom_runtime::prelude::*;

use args::Args;
use failure::Failure;
use live::Live;
use output::Output;
use pace::Pace;
use report::Report;
use steer::Steering;
use text::Text;
use view::View;

fn main() -> ExitCode {
    match Args::from_command_line().and_then(|args| args.map_or(Ok(()), |args| run(&args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let text = Text::find(args)?;
    let output = args.output.as_deref().map(Output::at).transpose()?;
    let live = Arc::new(Live::default());
    let (tell, events) = mpsc::channel();
    let started = Instant::now();
    let runnable = {
        let (text, live) = (text.clone(), live.clone());
        let pace = args.rate.map(|rate| Arc::new(Pace::new(rate)));
        let builder = MultiThread::builder()
            .job(&text.job_name(), move |job| job::count_words(job, &text, pace.as_ref(), &live))
            .workers(args.workers())
            .bins(args.bins)
            .snapshots(args.snapshots.as_deref().unwrap_or("memory:"))
            .on_event(move |event| {
                // The view may have ended before the job.
                let _ = tell.send(event.clone());
            });
        let builder = if args.snapshot_interval.is_zero() {
            builder
        } else {
            builder.snapshot_interval(args.snapshot_interval)
        };
        builder.build()?
    };
    let api = runnable.api();
    let steering = Steering::start(args, &api)?;
    let view = View::start(&text, live, api, events)?;
    let outcome = runnable.start()?.wait();
    let took = started.elapsed();
    steering.job_has_ended();
    let n_written = view.end();
    let outcome = outcome?;

    let counts: Vec<(KeyBytes, u64)> = report::counts(&outcome)?;
    let report = Report::new(&outcome, &counts, n_written, took);
    report.tell(&outcome, &counts, args)?;
    if outcome.completion == Completion::Finished {
        if args.checks(&text) {
            check::against_plain_loop(&text, &counts)?.tell()?;
        }
        if let Some(output) = output {
            output.write(counts)?;
        }
    }
    if args.json { report.print_json() } else { Ok(()) }
}
