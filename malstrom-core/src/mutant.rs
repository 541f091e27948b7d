//! Deliberate faults, to show that the simulator would find them. `examples/mutants.rs` runs seeds against each.
//!
//! # Guarantees
//! Without the feature `mutants` [`is`] is constantly false, and nothing of a fault is in the program.

macro_rules! mutants {
    ($($name:ident: $what:literal,)*) => {
        /// A fault that can be put into the engine.
        #[cfg_attr(
            not(feature = "mutants"),
            expect(unreachable_pub, reason = "it is public with the feature alone")
        )]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Mutant {
            $(
                #[doc = $what]
                $name,
            )*
        }

        #[cfg(feature = "mutants")]
        impl Mutant {
            /// All of them, each with what it does.
            pub const ALL: &[(Self, &str)] = &[$((Self::$name, $what),)*];
        }
    };
}

mutants! {
    BarrierAckLost: "the last worker's part of a snapshot is not waited for",
    SnapshotUnaligned: "a snapshot's barrier is passed on when the first channel has it",
    RouteUnaligned: "a route's barrier is passed on when the first channel has it",
    BarrierOvertakes: "barriers overtake records in a batch that is not full",
    TakenBeforeStored: "a worker reports its part before its objects are stored",
    SavedForgotten: "a bin touched behind the cut is encoded as it is now",
    InsertedEncoded: "a key that is new in a frozen bin is encoded with what was there at the cut",
    ChangeUnmarked: "a bin that is touched is not marked as changed",
    TouchedFrozenUnmarked: "a bin touched while frozen is not marked as changed once it is encoded",
    AbandonedUnmarked: "bins frozen for a given-up snapshot count as written (both the mark they had and the new one of \
                        those that were touched are lost: either alone keeps the change)",
    EmptiedCarried: "the block of a bin that is empty now is carried over",
    BaseTaken: "a snapshot builds upon the one taken before, committed or not",
    SnapshotIdReused: "the id of a given-up snapshot is given to the next",
    HandlesDropped: "transactions prepared for a given-up snapshot are not in the next manifest",
    CommittedEarly: "transactions are made visible when they are prepared",
    SinksUnrecovered: "a recovery does not make the restored snapshot's transactions visible",
    AppendAssumed: "an append whose end is not known is taken to have succeeded",
    ClaimUnchecked: "a claim is not checked against what lies behind it in the log",
    CommitUnchecked: "a commit is not checked against its own claim",
    FenceIgnored: "a fenced coordinator commits behind the newer claim, and readers count it (either alone is harmless: \
                   nothing is appended behind a claim, and what is would be void)",
    GenerationIgnored: "a worker obeys any generation",
    ReportsOfAnyGeneration: "the coordinator believes workers of any generation",
    ClaimTrimmed: "the newest claim is trimmed",
    NeededCollected: "objects are deleted that only older retained commits need",
    DamageForgotten: "a damaged commit is tried again and again",
    RestoredEverywhere: "each bin is restored on every worker",
    SwitchedUnpublished: "a route is switched before all know of it",
    RoutedEarly: "records are routed by the new table before the cut",
    MovedEarly: "a step is reported done while bins are on their way",
    MovedBinKept: "the old owner of a bin keeps its state",
    MovedAsAtCut: "a bin frozen for a given-up snapshot moves as it was at the cut (seeds 300841/8, 20007434/6)",
    MovedMarkLost: "a bin that moves forgets when it was changed",
    AsideDropped: "records kept aside for a bin on its way are dropped",
    AsideOvertaken: "records kept aside are worked on behind what came later",
    WatermarkOvertakes: "a watermark overtakes records kept aside",
    PartitionKept: "the old reader of a partition reads on",
    PositionReset: "a partition that moves is read from its beginning",
    NewcomerBlank: "a newcomer does not know the last commit",
    OpenCutWelcome: "a newcomer is connected while barriers of a given-up snapshot are on their way",
    SentTwice: "a batch is sent to another worker twice",
    HashUnstable: "the hash of a key depends on the worker",
    ExhaustedStale: "that a worker's sources had ended before a step is taken to hold behind it",
    EndedEarly: "the stream ends when the first worker's sources have ended",
    FinishedUncommitted: "a job ends without a last snapshot",
    RescaledUndurable: "a rescale is answered before it is durable",
    LossUnnoticed: "a lost worker is not noticed",
    RequestsForgotten: "requests that wait at the end are not answered",
    SessionDuplicatesTaken: "what a session sends again is taken once more by the other end",
    SessionAcknowledgedEarly: "a session acknowledges what has not come when something behind it has",
    SessionResendDropped: "a session forgets behind a new connection what is not acknowledged",
    SessionGenerationIgnored: "a session takes frames of any generation",
    SessionIncarnationIgnored: "a session takes frames of ends that were in its or the other's place before",
    WatermarkForwardedEarly: "a watermark is passed on before all that it lets fire has fired",
    TimersLost: "the timers of a bin that moves are not taken up by its new owner",
    TimerFiredTwice: "a timer that has fired stays in the state",
    LeavingFires: "timers of a bin fire while it waits to leave",
    LatenessIgnored: "a record that is late opens its session again",
    FloorForgotten: "what operators were told of event time is not restored",
    NewcomerMergesEarly: "a newcomer merges what its channels say before its first route (seed 80012118/18)",
    NewcomerEager: "a newcomer works on records before it is told how far event time had come (seed 95000028/31)",
    NewcomerBehind: "a newcomer is not told how far the others had merged event time (seed 2380/16)",
    JoinRowDroppedEarly: "a join drops a row when a partner of it can still come at the last time it could",
    MatchForgotten: "an outer join tells a row as alone that had a partner",
    AsOfEarly: "a row is joined with the version in force before all of its time are there",
    VersionForgotten: "the version in force is forgotten with those before it",
    EntryForgottenEarly: "what a state with a time to live holds is dropped a unit of event time early",
    ExpiryLost: "an entry that is written again is forgotten when it would have been without",
    PendingUnsaved: "records that wait for answers are not in a snapshot",
    PendingOvertaken: "a watermark overtakes records that wait for answers",
    PendingForgotten: "requests of records that come with their bin are not made again",
    BatchHeld: "records of a batch without a key are held back at a barrier",
    CopyUnawaited: "a newcomer begins without the broadcast state that there was",
    PendingEnded: "the stream ends before all answers are there",
    CombinedHeld: "records combined before an exchange are held back at a barrier",
    SinkRecoveredUnopened: "a sink is recovered before it is opened (seed 0)",
    FinishedUnsettled: "the last transactions of a finished job are not settled by a successor (seeds 36/0, 6/6, 131/5)",
    FailedReadIsDamage: "a read that failed once is taken for damage (seeds 37/1, 86/5)",
    TrimmedReadBelieved: "a log that is trimmed while it is read is believed as it was read, hole or not (seeds 3703/4, \
                          5052/3)",
    ShortLogBelieved: "a log that ends below what its coordinator has written is believed (seed 144026061/11)",
    HoleBelieved: "a log that seems to have a hole is not read again (seed 25818/6)",
    ClaimsFought: "a coordinator that lost the job claims it again (seed 25067/2)",
    ClaimAlwaysWithdrawn: "a claim that a successor has read is withdrawn (seed 31817/2)",
    StrayClaimCounts: "a claim written where the log had been trimmed counts (seed 30035517/12)",
    LateSavepointCounts: "a savepoint written late, where the log had been trimmed, counts (seed 170014501/6)",
    OldListingBelieved: "a claim is checked with a listing that does not show it yet",
    DamagedSinceBelieved: "a commit that was damaged after it was read is restored (seed 98010224/22)",
    FencedByItself: "a coordinator takes a claim of its own, of which it had no answer, for that of another",
    IdleOvertakes: "a source is idle before it has told what it promised (seeds 31018184/14, 30043439/14)",
    PromiseForgotten: "a source that is quiet does not say what its partitions had promised (seeds 121022124/34, 123016424/34)",
    EndsWithIdle: "event time ends while an idle channel may still wake (seeds 200006/15, 200309/15)",
    SilentIdle: "a channel that has not spoken yet counts as idle (seed 1/1)",
    PromisesKept: "what a channel promised before a route still counts behind it (seeds 2/2, 8/8, 57/3)",
}

#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub(crate) use active::*;

#[cfg(feature = "mutants")]
mod active {
    use std::cell::Cell;

    use super::Mutant;

    std::thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
        static WORKER: Cell<u32> = const { Cell::new(0) };
    }

    /// Whether this is the fault that this thread's engine has.
    pub(crate) fn is(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }

    /// Puts a fault into this thread's engine; what it had before.
    pub(crate) fn activate(mutant: Option<Mutant>) -> Option<Mutant> {
        ACTIVE.replace(mutant)
    }

    /// The worker that has its turn, for faults by which workers differ.
    pub(crate) fn worker() -> u32 {
        WORKER.get()
    }

    pub(crate) fn set_worker(worker: u32) {
        WORKER.set(worker);
    }
}

/// Runs a check of the simulator itself, which must not share the engine's fault.
pub(crate) fn without<T>(check: impl FnOnce() -> T) -> T {
    #[cfg(feature = "mutants")]
    let before = activate(None);
    let result = check();
    #[cfg(feature = "mutants")]
    activate(before);
    result
}

/// The worker that has its turn; 0 without the feature.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn worker() -> u32 {
    0
}
