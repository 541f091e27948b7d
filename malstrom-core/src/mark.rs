//! Marks on rare branches, to show that the simulator comes there. `examples/simulate.rs` counts them.
//!
//! # Guarantees
//! Without the feature `marks` a mark is nothing.

macro_rules! marks {
    ($($name:ident: $what:literal,)*) => {
        /// A rare branch.
        #[cfg_attr(
            not(feature = "marks"),
            expect(unreachable_pub, reason = "it is public with the feature alone")
        )]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Mark {
            $(
                #[doc = $what]
                $name,
            )*
        }

        #[cfg(feature = "marks")]
        impl Mark {
            /// All of them, each with what it marks.
            pub const ALL: &[(Self, &str)] = &[$((Self::$name, $what),)*];
        }
    };
}

marks! {
    KeySaved: "a key of a frozen bin was touched and saved",
    FrozenBinGrown: "a frozen bin was saved as a whole, for its table was to grow",
    FrozenTouchedEncoded: "a touched frozen bin was encoded as it was at the cut",
    AbandonedBinMarked: "a touched frozen bin of a given-up snapshot was marked as changed",
    FrozenBinMoved: "a bin moved while it was still frozen",
    EncodingSliced: "the encoding of a snapshot was cut into slices",
    StoreBehind: "encoding waited for the store",
    BinEmptied: "a bin became empty and left the manifest",
    BlockCarried: "a block was carried over from the base",
    RecordAside: "a record was kept aside for a bin on its way",
    AsideWorkedOn: "records kept aside were worked on",
    BinHandedOver: "a bin moved as it is, between workers that share memory",
    BinEarly: "a bin arrived before its stage was at the cut",
    WatermarkHeld: "a watermark was held while a bin was on its way",
    IdleHeld: "idleness was held while a bin was on its way",
    PartitionEarly: "a partition arrived before its source was at the cut",
    PartitionMoved: "a partition moved",
    OutletBlocked: "a stage waited for room in a channel",
    ClaimLost: "a claim was lost to another coordinator",
    ClaimWithdrawn: "a claim that landed below other entries was withdrawn",
    AppendSettled: "an append whose reply was lost was found in the log",
    AppendUnknown: "whether an append took effect could not be found out",
    CommitFenced: "a commit was refused because a newer claim was there",
    CommitVoid: "a commit was void because its claim was gone",
    CollectedLater: "a snapshot was committed and what nothing needs was left for a later collection",
    HoleRetried: "a log that seemed to have a hole was read again",
    BinAwaitsTime: "a bin's state came to a newcomer before it was told how far event time had come",
    NewcomerCaughtUp: "a newcomer was behind the others in event time, and caught up",
    ListingTooOld: "a listing did not show the claim that was just written",
    LateSavepoint: "a savepoint written where the log had been trimmed was found",
    StrayClaim: "a claim written where the log had been trimmed was found",
    ListingRepaired: "entries that a listing lacked were read by number",
    LogTrimmedWhileRead: "an entry was trimmed between listing and reading",
    VoidCommit: "a log held commits that do not count",
    CommitDamaged: "a damaged commit was left for an older one",
    DamagedSince: "a commit was damaged between being read and the claim",
    NothingRestorable: "all commits were damaged",
    RestoreRetried: "a read failed during a restore",
    SnapshotGivenUp: "a snapshot was given up",
    SnapshotOverdue: "a snapshot missed its deadline",
    SnapshotStuck: "too many snapshots in a row missed their deadline",
    BarrierOfGivenUp: "a stage cut at the barrier of a given-up snapshot",
    HandlesCarried: "transactions of a given-up snapshot went into the next manifest",
    SuspendFailed: "a suspension was given up",
    SnapshotWithinRescale: "a periodic snapshot was taken between two steps of a rescale",
    RescaleInterrupted: "a recovery completed a rescale",
    RescaleToSame: "a rescale to the scale the job has",
    WelcomeBehindCut: "a snapshot was taken so that newcomers could be welcomed",
    WorkersLetGo: "workers that own nothing were let go",
    FinishedRestarted: "a finished job was started again",
    FinishedSettled: "the last transactions of a finished job were settled by a successor",
    RequestRefusedBusy: "a request was refused because too many waited",
    RequestRefusedScale: "a rescale to an impossible scale was refused",
    RequestRefusedName: "a savepoint without a name was refused",
    StaleCommand: "a worker ignored a command of another generation",
    StaleReport: "the coordinator ignored a report of another generation",
    ExhaustedHeld: "a worker whose sources had ended waited for a step before it said so",
    StoreLate: "a store call missed its deadline",
    WatermarkSliced: "what a watermark let fire took more than a turn",
    TimerLeft: "a timer was due in a bin that was about to leave",
    RequestsFull: "a stage took nothing in because its requests were at their limit",
    PendingArrived: "records that waited for answers came with their bin",
    BarrierDrained: "a barrier waited for requests of a stream without a key",
    CopyAwaited: "a newcomer waited for its copy of a broadcast state",
    NewcomerInformed: "a newcomer was sent a broadcast state",
    EndHeld: "the end waited for answers",
    LostWhileServing: "a worker was lost while nothing was under way",
    SessionDuplicate: "a session dropped a payload that had come before",
    SessionStaleGeneration: "a session dropped a frame of another generation",
    SessionStale: "a session dropped a frame of an end that was there before",
    SessionRepaired: "a session sent behind a new connection what had been lost with the old one",
    SessionFull: "a session had no room for what was to be sent",
    SessionLost: "a session was lost by its deadline",
    CutInRescale: "a link was cut during a rescale",
    CutInSnapshot: "a link was cut during a snapshot",
}

#[cfg(not(feature = "marks"))]
#[inline(always)]
pub(crate) const fn hit(_: Mark) {}

#[cfg(feature = "marks")]
pub(crate) use counted::hit;
#[cfg(feature = "marks")]
pub use counted::take_marks;

#[cfg(feature = "marks")]
mod counted {
    use std::cell::RefCell;

    use super::Mark;

    std::thread_local! {
        static COUNTS: RefCell<[u64; Mark::ALL.len()]> = const { RefCell::new([0; Mark::ALL.len()]) };
    }

    /// Counts a visit.
    pub(crate) fn hit(mark: Mark) {
        COUNTS.with_borrow_mut(|counts| counts[mark as usize] += 1);
    }

    /// How often this thread has come to each mark since this was last asked.
    #[must_use]
    pub fn take_marks() -> Vec<(&'static str, u64)> {
        let counts = COUNTS.replace([0; Mark::ALL.len()]);
        Mark::ALL.iter().zip(counts).map(|((_, what), n)| (*what, n)).collect()
    }
}
