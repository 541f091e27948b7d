//! What goes wrong in a run, and what is asked of it meanwhile: drawn from the seed before it begins.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ambush::{Ambush, Moment};
use super::kinds;
use super::rng::Rng;
use super::wires::Network;
use crate::limits::{BATCH_RECORDS, ENCODE_SLICE_BYTES};

/// Something that goes wrong at a moment of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    /// A worker is gone from one step to the next.
    CrashWorker,
    /// The coordinator and its workers are gone; a successor starts.
    CrashCoordinator,
    /// The coordinator stands still while its workers go on; a successor starts; the first goes on after this time.
    PauseCoordinator(Duration),
    /// Something meets whichever coordinator makes the next call of a kind.
    Ambush(Moment, Ambush),
    /// A worker takes this long for a step, for as long again times ten.
    SlowWorker(Duration),
    /// The next worker to be started never comes up, and perhaps nobody says so.
    NoStart,
    /// An object of the newest commit is harmed.
    Damage,
    /// An object of every commit in the log is harmed.
    DamageAll,
    /// The log's entry of a claim is harmed.
    DamageClaim,
    /// The log's entry of the newest commit is harmed.
    DamageEntry,
    /// Nothing can be written for this time.
    FullDisk(Duration),
    /// The clock jumps ahead by this time.
    TimeJump(Duration),
    /// An operator's, a source's or a sink's own code fails once.
    UserError,
    /// A link between two processes is cut for this time, perhaps one way only; the number chooses which.
    Cut { choice: u64, is_both_ways: bool, time: Duration },
}

/// How the details of a fault are drawn.
type DrawFault = fn(&mut Rng) -> Fault;

/// Something that is asked of the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ask {
    Rescale(u32),
    Snapshot,
    Savepoint,
    /// A savepoint without a name.
    Nameless,
    /// As many workers as the swarm ever has.
    RescaleToMost,
    /// The scale that it has.
    RescaleToSame,
    /// So many snapshots at once that some must be refused.
    Flood,
    Suspend,
    Cancel,
}

/// All that is going to happen to a run besides the job itself. It is drawn from a seed, or was written down when a seed
/// showed a fault: then it stays what it is when other seeds draw something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub(super) n_workers: u32,
    pub(super) n_bins: u32,
    /// Commits that are kept.
    pub(super) n_retained: usize,
    /// Snapshots after which garbage is collected.
    #[serde(default = "collect_after")]
    pub(super) collect_after: u32,
    /// Messages out of a thousand that come to somebody else besides.
    pub(super) stray_per_mille: u64,
    pub(super) snapshot_interval: Option<Duration>,
    pub(super) channel_capacity: usize,
    /// Records in a batch between workers at most.
    pub(super) batch_records: usize,
    /// State that is encoded or sent between two batches, in bytes.
    #[serde(default = "slice_bytes")]
    pub(super) slice_bytes: usize,
    /// Whether partitions are found one after another while the job runs, out of a thousand sources.
    pub(super) growing_per_mille: u64,
    /// Whether all that crosses a channel or a link goes through its bytes.
    pub(super) by_bytes: bool,
    /// The usual delays, in microseconds at most.
    pub(super) message_us_max: u64,
    pub(super) step_us_max: u64,
    pub(super) store_us_max: u64,
    pub(super) store_faults_per_mille: u64,
    pub(super) store_slow_per_mille: u64,
    /// Listings that lag behind, besides those that follow from the faults.
    #[serde(default)]
    pub(super) stale_listings_per_mille: u64,
    /// How far listings lag that do.
    #[serde(default = "listing_lag")]
    pub(super) listing_lag: Duration,
    pub(super) snapshot_deadline: Duration,
    pub(super) chaos: Duration,
    pub(super) faults: Vec<(Duration, Fault)>,
    pub(super) asks: Vec<(Duration, Ask)>,
    /// How many processes there are, and what the links between them do.
    #[serde(default)]
    pub(super) network: Network,
    /// Whether the finished job is taken back to an older commit and run to its end once more.
    pub(super) is_taken_back: bool,
}

