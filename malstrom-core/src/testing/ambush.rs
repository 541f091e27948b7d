//! Faults that wait for a coordinator at a call of its store: it stands still there, is lost, hears no answer, or loses a
//! worker. What two coordinators do to one log depends on a few such moments, which faults at times of their own seldom meet.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::faults::{Ask, Fault, Plan};
use super::rng::Rng;

/// At which call: the next of its kind, whichever coordinator makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Moment {
    /// The put of its claim.
    Claim,
    /// The put of a commit.
    Commit,
    /// Reading an entry of the log: at its start, or when it checks its own claim.
    ReadEntry,
    /// Listing the log.
    ListLog,
    /// Deleting an entry of the log.
    Trim,
    /// Deleting an object.
    Collect,
}

/// On which side of the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Side {
    Before,
    Behind,
    /// The effect comes in the middle of the pause.
    Midway,
}

/// What waits for whoever makes the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ambush {
    /// It stands still for this time, and a successor starts.
    Pause(Side, Duration),
    /// It stands still for this time, then the call takes effect, and it is lost before it hears so.
    Lose(Duration),
    /// A worker is lost as the call takes effect.
    LoseWorker,
    /// From this call on its calls take effect, and for this time it hears of none.
    Deafen(Duration),
}

impl Ambush {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Pause(Side::Before, _) => "coordinator: pause before a call of its store takes effect",
            Self::Pause(Side::Behind, _) => "coordinator: pause behind the effect of a call of its store",
            Self::Pause(Side::Midway, _) => "coordinator: pause amid which a call of its store takes effect",
            Self::Lose(_) => "coordinator: lost behind the effect of a call of its store",
            Self::LoseWorker => "worker: lost at a call of the coordinator's store",
            Self::Deafen(_) => "coordinator: hears nothing of its store for a while",
        }
    }
}

impl Plan {
    /// Coordinators that stand still between two calls of their store while one successor after another goes on, commits
    /// and trims the log past them.
    pub(super) fn stale(&mut self, rng: &mut Rng, chaos_ms: u64) {
        self.busy_log(rng);
        self.stale_listings_per_mille = [0, 50, 150][rng.below(3) as usize];
        for _ in 0..rng.between(1, 4) {
            let mut at = Duration::from_micros(rng.below(chaos_ms * 700));
            let moments = [
                Moment::Claim,
                Moment::Commit,
                Moment::ReadEntry,
                Moment::ListLog,
                Moment::Trim,
                Moment::Collect,
            ];
            let moment = moments[[0, 0, 1, 1, 2, 3, 4, 5][rng.below(8) as usize]];
            let side = [Side::Before, Side::Before, Side::Behind, Side::Midway][rng.below(4) as usize];
            self.faults
                .push((at, Fault::Ambush(moment, Ambush::Pause(side, rng.micros(200_000, 2_500_000)))));
            if matches!(moment, Moment::Claim | Moment::ReadEntry | Moment::ListLog) {
                let fault = if rng.per_mille(500) { Fault::CrashWorker } else { Fault::CrashCoordinator };
                self.faults.push((at + rng.micros(10, 5000), fault));
            }
            if moment == Moment::Commit && rng.per_mille(500) {
                // Of a savepoint, which stays where it comes to lie; and what was told meanwhile may be damaged later.
                self.asks.push((at + rng.micros(0, 5000), Ask::Savepoint));
                if rng.per_mille(500) {
                    let fault = if rng.per_mille(500) { Fault::Damage } else { Fault::DamageEntry };
                    self.faults.push((Duration::from_millis(rng.between(chaos_ms / 2, chaos_ms)), fault));
                }
            }
            for _ in 0..rng.between(1, 3) {
                at += rng.micros(100_000, 600_000);
                self.faults.push((at, Fault::CrashCoordinator));
            }
        }
        if rng.per_mille(300) {
            // A successor that stands still before it claims, while the one whom it took for dead goes on.
            let at = Duration::from_micros(rng.below(chaos_ms * 700));
            let pause = Ambush::Pause(Side::Midway, rng.micros(400_000, 2_500_000));
            self.faults.push((at, Fault::Ambush(Moment::Claim, pause)));
            self.faults.push((at, Fault::PauseCoordinator(rng.micros(50_000, 200_000))));
        }
    }

    /// Coordinators that are lost behind a call, hear of none for a while, or lose a worker just then, and listings that lag
    /// far behind a log that is written and trimmed all the time.
    pub(super) fn ambush(&mut self, rng: &mut Rng, chaos_ms: u64) {
        self.busy_log(rng);
        self.stale_listings_per_mille = [50, 300, 700][rng.below(3) as usize];
        // By less than a coordinator has patience with a log that seems to have a hole.
        self.listing_lag = Duration::from_millis([50, 150, 300][rng.below(3) as usize]);
        for _ in 0..rng.between(1, 4) {
            let mut at = Duration::from_micros(rng.below(chaos_ms * 800));
            let mut strike = |after: Duration, fault| self.faults.push((at + after, fault));
            match rng.below(4) {
                0 => {
                    // A successor claims where the log was trimmed meanwhile, and never takes the claim back.
                    let ambush = Ambush::Lose(rng.micros(100_000, 2_000_000));
                    strike(Duration::ZERO, Fault::Ambush(Moment::Claim, ambush));
                    // The first is back before the other comes to its claim: nobody else is started.
                    strike(Duration::ZERO, Fault::PauseCoordinator(rng.micros(1000, 50_000)));
                }
                1 => {
                    let moment = [Moment::Claim, Moment::Commit, Moment::ListLog][rng.below(3) as usize];
                    let ambush = Ambush::Deafen(rng.micros(10_000, 3_000_000));
                    strike(Duration::ZERO, Fault::Ambush(moment, ambush));
                    strike(rng.micros(10, 5000), Fault::CrashWorker);
                }
                2 => {
                    let moment = [Moment::Trim, Moment::Commit][rng.below(2) as usize];
                    strike(Duration::ZERO, Fault::Ambush(moment, Ambush::LoseWorker));
                }
                _ => {
                    // One stands still before its claim while two others come and trim the log past it.
                    let time = rng.micros(100_000, 1_000_000);
                    strike(Duration::ZERO, Fault::Ambush(Moment::Claim, Ambush::Pause(Side::Before, time)));
                    strike(rng.micros(10, 5000), Fault::CrashCoordinator);
                    strike(time.mul_f64(rng.below(1000) as f64 / 1000.0), Fault::CrashCoordinator);
                }
            }
            for _ in 0..rng.below(3) {
                at += rng.micros(50_000, 600_000);
                self.faults.push((at, Fault::CrashCoordinator));
            }
        }
    }

    /// Commits one after another, of which few are kept.
    fn busy_log(&mut self, rng: &mut Rng) {
        self.n_retained = if rng.per_mille(700) { 1 } else { self.n_retained };
        self.snapshot_interval = Some(rng.micros(5000, 40_000));
        self.message_us_max = self.message_us_max.min(200);
        self.store_us_max = self.store_us_max.min(1000);
        self.store_faults_per_mille = self.store_faults_per_mille.min(5);
        self.store_slow_per_mille = self.store_slow_per_mille.min(10);
    }
}
