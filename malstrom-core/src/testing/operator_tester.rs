//! Any fragment of a dataflow under the hardest schedules, one after the other, compared with the plainest.
//!
//! # Steps
//! 1. The fragment runs on one worker, with room everywhere: what it makes is the reference.
//! 2. It runs again in each other [`Mode`]. What it makes for each key must be the same, in the same order and at the
//!    same event times, and every channel must keep the grammar of [`element`](crate::element).
//!
//! # Caveats
//! Channels between stages of one worker (`union`, `split`, `fan_out`, `boxed`) keep their room in every mode.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::rc::Rc;

use super::rig::{Link, Rig, RigConfig, RigError};
use crate::element::{Record, Timestamp};
use crate::ids::{Bin, SnapshotId, WorkerId};
use crate::operators::{
    BoxError, Emit, Read, ReadContext, ReadStatus, SinkContext, Source, TransactionalSink,
};
use crate::snapshot::After;
use crate::stage::{Pipe, SourceInlet};
use crate::stream::{Job, Stream};

/// Bins of a job under test: few, so that each holds several keys.
const N_BINS: u32 = 4;

/// How a fragment is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mode {
    /// One worker, room everywhere: the reference.
    Plain,
    /// Two workers, and channels with room for one message.
    Narrow,
    /// Two workers, and channels that refuse every other attempt to send.
    Refusing,
    /// A snapshot after every record; then some more records are handled, all workers are lost, and one or two fresh
    /// ones go on from the snapshot.
    Restore,
    /// Every bin and every partition moves to the other worker after every record, while the next is on its way.
    Move,
    /// All of that together.
    All,
}

impl Mode {
    /// Every mode, the reference first.
    pub const EVERY: [Self; 6] =
        [Self::Plain, Self::Narrow, Self::Refusing, Self::Restore, Self::Move, Self::All];

    fn config(self) -> RigConfig {
        let capacity = if matches!(self, Self::Narrow | Self::All) { 1 } else { 16 };
        let refuses_every_other = matches!(self, Self::Refusing | Self::All);
        RigConfig { n_bins: N_BINS, capacity, refuses_every_other }
    }

    /// Whether all is fed at once, so that channels fill up.
    fn floods(self) -> bool {
        matches!(self, Self::Narrow | Self::Refusing)
    }

    fn restores(self) -> bool {
        matches!(self, Self::Restore | Self::All)
    }

    fn moves(self) -> bool {
        matches!(self, Self::Move | Self::All)
    }
}

/// Records to run through fragments.
///
/// ```
/// use malstrom_core::testing::OperatorTester;
///
/// let words = ["to", "be", "or", "not", "to", "be"];
/// OperatorTester::new(words.map(str::to_owned)).run(|_, words| {
///     words
///         .key_by(|word| word.clone())
///         .fold("count", || 0_u64, |n, _| *n += 1)
///         .into_pairs()
/// })?;
/// # Ok::<(), malstrom_core::testing::TesterFailure>(())
/// ```
///
/// A count that is kept outside of the engine does not survive:
///
/// ```
/// # use malstrom_core::testing::OperatorTester;
/// let failure = OperatorTester::new(0..9_u64)
///     .run(|_, numbers| {
///         let mut n = 0;
///         numbers.key_by(|i| i % 2).map_values(move |_, _| { n += 1; n }).into_pairs()
///     })
///     .unwrap_err();
/// assert!(failure.to_string().contains("differs"), "{failure}");
/// ```
#[derive(Clone, Debug)]
pub struct OperatorTester<T> {
    records: Rc<[Record<T>]>,
    is_ordered: bool,
}

/// What the modes came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TesterReport {
    /// Records that the fragment made, in each mode.
    pub n_outputs: usize,
    /// Restores from a snapshot, in all modes together.
    pub n_restores: usize,
    /// Steps in which every bin moved, in all modes together.
    pub n_moves: usize,
}

/// A mode in which the fragment did not do what it does in the plainest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TesterFailure {
    /// It could not run.
    #[error("mode {mode:?}: {error}")]
    Failed {
        /// The mode.
        mode: Mode,
        /// What went wrong.
        #[source]
        error: RigError,
    },
    /// What it made for a key is not what it made in the reference mode.
    #[error("mode {mode:?}: the output for the key {key} differs: expected {expected}, found {found}")]
    Differs {
        /// The mode.
        mode: Mode,
        /// The key.
        key: String,
        /// What the reference mode made: event times and values.
        expected: String,
        /// What this mode made.
        found: String,
    },
}

