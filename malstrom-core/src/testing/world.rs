//! One thread in which a whole job runs: the scheduler takes the next event, and somebody acts on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::check;
use super::clock::{Event, Shared};
use super::context::{Shown, SimContext};
use super::executor::Task;
use super::faults::{Ask, Fault, Plan};
use super::kinds;
use super::net::{Net, SharedNet, SimHost, SimPort};
use super::rng::Rng;
use super::store::SimStore;
use crate::coordinator::{
    self, Completion, Coordinator, Deadlines, JobConfig, JobError, Mailbox, Outcome, Reply, Request, Restarts,
};
use crate::ids::{Generation, SnapshotId, WorkerId};
use crate::mark::{self, Mark};
use crate::stream::{Dataflow, Job};
use crate::worker::messages::{Command, ToWorker};
use crate::worker::{Activity, Worker};

/// Decisions after which a run is taken to go round in circles.
const DECISIONS_MAX: u64 = 6_000_000;
/// Simulated time that the calm phase may take.
const CALM_MAX: Duration = Duration::from_secs(600);
/// How long a coordinator waits for its store.
pub(super) const STORE_DEADLINE: Duration = Duration::from_millis(500);
/// Recoveries in a row before a coordinator gives up: more than chaos can bring about, and over before calm is.
const RESTARTS_MAX: u32 = 100;
/// Workers that the swarm has at most.
const WORKERS_MAX: u32 = 8;
/// Requests in a flood.
const FLOOD_REQUESTS: usize = 20;

/// A job's closure.
pub(super) type Define = Rc<dyn Fn(&Job, &SimContext)>;

/// How a run ended, if it ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The job is finished and its output is right.
    Finished,
    /// Stored bytes were damaged so that nothing could be restored, and the job said so.
    Refused,
}

pub(super) struct World {
    pub(super) core: Shared,
    pub(super) context: SimContext,
    net: SharedNet,
    rng: Rng,
    plan: Plan,
    define: Define,
    actors: Vec<Actor>,
    coordinators: Vec<Coord>,
    n_no_start: u32,
    n_savepoints: u64,
    is_launching: bool,
    end: Option<End>,
    calm_at: u64,
}

struct Actor {
    of: usize,
    generation: Generation,
    me: WorkerId,
    worker: Option<Worker>,
    is_scheduled: bool,
    is_stopped: bool,
    slow: Duration,
    slow_until: u64,
}

struct Coord {
    task: Task<Result<Outcome, JobError>>,
    mailbox: Rc<Mailbox>,
    is_paused: bool,
    is_scheduled: bool,
}

impl World {
    pub(super) fn new(core: Shared, context: SimContext, plan: Plan, define: Define, rng: Rng) -> Self {
        let mut net = Net::new(plan.network, plan.channel_capacity, plan.by_bytes, plan.message_us_max);
        net.stray_per_mille = plan.stray_per_mille;
        net.batch_records = plan.batch_records;
        net.slice_bytes = plan.slice_bytes;
        let mut world = Self {
            core,
            context,
            net: Rc::new(RefCell::new(net)),
            rng,
            calm_at: plan.chaos.as_nanos() as u64,
            plan,
            define,
            actors: Vec::new(),
            coordinators: Vec::new(),
            n_no_start: 0,
            n_savepoints: 0,
            is_launching: true,
            end: None,
        };
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        let mut core = self.core.lock();
        core.objects.latency_us_max = self.plan.store_us_max;
        core.objects.stale_per_mille = self.plan.stale_listings_per_mille;
        core.growing_per_mille = self.plan.growing_per_mille;
        if self.plan.batch_records == 1 {
            core.counts.add("source: batches of one record");
        }
        core.objects.faults_per_mille = self.plan.store_faults_per_mille;
        core.objects.slow_per_mille = self.plan.store_slow_per_mille;
        core.objects.fences.are_steps_excused = self.plan.excuses_late_steps();
        core.at(1, Event::Launch);
        core.after(self.plan.chaos, Event::Calm);
        for (at, fault) in &self.plan.faults {
            core.after(*at, Event::Fault(*fault));
        }
        for (at, ask) in &self.plan.asks {
            core.after(*at, Event::Ask(*ask));
        }
    }

