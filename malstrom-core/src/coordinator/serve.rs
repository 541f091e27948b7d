//! Serving: requests one after another, periodic snapshots, the end of the sources.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use super::Coordinator;
use super::facts::Interrupt;
use super::mailbox::Request;
use super::recover::Failure;
use super::report::{Completion, JobPhase, RequestError, SnapshotReport};
use super::snapshot::GivenUp;
use crate::mark::{self, Mark};
use crate::snapshot::After;

/// What is to be done next.
enum Next {
    Request(Request),
    SnapshotDue,
    Exhausted,
}

impl Coordinator {
    pub(super) async fn serve(&mut self) -> Result<Completion, Failure> {
        self.schedule_snapshot();
        self.publish_status(JobPhase::Running, None);
        if self.interrupted.is_some() {
            mark::hit(Mark::RescaleInterrupted);
            self.complete_rescale().await?;
        }
        loop {
            match self.next().await? {
                Next::Exhausted => return self.finish().await,
                Next::SnapshotDue => {
                    // One that is given up is told as an event and tried again when the next is due.
                    let _ = self.snapshot(None, After::Run).await?;
                    self.collect_if_due().await;
                }
                Next::Request(request) => {
                    if let Some(completion) = self.carry_out(request).await? {
                        return Ok(completion);
                    }
                }
            }
        }
    }

    async fn carry_out(&mut self, request: Request) -> Result<Option<Completion>, Failure> {
        match request {
            Request::Rescale(n_workers, reply) => self.rescale(n_workers, reply).await?,
            Request::Snapshot(reply) => {
                let result = self.snapshot(None, After::Run).await;
                answer("snapshot", reply, result)?;
                self.collect_if_due().await;
            }
            Request::Savepoint(name, reply) if name.is_empty() => {
                mark::hit(Mark::RequestRefusedName);
                reply(Err(RequestError::EmptyName));
            }
            Request::Savepoint(name, reply) => {
                let result = self.snapshot(Some(name), After::Run).await;
                answer("savepoint", reply, result)?;
            }
            Request::Suspend(reply) => {
                let result = self.snapshot(None, After::Suspend).await;
                // The sources have said that nothing follows: if it was given up, only a new generation goes on.
                return match answer("suspend", reply, result)? {
                    true => Ok(Some(Completion::Suspended)),
                    false => {
                        mark::hit(Mark::SuspendFailed);
                        Err(Failure::again("the job could not be suspended".to_owned()))
                    }
                };
            }
            // The mailbox keeps these two for itself.
            Request::Cancel(reply) => reply(Err(RequestError::NotRunning)),
            Request::Status(reply) => reply(Err(RequestError::NotRunning)),
        }
        Ok(None)
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        let due = self.snapshot_due.since(self.host.now());
        let mut sleep = (due < Duration::from_secs(u32::MAX.into())).then(|| self.host.sleep(due));
        let next = poll_fn(|cx| {
            self.mailbox.wake_with(cx.waker());
            if let Some(reason) = self.mailbox.with_facts(|facts| facts.loss()) {
                mark::hit(Mark::LostWhileServing);
                return Poll::Ready(Err(Interrupt::Lost(reason)));
            }
            if self.mailbox.is_cancelled() {
                return Poll::Ready(Err(Interrupt::Cancelled));
            }
            if let Some(request) = self.mailbox.next_request() {
                return Poll::Ready(Ok(Next::Request(request)));
            }
            if self.is_exhausted() {
                return Poll::Ready(Ok(Next::Exhausted));
            }
            match &mut sleep {
                Some(sleep) => sleep.as_mut().poll(cx).map(|()| Ok(Next::SnapshotDue)),
                None => Poll::Pending,
            }
        });
        Ok(next.await?)
    }
}

/// Answers a request for a snapshot; whether it succeeded.
fn answer(
    operation: &'static str,
    reply: super::Reply<SnapshotReport>,
    result: Result<Result<SnapshotReport, GivenUp>, Failure>,
) -> Result<bool, Failure> {
    match result {
        Ok(Ok(report)) => {
            reply(Ok(report));
            Ok(true)
        }
        Ok(Err(GivenUp(reason))) => {
            reply(Err(RequestError::Failed { operation, reason }));
            Ok(false)
        }
        Err(failure) => {
            let reason = match &failure {
                Failure::Cancelled => "the job was cancelled".to_owned(),
                Failure::Again(reason) | Failure::Damaged(reason) => reason.clone(),
                Failure::Fatal(error) => error.to_string(),
            };
            reply(Err(RequestError::Failed { operation, reason }));
            Err(failure)
        }
    }
}
