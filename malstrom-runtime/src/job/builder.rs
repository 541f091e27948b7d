//! The builder of a runtime. What a job cannot do without is asked for by the type: a builder that lacks it has no
//! `build`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use malstrom_core::coordinator::{Deadlines, JobConfig, JobError, JobEvent, Restarts};
use malstrom_core::limits::BINS_DEFAULT;
use malstrom_core::ports::SnapshotStore;
use malstrom_core::stream::{Dataflow, Job};

use super::api::RunnableJob;
use crate::store;
use crate::threads::{Execution, Placement};

/// How long a worker looks for input before it sleeps: about what waking it takes where that is slow, on a virtual machine.
const BUSY_POLL: Duration = Duration::from_micros(50);

/// Runs a job on as many threads as it has workers, and the coordinator on one more, which sleeps nearly always.
///
/// A job without a closure does not compile, nor does one without a number of workers:
///
/// ```compile_fail
/// # use malstrom_runtime::prelude::*;
/// let job = MultiThread::builder().workers(2).build();
/// ```
///
/// ```compile_fail
/// # use malstrom_runtime::prelude::*;
/// let job = MultiThread::builder().job("nothing", |_| {}).build();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MultiThread;

/// Runs a job on the calling thread alone, coordinator and all: for small jobs, tests, and places without threads.
#[derive(Clone, Copy, Debug)]
pub struct SingleThread;

impl MultiThread {
    /// Begins to describe a job.
    #[must_use]
    pub fn builder() -> Builder<Missing, Missing> {
        Builder { settings: Settings::new(Placement::Threads), define: Missing, workers: Missing }
    }
}

impl SingleThread {
    /// Begins to describe a job. It starts with one worker.
    #[must_use]
    pub fn builder() -> Builder<Missing, Workers> {
        Builder { settings: Settings::new(Placement::OneThread), define: Missing, workers: Workers(1) }
    }
}

/// What has not been given yet.
#[derive(Clone, Copy, Debug)]
pub struct Missing;

/// The job's name and closure have been given.
pub struct Defined {
    name: String,
    define: Arc<dyn Fn(&Job) + Send + Sync>,
}

/// The number of workers has been given.
#[derive(Clone, Copy, Debug)]
pub struct Workers(u32);

/// Describes a job and how it is run.
pub struct Builder<Define, Scale> {
    settings: Settings,
    define: Define,
    workers: Scale,
}

struct Settings {
    execution: Execution,
    n_bins: u32,
    snapshots: Snapshots,
    snapshot_interval: Option<Duration>,
    n_retained: NonZeroUsize,
    allow_drop: BTreeSet<String>,
    deadlines: Deadlines,
    restarts: Restarts,
    on_event: Box<dyn Fn(&JobEvent) + Send>,
}

enum Snapshots {
    Url(String),
    Store(Arc<dyn SnapshotStore>),
}

impl Settings {
    fn new(placement: Placement) -> Self {
        Self {
            execution: Execution { placement, requests_on: None, busy_poll: BUSY_POLL },
            n_bins: BINS_DEFAULT,
            snapshots: Snapshots::Url("memory:".to_owned()),
            snapshot_interval: None,
            n_retained: NonZeroUsize::MIN.saturating_add(2),
            allow_drop: BTreeSet::new(),
            deadlines: Deadlines::default(),
            restarts: Restarts::default(),
            on_event: Box::new(|_| {}),
        }
    }
}

impl<Scale> Builder<Missing, Scale> {
    /// The job: its name, which tells its snapshots from another job's, and the closure that builds its dataflow. The
    /// closure is called once by `build`, to check it, and once on every worker, each time one starts, and must build the same
    /// each time.
    pub fn job(self, name: &str, define: impl Fn(&Job) + Send + Sync + 'static) -> Builder<Defined, Scale> {
        let define = Defined { name: name.to_owned(), define: Arc::new(define) };
        Builder { settings: self.settings, define, workers: self.workers }
    }
}

impl<Define> Builder<Define, Missing> {
    /// How many workers the job starts with. It can be rescaled to any number up to that of its bins.
    pub fn workers(self, n_workers: u32) -> Builder<Define, Workers> {
        Builder { settings: self.settings, define: self.define, workers: Workers(n_workers) }
    }
}

impl<Define, Scale> Builder<Define, Scale> {
    /// Where snapshots are kept, by URL: see [`store::open`]. In memory if nothing is said: the job then survives the
    /// loss of a worker, and no more.
    #[must_use]
    pub fn snapshots(mut self, url: &str) -> Self {
        self.settings.snapshots = Snapshots::Url(url.to_owned());
        self
    }

