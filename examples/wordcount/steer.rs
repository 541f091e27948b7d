//! Rescales and suspends the job on schedule, and on Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use malstrom_runtime::prelude::*;

use crate::args::{Args, At, Rescale};
use crate::failure::Failure;
use crate::show;

/// Time between two looks at how far the job is.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The exit code after a second Ctrl-C: what a shell gives to a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// What acts on a running job from outside of it.
#[derive(Debug)]
pub(crate) struct Steering {
    has_ended: Arc<AtomicBool>,
}

impl Steering {
    /// Begins to follow the schedule and to listen for Ctrl-C.
    pub(crate) fn start(args: &Args, api: &JobApi) -> Result<Self, Failure> {
        let has_ended = Arc::new(AtomicBool::new(false));
        listen_for_ctrl_c(api.clone(), has_ended.clone(), args.snapshots.is_some())?;
        let clock = Clock { api: api.clone(), began: Instant::now(), has_ended: has_ended.clone() };
        let (rescales, on) = (args.rescales(), clock.clone());
        if !rescales.is_empty() {
            thread::Builder::new().name("rescales".to_owned()).spawn(move || rescale(&rescales, &on))?;
        }
        if let Some(at) = args.suspend_after {
            thread::Builder::new().name("suspend".to_owned()).spawn(move || {
                if clock.wait_for(at) {
                    suspend(&clock.api);
                }
            })?;
        }
        Ok(Self { has_ended })
    }

    /// Nothing is left to be steered: what follows is stopped by a first Ctrl-C.
    pub(crate) fn job_has_ended(&self) {
        self.has_ended.store(true, Ordering::Release);
    }
}

#[derive(Clone)]
struct Clock {
    api: JobApi,
    began: Instant,
    has_ended: Arc<AtomicBool>,
}

impl Clock {
    /// Waits for a moment of the run; `false` if the job ended before it.
    fn wait_for(&self, at: At) -> bool {
        let is_there = || match at {
            At::Time(time) => self.began.elapsed() >= time,
            At::Words(n) => self.api.figures().n_written >= n,
        };
        while !is_there() {
            if self.has_ended.load(Ordering::Acquire) {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
        true
    }
}

fn rescale(rescales: &[Rescale], clock: &Clock) {
    for Rescale { at, n_workers } in rescales {
        let not_done = |why: &str| show::line(&format!("the rescale to {n_workers} was not done: {why}"));
        if !clock.wait_for(*at) {
            return not_done("the text had ended before");
        }
        match clock.api.rescale(*n_workers) {
            Ok(_) => {}
            Err(RequestError::NotRunning) => return not_done("the job had ended before"),
            Err(error) => not_done(&error.to_string()),
        }
    }
}

fn suspend(api: &JobApi) {
    match api.suspend() {
        // One that has ended meanwhile needs none.
        Ok(_) | Err(RequestError::NotRunning) => {}
        Err(error) => show::line(&format!("the job could not be suspended: {error}")),
    }
}

fn listen_for_ctrl_c(api: JobApi, has_ended: Arc<AtomicBool>, is_kept: bool) -> Result<(), Failure> {
    let n_times = AtomicU32::new(0);
    let listen = move || {
        if has_ended.load(Ordering::Acquire) || n_times.fetch_add(1, Ordering::AcqRel) > 0 {
            std::process::exit(INTERRUPTED);
        }
        show::line(match is_kept {
            true => "suspending; Ctrl-C again stops at once",
            false => "suspending, though without --snapshots nothing is kept; Ctrl-C again stops at once",
        });
        let api = api.clone();
        thread::spawn(move || suspend(&api));
    };
    ctrlc::set_handler(listen).map_err(|error| Failure::because("Ctrl-C cannot be listened for", &error))
}
