//! Making a plan that shows a fault smaller, as far as that is cheap.
//!
//! # Steps
//! 1. Whole kinds of faults, all requests and each rate of faults are left out, one after the other.
//! 2. What is left is halved, then taken out one by one; workers, bins and time are made fewer.
//! 3. A smaller plan is kept if it still fails, in whatever way.
//!
//! # Caveats
//! A smaller plan draws other delays, so it may show the fault at another place, or hide it. Nothing proves that what is
//! left is the smallest.

use std::time::Duration;

use super::faults::{Fault, Plan};
use super::wires::Network;
use super::{RunFailure, Simulation};
use crate::limits::{BATCH_RECORDS, ENCODE_SLICE_BYTES};

/// Runs that are tried at most.
const ATTEMPTS_MAX: usize = 300;
/// Decisions of the scheduler in all of them, after which the next is not begun: runs that do not end are long.
const DECISIONS_MAX: u64 = 10_000_000;

impl Simulation {
    /// The smallest plan that was found to fail still, and how it fails.
    #[must_use]
    pub fn shrink(&self, failure: Box<RunFailure>) -> (Plan, Box<RunFailure>) {
        let mut best = (self.plan(), failure);
        let (mut n_attempts, mut n_decisions) = (0, 0);
        // Every round begins anew with the largest cuts; it ends when none helps any more, or after the attempts.
        'rounds: loop {
            for smaller in best.0.smaller() {
                n_attempts += 1;
                if n_attempts > ATTEMPTS_MAX || n_decisions > DECISIONS_MAX {
                    return best;
                }
                match self.with_other_plan(smaller.clone()).run() {
                    Ok(report) => n_decisions += report.n_decisions,
                    Err(failure) => {
                        n_decisions += failure.n_decisions;
                        best = (smaller, failure);
                        continue 'rounds;
                    }
                }
            }
            return best;
        }
    }
}

impl Plan {
    /// Plans that ask for less than this one, the largest cuts first.
    fn smaller(&self) -> Vec<Self> {
        let mut plans = Vec::new();
        let mut offer = |change: &dyn Fn(&mut Self)| {
            let mut plan = self.clone();
            change(&mut plan);
            if plan != *self {
                plans.push(plan);
            }
        };
        offer(&|plan| plan.faults.clear());
        offer(&|plan| plan.asks.clear());
        for (_, fault) in &self.faults {
            offer(&|plan| plan.faults.retain(|(_, other)| !is_alike(fault, other)));
        }
        offer(&|plan| (plan.store_faults_per_mille, plan.store_slow_per_mille) = (0, 0));
        offer(&|plan| plan.network = Network::NONE);
        offer(&|plan| plan.network = plan.network.without_faults());
        offer(&|plan| plan.stale_listings_per_mille = 0);
        offer(&|plan| plan.slice_bytes = ENCODE_SLICE_BYTES);
        offer(&|plan| plan.stray_per_mille = 0);
        offer(&|plan| plan.growing_per_mille = 0);
        offer(&|plan| plan.is_taken_back = false);
        offer(&|plan| plan.snapshot_interval = None);
        let (n_faults, n_asks) = (self.faults.len(), self.asks.len());
        offer(&|plan| plan.faults.truncate(n_faults / 2));
        offer(&|plan| plan.faults = plan.faults.split_off(n_faults / 2));
        offer(&|plan| plan.asks.truncate(n_asks / 2));
        offer(&|plan| plan.asks = plan.asks.split_off(n_asks / 2));
        for at in 0..n_faults {
            offer(&|plan| {
                plan.faults.remove(at);
            });
        }
        for at in 0..n_asks {
            offer(&|plan| {
                plan.asks.remove(at);
            });
        }
        offer(&|plan| plan.n_workers = 1);
        offer(&|plan| plan.n_workers = plan.n_workers.min(2));
        offer(&|plan| plan.n_bins = plan.n_bins.min(8).max(plan.n_workers.next_power_of_two()));
        offer(&|plan| (plan.channel_capacity, plan.batch_records) = (16, BATCH_RECORDS));
        offer(&|plan| plan.by_bytes = false);
        offer(&|plan| plan.message_us_max = plan.message_us_max.min(20));
        offer(&|plan| plan.store_us_max = plan.store_us_max.min(100));
        offer(&|plan| plan.n_retained = 1);
        offer(&|plan| plan.collect_after = 1);
        offer(&|plan| plan.snapshot_deadline = Duration::from_millis(1500));
        plans
    }
}

fn is_alike(one: &Fault, other: &Fault) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng::Rng;

    #[test]
    fn no_smaller_plan_is_the_plan_itself() {
        for seed in 0..50 {
            let plan = Plan::swarm(&mut Rng::new(seed));
            assert!(plan.smaller().iter().all(|smaller| *smaller != plan));
        }
    }

    #[test]
    fn halving_and_taking_out_leave_nothing_at_last() {
        let mut plan = Plan::swarm(&mut Rng::new(3));
        while let Some(smaller) = plan.smaller().into_iter().next() {
            plan = smaller;
        }
        assert!(plan.faults.is_empty() && plan.asks.is_empty() && plan.n_workers == 1);
    }
}
