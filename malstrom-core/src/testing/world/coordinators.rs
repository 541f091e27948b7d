//! The life of coordinators: each is launched with the plan's settings, polled when it was woken, held still for a while,
//! and followed by a successor when nobody is at work. What it ends with is checked here, as it ends (P5, I12, I16).

use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::super::clock::Event;
use super::super::executor::Task;
use super::super::net::SimHost;
use super::super::store::SimStore;
use super::{End, World};
use crate::coordinator::{
    CollectAfter, Completion, Coordinator, Deadlines, JobConfig, JobError, Mailbox, Outcome, Restarts,
};

/// How long a coordinator waits for its store.
pub(in crate::testing) const STORE_DEADLINE: Duration = Duration::from_millis(500);
/// Recoveries in a row before a coordinator gives up: more than chaos can bring about, and over before calm is.
const RESTARTS_MAX: u32 = 100;

/// A coordinator that was launched, and how it is faring.
pub(super) struct Coord {
    pub(super) task: Task<Result<Outcome, JobError>>,
    pub(super) mailbox: Rc<Mailbox>,
    pub(super) is_paused: bool,
    is_scheduled: bool,
}

impl World {
    /// Has a coordinator begin.
    pub(super) fn launch(&mut self) {
        self.is_launching = false;
        let of = self.coordinators.len();
        let is_first = of == 0 || self.plan.chaos.is_zero();
        let n_workers = if is_first { self.plan.n_workers } else { self.rng.between(1, 4) as u32 };
        let n_workers = n_workers.min(self.plan.n_bins);
        let config = self.config(n_workers);
        let mailbox = Rc::new(Mailbox::default());
        let host = SimHost { of, net: self.net.clone(), core: self.core.clone() };
        let store = Arc::new(SimStore { core: self.core.clone(), of });
        let run = Coordinator::new(config, Rc::new(host), store, mailbox.clone()).run();
        let mut core = self.core.lock();
        core.objects.fences.launched(of);
        core.note(format!("coordinator {of} starts with {n_workers} workers"));
        drop(core);
        self.coordinators.push(Coord {
            task: Task::new(run),
            mailbox,
            is_paused: false,
            is_scheduled: false,
        });
    }

    /// Has a successor start, unless one is about to or somebody is at work.
    pub(super) fn relaunch(&mut self) {
        let core = self.core.lock();
        if core.is_reopened && core.objects.is_damaged && self.end == Some(End::Finished) {
            // The commit that said so was damaged, and an older one was restored.
            self.end = None;
        }
        drop(core);
        let at_work =
            self.coordinators.iter().any(|coordinator| coordinator.task.is_alive() && !coordinator.is_paused);
        if !at_work && !self.is_launching && self.end.is_none() {
            self.is_launching = true;
            let delay = self.rng.micros(100, 100_000);
            self.core.lock().after(delay, Event::Launch);
        }
    }

    /// Coordinators that were woken are polled soon.
    pub(super) fn poll_woken(&mut self) {
        for (of, coordinator) in self.coordinators.iter_mut().enumerate() {
            if coordinator.task.is_alive()
                && !coordinator.is_paused
                && !coordinator.is_scheduled
                && coordinator.task.take_woken()
            {
                coordinator.is_scheduled = true;
                let delay = self.rng.micros(1, 100);
                self.core.lock().after(delay, Event::Poll(of));
            }
        }
    }

    /// Goes on with a coordinator, and looks at what it leaves if it ends.
    pub(super) fn poll(&mut self, of: usize) -> Result<(), String> {
        let coordinator = &mut self.coordinators[of];
        coordinator.is_scheduled = false;
        if coordinator.is_paused {
            // The wake is not lost: it is polled when it goes on.
            let delay = Duration::from_millis(20);
            coordinator.is_scheduled = true;
            self.core.lock().after(delay, Event::Poll(of));
            return Ok(());
        }
        let Some(result) = coordinator.task.poll() else { return Ok(()) };
        self.core.lock().note(format!("coordinator {of} ended: {:?}", result.as_ref().map(|o| o.completion)));
        let unanswered = self.core.lock().n_unanswered.get(&of).copied().unwrap_or(0);
        if unanswered > 0 {
            return Err(format!(
                "P5: coordinator {of} ended and left {unanswered} requests without an answer"
            ));
        }
        let is_left =
            self.actors.iter().any(|actor| actor.of == of && actor.worker.is_some() && !actor.is_stopped);
        if is_left {
            return Err(format!("P5: coordinator {of} ended and left workers behind"));
        }
        match result {
            Ok(outcome) => self.ended_well(of, &outcome)?,
            Err(JobError::Fenced { by, .. }) => self.core.lock().check_fenced(of, by)?,
            Err(JobError::GivenUp { .. } | JobError::Store(_)) => {}
            Err(error) => {
                if !self.core.lock().objects.is_damaged {
                    return Err(format!("P5: the job was given up: {error}"));
                }
                self.end = Some(End::Refused);
            }
        }
        self.relaunch();
        Ok(())
    }

    /// Has a coordinator stand still for a while, in which it is taken for dead.
    pub(super) fn pause(&mut self, of: usize, time: Duration) {
        if self.core.lock().is_calm || !self.coordinators[of].task.is_alive() {
            return;
        }
        self.coordinators[of].is_paused = true;
        self.core.lock().after(time, Event::Resume(of));
        self.relaunch();
    }

    fn ended_well(&mut self, of: usize, outcome: &Outcome) -> Result<(), String> {
        if outcome.completion != Completion::Finished {
            return Ok(());
        }
        let Some(manifest) = &outcome.manifest else {
            return Err("I16: it finished without a commit".to_owned());
        };
        let mut core = self.core.lock();
        if !core.objects.has_commit(manifest.snapshot) {
            return Err(format!("I16: it finished but {} is not in the log", manifest.snapshot));
        }
        let commit = (manifest.generation, manifest.snapshot);
        core.is_reopened = core.objects.fences.has_begun_since(commit, of);
        self.end = Some(End::Finished);
        Ok(())
    }

    fn config(&self, n_workers: u32) -> JobConfig {
        let mut config = JobConfig::new("simulated", n_workers);
        config.n_bins = self.plan.n_bins;
        config.n_retained = NonZeroUsize::new(self.plan.n_retained).unwrap_or(NonZeroUsize::MIN);
        config.collect_after = CollectAfter { snapshots: self.plan.collect_after, bytes: u64::MAX };
        config.snapshot_interval = self.plan.snapshot_interval;
        config.deadlines = Deadlines {
            build: Duration::from_millis(2000),
            restore: Duration::from_millis(4000),
            snapshot: self.plan.snapshot_deadline,
            step: Duration::from_millis(3000),
            settle: Duration::from_millis(1500),
            finish: Duration::from_millis(20_000),
            store: STORE_DEADLINE,
        };
        config.restarts = Restarts {
            n_max: RESTARTS_MAX,
            backoff_min: Duration::from_millis(5),
            backoff_max: Duration::from_millis(200),
            stable_after: Duration::from_millis(500),
        };
        config
    }
}