impl Plan {
    /// A run in which nothing goes wrong.
    pub(super) fn quiet(rng: &mut Rng, n_workers: u32) -> Self {
        Self {
            n_workers,
            n_bins: 1 << rng.below(7),
            n_retained: 3,
            collect_after: collect_after(),
            stray_per_mille: 0,
            snapshot_interval: Some(Duration::from_millis(200)),
            channel_capacity: 8,
            batch_records: BATCH_RECORDS,
            slice_bytes: ENCODE_SLICE_BYTES,
            growing_per_mille: 0,
            by_bytes: false,
            message_us_max: 100,
            step_us_max: 50,
            store_us_max: 500,
            store_faults_per_mille: 0,
            store_slow_per_mille: 0,
            stale_listings_per_mille: 0,
            listing_lag: listing_lag(),
            snapshot_deadline: Duration::from_millis(1500),
            chaos: Duration::ZERO,
            faults: Vec::new(),
            asks: Vec::new(),
            network: Network::NONE,
            is_taken_back: false,
        }
    }

    /// A swarm of faults: each run leaves out most kinds, so that some runs have a lot of one.
    pub(super) fn swarm(rng: &mut Rng) -> Self {
        let mut plan = Self::quiet(rng, rng.clone().between(1, 4) as u32);
        let chaos_ms = rng.between(300, 4000);
        plan.chaos = Duration::from_millis(chaos_ms);
        if !rng.per_mille(120) {
            plan.n_bins = plan.n_bins.max(4) << rng.below(3);
        }
        plan.n_retained = rng.between(1, 3) as usize;
        if rng.per_mille(300) {
            plan.stray_per_mille = [5, 50][rng.below(2) as usize];
        }
        if rng.per_mille(60) {
            plan.n_workers = rng.between(5, 8) as u32;
        }
        plan.n_workers = plan.n_workers.min(plan.n_bins);
        plan.snapshot_interval = (!rng.per_mille(100)).then(|| Duration::from_millis(rng.between(10, 400)));
        plan.channel_capacity = [1, 1, 2, 3, 8, 16][rng.below(6) as usize];
        plan.by_bytes = rng.per_mille(500);
        plan.message_us_max = [20, 200, 2000, 20_000][rng.below(4) as usize];
        plan.step_us_max = [10, 100, 1000][rng.below(3) as usize];
        plan.store_us_max = [100, 1000, 10_000, 60_000][rng.below(4) as usize];
        if rng.per_mille(500) {
            plan.store_faults_per_mille = [5, 30, 150][rng.below(3) as usize];
        }
        if rng.per_mille(300) {
            plan.store_slow_per_mille = [10, 60, 200][rng.below(3) as usize];
        }
        plan.snapshot_deadline = Duration::from_millis([100, 300, 1500][rng.below(3) as usize]);
        let draw = |rng: &mut Rng| Duration::from_micros(rng.below(chaos_ms * 1000));
        let kinds: [(u64, DrawFault); 12] = [
            (300, |_| Fault::CrashWorker),
            (300, |_| Fault::CrashCoordinator),
            (300, |rng| Fault::PauseCoordinator(rng.micros(1000, 3_000_000))),
            (300, |rng| Fault::SlowWorker(rng.micros(1000, 200_000))),
            (300, |_| Fault::NoStart),
            (300, |_| Fault::UserError),
            (40, |_| Fault::Damage),
            (40, |_| Fault::DamageEntry),
            (40, |_| Fault::DamageClaim),
            (15, |_| Fault::DamageAll),
            (80, |rng| Fault::FullDisk(rng.micros(10_000, 1_500_000))),
            (60, |rng| Fault::TimeJump(rng.micros(10_000, 3_000_000))),
        ];
        for (chance, kind) in kinds {
            if rng.per_mille(chance) {
                for _ in 0..rng.between(1, 4) {
                    plan.faults.push((draw(rng), kind(rng)));
                }
            }
        }
        if rng.per_mille(150) {
            plan.stale(rng, chaos_ms);
        }
        let asks: [fn(&mut Rng) -> Ask; 5] = [
            |rng| {
                Ask::Rescale(match rng.below(12) {
                    0 => 0,
                    1 => u32::MAX,
                    2 => rng.between(6, 8) as u32,
                    _ => rng.between(1, 5) as u32,
                })
            },
            |_| Ask::Snapshot,
            |rng| if rng.per_mille(150) { Ask::Nameless } else { Ask::Savepoint },
            |_| Ask::Suspend,
            |_| Ask::Cancel,
        ];
        for (at, kind) in asks.iter().enumerate() {
            if rng.per_mille([700, 300, 200, 250, 60][at]) {
                for _ in 0..rng.between(1, [6, 4, 3, 2, 1][at]) {
                    plan.asks.push((draw(rng), kind(rng)));
                }
            }
        }
        if rng.per_mille(30) {
            plan.asks.push((draw(rng), Ask::Flood));
        }
        // From a stream of its own: what else a seed draws does not depend on it.
        plan.cut_into_processes(&mut rng.clone().fork(), chaos_ms);
        if rng.per_mille(200) {
            plan.hurry(rng, chaos_ms);
            if rng.per_mille(500) {
                plan.only_hurry();
            }
        }
        plan.is_taken_back = rng.per_mille(300);
        plan.batch_records = [1, 2, 7, BATCH_RECORDS][rng.below(4) as usize];
        if plan.batch_records == 1 && plan.message_us_max > 2000 {
            // A barrier waits behind records of which each takes as long as a message.
            plan.snapshot_deadline = plan.snapshot_deadline.max(Duration::from_millis(1500));
        }
        // A worker may store one object after the other, each for as long as an effect and its answer take.
        plan.snapshot_deadline = plan.snapshot_deadline.max(Duration::from_millis(match plan.store_us_max {
            ..10_000 => 100,
            10_000..60_000 => 300,
            60_000.. => 1500,
        }));
        plan.slice_bytes = [1, 200, ENCODE_SLICE_BYTES, ENCODE_SLICE_BYTES][rng.below(4) as usize];
        if rng.per_mille(250) {
            plan.growing_per_mille = 500;
        }
        if rng.per_mille(120) {
            plan.crowd(rng, chaos_ms);
        }
        if rng.per_mille(100) {
            plan.give_up(rng, chaos_ms);
        }
        let rng = &mut rng.clone().fork();
        // From a stream of its own, as above.
        if rng.clone().fork().per_mille(300) {
            plan.collect_after = 3;
        }
        if rng.per_mille(100) {
            plan.ambush(rng, chaos_ms);
        } else if rng.per_mille(50) {
            plan.rescale_often(rng, chaos_ms);
        }
        plan
    }

