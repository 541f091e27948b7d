//! A job that can be run, the handle on one that runs, and the coordinator's API.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use malstrom_core::coordinator::{
    Event, JobConfig, JobError, JobEvent, Reply, Request, RequestError, RescaleReport, SnapshotReport, Status,
};
use malstrom_core::ports::SnapshotStore;
use malstrom_core::stream::Job;

use super::outcome::{History, JobOutcome};
use crate::store::StoreLock;
use crate::threads::{Arrivals, Execution, Figures, Metrics, Plan, drive};

/// A job that is described and not yet started.
pub struct RunnableJob {
    plan: Plan,
    store: Arc<dyn SnapshotStore>,
    lock: StoreLock,
    history: Arc<Mutex<History>>,
    api: JobApi,
}

impl RunnableJob {
    pub(super) fn new(
        config: JobConfig,
        execution: Execution,
        define: Arc<dyn Fn(&Job) + Send + Sync>,
        store: Arc<dyn SnapshotStore>,
        lock: StoreLock,
        on_event: Box<dyn Fn(&JobEvent) + Send>,
    ) -> Self {
        let metrics = Metrics::new();
        let events = Arrivals::new();
        let history = Arc::new(Mutex::new(History::default()));
        let api = JobApi {
            events: events.sender.clone(),
            is_closed: events.is_closed.clone(),
            metrics: metrics.clone(),
        };
        let noted = history.clone();
        let on_event = Box::new(move |event: &JobEvent| {
            noted.lock().unwrap_or_else(PoisonError::into_inner).note(event);
            on_event(event);
        });
        let store_of_plan = store.clone();
        let plan = Plan { config, execution, define, store: store_of_plan, metrics, events, on_event };
        Self { plan, store, lock, history, api }
    }

    /// The coordinator's API, for other threads.
    #[must_use]
    pub fn api(&self) -> JobApi {
        self.api.clone()
    }

    /// Runs the job on this thread to its end.
    ///
    /// # Errors
    /// Why the job could not be started, or could not go on.
    pub fn run(self) -> Result<JobOutcome, JobError> {
        let outcome = drive(self.plan);
        let history = std::mem::take(&mut *self.history.lock().unwrap_or_else(PoisonError::into_inner));
        // The lock is held until nothing is written any more.
        drop(self.lock);
        Ok(JobOutcome::new(outcome?, history, self.store))
    }

    /// Runs the job in the background.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(self) -> Result<JobHandle, JobError> {
        let api = self.api.clone();
        let thread =
            std::thread::Builder::new().name("malstrom-coordinator".to_owned()).spawn(move || self.run());
        let thread = thread.map_err(|error| JobError::Runtime {
            reason: format!("no thread could be started for the coordinator: {error}"),
        })?;
        Ok(JobHandle { api, thread })
    }
}

impl std::fmt::Debug for RunnableJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunnableJob").field("config", &self.plan.config).finish_non_exhaustive()
    }
}

/// A job that runs in the background.
#[derive(Debug)]
pub struct JobHandle {
    api: JobApi,
    thread: JoinHandle<Result<JobOutcome, JobError>>,
}

impl JobHandle {
    /// The coordinator's API.
    #[must_use]
    pub fn api(&self) -> &JobApi {
        &self.api
    }

    /// Waits until the job has ended.
    ///
    /// # Errors
    /// Why it could not be started, or could not go on.
    pub fn wait(self) -> Result<JobOutcome, JobError> {
        self.thread.join().unwrap_or_else(|_| {
            Err(JobError::Runtime {
                reason: "the coordinator's thread panicked; please report it".to_owned(),
            })
        })
    }
}

/// How a job stands, with figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobStatus {
    /// What the coordinator says.
    pub job: Status,
    /// What the workers count.
    pub figures: Figures,
}

/// Asks the coordinator of a running job for something. Each call waits for the answer, and an answer of success is
/// given only for what is durable. Cheap to clone, for use from any thread.
#[derive(Clone, Debug)]
pub struct JobApi {
    events: flume::Sender<Event>,
    is_closed: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl JobApi {
    /// Has the job run on this many workers, without a stop.
    ///
    /// # Errors
    /// If the scale is impossible, the job does not run, or too many requests wait.
    pub fn rescale(&self, n_workers: u32) -> Result<RescaleReport, RequestError> {
        self.ask(|reply| Request::Rescale(n_workers, reply))
    }

    /// Takes a snapshot now.
    ///
    /// # Errors
    /// If it fails, the job does not run, or too many requests wait.
    pub fn snapshot(&self) -> Result<SnapshotReport, RequestError> {
        self.ask(Request::Snapshot)
    }

    /// Takes a snapshot with a name, which is kept until somebody deletes it.
    ///
    /// # Errors
    /// If it fails, the job does not run, or too many requests wait.
    pub fn savepoint(&self, name: &str) -> Result<SnapshotReport, RequestError> {
        self.ask(|reply| Request::Savepoint(name.to_owned(), reply))
    }

    /// Takes a snapshot and stops; run the job again with the same snapshots and it resumes.
    ///
    /// # Errors
    /// If it fails, the job does not run, or too many requests wait.
    pub fn suspend(&self) -> Result<SnapshotReport, RequestError> {
        self.ask(Request::Suspend)
    }

    /// Stops at once. What the last snapshot holds can be resumed.
    ///
    /// # Errors
    /// If the job does not run.
    pub fn cancel(&self) -> Result<(), RequestError> {
        self.ask(Request::Cancel)
    }

    /// How the job stands.
    ///
    /// # Errors
    /// If the job does not run.
    pub fn status(&self) -> Result<JobStatus, RequestError> {
        let job = self.ask(Request::Status)?;
        Ok(JobStatus { job, figures: self.figures() })
    }

    /// What the workers count, without asking the coordinator.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.metrics.figures()
    }

    fn ask<T: Send + 'static>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, RequestError> {
        let (answer, answered) = flume::bounded(1);
        let reply = Box::new(move |result| {
            // Whoever asked may have gone away meanwhile.
            let _ = answer.send(result);
        });
        self.events.send(Event::Request(request(reply))).map_err(|_| RequestError::NotRunning)?;
        if self.is_closed.load(Ordering::SeqCst) {
            return answered.try_recv().unwrap_or(Err(RequestError::NotRunning));
        }
        answered.recv().unwrap_or(Err(RequestError::NotRunning))
    }
}

#[cfg(test)]
mod tests {
    use malstrom_core::operators::{Discard, from_iter};
    use malstrom_core::stream::Job;

    use super::*;
    use crate::job::SingleThread;

    fn job() -> RunnableJob {
        let define = |job: &Job| job.source("numbers", from_iter(|| 0..10_u64)).sink("out", Discard);
        SingleThread::builder().job("numbers", define).build().unwrap()
    }

    #[test]
    fn who_asks_after_the_end_gets_an_answer() {
        let job = job();
        let api = job.api();
        job.run().unwrap();
        assert_eq!(api.suspend(), Err(RequestError::NotRunning));
    }

    #[test]
    fn who_asked_a_job_that_is_never_run_gets_an_answer() {
        let job = job();
        let api = job.api();
        let asks = std::thread::spawn(move || api.snapshot());
        drop(job);
        assert_eq!(asks.join().unwrap(), Err(RequestError::NotRunning));
    }
}
