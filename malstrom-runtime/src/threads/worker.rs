//! The loop that drives a worker, on a thread of its own or beside others on the coordinator's.

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::Duration;

use malstrom_core::ids::{Generation, WorkerId};
use malstrom_core::ports::Nanos;
use malstrom_core::stream::{Dataflow, Job};
use malstrom_core::worker::{Activity, Worker};

use super::bell::{Bell, Rest};
use super::clock;
use super::handover::step_until_stopped;
use super::metrics::{Metrics, WorkerFigures};
use super::port::ThreadPort;

/// The longest rest of a worker that is not woken.
const REST_MAX: Duration = Duration::from_millis(500);
/// Time between two counts of keys: a count walks over all bins, some ten microseconds.
const KEYS_EVERY: Duration = Duration::from_millis(50);
/// Time between two moments at which a busy worker tells the gauges what it wrote: they are memory that all workers share,
/// and a step may take less time than fetching it does.
const WRITTEN_EVERY: Duration = Duration::from_micros(50);

/// A user's job closure.
pub(crate) type Define = Arc<dyn Fn(&Job) + Send + Sync>;

/// A worker and its figures.
pub(crate) struct Driven {
    me: WorkerId,
    worker: Worker,
    metrics: Arc<Metrics>,
    figures: WorkerFigures,
    keys_counted: Nanos,
    /// Records written that the gauges do not know of yet.
    n_untold: u64,
    told_at: Nanos,
}

impl Driven {
    /// Builds the dataflow.
    ///
    /// # Errors
    /// What is wrong with it, or the user's panic.
    pub(crate) fn build(
        me: WorkerId,
        generation: Generation,
        n_bins: u32,
        define: &Define,
        port: ThreadPort,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let dataflow = catch_unwind(AssertUnwindSafe(|| Dataflow::build(n_bins, |job| define(job))))
            .map_err(|panic| format!("the job's closure panicked: {}", message(&*panic)))?
            .map_err(|error| error.to_string())?;
        let worker = Worker::new(me, generation, dataflow, Box::new(port));
        Ok(Self {
            me,
            worker,
            metrics,
            figures: WorkerFigures::default(),
            keys_counted: Nanos(0),
            n_untold: 0,
            told_at: Nanos(0),
        })
    }

    /// One step.
    ///
    /// # Errors
    /// Why the worker is lost: an error of the user's, or a panic and where it came from.
    pub(crate) fn step(&mut self) -> Result<Activity, String> {
        let step = catch_unwind(AssertUnwindSafe(|| self.worker.step()));
        let activity = match step {
            Ok(result) => result.map_err(|error| error.to_string())?,
            Err(panic) => {
                let place = self.worker.last_turn_at();
                return Err(format!("panicked: {} (in the stage that begins at {place})", message(&*panic)));
            }
        };
        self.n_untold += self.worker.take_n_written();
        let now = self.worker.stepped_at();
        if activity != Activity::Busy || now.since(self.told_at) >= WRITTEN_EVERY {
            self.tell_written(now);
            self.count_keys(now);
        }
        Ok(activity)
    }

    /// Steps on this thread, whose bell it is, until `stop` is set. It rests when there is nothing to do, and looks for
    /// `busy_poll` before it sleeps unless the process has more workers than the machine has processors: the time
    /// would be another's then.
    ///
    /// # Errors
    /// As for [`step`](Self::step).
    pub(crate) fn run(&mut self, stop: &AtomicBool, bell: &Bell, busy_poll: Duration) -> Result<(), String> {
        let threads = WorkerThread::enter();
        step_until_stopped(stop, bell, || match self.step()? {
            Activity::Busy => Ok(None),
            Activity::Idle(wake_at) => {
                let look_max = if threads.have_a_processor_each() { busy_poll } else { Duration::ZERO };
                Ok(Some(Rest { max: rest(wake_at), look_max }))
            }
        })
    }

    fn tell_written(&mut self, now: Nanos) {
        self.told_at = now;
        let n_written = std::mem::take(&mut self.n_untold);
        if n_written > 0 {
            self.metrics.written(n_written, now);
            self.figures.n_written += n_written;
        }
    }

    fn count_keys(&mut self, now: Nanos) {
        if now.since(self.keys_counted) >= KEYS_EVERY {
            self.keys_counted = now;
            self.figures.n_keys = self.worker.n_keys().into_iter().collect();
            self.figures.n_late = self.worker.n_late().into_iter().collect();
            self.metrics.set_worker(self.me, self.figures.clone());
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.tell_written(self.worker.stepped_at());
        self.metrics.remove_worker(self.me);
    }
}

/// A thread of this process that runs a worker.
struct WorkerThread;

static N_WORKER_THREADS: AtomicUsize = AtomicUsize::new(0);

impl WorkerThread {
    fn enter() -> Self {
        N_WORKER_THREADS.fetch_add(1, Ordering::Relaxed);
        Self
    }

    fn have_a_processor_each(&self) -> bool {
        static PROCESSORS: OnceLock<usize> = OnceLock::new();
        let n_processors = PROCESSORS.get_or_init(|| available_parallelism().map_or(1, NonZeroUsize::get));
        N_WORKER_THREADS.load(Ordering::Relaxed) <= *n_processors
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        N_WORKER_THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long to rest for.
pub(crate) fn rest(wake_at: Option<Nanos>) -> Duration {
    wake_at.map_or(REST_MAX, |at| at.since(clock::now()).min(REST_MAX))
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    (panic.downcast_ref::<&str>().copied())
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
