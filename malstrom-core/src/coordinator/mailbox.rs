//! Where everything from outside reaches the coordinator: facts, losses, requests.
//!
//! The mailbox and the coordinator share a thread; whoever delivers wakes the coordinator's one task.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::task::Waker;

use super::facts::Facts;
use super::report::{RequestError, RescaleReport, SnapshotReport, Status};
use crate::ids::{Generation, WorkerId};
use crate::limits::REQUESTS_QUEUED_MAX;
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::worker::messages::Report;

/// What can be delivered.
#[derive(Debug)]
pub enum Event {
    /// A worker reports a fact.
    Report(Report),
    /// A worker is gone.
    Lost {
        /// Its generation.
        generation: Generation,
        /// Which one.
        worker: WorkerId,
        /// Why, in words for the user.
        reason: String,
    },
    /// Somebody asks for something.
    Request(Request),
}

/// How a request is answered.
pub type Reply<T> = Box<dyn FnOnce(Result<T, RequestError>) + Send>;

/// What can be asked for.
pub enum Request {
    /// Have this many workers.
    Rescale(u32, Reply<RescaleReport>),
    /// Take a snapshot now.
    Snapshot(Reply<SnapshotReport>),
    /// Take a snapshot that is kept until somebody deletes it.
    Savepoint(String, Reply<SnapshotReport>),
    /// Take a snapshot and stop.
    Suspend(Reply<SnapshotReport>),
    /// Stop at once.
    Cancel(Reply<()>),
    /// Say how the job stands.
    Status(Reply<Status>),
}

impl Request {
    /// Answers with an error.
    pub fn refuse(self, error: RequestError) {
        match self {
            Self::Rescale(_, reply) => reply(Err(error)),
            Self::Snapshot(reply) | Self::Savepoint(_, reply) | Self::Suspend(reply) => reply(Err(error)),
            Self::Cancel(reply) => reply(Err(error)),
            Self::Status(reply) => reply(Err(error)),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rescale(n_workers, _) => write!(f, "Rescale({n_workers})"),
            Self::Snapshot(_) => f.write_str("Snapshot"),
            Self::Savepoint(name, _) => write!(f, "Savepoint({name})"),
            Self::Suspend(_) => f.write_str("Suspend"),
            Self::Cancel(_) => f.write_str("Cancel"),
            Self::Status(_) => f.write_str("Status"),
        }
    }
}

/// The coordinator's way in.
#[derive(Default)]
pub struct Mailbox {
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    facts: Facts,
    requests: VecDeque<Request>,
    cancels: Vec<Reply<()>>,
    is_cancelled: bool,
    is_closed: bool,
    status: Status,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Takes something in and wakes the coordinator. The status is answered at once; too many requests are refused.
    pub fn deliver(&self, event: Event) {
        let mut inner = self.inner.borrow_mut();
        match event {
            Event::Report(report) => inner.facts.note(report),
            Event::Lost { generation, worker, reason } => inner.facts.lost(generation, worker, reason),
            Event::Request(Request::Status(reply)) => {
                let status = inner.status.clone();
                drop(inner);
                return reply(Ok(status));
            }
            Event::Request(request) if inner.is_closed => {
                drop(inner);
                return request.refuse(RequestError::NotRunning);
            }
            Event::Request(Request::Cancel(reply)) => {
                inner.is_cancelled = true;
                // Whoever asks again is answered too; the job ends soon, but not before who asks without end.
                if inner.cancels.len() >= REQUESTS_QUEUED_MAX {
                    let n_waiting = inner.cancels.len();
                    drop(inner);
                    return reply(Err(RequestError::Busy { operation: "cancel", n_waiting }));
                }
                inner.cancels.push(reply);
            }
            Event::Request(request) => {
                let n_waiting = inner.requests.len();
                if n_waiting >= REQUESTS_QUEUED_MAX {
                    mark::hit(Mark::RequestRefusedBusy);
                    let operation = inner.status.operation.unwrap_or("another request");
                    drop(inner);
                    return request.refuse(RequestError::Busy { operation, n_waiting });
                }
                inner.requests.push_back(request);
            }
        }
        if let Some(waker) = inner.waker.take() {
            drop(inner);
            waker.wake();
        }
    }

    /// The job has ended: whatever waits is refused, and so is whatever comes.
    pub(super) fn close(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.is_closed = true;
        inner.status.phase = super::JobPhase::Stopped;
        inner.status.operation = None;
        let requests = std::mem::take(&mut inner.requests);
        let cancels = std::mem::take(&mut inner.cancels);
        drop(inner);
        if mutant::is(Mutant::RequestsForgotten) {
            return;
        }
        requests.into_iter().for_each(|request| request.refuse(RequestError::NotRunning));
        cancels.into_iter().for_each(|reply| reply(Ok(())));
    }

    pub(super) fn with_facts<T>(&self, look: impl FnOnce(&mut Facts) -> T) -> T {
        look(&mut self.inner.borrow_mut().facts)
    }

    /// What the workers of a generation have reported, for the simulator: what is of another must not change it.
    pub(crate) fn known(&self) -> (Generation, String) {
        let facts = &self.inner.borrow().facts;
        (facts.generation(), format!("{facts:?}"))
    }

    /// How the job stands, for the simulator.
    pub(crate) fn status(&self) -> Status {
        self.inner.borrow().status.clone()
    }

    pub(super) fn forget_workers(&self, first: u32) {
        self.inner.borrow_mut().facts.forget(first);
    }

    pub(super) fn next_request(&self) -> Option<Request> {
        self.inner.borrow_mut().requests.pop_front()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.inner.borrow().is_cancelled
    }

    pub(super) fn set_status(&self, status: Status) {
        self.inner.borrow_mut().status = status;
    }

    /// The coordinator is one task, so the last waker is the one that counts.
    pub(super) fn wake_with(&self, waker: &Waker) {
        self.inner.borrow_mut().waker = Some(waker.clone());
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("n_requests", &self.inner.borrow().requests.len())
            .finish_non_exhaustive()
    }
}
