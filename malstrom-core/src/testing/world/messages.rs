//! What workers and coordinators say to each other, as it comes: also late, twice, and to those it is not meant for.

use super::super::clock::Event;
use super::World;
use super::workers::Actor;
use crate::coordinator;
use crate::ids::{Generation, WorkerId};
use crate::worker::messages::{Command, Report, ToWorker};

impl World {
    /// A message comes to a worker.
    pub(super) fn deliver(&mut self, actor: usize, message: ToWorker) {
        if let Some(inbox) = self.net.borrow_mut().inboxes.get_mut(&actor) {
            inbox.push_back(message);
        }
        self.nudge(actor);
    }

    /// A report comes to its coordinator; that of a worker that was stopped meanwhile at most comes late, and astray.
    pub(super) fn report(&mut self, of: usize, actor: usize, report: Report) {
        if !self.actors[actor].is_stopped {
            self.tell(of, coordinator::Event::Report(report));
        } else if !self.core.lock().is_calm && self.rng.per_mille(self.plan.stray_per_mille * 10) {
            // What a worker said before it was stopped is still on its way, to whoever listens.
            let late = self.rng.micros(100, 100_000);
            let mut core = self.core.lock();
            core.counts.add("message: report of a stopped worker delivered late");
            core.after(late, Event::StrayReport(report));
        }
    }

    /// A coordinator's host tells it that a worker is lost.
    pub(super) fn tell_of_loss(&self, of: usize, generation: Generation, worker: WorkerId, reason: String) {
        self.tell(of, coordinator::Event::Lost { generation, worker, reason });
    }

    /// Records come to whoever reads a channel.
    pub(super) fn parcel(&mut self, channel: usize) {
        let receiver = self.net.borrow().receiver(channel);
        if let Some(receiver) = receiver {
            self.nudge(receiver);
        }
    }

    /// A service has answered a worker.
    pub(super) fn answer(&mut self, actor: usize, number: u64) {
        let futures = self.net.borrow().futures.clone();
        if futures.drive(number, actor, &self.core) {
            self.nudge(actor);
        }
    }

    /// A command comes to every worker of that number that it is not meant for.
    pub(super) fn stray_command(&mut self, worker: WorkerId, command: &Command) {
        let is_met =
            |it: &Actor| it.worker.is_some() && it.me == worker && it.generation != command.generation;
        for actor in 0..self.actors.len() {
            if is_met(&self.actors[actor]) {
                self.deliver(actor, ToWorker::Command(command.clone()));
            }
        }
    }

    /// A report comes to every coordinator that it is not meant for, and must change nothing of what it knows (I12).
    pub(super) fn stray_report(&self, report: &Report) {
        for (of, coordinator) in self.coordinators.iter().enumerate() {
            // A link brings a message once to whom it is meant for; only others get it again.
            let is_own = |it: &Actor| it.of == of && it.generation == report.generation && !it.is_stopped;
            if !coordinator.task.is_alive() || self.actors.iter().any(is_own) {
                continue;
            }
            let before = coordinator.mailbox.known();
            coordinator.mailbox.deliver(coordinator::Event::Report(report.clone()));
            if report.generation != before.0 && coordinator.mailbox.known() != before {
                self.core.lock().violation(format!(
                    "I12: coordinator {of} believes a report of {}, which is not its own",
                    report.generation
                ));
            }
        }
    }

    fn tell(&self, of: usize, event: coordinator::Event) {
        if self.coordinators[of].task.is_alive() {
            self.coordinators[of].mailbox.deliver(event);
        }
    }
}