impl<T: Clone + 'static> OperatorTester<T> {
    /// Feeds these values in order. The event time of each is its place: 0, 1, 2, …
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = T>) -> Self {
        Self::with_times(values.into_iter().zip(0..).map(|(value, at)| Record::at(Timestamp(at), value)))
    }

    /// Feeds these records in order. Before each, the watermark is the least time of it and all that follow.
    #[must_use]
    pub fn with_times(records: impl IntoIterator<Item = Record<T>>) -> Self {
        Self { records: records.into_iter().collect(), is_ordered: true }
    }

    /// Compares what is made for a key without regard to order: for fragments in which records of one key go several
    /// ways.
    #[must_use]
    pub fn in_any_order(mut self) -> Self {
        self.is_ordered = false;
        self
    }

    /// Runs the fragment in every mode.
    ///
    /// # Errors
    /// The first mode in which it fails, or in which its output differs from that of the reference.
    pub fn run<K, V, P>(
        &self,
        fragment: impl Fn(&Job, Stream<SourceInlet<Feed<T>>>) -> Stream<P> + 'static,
    ) -> Result<TesterReport, TesterFailure>
    where
        K: Ord + Clone + Debug + 'static,
        V: Ord + Clone + Debug + 'static,
        P: Pipe<Item = (K, V)>,
    {
        let fragment = Rc::new(fragment);
        let mut report = TesterReport::default();
        let mut reference = None;
        for mode in Mode::EVERY {
            let run = Run::new(mode, self.records.clone(), fragment.clone());
            let made = run.run(&mut report).map_err(|error| TesterFailure::Failed { mode, error })?;
            let made = self.by_key(made);
            match &reference {
                None => {
                    report.n_outputs = made.values().map(Vec::len).sum();
                    reference = Some(made);
                }
                Some(expected) => compare(mode, expected, &made)?,
            }
        }
        Ok(report)
    }

    fn by_key<K: Ord, V: Ord>(&self, made: Vec<Record<(K, V)>>) -> ByKey<K, V> {
        let mut by_key: ByKey<K, V> = BTreeMap::new();
        for Record { time, value: (key, value) } in made {
            by_key.entry(key).or_default().push((time, value));
        }
        if !self.is_ordered {
            by_key.values_mut().for_each(|values| values.sort());
        }
        by_key
    }
}

type ByKey<K, V> = BTreeMap<K, Vec<(Timestamp, V)>>;

fn compare<K: Ord + Debug, V: PartialEq + Debug>(
    mode: Mode,
    expected: &ByKey<K, V>,
    found: &ByKey<K, V>,
) -> Result<(), TesterFailure> {
    for key in expected.keys().chain(found.keys()) {
        let (expected, found) = (expected.get(key), found.get(key));
        if expected != found {
            let text = |values: Option<&Vec<_>>| format!("{:?}", values.map_or(&[][..], Vec::as_slice));
            return Err(TesterFailure::Differs {
                mode,
                key: format!("{key:?}"),
                expected: text(expected),
                found: text(found),
            });
        }
    }
    Ok(())
}

/// One run of a fragment.
struct Run<T> {
    mode: Mode,
    rig: Rig,
    n_records: usize,
    fed: Rc<Cell<usize>>,
    made: Rc<RefCell<Vec<Made<T>>>>,
}

/// A record that was made, by whom, and the snapshot it became part of.
struct Made<T> {
    record: Record<T>,
    worker: WorkerId,
    cut: Option<SnapshotId>,
}

