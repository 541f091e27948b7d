//! The coordinator's port: starts, stops and reaches workers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use malstrom_core::coordinator::{Event, JobEvent};
use malstrom_core::ids::{Generation, WorkerId};
use malstrom_core::ports::{Host, LocalFuture, Nanos, SnapshotStore};
use malstrom_core::worker::Activity;
use malstrom_core::worker::messages::{Command, ToWorker};
use tokio::sync::{Notify, oneshot};

use super::bell::Bell;
use super::clock;
use super::drive::{Execution, Placement};
use super::fabric::{Fabric, Member};
use super::handover;
use super::metrics::Metrics;
use super::port::ThreadPort;
use super::wake::Wake;
use super::worker::{Define, Driven, rest};

/// How long a worker may take to stop before it is given up.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct ThreadHost {
    pub(crate) execution: Execution,
    pub(crate) define: Define,
    pub(crate) events: flume::Sender<Event>,
    pub(crate) store: Arc<dyn SnapshotStore>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) on_event: Box<dyn Fn(&JobEvent)>,
    pub(crate) state: RefCell<HostState>,
}

#[derive(Default)]
pub(crate) struct HostState {
    generation: Generation,
    fabric: Arc<Fabric>,
    workers: BTreeMap<WorkerId, Running>,
}

struct Running {
    member: Member,
    stop: Arc<AtomicBool>,
    gone: oneshot::Receiver<()>,
}

impl ThreadHost {
    /// What a new worker of a generation needs. A new generation gets a fabric of its own, so that nothing a worker of
    /// an older one still sends reaches anybody.
    fn welcome(&self, generation: Generation, me: WorkerId, wake: Wake) -> (ThreadPort, Running, Ending) {
        let mut state = self.state.borrow_mut();
        if state.generation != generation {
            *state = HostState { generation, ..HostState::default() };
        }
        // One operation at a time bounds what waits in an inbox: a few commands, and the bins of one step.
        let (inbox, receiver) = flume::unbounded();
        let member = Member { inbox, wake };
        state.fabric.join(me, member.clone());
        let (ending, gone) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let port = ThreadPort {
            me,
            inbox: receiver,
            own: member.clone(),
            fabric: state.fabric.clone(),
            coordinator: self.events.clone(),
            store: self.store.clone(),
            io: tokio::runtime::Handle::current(),
            requests_on: match self.execution.placement {
                Placement::Threads => self.execution.requests_on.clone(),
                // The one thread drives them between the steps of its workers.
                Placement::OneThread => {
                    self.execution.requests_on.clone().or_else(|| Some(tokio::runtime::Handle::current()))
                }
            },
        };
        let ending = Ending { generation, me, events: self.events.clone(), gone: Some(ending) };
        (port, Running { member, stop, gone }, ending)
    }

    fn start_on_thread(
        &self,
        generation: Generation,
        me: WorkerId,
        n_bins: u32,
    ) -> Result<(), std::io::Error> {
        let (give, take) = std::sync::mpsc::channel::<(ThreadPort, Arc<AtomicBool>, Arc<Bell>, Ending)>();
        let (define, metrics, busy_poll) =
            (self.define.clone(), self.metrics.clone(), self.execution.busy_poll);
        let thread = std::thread::Builder::new().name(format!("malstrom-{me}")).spawn(move || {
            let Ok((port, stop, bell, ending)) = take.recv() else { return };
            let mut driven = match Driven::build(me, generation, n_bins, &define, port, metrics) {
                Ok(driven) => driven,
                Err(reason) => return ending.lost(reason),
            };
            match driven.run(&stop, &bell, busy_poll) {
                Ok(()) => drop(driven),
                Err(reason) => {
                    // A user's own drop may panic again; the reason is told before anything is torn down.
                    ending.lost(reason);
                    drop(driven);
                }
            }
        })?;
        let bell = Arc::new(Bell::of(thread.thread().clone()));
        let (port, running, ending) = self.welcome(generation, me, Wake::Thread(bell.clone()));
        let stop = running.stop.clone();
        self.state.borrow_mut().workers.insert(me, running);
        // The thread waits for just this, and cannot have gone.
        let _ = give.send((port, stop, bell, ending));
        Ok(())
    }

