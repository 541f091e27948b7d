//! How a run comes to its end: calm, in which nothing goes wrong any more, and what is checked when all is over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::check;
use super::super::clock::Event;
use super::super::context::Shown;
use super::{End, World};
use crate::ids::WorkerId;

impl World {
    /// From now on nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
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

    /// What the sinks show and what the log needs, at the end of a run (I1 to I4, I10).
    pub(in crate::testing) fn check_end(&self, expected: &BTreeMap<String, Shown>) -> Result<(), String> {
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
    pub(in crate::testing) fn run_again_from_an_older_commit(&mut self) -> Result<bool, String> {
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

    /// Who is still there, for a run that does not end.
    pub(super) fn describe(&self) -> String {
        let actors = self.actors.iter().filter_map(|actor| actor.worker.as_ref());
        let status: Vec<String> = (self.coordinators.iter().enumerate())
            .filter(|(_, coordinator)| coordinator.task.is_alive())
            .map(|(of, coordinator)| format!("{of}: {:?}", coordinator.mailbox))
            .collect();
        format!("coordinators {status:?}, workers {:?}", actors.collect::<Vec<_>>())
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
            self.core.lock().counts.add("check: a worker lost so that new partitions are found");
            self.fail(actor, "lost so that new partitions are found".to_owned());
        }
    }
}