    /// Puts the workers into processes, and cuts the links between them.
    fn cut_into_processes(&mut self, rng: &mut Rng, chaos_ms: u64) {
        self.network = Network::draw(rng);
        if !self.network.has_links() || rng.per_mille(300) {
            return;
        }
        for _ in 0..rng.between(1, 6) {
            let at = Duration::from_micros(rng.below(chaos_ms * 1000));
            let time_us_max = [5_000, 100_000, 2_000_000][rng.below(3) as usize];
            let (choice, is_both_ways) = (rng.next_u64(), rng.per_mille(500));
            self.faults.push((at, Fault::Cut { choice, is_both_ways, time: rng.micros(100, time_us_max) }));
        }
    }

    /// Leaves out all that could hold up a step of a rescale, so that nothing explains one that is late.
    fn only_hurry(&mut self) {
        let slow = Duration::from_millis(40);
        self.faults.retain(|(_, fault)| matches!(fault, Fault::SlowWorker(_) | Fault::FullDisk(_)));
        for (_, fault) in &mut self.faults {
            if let Fault::SlowWorker(step) = fault {
                *step = slow.min(*step);
            }
        }
        self.message_us_max = self.message_us_max.min(2000);
        self.store_slow_per_mille = 0;
        self.network = Network::NONE;
    }

