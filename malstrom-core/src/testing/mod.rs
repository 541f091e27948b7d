//! Running a whole job in one thread, in simulated time, with whatever can go wrong going wrong: the real workers and
//! the real coordinator over simulated ports, every interleaving chosen by one seed.
//!
//! # Steps
//! 1. The job runs once on one worker, with nothing going wrong: what its sinks show is what is expected.
//! 2. It runs again with a swarm of faults and requests drawn from the seed.
//! 3. Then nothing goes wrong any more, and everything must end within a bound of time and steps (I14).
//! 4. What the sinks show is compared (I1 to I4); the log must hold all that its commits need (I10).
//!
//! # Guarantees
//! I17: the same seed gives the same trace hash.
//!
//! # Caveats
//! What runs on threads, sockets and real stores is not part of it. A job reads [`SimContext::source`] and writes
//! [`SimContext::sink`]; what it writes must follow from its sources alone, however partitions interleave, and `seq`
//! of one key and partition must never fall ([`Output`]). Where late records would change it, it reads
//! [`SimContext::steady_source`]; [`SimContext::echo`] shows whether event time goes on. A job that reads a clock or
//! draws random numbers cannot be compared; one that keeps state outside of the engine fails, which is the point.
//!
//! ```
//! use malstrom_core::testing::{Output, Simulation};
//!
//! let simulation = Simulation::new(7, |job, sim| {
//!     job.source("numbers", sim.source("numbers"))
//!         .map(|item| Output { key: item.key, partition: item.partition, seq: item.seq, value: item.number })
//!         .transactional_sink("out", sim.sink("out"));
//! });
//! let report = simulation.run().expect("a job of one stage survives everything");
//! assert!(report.n_decisions > 0);
//! ```

mod ambush;
mod check;
mod clock;
mod context;
mod echo;
mod executor;
mod faults;
mod fences;
mod kinds;
mod net;
mod operator_tester;
mod rig;
mod rng;
mod service;
mod shrink;
mod store;
mod trace;
mod wires;
mod world;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

pub use context::{Item, Output, SimContext, SimReader, SimSink, SimSource, Watch};
pub use echo::{Echo, EchoReader, EchoSource};
pub use faults::{FaultCounts, Plan};
pub use operator_tester::{Feed, Mode, OperatorTester, TesterFailure, TesterReport};
pub use rig::{Link, Rig, RigConfig, RigError};
pub use rng::Rng;
pub use world::End;

#[cfg(feature = "marks")]
pub use crate::mark::{Mark, take_marks};
#[cfg(feature = "mutants")]
pub use crate::mutant::Mutant;

use clock::{Core, Shared};
use context::Shown;
use world::{Define, World};

use crate::stream::Job;

/// A job to be simulated under one seed.
pub struct Simulation {
    seed: u64,
    define: Define,
    plan: Option<Plan>,
    #[cfg(feature = "mutants")]
    mutant: Option<Mutant>,
}

/// What a run that went well was like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// How it ended.
    pub end: End,
    /// A hash of every decision of the scheduler.
    pub trace_hash: u64,
    /// How many decisions there were.
    pub n_decisions: u64,
    /// How many outputs were compared with those of the run in which nothing goes wrong.
    pub n_outputs: u64,
    /// The simulated time it took.
    pub simulated: Duration,
    /// What was injected and asked.
    pub faults: FaultCounts,
}

/// A run that showed a fault.
#[derive(Clone, Debug)]
pub struct RunFailure {
    /// The seed.
    pub seed: u64,
    /// What is wrong.
    pub reason: String,
    /// What was to happen, and the last that did.
    pub story: String,
    /// How many decisions of the scheduler it took.
    pub n_decisions: u64,
    /// What was injected and asked.
    pub faults: FaultCounts,
}

impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}\n{}", self.seed, self.reason, self.story)
    }
}

impl std::error::Error for RunFailure {}

