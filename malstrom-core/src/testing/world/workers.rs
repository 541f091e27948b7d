//! The life of workers: each is built when its start comes, takes a step when it is nudged, and is stopped, given up or
//! lost.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use super::super::clock::Event;
use super::super::context::UserPanic;
use super::super::net::SimPort;
use super::World;
use crate::ids::{Generation, WorkerId};
use crate::stream::Dataflow;
use crate::worker::{Activity, Worker, WorkerError};

/// A worker that was started, by whom, and how it is faring.
pub(super) struct Actor {
    pub(super) of: usize,
    pub(super) generation: Generation,
    pub(super) me: WorkerId,
    pub(super) worker: Option<Worker>,
    is_scheduled: bool,
    pub(super) is_stopped: bool,
    pub(super) slow: Duration,
    pub(super) slow_until: u64,
}

impl World {
    /// Builds a worker whose start has come, unless it is not wanted any more.
    pub(super) fn start(
        &mut self,
        of: usize,
        generation: Generation,
        worker: WorkerId,
        n_bins: u32,
        start: u64,
    ) {
        let is_wanted = self.net.borrow().starts.get(&(of, worker)) == Some(&start);
        if !is_wanted || !self.coordinators[of].task.is_alive() {
            return;
        }
        if self.n_no_start > 0 {
            self.n_no_start -= 1;
            self.core.lock().counts.add("worker: never comes up");
            if self.rng.per_mille(500) {
                self.lose(of, generation, worker, "it did not come up".to_owned());
            }
            return;
        }
        let define = self.define.clone();
        let context = self.context.clone();
        context.begin((of, generation));
        let dataflow = Dataflow::build(n_bins, |job| define(job, &context)).expect("the job can be built");
        let actor = self.actors.len();
        {
            let mut net = self.net.borrow_mut();
            net.current.insert((of, worker), actor);
            net.inboxes.insert(actor, Default::default());
            net.wires.worker_up(of, worker, actor, generation);
        }
        let (net, core) = (self.net.clone(), self.core.clone());
        let port = SimPort { of, actor, me: worker, generation, net, core };
        self.actors.push(Actor {
            of,
            generation,
            me: worker,
            worker: None,
            is_scheduled: false,
            is_stopped: false,
            slow: Duration::ZERO,
            slow_until: 0,
        });
        self.actors[actor].worker = Some(Worker::new(worker, generation, dataflow, Box::new(port)));
        self.nudge(actor);
    }

    /// Has a worker take a step soon.
    pub(super) fn nudge(&mut self, actor: usize) {
        let Some(it) = self.actors.get_mut(actor) else { return };
        if it.worker.is_some() && !it.is_scheduled {
            it.is_scheduled = true;
            let mut core = self.core.lock();
            let delay = match it.slow_until > core.now {
                true => it.slow,
                false => self.rng.micros(0, self.plan.step_us_max),
            };
            core.after(delay, Event::Step(actor));
        }
    }

    /// A worker takes a step.
    pub(super) fn step(&mut self, actor: usize) {
        let it = &mut self.actors[actor];
        it.is_scheduled = false;
        let Some(worker) = &mut it.worker else { return };
        #[cfg(feature = "mutants")]
        crate::mutant::set_worker(it.me.0);
        let step = match catch_unwind(AssertUnwindSafe(|| worker.step())) {
            Ok(step) => step.map_err(|error| {
                if let WorkerError::Protocol(reason) = &error
                    && !it.is_stopped
                {
                    self.core.lock().violation(format!("{}: {reason}", it.me));
                }
                error.to_string()
            }),
            // What runs workers catches the panics of a user, as the runtime does; one of the engine is a fault of its own.
            Err(panic) => match panic.downcast::<UserPanic>() {
                Ok(panic) => Err(format!("panicked: {}", panic.0)),
                Err(panic) => resume_unwind(panic),
            },
        };
        match step {
            Ok(Activity::Busy) => self.nudge(actor),
            Ok(Activity::Idle(None)) => {}
            Ok(Activity::Idle(Some(until))) => self.core.lock().at(until.0, Event::Nudge(actor)),
            // Nobody hears of a worker that was given up.
            Err(_) if it.is_stopped => it.worker = None,
            Err(reason) => self.fail(actor, reason),
        }
    }

    /// Stops a worker. One that is cut off cannot be told: it is given up, and goes on for a while.
    pub(super) fn stop(&mut self, actor: usize) {
        let it = &mut self.actors[actor];
        if it.worker.is_none() || !self.net.borrow().wires.is_cut_off(it.me, &self.core.lock()) {
            return self.remove(actor, true);
        }
        it.is_stopped = true;
        let unblocked = self.net.borrow_mut().give_up(it.of, it.me, actor);
        let mut core = self.core.lock();
        core.counts.add("worker: given up while cut off, and works on for a while");
        core.after(self.rng.micros(1000, 1_000_000), Event::Buried(actor));
        drop(core);
        unblocked.into_iter().for_each(|sender| self.nudge(sender));
    }

    /// A worker falls, and its coordinator will hear of it.
    pub(super) fn fail(&mut self, actor: usize, reason: String) {
        let it = &self.actors[actor];
        let (of, generation, me) = (it.of, it.generation, it.me);
        self.remove(actor, false);
        self.lose(of, generation, me, reason);
    }

    /// A worker is no more. Whether that is because it `is_stopped` decides what becomes of what it has sent.
    pub(super) fn remove(&mut self, actor: usize, is_stopped: bool) {
        let it = &mut self.actors[actor];
        it.is_stopped |= is_stopped;
        let unblocked = self.net.borrow_mut().remove_actor(it.of, it.me, actor);
        self.net.borrow_mut().wires.worker_gone(it.of, it.me, actor, is_stopped);
        drop(it.worker.take());
        for sender in unblocked {
            self.nudge(sender);
        }
    }

    fn lose(&mut self, of: usize, generation: Generation, worker: WorkerId, reason: String) {
        let delay = self.rng.micros(10, 100_000);
        let mut core = self.core.lock();
        core.note(format!("coordinator {of} {generation} {worker} is lost: {reason}"));
        core.after(delay, Event::Lost { of, generation, worker, reason });
    }
}
