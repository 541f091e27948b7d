//! What is checked where a coordinator speaks to the outside: who acts under a claim that stands, who calls committed
//! what is, and who believes whom.
//!
//! # Guarantees
//! I12 and I16 are checked at the moment they are broken, also when what follows from it would mend itself.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Core;
use crate::ids::{Generation, SnapshotId};
use crate::worker::messages::{Command, Order};

/// What coordinators are entitled to.
#[derive(Debug, Default)]
pub(super) struct Fences {
    /// Which coordinator's claim of a generation is in the log, or was, where nobody had written before.
    claims: BTreeSet<(usize, Generation)>,
    /// What has gone wrong while the store was in use.
    pub(super) broken: Vec<String>,
    /// The generation under which a coordinator has last started a worker.
    at_work: BTreeMap<usize, Generation>,
    /// Claims that were made when something was committed already.
    behind_commits: BTreeSet<(usize, Generation)>,
    /// What was committed, by whom, and how many starts of workers were before.
    commits: BTreeMap<(Generation, SnapshotId), usize>,
    /// Who has started workers, in order.
    starts: Vec<usize>,
    /// How many of those were before each coordinator was launched.
    launched: BTreeMap<usize, usize>,
    /// Something in the plan may make a step of a rescale late.
    pub(super) are_steps_excused: bool,
}

impl Fences {
    pub(super) fn claimed(&mut self, by: usize, generation: Generation) {
        // One that only comes to know that its claim was lost has not begun, and may claim as a newcomer may.
        let own = self.at_work.get(&by).copied();
        let lost_to =
            self.claims.iter().find(|(who, other)| *who != by && own < Some(*other) && *other < generation);
        if let (Some(own), Some((other, newer))) = (own, lost_to) {
            self.broken.push(format!(
                "I12: coordinator {by} of {own} claims {generation}, though it has lost the job to coordinator {other} \
                 of {newer}"
            ));
        }
        self.claims.insert((by, generation));
        if !self.commits.is_empty() {
            self.behind_commits.insert((by, generation));
        }
    }

    /// The log goes on from an earlier entry: what was claimed is forgotten.
    pub(super) fn rewind(&mut self) {
        self.claims.clear();
        self.at_work.clear();
    }

    pub(super) fn launched(&mut self, of: usize) {
        self.launched.insert(of, self.starts.len());
    }

    pub(super) fn committed(&mut self, generation: Generation, snapshot: SnapshotId) {
        self.commits.entry((generation, snapshot)).or_insert(self.starts.len());
    }

    /// Whether another has started workers behind this commit, of which this coordinator cannot have known.
    pub(super) fn has_begun_since(&self, commit: (Generation, SnapshotId), of: usize) -> bool {
        let known = self.commits.get(&commit).max(self.launched.get(&of)).copied().unwrap_or(0);
        self.starts[known..].iter().any(|by| *by != of)
    }
}

impl Core {
    /// A coordinator starts a worker.
    pub(super) fn check_start(&mut self, of: usize, generation: Generation) {
        // Sinks go back to what it restores, also if it is lost before it runs.
        self.is_reopened = true;
        self.objects.fences.starts.push(of);
        self.objects.fences.at_work.insert(of, generation);
        // An entry that was taken out of the log frees its number, and what is claimed there cannot be told apart.
        let stands = self.objects.fences.claims.contains(&(of, generation));
        if !stands && !self.objects.is_entry_lost {
            self.violation(format!(
                "I12: coordinator {of} starts workers of {generation} without a claim that stands"
            ));
        }
    }

    /// A coordinator orders something.
    pub(super) fn check_order(&mut self, of: usize, command: &Command) {
        let Order::Committed { id } = command.order else { return };
        let is_committed = self.objects.fences.commits.contains_key(&(command.generation, id));
        if !is_committed && !self.objects.is_damaged {
            let generation = command.generation;
            self.violation(format!(
                "I12, I16: coordinator {of} of {generation} says that {id} is committed, and it is not"
            ));
        }
    }

    /// A coordinator ends because it is fenced.
    pub(super) fn check_fenced(&mut self, of: usize, by: Generation) -> Result<(), String> {
        if self.objects.is_damaged || self.objects.is_entry_lost {
            return Ok(());
        }
        if by > self.objects.standing_claim() {
            return Err(format!("I12: coordinator {of} says it is fenced by {by}, and no such claim stands"));
        }
        let fences = &self.objects.fences;
        let Some(own) = fences.at_work.get(&of) else { return Ok(()) };
        let claimed_by = |is_it: fn(usize, usize) -> bool| {
            fences.claims.iter().any(|(who, generation)| is_it(*who, of) && generation > own)
        };
        if claimed_by(|who, of| who == of) && !claimed_by(|who, of| who != of) {
            return Err(format!(
                "I12: coordinator {of} says it is fenced by {by}, which is a claim of its own"
            ));
        }
        Ok(())
    }

    /// A coordinator runs the job, perhaps from its beginning.
    pub(super) fn check_running(&mut self, of: usize, generation: Generation, restored: Option<SnapshotId>) {
        if restored.is_some() {
            return;
        }
        let is_behind = self.objects.fences.behind_commits.contains(&(of, generation));
        if is_behind && !self.objects.is_entry_lost {
            self.violation(format!(
                "I16: coordinator {of} of {generation} starts the job afresh, though something is committed"
            ));
        }
    }

    /// A coordinator gives up a generation. A step of a rescale needs nobody but workers that are alive, so it is late
    /// only if something held them or the coordinator up.
    pub(super) fn check_recovering(&mut self, of: usize, reason: &str) {
        if reason.contains("step of the rescale") && !self.objects.fences.are_steps_excused {
            self.violation(format!("I14: nothing held up a step, but coordinator {of} gives up: {reason}"));
        }
    }
}