impl Simulation {
    /// A simulation of the job that `define` builds.
    #[must_use]
    pub fn new(seed: u64, define: impl Fn(&Job, &SimContext) + 'static) -> Self {
        Self {
            seed,
            define: Rc::new(define),
            plan: None,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// Has this happen instead of what the seed draws; the seed still decides every delay and every interleaving.
    #[must_use]
    pub fn with_plan(mut self, plan: Plan) -> Self {
        self.plan = Some(plan);
        self
    }

    /// What is going to happen besides the job itself.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.plan.clone().unwrap_or_else(|| Plan::swarm(&mut Rng::new(self.seed)))
    }

    fn with_other_plan(&self, plan: Plan) -> Self {
        Self {
            seed: self.seed,
            define: self.define.clone(),
            plan: Some(plan),
            #[cfg(feature = "mutants")]
            mutant: self.mutant,
        }
    }

    /// Puts a fault into the engine, but not into the run that says what is expected.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.mutant = Some(mutant);
        self
    }

    /// Runs the job with faults and compares it with a run without.
    ///
    /// # Errors
    /// What is wrong, with all that is needed to find out why.
    pub fn run(&self) -> Result<RunReport, Box<RunFailure>> {
        let mut rng = Rng::new(self.seed);
        let drawn = Plan::swarm(&mut rng);
        let plan = self.plan.clone().unwrap_or(drawn);
        let quiet = Plan::quiet(&mut rng, 1);
        let spread = plan.chaos;
        let (reference, _) = self.one(quiet, Rng::new(self.seed ^ 1), spread, None)?;
        let expected = reference.context.committed();
        #[cfg(feature = "mutants")]
        crate::mutant::activate(self.mutant);
        let result = self.one(plan, rng, spread, Some(&expected));
        #[cfg(feature = "mutants")]
        crate::mutant::activate(None);
        let (world, end) = result?;
        let core = world.core.lock();
        Ok(RunReport {
            end,
            trace_hash: core.trace.hash(),
            n_decisions: core.trace.n_decisions(),
            n_outputs: match end {
                End::Finished => check::n_outputs(&expected),
                End::Refused => 0,
            },
            simulated: Duration::from_nanos(core.now),
            faults: core.counts.clone(),
        })
    }

    /// Runs a plan to its end, and compares that with what is expected.
    fn one(
        &self,
        plan: Plan,
        mut rng: Rng,
        spread: Duration,
        expected: Option<&BTreeMap<String, Shown>>,
    ) -> Result<(World, End), Box<RunFailure>> {
        let core = Shared::new(Core::new(rng.fork(), plan.chaos.is_zero()));
        let context = SimContext::new(core.clone(), self.seed, spread);
        let mut world = World::new(core.clone(), context, plan.clone(), self.define.clone(), rng);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let end = world.run()?;
            if let (End::Finished, Some(expected)) = (end, expected) {
                world.check_end(expected)?;
                if plan.is_taken_back && world.run_again_from_an_older_commit()? {
                    let again = |wrong| format!("I8: an older commit does not lead to the same end: {wrong}");
                    world.check_end(expected).map_err(again)?;
                }
            }
            Ok(end)
        }));
        match result {
            Ok(Ok(end)) => Ok((world, end)),
            Ok(Err(reason)) => Err(Box::new(self.failure(&core.lock(), &plan, reason))),
            Err(panic) => {
                let reason = format!("a panic: {}", panic_text(&*panic));
                // What was borrowed when it came cannot be dropped in order.
                std::mem::forget(world);
                Err(Box::new(self.failure(&core.lock(), &plan, reason)))
            }
        }
    }

    fn failure(&self, core: &Core, plan: &Plan, reason: String) -> RunFailure {
        let story = format!("{plan:#?}\n{}", core.trace.tail());
        RunFailure {
            seed: self.seed,
            reason,
            story,
            n_decisions: core.trace.n_decisions(),
            faults: core.counts.clone(),
        }
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("seed", &self.seed).finish_non_exhaustive()
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