    /// Where snapshots are kept, for a store of your own or one that several runs in one process share.
    #[must_use]
    pub fn snapshot_store(mut self, store: Arc<dyn SnapshotStore>) -> Self {
        self.settings.snapshots = Snapshots::Store(store);
        self
    }

    /// The time between two periodic snapshots. None are taken if nothing is said.
    #[must_use]
    pub fn snapshot_interval(mut self, interval: Duration) -> Self {
        self.settings.snapshot_interval = Some(interval);
        self
    }

    /// How many snapshots are kept besides savepoints; 3 if nothing is said. Older ones are deleted after 16 further snapshots
    /// or 64 MiB, whichever comes first: to look for them behind each small one would cost more than taking it.
    #[must_use]
    pub fn retain(mut self, n_snapshots: NonZeroUsize) -> Self {
        self.settings.n_retained = n_snapshots;
        self
    }

    /// How many bins the key space is cut into, a power of two; 4096 if nothing is said. Fixed for the life of the job:
    /// a job that resumes keeps the number it began with.
    #[must_use]
    pub fn bins(mut self, n_bins: u32) -> Self {
        self.settings.n_bins = n_bins;
        self
    }

    /// Names whose state may be dropped when a snapshot holds them and the job does not.
    #[must_use]
    pub fn allow_drop<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.settings.allow_drop.extend(names.into_iter().map(ToOwned::to_owned));
        self
    }

    /// How long operations may take.
    #[must_use]
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.settings.deadlines = deadlines;
        self
    }

    /// How often the job recovers from the loss of a worker before it fails.
    #[must_use]
    pub fn restarts(mut self, restarts: Restarts) -> Self {
        self.settings.restarts = restarts;
        self
    }

    /// Where the futures of [`map_async`](malstrom_core::stream::Stream::map_async) are driven. If nothing is said, a
    /// thread of the process drives them all with an executor of its own ([`SingleThread`]: the one thread there is);
    /// that is enough for what waits, not for what computes.
    #[must_use]
    pub fn requests_on(mut self, executor: tokio::runtime::Handle) -> Self {
        self.settings.execution.requests_on = Some(executor);
        self
    }

    /// How long a worker that has run out of input looks for more before it sleeps; 50 microseconds if nothing is said, none
    /// at all never looks. Waking a thread that sleeps takes ten to thirty microseconds, so under a steady load this
    /// takes latency down and processor time up. A worker looks only while most of its rests end within this time,
    /// and while the process has no more workers than the machine has processors. [`SingleThread`] does not look.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use malstrom_core::operators::from_iter;
    /// use malstrom_runtime::prelude::*;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let job = MultiThread::builder()
    ///     .job("asleep", |job: &Job| job.source("numbers", from_iter(|| 0..3_u64)).for_each("take", drop))
    ///     .workers(2)
    ///     .busy_poll(Duration::ZERO)
    ///     .build()?;
    /// job.run()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn busy_poll(mut self, look_max: Duration) -> Self {
        self.settings.execution.busy_poll = look_max;
        self
    }

    /// Called on the coordinator's thread with whatever happens in the job. It should return at once.
    #[must_use]
    pub fn on_event(mut self, watch: impl Fn(&JobEvent) + Send + 'static) -> Self {
        self.settings.on_event = Box::new(watch);
        self
    }
}

impl Builder<Defined, Workers> {
    /// Checks the description, opens the store and locks it.
    ///
    /// # Errors
    /// If a setting is impossible, the dataflow cannot be built, or the store cannot be opened or is in use.
    pub fn build(self) -> Result<RunnableJob, JobError> {
        let settings = self.settings;
        let config = JobConfig {
            n_bins: settings.n_bins,
            snapshot_interval: settings.snapshot_interval,
            n_retained: settings.n_retained,
            allow_drop: settings.allow_drop,
            deadlines: settings.deadlines,
            restarts: settings.restarts,
            ..JobConfig::new(&self.define.name, self.workers.0)
        };
        config.check()?;
        // Built once here, so that a fault in it is an error of this call and not the loss of a worker.
        Dataflow::build(config.n_bins, |job| (self.define.define)(job))?;
        let opened = match settings.snapshots {
            Snapshots::Store(store) => store::OpenedStore::new(store),
            Snapshots::Url(url) => {
                store::open(&url).map_err(|error| JobError::Config { reason: error.to_string() })?
            }
        };
        let lock = opened.lock().map_err(|error| JobError::Config { reason: error.to_string() })?;
        let store = opened.store();
        Ok(RunnableJob::new(config, settings.execution, self.define.define, store, lock, settings.on_event))
    }
}

impl<Define, Scale> std::fmt::Debug for Builder<Define, Scale> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("n_bins", &self.settings.n_bins).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Defined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Defined").field("name", &self.name).finish_non_exhaustive()
    }
}