    fn start_as_task(&self, generation: Generation, me: WorkerId, n_bins: u32) {
        let notify = Arc::new(Notify::new());
        let (port, running, ending) = self.welcome(generation, me, Wake::Task(notify.clone()));
        let stop = running.stop.clone();
        self.state.borrow_mut().workers.insert(me, running);
        let (define, metrics) = (self.define.clone(), self.metrics.clone());
        tokio::task::spawn_local(async move {
            let mut driven = match Driven::build(me, generation, n_bins, &define, port, metrics) {
                Ok(driven) => driven,
                Err(reason) => return ending.lost(reason),
            };
            while !stop.load(Ordering::Acquire) {
                match driven.step() {
                    Ok(Activity::Busy) => tokio::task::yield_now().await,
                    Ok(Activity::Idle(wake_at)) => {
                        let _ = tokio::time::timeout(rest(wake_at), notify.notified()).await;
                    }
                    Err(reason) => return ending.lost(reason),
                }
            }
        });
    }
}

impl Host for ThreadHost {
    fn start_worker(&self, generation: Generation, worker: WorkerId, n_bins: u32) {
        match self.execution.placement {
            Placement::Threads => {
                if let Err(error) = self.start_on_thread(generation, worker, n_bins) {
                    let reason = format!("no thread could be started for it: {error}");
                    let _ = self.events.send(Event::Lost { generation, worker, reason });
                }
            }
            Placement::OneThread => self.start_as_task(generation, worker, n_bins),
        }
    }

    fn stop_worker(&self, worker: WorkerId) -> LocalFuture<'_, ()> {
        let running = self.state.borrow_mut().workers.remove(&worker);
        Box::pin(async move {
            let Some(running) = running else { return };
            handover::stop(&running.stop, &running.member.wake);
            if tokio::time::timeout(STOP_PATIENCE, running.gone).await.is_err() {
                tracing::warn!(%worker, "a worker does not stop: it is given up and can reach nobody any more");
            }
            self.state.borrow().fabric.leave(worker);
        })
    }

    fn send(&self, worker: WorkerId, command: Command) {
        if let Some(running) = self.state.borrow().workers.get(&worker) {
            running.member.tell(ToWorker::Command(command));
        }
    }

    fn sleep(&self, time: Duration) -> LocalFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn now(&self) -> Nanos {
        clock::now()
    }

    fn token(&self) -> u128 {
        let mut bytes = [0; 16];
        if getrandom::fill(&mut bytes).is_err() {
            // Without a source of randomness, the process and the moment still tell two coordinators apart.
            let moment =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            return moment.as_nanos() << 32 | u128::from(std::process::id());
        }
        u128::from_le_bytes(bytes)
    }

    fn take_output_gap(&self) -> Duration {
        self.metrics.take_gap()
    }

    fn event(&self, event: JobEvent) {
        tracing::debug!(?event);
        (self.on_event)(&event);
    }
}

/// Tells that a worker has gone, however it goes.
struct Ending {
    generation: Generation,
    me: WorkerId,
    events: flume::Sender<Event>,
    gone: Option<oneshot::Sender<()>>,
}

impl Ending {
    fn lost(&self, reason: String) {
        let (generation, worker) = (self.generation, self.me);
        let _ = self.events.send(Event::Lost { generation, worker, reason });
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(gone) = self.gone.take() {
            let _ = gone.send(());
        }
        if std::thread::panicking() {
            self.lost("its thread died".to_owned());
        }
    }
}

/// Keeps the host shared between the coordinator and whoever drives it.
pub(crate) type SharedHost = Rc<ThreadHost>;
