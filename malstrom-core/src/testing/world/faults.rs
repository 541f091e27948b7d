//! Faults as they strike: whom each meets, what it does to them, and under which kind it is counted.

use std::time::Duration;

use super::super::clock::Event;
use super::super::faults::Fault;
use super::super::store::Objects;
use super::World;
use crate::mark::{self, Mark};

impl World {
    /// A fault of the plan strikes, as long as it is not calm. It is counted if it has met somebody.
    pub(super) fn inject(&mut self, fault: Fault) {
        if self.core.lock().is_calm {
            return;
        }
        self.core.lock().note(format!("fault: {fault:?}"));
        let is_recovering = self.coordinators.iter().any(|coordinator| {
            coordinator.task.is_alive() && coordinator.mailbox.status().operation == Some("recover")
        });
        if let Some(kind) = self.strike(fault) {
            let mut core = self.core.lock();
            core.counts.add(kind);
            if is_recovering && matches!(fault, Fault::CrashWorker | Fault::CrashCoordinator) {
                core.counts.add("crash during a recovery");
            }
        }
    }

    fn strike(&mut self, fault: Fault) -> Option<&'static str> {
        let alive: Vec<usize> = (0..self.actors.len())
            .filter(|at| self.actors[*at].worker.is_some() && !self.actors[*at].is_stopped)
            .collect();
        // Drawn for each fault, also one that meets no worker: what comes later stays the same.
        let victim = alive.get(self.rng.below(alive.len() as u64) as usize).copied();
        let newest = (0..self.coordinators.len())
            .rev()
            .find(|of| self.coordinators[*of].task.is_alive() && !self.coordinators[*of].is_paused);
        match fault {
            Fault::CrashWorker => {
                self.fail(victim?, "crashed".to_owned());
                Some("worker: crash")
            }
            Fault::SlowWorker(step) => {
                let victim = &mut self.actors[victim?];
                victim.slow = step;
                victim.slow_until = self.core.lock().now + 10 * step.as_nanos() as u64;
                Some("worker: slow")
            }
            Fault::CrashCoordinator => {
                self.crash_coordinator(newest?);
                Some("coordinator: crash")
            }
            Fault::PauseCoordinator(time) => {
                self.pause(newest?, time);
                Some("coordinator: pause while a successor starts")
            }
            Fault::NoStart => {
                self.n_no_start += 1;
                None
            }
            Fault::Damage => self.damage(Objects::damage),
            Fault::Ambush(moment, ambush) => {
                self.core.lock().objects.ambushes.push_back((moment, ambush));
                None
            }
            Fault::DamageAll => {
                let kind = self.damage(Objects::damage_all)?;
                self.core.lock().after(Duration::from_millis(1), Event::Fault(Fault::CrashCoordinator));
                Some(kind)
            }
            Fault::DamageEntry | Fault::DamageClaim => {
                let may_be_lost = !self.plan.has_stale_coordinators();
                self.damage(|objects| objects.damage_entry(fault == Fault::DamageClaim, may_be_lost))
            }
            Fault::FullDisk(time) => {
                let mut core = self.core.lock();
                core.objects.full_until = core.nanos().after(time).0;
                Some("store: the disk is full for a while")
            }
            Fault::TimeJump(time) => {
                let mut core = self.core.lock();
                core.now = core.nanos().after(time).0;
                Some("time: jump")
            }
            Fault::UserError => {
                self.context.fail_once();
                None
            }
            Fault::Cut { choice, is_both_ways, time } => {
                let is_cut =
                    self.net.borrow_mut().wires.cut(choice, is_both_ways, time, &mut self.core.lock());
                if is_cut {
                    self.mark_cut(newest);
                }
                is_cut.then_some(if is_both_ways { "network: cut both ways" } else { "network: cut one way" })
            }
        }
    }

    /// A coordinator is lost behind a call, unless it is calm by then.
    pub(super) fn lose_coordinator(&mut self, of: usize) {
        if !self.core.lock().is_calm && self.coordinators[of].task.is_alive() {
            self.crash_coordinator(of);
        }
    }

    /// A coordinator's process falls, with its workers.
    fn crash_coordinator(&mut self, of: usize) {
        self.coordinators[of].task.kill();
        for actor in 0..self.actors.len() {
            if self.actors[actor].of == of && !self.actors[actor].is_stopped {
                self.remove(actor, true);
            }
        }
        self.relaunch();
    }

    fn damage(
        &self,
        harm: impl FnOnce(&mut Objects) -> Option<(&'static str, String)>,
    ) -> Option<&'static str> {
        let mut core = self.core.lock();
        let (kind, what) = harm(&mut core.objects)?;
        core.note(what);
        Some(kind)
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
}
