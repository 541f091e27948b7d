//! The coordinator's thread: one executor that polls the coordinator, delivers to its mailbox, and talks to the store.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use malstrom_core::coordinator::{
    Coordinator, Event, JobConfig, JobError, JobEvent, Mailbox, Outcome, RequestError,
};
use malstrom_core::ports::SnapshotStore;
use tokio::task::LocalSet;

use super::host::{HostState, SharedHost, ThreadHost};
use super::metrics::Metrics;
use super::worker::Define;

/// Where workers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Each on a thread of its own.
    Threads,
    /// All on the coordinator's.
    OneThread,
}

/// How and where a job's work is done in this process.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) placement: Placement,
    /// Where the futures of operators are driven, if the user has said where.
    pub(crate) requests_on: Option<tokio::runtime::Handle>,
    /// How long a worker on a thread of its own looks for input before it sleeps, while that pays.
    pub(crate) busy_poll: Duration,
}

/// All that is needed to run a job.
pub(crate) struct Plan {
    pub(crate) config: JobConfig,
    pub(crate) execution: Execution,
    pub(crate) define: Define,
    pub(crate) store: Arc<dyn SnapshotStore>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Arrivals,
    pub(crate) on_event: Box<dyn Fn(&JobEvent) + Send>,
}

/// What is told and asked of the coordinator. Dropped, which is when nobody reads it any more, it refuses what waits
/// and says so to whoever asks later: a request that stayed in the channel would wait for ever, since those who ask keep
/// the channel alive.
pub(crate) struct Arrivals {
    pub(crate) sender: flume::Sender<Event>,
    receiver: flume::Receiver<Event>,
    /// Set before the channel is emptied for the last time; who sends and then finds it unset is read.
    pub(crate) is_closed: Arc<AtomicBool>,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = flume::unbounded();
        Self { sender, receiver, is_closed: Arc::default() }
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::SeqCst);
        for event in self.receiver.drain() {
            if let Event::Request(request) = event {
                request.refuse(RequestError::NotRunning);
            }
        }
    }
}

/// Runs a job to its end on this thread.
///
/// # Errors
/// Why the job could not be started, or could not go on.
pub(crate) fn drive(plan: Plan) -> Result<Outcome, JobError> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let executor = executor.map_err(|error| JobError::Runtime {
        reason: format!("the coordinator's executor could not be started: {error}"),
    })?;
    let arrivals = plan.events;
    let mailbox = Rc::new(Mailbox::default());
    let host: SharedHost = Rc::new(ThreadHost {
        execution: plan.execution,
        define: plan.define,
        events: arrivals.sender.clone(),
        store: plan.store.clone(),
        metrics: plan.metrics,
        on_event: plan.on_event,
        state: RefCell::new(HostState::default()),
    });
    let coordinator = Coordinator::new(plan.config, host, plan.store, mailbox.clone());
    let deliver = {
        let receiver = arrivals.receiver.clone();
        async move {
            while let Ok(event) = receiver.recv_async().await {
                mailbox.deliver(event);
            }
        }
    };
    let tasks = LocalSet::new();
    tasks.spawn_local(deliver);
    let outcome = tasks.block_on(&executor, coordinator.run());
    // Whoever asks from now on learns that nobody answers any more.
    drop(tasks);
    drop(arrivals);
    outcome
}