impl<O: Clone + 'static> Run<O> {
    fn new<T: Clone + 'static, P: Pipe<Item = O>>(
        mode: Mode,
        records: Rc<[Record<T>]>,
        fragment: Rc<impl Fn(&Job, Stream<SourceInlet<Feed<T>>>) -> Stream<P> + 'static>,
    ) -> Self {
        let (fed, made) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let n_records = records.len();
        let (feed, capture) = (Feed { records, fed: fed.clone() }, Rc::clone(&made));
        let mut rig = Rig::new(mode.config(), move |job| {
            let sink = Capture { made: capture.clone(), worker: WorkerId(0) };
            fragment(job, job.source("fed by the tester", feed.clone())).transactional_sink("made", sink);
        });
        // Moved state comes after all that can come before it.
        rig.hold(|link| matches!(link, Link::Mail(..)));
        Self { mode, rig, n_records, fed, made }
    }

    fn run(mut self, report: &mut TesterReport) -> Result<Vec<Record<O>>, RigError> {
        self.rig.start(if self.mode == Mode::Plain { 1 } else { 2 })?;
        for n_fed in 1..=self.n_records {
            self.feed(if self.mode.floods() { self.n_records } else { n_fed });
            // What follows finds the record at another place each time.
            for _ in 0..n_fed % 4 {
                self.rig.round()?;
            }
            if self.mode.moves() && self.rig.n_workers() == 2 {
                self.move_all(n_fed)?;
                report.n_moves += 1;
            }
            if self.mode.restores() {
                self.restore(n_fed)?;
                report.n_restores += 1;
            }
        }
        self.rig.finish()?;
        Ok(self.made.borrow().iter().map(|made| made.record.clone()).collect())
    }

    fn feed(&self, n_fed: usize) {
        self.fed.set(n_fed.min(self.n_records));
    }

    fn move_all(&mut self, n_fed: usize) -> Result<(), RigError> {
        self.rig.publish((0..N_BINS).filter_map(|bin| u16::try_from(bin).ok()).map(Bin));
        self.rig.run_until("the step is published", Rig::is_published)?;
        self.rig.switch();
        self.feed(n_fed + 1);
        self.rig.run_until("the step is done", Rig::is_moved)
    }

    fn restore(&mut self, n_fed: usize) -> Result<(), RigError> {
        self.rig.snapshot(After::Run)?;
        // What is handled behind the cut and lost must leave no trace.
        self.feed(n_fed + 2);
        self.rig.drain()?;
        self.rig.crash();
        self.feed(n_fed);
        self.rig.start(if n_fed.is_multiple_of(3) { 1 } else { 2 })
    }
}

impl<T> Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The source of a fragment under test: one partition that gives one record at a time, when it is fed.
pub struct Feed<T> {
    records: Rc<[Record<T>]>,
    fed: Rc<Cell<usize>>,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self { records: self.records.clone(), fed: self.fed.clone() }
    }
}

impl<T> Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("n_records", &self.records.len()).finish_non_exhaustive()
    }
}

impl<T: Clone + 'static> Source for Feed<T> {
    type Item = T;
    type Reader = FeedReader<T>;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(vec!["0".to_owned()])
    }

    fn open(&mut self, _: &str, position: Option<usize>) -> Result<FeedReader<T>, BoxError> {
        Ok(FeedReader { feed: self.clone(), next: position.unwrap_or(0), rests: false })
    }
}

/// The partition of a [`Feed`].
#[derive(Debug)]
pub struct FeedReader<T> {
    feed: Feed<T>,
    next: usize,
    rests: bool,
}

impl<T: Clone + 'static> Read for FeedReader<T> {
    type Item = T;
    type Position = usize;

    fn read(&mut self, _: ReadContext, out: &mut impl Emit<T>) -> Result<ReadStatus, BoxError> {
        if self.next >= self.feed.records.len() {
            return Ok(ReadStatus::Ended);
        }
        // It runs dry behind every record, so that each travels in a batch of its own.
        if std::mem::take(&mut self.rests) || self.next >= self.feed.fed.get() {
            return Ok(ReadStatus::Wait(None));
        }
        out.emit(self.feed.records[self.next].clone());
        self.next += 1;
        self.rests = true;
        Ok(ReadStatus::Wait(None))
    }

    fn position(&self) -> usize {
        self.next
    }

    fn watermark(&self) -> Option<Timestamp> {
        self.feed.records.get(self.next..)?.iter().map(|record| record.time).min()
    }
}

/// A sink that notes what comes in the order in which it comes, whoever writes it.
struct Capture<T> {
    made: Rc<RefCell<Vec<Made<T>>>>,
    worker: WorkerId,
}

impl<T: 'static> TransactionalSink<T> for Capture<T> {
    type Handle = ();

    fn open(&mut self, cx: &SinkContext) -> Result<(), BoxError> {
        self.worker = cx.worker;
        Ok(())
    }

    fn write(&mut self, record: Record<T>) -> Result<(), BoxError> {
        self.made.borrow_mut().push(Made { record, worker: self.worker, cut: None });
        Ok(())
    }

    fn prepare(&mut self, snapshot: SnapshotId) -> Result<Option<()>, BoxError> {
        let mut made = self.made.borrow_mut();
        let mine = made.iter_mut().filter(|made| made.worker == self.worker && made.cut.is_none());
        mine.for_each(|made| made.cut = Some(snapshot));
        Ok(None)
    }

    fn commit(&mut self, _: SnapshotId, (): ()) -> Result<(), BoxError> {
        Ok(())
    }

    fn recover(&mut self, restored: Option<SnapshotId>, _: Vec<()>) -> Result<(), BoxError> {
        self.made.borrow_mut().retain(|made| made.cut.is_some() && made.cut <= restored);
        Ok(())
    }
}