    /// The same, with every commit damaged halfway and the coordinator lost right behind.
    #[must_use]
    pub fn with_all_commits_damaged(mut self) -> Self {
        self.snapshot_interval = Some(Duration::from_millis(40));
        self.asks.clear();
        self.faults = vec![(self.chaos / 2, Fault::DamageAll)];
        self
    }

    /// Whether two coordinators may be alive at a time. An entry that is taken out of the log frees its number, so that the
    /// two could claim one generation: then entries are harmed in other ways only.
    pub(super) fn has_stale_coordinators(&self) -> bool {
        let is_pause =
            |(_, fault): &(Duration, Fault)| matches!(fault, Fault::PauseCoordinator(_) | Fault::Ambush(..));
        self.faults.iter().any(is_pause)
    }

    /// Whether something may hold up a step of a rescale so long that it is given up.
    pub(super) fn excuses_late_steps(&self) -> bool {
        self.message_us_max > 2000
            || self.network.has_links()
            || self.faults.iter().any(|(_, fault)| match fault {
                Fault::SlowWorker(step) => *step > Duration::from_millis(40),
                Fault::FullDisk(_)
                | Fault::Damage
                | Fault::DamageEntry
                | Fault::DamageAll
                | Fault::DamageClaim => false,
                _ => true,
            })
    }

    /// Requests of every kind at almost the same time, so that each finds any other under way or waiting.
    fn crowd(&mut self, rng: &mut Rng, chaos_ms: u64) {
        for _ in 0..rng.between(1, 3) {
            let at = Duration::from_micros(rng.below(chaos_ms * 1000));
            for _ in 0..rng.between(2, 6) {
                let ask = match rng.below(8) {
                    0 | 1 => Ask::Snapshot,
                    2 => Ask::Savepoint,
                    3 => Ask::RescaleToSame,
                    4 => Ask::RescaleToMost,
                    5 => Ask::Rescale(1),
                    6 => Ask::Rescale(rng.between(1, 5) as u32),
                    _ if rng.per_mille(200) => Ask::Cancel,
                    _ => Ask::Suspend,
                };
                self.asks.push((at + rng.micros(0, 60_000), ask));
            }
            if rng.per_mille(150) {
                // A request that is soon over is cancelled at once, or never while it is under way.
                let ask = if rng.per_mille(500) { Ask::Savepoint } else { Ask::Suspend };
                self.asks.push((at, ask));
                self.asks.push((at + rng.micros(100, 10_000), Ask::Cancel));
            }
        }
    }

    /// Snapshots that are given up one after another, since one worker cannot store its part, while slow ones still encode
    /// theirs; now and then one is committed, or bins move.
    fn give_up(&mut self, rng: &mut Rng, chaos_ms: u64) {
        self.n_bins = self.n_bins.max(64);
        self.n_workers = rng.between(2, 4) as u32;
        if rng.per_mille(400) {
            self.snapshot_interval = None;
        }
        self.n_retained = 3;
        self.is_taken_back = true;
        // One bin at a time: many are frozen still, and touched, when the snapshot is given up. Who is not slow is done
        // while the disk is full.
        self.slice_bytes = 1;
        self.step_us_max = self.step_us_max.min(100);
        self.store_us_max = self.store_us_max.min(1000);
        self.message_us_max = self.message_us_max.min(200);
        for _ in 0..rng.between(1, 4) {
            let mut at = Duration::from_micros(rng.below(chaos_ms * 800));
            for _ in 0..rng.between(1, 3) {
                self.faults.push((at, Fault::SlowWorker(rng.micros(2000, 25_000))));
            }
            for _ in 0..rng.between(2, 6) {
                at += rng.micros(2000, 30_000);
                self.faults.push((at, Fault::FullDisk(rng.micros(2000, 15_000))));
                let ask =
                    if rng.per_mille(850) { Ask::Snapshot } else { Ask::Rescale(rng.between(1, 5) as u32) };
                self.asks.push((at, ask));
                if rng.per_mille(300) {
                    // To fewer workers: newcomers would wait for another snapshot.
                    self.asks.push((at + rng.micros(500, 8000), Ask::Rescale(rng.between(1, 2) as u32)));
                }
            }
        }
    }

