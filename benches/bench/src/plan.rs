//! Which programs run for which workload.

use std::fmt;

use crate::args::Args;

/// What programs may be linked with. `system-huge` is the system's allocator, told to ask for huge pages (glibc 2.35 and later).
pub(crate) const ALLOCATORS: [&str; 3] = ["system", "system-huge", "mimalloc"];

/// A program and the allocator it is linked with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Contestant {
    pub(crate) program: &'static str,
    pub(crate) allocator: &'static str,
    /// The part of the records it is given: a program that is a hundred times slower is not waited for.
    pub(crate) share: f64,
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {}", self.program, self.allocator)
    }
}

/// A workload at a number of workers.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) workload: &'static str,
    pub(crate) what: &'static str,
    pub(crate) n_workers: usize,
    pub(crate) n_records: u64,
    pub(crate) n_keys: u64,
    pub(crate) snapshot_every_ms: u64,
    pub(crate) contestants: Vec<Contestant>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.n_workers == 1 { "" } else { "s" };
        write!(f, "{}, {} worker{plural}", self.workload, self.n_workers)
    }
}

struct Workload {
    name: &'static str,
    what: &'static str,
    n_records: u64,
    /// Different keys, where the records do not say.
    n_keys: u64,
    snapshot_every_ms: u64,
    programs: &'static [&'static str],
}

const WORKLOADS: [Workload; 5] = [
    Workload {
        name: "W1",
        what: "words counted, each new count passed on; Zipf's law over 500,000 words",
        n_records: 30_000_000,
        n_keys: 0,
        snapshot_every_ms: 500,
        programs: &["plain", "tuned", "malstrom", "timely", "renoir", "earlier"],
    },
    Workload {
        name: "W1b",
        what: "words counted, the last counts passed on",
        n_records: 30_000_000,
        n_keys: 0,
        snapshot_every_ms: 500,
        programs: &["plain", "tuned", "malstrom", "timely", "renoir", "renoir-two-phase"],
    },
    Workload {
        name: "W2",
        what: "map, filter, map, map, sum over integers",
        n_records: 100_000_000,
        n_keys: 0,
        snapshot_every_ms: 500,
        programs: &["plain", "malstrom", "timely", "renoir", "earlier"],
    },
    Workload {
        name: "W3",
        what: "random integers counted, 10,000,000 different ones, each new count passed on",
        n_records: 50_000_000,
        n_keys: 10_000_000,
        snapshot_every_ms: 2_000,
        programs: &["plain", "tuned", "tuned-in-bins", "malstrom", "timely", "renoir", "earlier"],
    },
    Workload {
        name: "W4",
        what: "numbers summed by key in windows of 10 s of event time, 1,000 keys, 64 ms of disorder",
        n_records: 20_000_000,
        n_keys: 1_000,
        snapshot_every_ms: 500,
        programs: &["plain", "tuned", "malstrom", "timely", "renoir"],
    },
];

/// All that is asked for, in order.
pub(crate) fn cases(args: &Args) -> Vec<Case> {
    let wanted = |name: &str| {
        args.workloads.is_empty() || args.workloads.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    let mut cases = Vec::new();
    for workload in WORKLOADS.iter().filter(|workload| wanted(workload.name)) {
        for n_workers in &args.workers {
            cases.push(Case {
                workload: workload.name,
                what: workload.what,
                n_workers: *n_workers,
                n_records: (workload.n_records as f64 * args.scale) as u64,
                n_keys: workload.n_keys,
                snapshot_every_ms: workload.snapshot_every_ms,
                contestants: contestants(args, workload),
            });
        }
    }
    cases
}

fn contestants(args: &Args, workload: &Workload) -> Vec<Contestant> {
    let wanted = |program: &str| args.only.is_empty() || args.only.iter().any(|only| only == program);
    let mut contestants = Vec::new();
    for allocator in ALLOCATORS.into_iter().filter(|name| args.allocators.iter().any(|a| a == name)) {
        for program in workload.programs.iter().copied().filter(|program| wanted(program)) {
            if program == "earlier" && allocator != "system" {
                continue; // The allocator is not what takes its time.
            }
            let share = if program == "earlier" { 0.02 } else { 1.0 };
            contestants.push(Contestant { program, allocator, share });
        }
    }
    contestants
}