    /// Goes on until everything has ended.
    pub(super) fn run(&mut self) -> Result<End, String> {
        loop {
            let alive = self.coordinators.iter().any(|coordinator| coordinator.task.is_alive());
            if let (Some(end), false) = (self.end, alive) {
                return Ok(end);
            }
            let (event, is_over) = {
                let mut core = self.core.lock();
                let is_over = core.now > self.calm_at + CALM_MAX.as_nanos() as u64
                    || core.trace.n_decisions() > DECISIONS_MAX;
                (core.next(), is_over)
            };
            if is_over {
                return Err(format!("I14: it does not end: {}", self.describe()));
            }
            let Some(event) = event else {
                return Err(format!("I14: nothing is going to happen any more: {}", self.describe()));
            };
            self.act(event)?;
            self.poll_woken();
            if let Some(violation) = self.core.lock().violations.first() {
                return Err(violation.clone());
            }
        }
    }

    /// What the sinks show and what the log needs, at the end of a run (I1 to I4, I10).
    pub(super) fn check_end(&self, expected: &BTreeMap<String, Shown>) -> Result<(), String> {
        let mut wrong = check::compare(expected, &self.context.committed());
        let core = self.core.lock();
        let missing = core.objects.missing();
        if !core.objects.is_damaged && !missing.is_empty() {
            wrong.push(format!("I10: commits in the log need what is not there: {missing:?}"));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// Takes a finished job back to an older commit and runs it to its end again: every commit that is kept is a whole
    /// cut (I8), not only those that a crash happened to need. Whether there was such a commit.
    pub(super) fn run_again_from_an_older_commit(&mut self) -> Result<bool, String> {
        let mut core = self.core.lock();
        if core.objects.is_damaged || self.end != Some(End::Finished) {
            return Ok(false);
        }
        let Some(chosen) = core.objects.rewind() else { return Ok(false) };
        core.note(format!("taken back to {chosen}"));
        core.counts.add("check: run again from an older commit");
        core.is_calm = true;
        core.calm_at = core.now;
        core.forget_events();
        core.after(Duration::from_millis(1), Event::Launch);
        self.calm_at = core.now;
        drop(core);
        self.n_no_start = 0;
        self.context.rewind();
        self.is_launching = true;
        self.end = None;
        self.run().map(|_| true)
    }

    fn describe(&self) -> String {
        let actors = self.actors.iter().filter_map(|actor| actor.worker.as_ref());
        let status: Vec<String> = (self.coordinators.iter().enumerate())
            .filter(|(_, coordinator)| coordinator.task.is_alive())
            .map(|(of, coordinator)| format!("{of}: {:?}", coordinator.mailbox))
            .collect();
        format!("coordinators {status:?}, workers {:?}", actors.collect::<Vec<_>>())
    }

    fn act(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Step(actor) => self.step(actor),
            Event::Nudge(actor) => self.nudge(actor),
            Event::Poll(of) => return self.poll(of),
            Event::Wake(waker) => waker.wake(),
            Event::Start { of, generation, worker, n_bins, start } => {
                self.start(of, generation, worker, n_bins, start);
            }
            Event::Stop { actor, done } => {
                if let Some(actor) = actor {
                    self.stop(actor);
                }
                done.open();
            }
            Event::Deliver(actor, message) => {
                if let Some(inbox) = self.net.borrow_mut().inboxes.get_mut(&actor) {
                    inbox.push_back(message);
                }
                self.nudge(actor);
            }
            Event::Report { of, actor, report } => {
                if !self.actors[actor].is_stopped {
                    if self.coordinators[of].task.is_alive() {
                        self.coordinators[of].mailbox.deliver(coordinator::Event::Report(report));
                    }
                } else if !self.core.lock().is_calm && self.rng.per_mille(self.plan.stray_per_mille * 10) {
                    // What a worker said before it was stopped is still on its way, to whoever listens.
                    let late = self.rng.micros(100, 100_000);
                    let mut core = self.core.lock();
                    core.counts.add("message: report of a stopped worker delivered late");
                    core.after(late, Event::StrayReport(report));
                }
            }
            Event::StrayCommand(worker, command) => self.stray_command(worker, &command),
            Event::StrayReport(report) => {
                for (of, coordinator) in self.coordinators.iter().enumerate() {
                    // A link brings a message once to whom it is meant for; only others get it again.
                    let is_own =
                        |it: &Actor| it.of == of && it.generation == report.generation && !it.is_stopped;
                    if !coordinator.task.is_alive() || self.actors.iter().any(is_own) {
                        continue;
                    }
                    let before = coordinator.mailbox.known();
                    coordinator.mailbox.deliver(coordinator::Event::Report(report.clone()));
                    if report.generation != before.0 && coordinator.mailbox.known() != before {
                        let generation = report.generation;
                        let text = format!(
                            "I12: coordinator {of} believes a report of {generation}, which is not its own"
                        );
                        self.core.lock().violation(text);
                    }
                }
            }
            Event::Lost { of, generation, worker, reason } => {
                if self.coordinators[of].task.is_alive() {
                    let event = coordinator::Event::Lost { generation, worker, reason };
                    self.coordinators[of].mailbox.deliver(event);
                }
            }
            Event::Parcel(channel) => {
                let receiver = self.net.borrow().receiver(channel);
                if let Some(receiver) = receiver {
                    self.nudge(receiver);
                }
            }
            Event::Frame(place, bytes) => {
                self.net.borrow_mut().wires.arrived(place, &bytes, &mut self.core.lock());
            }
            Event::Buried(actor) => drop(self.actors[actor].worker.take()),
            Event::SessionTick(end) => self.net.borrow_mut().wires.tick(end, &mut self.core.lock()),
            Event::Healed(from, to) => self.net.borrow_mut().wires.healed(from, to, &mut self.core.lock()),
            Event::Answer { actor, number } => {
                let futures = self.net.borrow().futures.clone();
                if futures.drive(number, actor, &self.core) {
                    self.nudge(actor);
                }
            }
            Event::StoreApply(call) => self.core.apply(call),
            Event::StoreReply(call) => self.core.reply(call),
            Event::Fault(fault) => self.inject(fault),
            Event::Ask(ask) => self.ask(ask),
            Event::Launch => self.launch(),
            Event::Pause { of, time } => self.pause(of, time),
            Event::Resume(of) => self.coordinators[of].is_paused = false,
            Event::Calm => self.calm(),
        }
        Ok(())
    }

    fn launch(&mut self) {
        self.is_launching = false;
        let of = self.coordinators.len();
        let is_first = of == 0 || self.plan.chaos.is_zero();
        let n_workers = if is_first { self.plan.n_workers } else { self.rng.between(1, 4) as u32 };
        let n_workers = n_workers.min(self.plan.n_bins);
        let mut config = JobConfig::new("simulated", n_workers);
        config.n_bins = self.plan.n_bins;
        config.n_retained = NonZeroUsize::new(self.plan.n_retained).unwrap_or(NonZeroUsize::MIN);
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
        let mailbox = Rc::new(Mailbox::default());
        let host = SimHost { of, net: self.net.clone(), core: self.core.clone() };
        let store = Arc::new(SimStore { core: self.core.clone(), of });
        let run = Coordinator::new(config, Rc::new(host), store, mailbox.clone()).run();
        self.core.lock().note(format!("coordinator {of} starts with {n_workers} workers"));
        self.coordinators.push(Coord {
            task: Task::new(run),
            mailbox,
            is_paused: false,
            is_scheduled: false,
        });
    }

    /// Has a successor start, unless one is about to or somebody is at work.
    fn relaunch(&mut self) {
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

    fn poll_woken(&mut self) {
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

    fn poll(&mut self, of: usize) -> Result<(), String> {
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
            Ok(outcome) => self.ended_well(outcome)?,
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

    fn ended_well(&mut self, outcome: Outcome) -> Result<(), String> {
        let core = self.core.lock();
        if outcome.completion == Completion::Finished {
            let Some(manifest) = &outcome.manifest else {
                return Err("I16: it finished without a commit".to_owned());
            };
            if !core.objects.has_commit(manifest.snapshot) {
                return Err(format!("I16: it finished but {} is not in the log", manifest.snapshot));
            }
            self.end = Some(End::Finished);
            drop(core);
            self.core.lock().is_reopened = false;
        }
        Ok(())
    }

    fn start(&mut self, of: usize, generation: Generation, worker: WorkerId, n_bins: u32, start: u64) {
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

    fn stray_command(&mut self, worker: WorkerId, command: &Command) {
        let is_meant =
            |it: &Actor| it.worker.is_some() && it.me == worker && it.generation != command.generation;
        for actor in 0..self.actors.len() {
            if is_meant(&self.actors[actor]) {
                if let Some(inbox) = self.net.borrow_mut().inboxes.get_mut(&actor) {
                    inbox.push_back(ToWorker::Command(command.clone()));
                }
                self.nudge(actor);
            }
        }
    }

    fn nudge(&mut self, actor: usize) {
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

    fn step(&mut self, actor: usize) {
        let it = &mut self.actors[actor];
        it.is_scheduled = false;
        let Some(worker) = &mut it.worker else { return };
        #[cfg(feature = "mutants")]
        crate::mutant::set_worker(it.me.0);
        match worker.step() {
            Ok(Activity::Busy) => self.nudge(actor),
            Ok(Activity::Idle(None)) => {}
            Ok(Activity::Idle(Some(until))) => self.core.lock().at(until.0, Event::Nudge(actor)),
            // Nobody hears of a worker that was given up.
            Err(_) if it.is_stopped => it.worker = None,
            Err(error) => {
                let (of, generation, me) = (it.of, it.generation, it.me);
                let reason = error.to_string();
                if let crate::worker::WorkerError::Protocol(reason) = &error {
                    self.core.lock().violation(format!("{me}: {reason}"));
                }
                self.remove(actor, false);
                self.lose(of, generation, me, reason);
            }
        }
    }

    fn lose(&mut self, of: usize, generation: Generation, worker: WorkerId, reason: String) {
        let delay = self.rng.micros(10, 100_000);
        let mut core = self.core.lock();
        core.note(format!("coordinator {of} {generation} {worker} is lost: {reason}"));
        core.after(delay, Event::Lost { of, generation, worker, reason });
    }

    /// Stops a worker. One that is cut off cannot be told: it is given up, and goes on for a while.
    fn stop(&mut self, actor: usize) {
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

    fn remove(&mut self, actor: usize, is_stopped: bool) {
        let it = &mut self.actors[actor];
        it.is_stopped |= is_stopped;
        let unblocked = self.net.borrow_mut().remove_actor(it.of, it.me, actor);
        self.net.borrow_mut().wires.worker_gone(it.of, it.me, actor, is_stopped);
        drop(it.worker.take());
        for sender in unblocked {
            self.nudge(sender);
        }
    }

    fn inject(&mut self, fault: Fault) {
        if self.core.lock().is_calm {
            return;
        }
        self.core.lock().note(format!("fault: {fault:?}"));
        let alive: Vec<usize> = (0..self.actors.len())
            .filter(|at| self.actors[*at].worker.is_some() && !self.actors[*at].is_stopped)
            .collect();
        let victim = alive.get(self.rng.below(alive.len() as u64) as usize).copied();
        let newest = (0..self.coordinators.len())
            .rev()
            .find(|of| self.coordinators[*of].task.is_alive() && !self.coordinators[*of].is_paused);
        let kind = match fault {
            Fault::CrashWorker => {
                let Some(actor) = victim else { return };
                let (of, generation, me) =
                    (self.actors[actor].of, self.actors[actor].generation, self.actors[actor].me);
                self.remove(actor, false);
                self.lose(of, generation, me, "crashed".to_owned());
                "worker: crash"
            }
            Fault::SlowWorker(step) => {
                let Some(actor) = victim else { return };
                self.actors[actor].slow = step;
                self.actors[actor].slow_until = self.core.lock().now + 10 * step.as_nanos() as u64;
                "worker: slow"
            }
            Fault::CrashCoordinator => {
                let Some(of) = newest else { return };
                self.coordinators[of].task.kill();
                for actor in 0..self.actors.len() {
                    if self.actors[actor].of == of && !self.actors[actor].is_stopped {
                        self.remove(actor, true);
                    }
                }
                self.relaunch();
                "coordinator: crash"
            }
            Fault::PauseCoordinator(time) => {
                let Some(of) = newest else { return };
                self.pause(of, time);
                "coordinator: pause while a successor starts"
            }
            Fault::NoStart => {
                self.n_no_start += 1;
                return;
            }
            Fault::Damage => {
                let Some((kind, what)) = self.core.lock().objects.damage() else { return };
                self.core.lock().note(what);
                kind
            }
            Fault::PauseAt(moment, side, time) => {
                self.core.lock().objects.pauses.push_back((moment, side, time));
                return;
            }
            Fault::DamageAll => {
                let mut core = self.core.lock();
                let Some((kind, what)) = core.objects.damage_all() else { return };
                core.note(what);
                core.after(Duration::from_millis(1), Event::Fault(Fault::CrashCoordinator));
                kind
            }
            Fault::DamageEntry | Fault::DamageClaim => {
                let may_be_lost = !self.plan.has_stale_coordinators();
                let is_claim = fault == Fault::DamageClaim;
                let mut core = self.core.lock();
                let Some((kind, what)) = core.objects.damage_entry(is_claim, may_be_lost) else { return };
                core.note(what);
                kind
            }
            Fault::FullDisk(time) => {
                let mut core = self.core.lock();
                core.objects.full_until = core.nanos().after(time).0;
                "store: the disk is full for a while"
            }
            Fault::TimeJump(time) => {
                let mut core = self.core.lock();
                core.now = core.nanos().after(time).0;
                "time: jump"
            }
            Fault::UserError => return self.context.fail_once(),
            Fault::Cut { choice, is_both_ways, time } => {
                let mut net = self.net.borrow_mut();
                if !net.wires.cut(choice, is_both_ways, time, &mut self.core.lock()) {
                    return;
                }
                drop(net);
                self.mark_cut(newest);
                if is_both_ways { "network: cut both ways" } else { "network: cut one way" }
            }
        };
        self.core.lock().counts.add(kind);
    }

    /// Marks what a cut has come into.
    fn mark_cut(&self, coordinator: Option<usize>) {
        let Some(of) = coordinator else { return };
        match self.coordinators[of].mailbox.status().operation {
            Some("rescale") => mark::hit(Mark::CutInRescale),
            Some("snapshot") => mark::hit(Mark::CutInSnapshot),
            _ => {}
        }
    }

    fn pause(&mut self, of: usize, time: Duration) {
        if self.core.lock().is_calm || !self.coordinators[of].task.is_alive() {
            return;
        }
        self.coordinators[of].is_paused = true;
        self.core.lock().after(time, Event::Resume(of));
        self.relaunch();
    }

    fn ask(&mut self, ask: Ask) {
        let mut alive = (0..self.coordinators.len()).filter(|of| self.coordinators[*of].task.is_alive());
        // Mostly the newest is asked; sometimes one that does not know yet that it has a successor.
        let of = if self.rng.per_mille(250) { alive.next() } else { alive.next_back() };
        let Some(of) = of else { return };
        let mut core = self.core.lock();
        core.note(format!("request to coordinator {of}: {ask:?}"));
        let n_requests = if ask == Ask::Flood { FLOOD_REQUESTS } else { 1 };
        *core.n_unanswered.entry(of).or_default() += n_requests as u64;
        let status = self.coordinators[of].mailbox.status();
        let kind = match ask {
            Ask::Rescale(_) | Ask::RescaleToMost | Ask::RescaleToSame => "rescale",
            Ask::Snapshot | Ask::Flood => "snapshot",
            Ask::Savepoint | Ask::Nameless => "savepoint",
            Ask::Suspend => "suspend",
            Ask::Cancel => "cancel",
        };
        if let Some(kind) = kinds::during(kind, status.operation) {
            core.counts.add(kind);
        }
        core.counts.add(match ask {
            Ask::Rescale(1) => "request: rescale to 1",
            Ask::Rescale(_) => "request: rescale",
            Ask::RescaleToMost => "request: rescale to the most",
            Ask::RescaleToSame => "request: rescale to the same",
            Ask::Snapshot => "request: snapshot",
            Ask::Savepoint => "request: savepoint",
            Ask::Nameless => "request: savepoint without a name",
            Ask::Flood => "request: flood",
            Ask::Suspend => "request: suspend",
            Ask::Cancel => "request: cancel",
        });
        drop(core);
        self.n_savepoints += 1;
        let ask = match ask {
            Ask::RescaleToMost => Ask::Rescale(WORKERS_MAX.min(self.plan.n_bins)),
            Ask::RescaleToSame => Ask::Rescale(status.n_workers),
            ask => ask,
        };
        let request = match ask {
            Ask::RescaleToMost | Ask::RescaleToSame => unreachable!("they were given a number above"),
            Ask::Rescale(n) => Request::Rescale(
                n,
                self.reply(of, move |core: &super::clock::Core, report: &coordinator::RescaleReport| {
                    let is_durable = report.from == report.to || core.objects.has_scale(report.to);
                    (!is_durable).then(|| format!("I16: a rescale to {n} was answered and is not durable"))
                }),
            ),
            Ask::Snapshot => Request::Snapshot(self.snapshot_reply(of)),
            Ask::Savepoint => {
                Request::Savepoint(format!("savepoint-{}", self.n_savepoints), self.snapshot_reply(of))
            }
            Ask::Nameless => Request::Savepoint(String::new(), self.snapshot_reply(of)),
            Ask::Flood => {
                for _ in 1..FLOOD_REQUESTS {
                    let request = Request::Snapshot(self.snapshot_reply(of));
                    self.coordinators[of].mailbox.deliver(coordinator::Event::Request(request));
                }
                Request::Snapshot(self.snapshot_reply(of))
            }
            Ask::Suspend => Request::Suspend(self.snapshot_reply(of)),
            Ask::Cancel => Request::Cancel(self.reply(of, |_, ()| None)),
        };
        self.coordinators[of].mailbox.deliver(coordinator::Event::Request(request));
    }

    fn snapshot_reply(&self, of: usize) -> Reply<coordinator::SnapshotReport> {
        self.reply(of, |core, report: &coordinator::SnapshotReport| {
            let id: SnapshotId = report.id;
            (!core.objects.has_commit(id)).then(|| format!("I16: {id} was answered and is not in the log"))
        })
    }

    fn reply<T: 'static>(
        &self,
        of: usize,
        check: impl Fn(&super::clock::Core, &T) -> Option<String> + Send + 'static,
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

    fn calm(&mut self) {
        let mut core = self.core.lock();
        core.is_calm = true;
        core.objects.full_until = 0;
        core.calm_at = core.now;
        core.objects.latency_us_max = core.objects.latency_us_max.min(2000);
        core.note("calm".to_owned());
        drop(core);
        self.net.borrow_mut().calm();
        self.net.borrow_mut().wires.calm(&mut self.core.lock());
        self.n_no_start = 0;
        // A deadline must leave room for the steps that a part of a large state takes.
        self.plan.step_us_max = self.plan.step_us_max.min(100);
        self.context.calm();
        for actor in &mut self.actors {
            actor.slow_until = 0;
        }
        for coordinator in &mut self.coordinators {
            coordinator.is_paused = false;
        }
        self.find_partitions();
        self.relaunch();
    }

    /// Partitions that have come to be are found when a job is built, so of each run that lacks some a worker is lost.
    fn find_partitions(&mut self) {
        let lacks_some = |actor: &usize| {
            let it = &self.actors[*actor];
            // The first is never let go, so its loss counts.
            it.worker.is_some()
                && !it.is_stopped
                && it.me == WorkerId(0)
                && self.coordinators[it.of].task.is_alive()
                && !self.context.has_found_all((it.of, it.generation))
        };
        let lost: Vec<usize> = (0..self.actors.len()).filter(lacks_some).collect();
        for actor in lost {
            let (of, generation, me) =
                (self.actors[actor].of, self.actors[actor].generation, self.actors[actor].me);
            self.core.lock().counts.add("check: a worker lost so that new partitions are found");
            self.remove(actor, false);
            self.lose(of, generation, me, "lost so that new partitions are found".to_owned());
        }
    }
}
