//! Requests to coordinators, and what their answers are held to: each is answered, and success is durable (I16).

use super::super::clock::Core;
use super::super::faults::Ask;
use super::super::kinds;
use super::World;
use crate::coordinator::{Event, Reply, Request, RescaleReport, SnapshotReport};

/// Workers that the swarm has at most.
const WORKERS_MAX: u32 = 8;
/// Requests in a flood.
const FLOOD_REQUESTS: usize = 20;

impl World {
    /// Asks a coordinator that is alive for something.
    pub(super) fn ask(&mut self, ask: Ask) {
        let mut alive = (0..self.coordinators.len()).filter(|of| self.coordinators[*of].task.is_alive());
        // Mostly the newest is asked; sometimes one that does not know yet that it has a successor.
        let of = if self.rng.per_mille(250) { alive.next() } else { alive.next_back() };
        let Some(of) = of else { return };
        let status = self.coordinators[of].mailbox.status();
        let n_requests = if ask == Ask::Flood { FLOOD_REQUESTS } else { 1 };
        let mut core = self.core.lock();
        core.note(format!("request to coordinator {of}: {ask:?}"));
        *core.n_unanswered.entry(of).or_default() += n_requests as u64;
        let (request, kind) = names(ask);
        if let Some(kind) = kinds::during(request, status.operation) {
            core.counts.add(kind);
        }
        core.counts.add(kind);
        drop(core);
        self.n_savepoints += 1;
        for _ in 0..n_requests {
            let request = self.request(of, ask, status.n_workers);
            self.coordinators[of].mailbox.deliver(Event::Request(request));
        }
    }

    fn request(&self, of: usize, ask: Ask, n_workers: u32) -> Request {
        match ask {
            Ask::Rescale(n) => self.rescale(of, n),
            Ask::RescaleToMost => self.rescale(of, WORKERS_MAX.min(self.plan.n_bins)),
            Ask::RescaleToSame => self.rescale(of, n_workers),
            Ask::Snapshot | Ask::Flood => Request::Snapshot(self.snapshot_reply(of)),
            Ask::Savepoint => {
                Request::Savepoint(format!("savepoint-{}", self.n_savepoints), self.snapshot_reply(of))
            }
            Ask::Nameless => Request::Savepoint(String::new(), self.snapshot_reply(of)),
            Ask::Suspend => Request::Suspend(self.snapshot_reply(of)),
            Ask::Cancel => Request::Cancel(self.reply(of, |_, ()| None)),
        }
    }

    fn rescale(&self, of: usize, n: u32) -> Request {
        let reply = self.reply(of, move |core, report: &RescaleReport| {
            let is_durable = report.from == report.to || core.objects.has_scale(report.to);
            (!is_durable).then(|| format!("I16: a rescale to {n} was answered and is not durable"))
        });
        Request::Rescale(n, reply)
    }

    fn snapshot_reply(&self, of: usize) -> Reply<SnapshotReport> {
        self.reply(of, |core, report: &SnapshotReport| {
            let id = report.id;
            (!core.objects.has_commit(id)).then(|| format!("I16: {id} was answered and is not in the log"))
        })
    }

    /// Counts the answer, and holds it to `check`, which says what is wrong with it.
    fn reply<T: 'static>(
        &self,
        of: usize,
        check: impl Fn(&Core, &T) -> Option<String> + Send + 'static,
    ) -> Reply<T> {
        let core = self.core.clone();
        Box::new(move |result| {
            let mut core = core.lock();
            if let Some(n) = core.n_unanswered.get_mut(&of) {
                *n -= 1;
            }
            match result {
                Ok(report) => {
                    core.counts.add("answer: done");
                    if let Some(wrong) = check(&core, &report) {
                        core.violation(wrong);
                    }
                }
                Err(error) => {
                    core.counts.add("answer: refused or failed");
                    core.note(format!("answer of coordinator {of}: {error}"));
                }
            }
        })
    }
}

/// What a request is called among requests during operations, and as what it is counted.
fn names(ask: Ask) -> (&'static str, &'static str) {
    match ask {
        Ask::Rescale(1) => ("rescale", "request: rescale to 1"),
        Ask::Rescale(_) => ("rescale", "request: rescale"),
        Ask::RescaleToMost => ("rescale", "request: rescale to the most"),
        Ask::RescaleToSame => ("rescale", "request: rescale to the same"),
        Ask::Snapshot => ("snapshot", "request: snapshot"),
        Ask::Flood => ("snapshot", "request: flood"),
        Ask::Savepoint => ("savepoint", "request: savepoint"),
        Ask::Nameless => ("savepoint", "request: savepoint without a name"),
        Ask::Suspend => ("suspend", "request: suspend"),
        Ask::Cancel => ("cancel", "request: cancel"),
    }
}