    /// Nothing but rescales, between workers that hear of one another late: what a worker has been told of event time
    /// depends on which channel was read first.
    fn rescale_often(&mut self, rng: &mut Rng, chaos_ms: u64) {
        self.faults.clear();
        self.asks.clear();
        self.network = Network::NONE;
        (self.store_faults_per_mille, self.store_slow_per_mille) = (0, 0);
        self.store_us_max = self.store_us_max.min(1000);
        self.message_us_max = 20_000;
        self.step_us_max = self.step_us_max.min(100);
        self.channel_capacity = [1, 1, 2, 8][rng.below(4) as usize];
        self.snapshot_deadline = Duration::from_millis(1500);
        for _ in 0..rng.between(4, 14) {
            let at = Duration::from_micros(rng.below(chaos_ms * 1000));
            self.asks.push((at, Ask::Rescale(rng.between(1, 5) as u32)));
        }
    }

    /// Operations that follow one another closely while a worker lags behind.
    fn hurry(&mut self, rng: &mut Rng, chaos_ms: u64) {
        for _ in 0..rng.between(1, 3) {
            let mut at = Duration::from_micros(rng.below(chaos_ms * 1000));
            if rng.per_mille(400) {
                // One worker cannot store its part, and others still encode theirs when bins begin to move.
                self.faults.push((at, Fault::FullDisk(rng.micros(20_000, 100_000))));
                self.asks.push((at, Ask::Snapshot));
                self.asks.push((at + rng.micros(500, 5000), Ask::Rescale(rng.between(1, 5) as u32)));
                self.asks.push((at + rng.micros(5000, 30_000), Ask::Rescale(rng.between(1, 5) as u32)));
            }
            self.faults.push((at, Fault::SlowWorker(rng.micros(10_000, 200_000))));
            if rng.per_mille(400) {
                self.faults.push((at, Fault::FullDisk(rng.micros(1000, 100_000))));
            }
            if rng.per_mille(100) {
                // Longer than the deadline of a step, which may be under way.
                self.faults
                    .push((at + rng.micros(500, 10_000), Fault::TimeJump(Duration::from_millis(3100))));
            }
            for _ in 0..rng.between(1, 4) {
                at += rng.micros(100, 5000);
                let ask =
                    if rng.per_mille(500) { Ask::Snapshot } else { Ask::Rescale(rng.between(1, 5) as u32) };
                self.asks.push((at, ask));
            }
        }
    }
}

/// What a plan that was written down before it had this has.
fn slice_bytes() -> usize {
    ENCODE_SLICE_BYTES
}

/// See [`slice_bytes`].
fn collect_after() -> u32 {
    1
}

/// See [`slice_bytes`].
fn listing_lag() -> Duration {
    Duration::from_millis(50)
}

/// How often what was injected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts(pub BTreeMap<&'static str, u64>);

impl FaultCounts {
    pub(super) fn add(&mut self, kind: &'static str) {
        debug_assert!(kinds::is_known(kind), "`{kind}` is not in the list of kinds");
        *self.0.entry(kind).or_default() += 1;
    }

    /// Kinds that no run has had yet: a long run that lacks one tests less than it says.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let during = kinds::DURING.iter().copied().flatten().map(|(.., kind)| *kind);
        kinds::ALL.iter().copied().chain(during).filter(|kind| !self.0.contains_key(kind)).collect()
    }

    /// Adds what another run had.
    pub fn merge(&mut self, other: &Self) {
        for (kind, n) in &other.0 {
            *self.0.entry(kind).or_default() += n;
        }
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, n) in &self.0 {
            writeln!(f, "{n:>10}  {kind}")?;
        }
        Ok(())
    }
}
