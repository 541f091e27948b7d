//! One thread in which a whole job runs: the scheduler takes the next event, and whoever it is for acts on it.
//!
//! `coordinators` and `workers` are whose lives are simulated, `messages` what comes to them, `faults` and `requests`
//! what the plan has in store for them, `ends` how it all ends and what is checked then.

mod coordinators;
mod ends;
mod faults;
mod messages;
mod requests;
mod workers;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use coordinators::Coord;
pub(super) use coordinators::STORE_DEADLINE;
use workers::Actor;

use super::clock::{Event, Shared};
use super::context::SimContext;
use super::faults::Plan;
use super::net::{Net, SharedNet};
use super::rng::Rng;
use crate::stream::Job;

/// Decisions after which a run is taken to go round in circles.
const DECISIONS_MAX: u64 = 6_000_000;
/// Simulated time that the calm phase may take.
const CALM_MAX: Duration = Duration::from_secs(600);

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

/// A job under simulation: its coordinators, its workers, and what lies between them.
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
            Event::Deliver(actor, message) => self.deliver(actor, message),
            Event::Report { of, actor, report } => self.report(of, actor, report),
            Event::StrayCommand(worker, command) => self.stray_command(worker, &command),
            Event::StrayReport(report) => self.stray_report(&report),
            Event::Lost { of, generation, worker, reason } => {
                self.tell_of_loss(of, generation, worker, reason)
            }
            Event::Parcel(channel) => self.parcel(channel),
            Event::Frame(place, bytes) => {
                self.net.borrow_mut().wires.arrived(place, &bytes, &mut self.core.lock());
            }
            Event::SessionTick(end) => self.net.borrow_mut().wires.tick(end, &mut self.core.lock()),
            Event::Healed(from, to) => self.net.borrow_mut().wires.healed(from, to, &mut self.core.lock()),
            Event::Answer { actor, number } => self.answer(actor, number),
            Event::Buried(actor) => drop(self.actors[actor].worker.take()),
            Event::StoreApply(call) => self.core.apply(call),
            Event::StoreReply(call) => self.core.reply(call),
            Event::Fault(fault) => self.inject(fault),
            Event::Ask(ask) => self.ask(ask),
            Event::Launch => self.launch(),
            Event::Pause { of, time } => self.pause(of, time),
            Event::Lose(of) => self.lose_coordinator(of),
            Event::Resume(of) => self.coordinators[of].is_paused = false,
            Event::Calm => self.calm(),
        }
        Ok(())
    }

    fn set_up(&mut self) {
        let mut core = self.core.lock();
        core.objects.latency_us_max = self.plan.store_us_max;
        core.objects.stale_per_mille = self.plan.stale_listings_per_mille;
        core.objects.listing_lag = self.plan.listing_lag;
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
}
