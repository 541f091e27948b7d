//! What a simulated job is built from: sources that pause and can be read again from anywhere, and a transactional sink
//! that does no more than the contract of one promises.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Shared;
use super::echo::Echo;
use super::rng::Rng;
use crate::element::{Record, Timestamp};
use crate::ids::{Generation, SnapshotId};
use crate::operators::{
    BoxError, Emit, Operator, Read, ReadContext, ReadStatus, SinkContext, Source, TransactionalSink,
};
use crate::ports::Nanos;

/// What a user's code panics with, to be told from a panic of the engine.
#[derive(Debug)]
pub(super) struct UserPanic(pub(super) String);

/// How long a partition has nothing before it is idle: short, so that many are.
pub(super) const SIMULATED_IDLE_AFTER: Duration = Duration::from_millis(50);
/// Partitions of a source at most.
const PARTITIONS_MAX: u64 = 5;
/// How often a partition that has nothing left looks whether its source still grows.
const GROWTH_POLL: Duration = Duration::from_millis(20);
/// Records of a partition at most.
const PARTITION_RECORDS_MAX: u64 = 160;

/// Requests out of a thousand that a simulated service refuses.
const REFUSED_PER_MILLE: u64 = 100;

/// What a job's closure finds its sources and sinks in.
#[derive(Clone)]
pub struct SimContext(Rc<Inner>);

struct Inner {
    core: Shared,
    data_seed: u64,
    spread: Duration,
    rng: RefCell<Rng>,
    sinks: RefCell<BTreeMap<String, SinkLog>>,
    /// Of each source and in each run of the job, how many partitions were found and how many there are going to be.
    found: RefCell<BTreeMap<(String, Run), (u64, u64)>>,
    /// For whom a job is being built.
    run: Cell<Run>,
    n_errors_due: Cell<u32>,
    /// How far each job has told what came of an [`Echo`], whichever of its runs it was.
    heard: RefCell<BTreeMap<String, Timestamp>>,
}

/// A generation of a coordinator: two that share a job may find different numbers of partitions.
pub(super) type Run = (usize, Generation);

/// The committed transactions of a sink.
pub(super) type Shown = Vec<(SnapshotId, Vec<Output>)>;

/// A record of a simulated source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    /// The partition it is from.
    pub partition: u32,
    /// Which of the partition's records it is.
    pub seq: u64,
    /// A small number, for a key.
    pub key: u64,
    /// Any number.
    pub number: u64,
}

/// What a simulated sink takes. What it takes must follow from the sources alone, whatever the order in which
/// partitions were read; of one key and one partition, `seq` must never fall.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Output {
    /// What the order is kept for, together with the partition.
    pub key: u64,
    /// The partition it comes from.
    pub partition: u32,
    /// Its place in that partition.
    pub seq: u64,
    /// The rest.
    pub value: u64,
}

#[derive(Clone, Debug, Default)]
struct SinkLog {
    pending: BTreeMap<u64, Transaction>,
    committed: BTreeMap<u64, Transaction>,
    discarded: BTreeSet<u64>,
    /// The newest generation that has opened the sink: it takes nothing from older ones.
    fence: Generation,
    n_prepared: u64,
}

#[derive(Clone, Debug)]
struct Transaction {
    snapshot: SnapshotId,
    outputs: Vec<Output>,
}

impl SimContext {
    pub(super) fn new(core: Shared, data_seed: u64, spread: Duration) -> Self {
        let rng = RefCell::new(core.lock().rng.fork());
        Self(Rc::new(Inner {
            core,
            data_seed,
            spread,
            rng,
            sinks: RefCell::new(BTreeMap::new()),
            found: RefCell::new(BTreeMap::new()),
            run: Cell::new((0, Generation(0))),
            n_errors_due: Cell::new(0),
            heard: RefCell::new(BTreeMap::new()),
        }))
    }

    /// A number below `n` that belongs to the seed, the same on every worker: for jobs whose shape is drawn.
    #[must_use]
    pub fn draw(&self, what: &str, n: u64) -> u64 {
        self.fixed(what).below(n)
    }

    /// A source of a few partitions: some empty, some that pause, some that come at once.
    #[must_use]
    pub fn source(&self, name: &str) -> SimSource {
        SimSource { context: self.clone(), name: name.to_owned(), is_steady: false, run: self.0.run.get() }
    }

    /// Like [`source`](Self::source), but no partition pauses for so long that event time goes on without it, and none
    /// comes to be while the job runs, when event time is past its beginning: none of its records is late, on whatever
    /// worker it is read.
    #[must_use]
    pub fn steady_source(&self, name: &str) -> SimSource {
        SimSource { is_steady: true, ..self.source(name) }
    }

    /// A source that waits for what its own job says: a job whose event time stands still does not end.
    #[must_use]
    pub fn echo(&self, name: &str) -> Echo {
        Echo::new(self.clone(), name)
    }

    /// A transactional sink.
    #[must_use]
    pub fn sink(&self, name: &str) -> SimSink {
        self.0.sinks.borrow_mut().entry(name.to_owned()).or_default();
        SimSink {
            context: self.clone(),
            name: name.to_owned(),
            generation: Generation(0),
            is_open: false,
            outputs: Vec::new(),
        }
    }

    /// An operator that changes nothing and notes watermarks that regress.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch { context: self.clone(), watermark: Timestamp::MIN, finds_late: false }
    }

    /// Like [`watch`](Self::watch), but notes also records that come behind a watermark that had passed them. Only
    /// behind an exchange is none to be expected: before it, a partition that a rescale brings may be behind the others.
    #[must_use]
    pub fn watch_late(&self) -> Watch {
        Watch { context: self.clone(), watermark: Timestamp::MIN, finds_late: true }
    }

    /// Whether a simulated service refuses a request: now and then, while faults are injected. Ask when the request is
    /// made, outside of its future.
    #[must_use]
    pub fn refuses(&self) -> bool {
        let mut core = self.0.core.lock();
        let refuses = !core.is_calm && self.0.rng.borrow_mut().per_mille(REFUSED_PER_MILLE);
        if refuses {
            core.counts.add("service: request refused");
        }
        refuses
    }

    /// Has some call of a user's code fail.
    pub(super) fn fail_once(&self) {
        self.0.n_errors_due.set(self.0.n_errors_due.get() + 1);
    }

    /// The job's history is taken back: generations are counted anew.
    pub(super) fn rewind(&self) {
        self.0.sinks.borrow_mut().values_mut().for_each(|log| log.fence = Generation(0));
    }

    /// Whether every partition of every source was found in this run.
    pub(super) fn has_found_all(&self, run: Run) -> bool {
        self.0.found.borrow().iter().all(|((_, of), (found, all))| *of != run || found == all)
    }

    /// The job that is built next belongs to this run.
    pub(super) fn begin(&self, run: Run) {
        self.0.run.set(run);
    }

    /// How many of `n` partitions of a source are there by now.
    fn n_there(&self, source: &str, run: Run, n: u64) -> u64 {
        let mut core = self.0.core.lock();
        let is_growing = self.fixed(&format!("{source} grows")).per_mille(core.growing_per_mille);
        let every = self.0.spread.as_nanos() as u64 / n;
        let n_there = match is_growing && !core.is_calm {
            true => n.min(1 + core.now / every.max(1)),
            false => n,
        };
        let mut found = self.0.found.borrow_mut();
        let before = found.iter().filter(|((of, _), _)| of == source).map(|(_, (found, _))| *found).max();
        found.insert((source.to_owned(), run), (n_there, n));
        if before.is_some_and(|before| before < n_there) {
            core.counts.add("source: partition found while the job ran");
        }
        n_there
    }

    pub(super) fn calm(&self) {
        self.0.n_errors_due.set(0);
    }

    /// What each sink shows: its transactions with the snapshot of each, in the order of the snapshots.
    pub(super) fn committed(&self) -> BTreeMap<String, Shown> {
        let of = |log: &SinkLog| {
            let mut shown: Shown =
                log.committed.values().map(|done| (done.snapshot, done.outputs.clone())).collect();
            shown.sort_by_key(|(snapshot, _)| *snapshot);
            shown
        };
        self.0.sinks.borrow().iter().map(|(name, log)| (name.clone(), of(log))).collect()
    }

    fn fixed(&self, what: &str) -> Rng {
        let seed = what
            .bytes()
            .fold(self.0.data_seed, |seed, byte| super::rng::mix(seed.wrapping_add(u64::from(byte))));
        Rng::new(seed)
    }

    /// How long the records of a source come for.
    pub(super) fn spread(&self) -> Duration {
        self.0.spread
    }

    /// A job has told all before this time of what came from a source.
    pub(super) fn hear(&self, source: &str, time: Timestamp) {
        let mut heard = self.0.heard.borrow_mut();
        let known = heard.entry(source.to_owned()).or_insert(Timestamp::MIN);
        *known = time.max(*known);
    }

    /// Up to which time a job has told what came from a source.
    pub(super) fn heard(&self, source: &str) -> Timestamp {
        self.0.heard.borrow().get(source).copied().unwrap_or(Timestamp::MIN)
    }

    /// The code of a user, who may return an error here, or panic amid whatever called it.
    pub(super) fn may_fail(&self, what: &str) -> Result<(), BoxError> {
        let due = self.0.n_errors_due.get();
        if due == 0 || !self.0.rng.borrow_mut().per_mille(200) {
            return Ok(());
        }
        self.0.n_errors_due.set(due - 1);
        let mut core = self.0.core.lock();
        let panics = core.now.is_multiple_of(2);
        core.counts.add(if panics { "user code: panic" } else { "user code: error" });
        drop(core);
        if panics {
            // As `panic!` does, and without a message for each on the terminal.
            resume_unwind(Box::new(UserPanic(format!("simulated panic instead of a {what}"))));
        }
        Err(format!("simulated failure to {what}").into())
    }
}

impl std::fmt::Debug for SimContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimContext").field("data_seed", &self.0.data_seed).finish_non_exhaustive()
    }
}

/// See [`SimContext::source`].
#[derive(Clone, Debug)]
pub struct SimSource {
    context: SimContext,
    name: String,
    is_steady: bool,
    run: Run,
}

impl Source for SimSource {
    type Item = Item;
    type Reader = SimReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        self.context.may_fail("name partitions")?;
        let n = self.context.fixed(&self.name).between(1, PARTITIONS_MAX);
        let n = if self.is_steady { n } else { self.context.n_there(&self.name, self.run, n) };
        Ok((0..n).map(|partition| format!("{}{partition}", self.name)).collect())
    }

    fn open(&mut self, partition: &str, position: Option<u64>) -> Result<SimReader, BoxError> {
        self.context.may_fail("open a partition")?;
        let mut rng = self.context.fixed(partition);
        let n_records = if rng.per_mille(150) { 0 } else { rng.between(1, PARTITION_RECORDS_MAX) };
        let gap = match rng.below(3) {
            0 => Duration::ZERO,
            _ => self.context.0.spread.mul_f64(rng.below(1200) as f64 / 1000.0) / (n_records.max(1) as u32),
        };
        let gap = if self.is_steady { gap.min(SIMULATED_IDLE_AFTER / 2) } else { gap };
        let digits: String = partition.chars().filter(char::is_ascii_digit).collect();
        Ok(SimReader {
            context: self.context.clone(),
            partition: digits.parse::<u32>()? + 100 * (self.name.len() as u32),
            data: rng.next_u64(),
            n_keys: rng.between(1, 40),
            n_records,
            gap,
            next: position.unwrap_or(0),
            source: self.name.clone(),
            run: self.run,
            times: self.context.fixed(&self.name).per_mille(750).then(|| Times {
                first: 2 * rng.below(20) as i64 + i64::from(gap >= SIMULATED_IDLE_AFTER),
                // Some partitions run through event time much faster than others.
                step: 2 * [1, 3, 50][rng.below(3) as usize],
                jump_at: rng.below(n_records + 1),
                jump: [0, 0, 1000, 1 << 40, 1 << 62][rng.below(5) as usize],
                end: rng.per_mille(300).then_some(Timestamp::MAX),
            }),
        })
    }

    fn idle_after(&self) -> Option<Duration> {
        Some(SIMULATED_IDLE_AFTER)
    }
}

/// The event times of a partition: ascending. An odd one says that its partition may lie idle, so that watermarks go on
/// without it and its records may be late.
#[derive(Clone, Copy, Debug)]
struct Times {
    first: i64,
    step: i64,
    /// From this record on all times are later by `jump`.
    jump_at: u64,
    jump: i64,
    /// The watermark behind the last record, if it is not just one step further.
    end: Option<Timestamp>,
}

impl Times {
    fn of(self, seq: u64) -> Timestamp {
        let jump = if seq >= self.jump_at { self.jump } else { 0 };
        Timestamp(self.first + self.step * seq as i64 + jump)
    }
}

fn is_never_idle(time: Timestamp) -> bool {
    time != Timestamp::MIN && time.0 % 2 == 0
}

/// One partition of a [`SimSource`].
#[derive(Debug)]
pub struct SimReader {
    context: SimContext,
    partition: u32,
    data: u64,
    n_keys: u64,
    n_records: u64,
    gap: Duration,
    next: u64,
    source: String,
    run: Run,
    times: Option<Times>,
}

impl SimReader {
    /// When a record is there: the burst of a partition that lay untouched is read at once.
    fn due(&self, seq: u64) -> Nanos {
        Nanos(0).after(self.gap.saturating_mul(u32::try_from(seq).unwrap_or(u32::MAX)))
    }
}

impl Read for SimReader {
    type Item = Item;
    type Position = u64;

    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Item>) -> Result<ReadStatus, BoxError> {
        self.context.may_fail("read")?;
        let n_max = self.context.0.rng.borrow_mut().between(1, 12).min(cx.n_records_max as u64);
        for _ in 0..n_max {
            if self.next >= self.n_records {
                // As long as another partition may come to be, the source has not ended.
                let found = self.context.0.found.borrow().get(&(self.source.clone(), self.run)).copied();
                if found.is_some_and(|(found, all)| found < all) {
                    return Ok(ReadStatus::Wait(Some(cx.now.after(GROWTH_POLL))));
                }
                if self.times.is_some_and(|times| times.end.is_some()) {
                    self.context.0.core.lock().counts.add("time: a watermark at its maximum");
                }
                return Ok(ReadStatus::Ended);
            }
            if self.times.is_some_and(|times| times.jump > 0 && times.jump_at == self.next) {
                self.context.0.core.lock().counts.add("time: event time jumps");
            }
            if self.due(self.next) > cx.now {
                return Ok(ReadStatus::Wait(Some(self.due(self.next))));
            }
            let number = super::rng::mix(self.data ^ self.next);
            let item = Item { partition: self.partition, seq: self.next, key: number % self.n_keys, number };
            let time = self.times.map_or(Timestamp::MIN, |times| times.of(self.next));
            out.emit(Record::at(time, item));
            self.next += 1;
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> u64 {
        self.next
    }

    fn watermark(&self) -> Option<Timestamp> {
        let end = |times: Times| times.end.filter(|_| self.next >= self.n_records);
        self.times.map(|times| end(times).unwrap_or_else(|| times.of(self.next)))
    }
}

/// See [`SimContext::watch`].
#[derive(Debug)]
pub struct Watch {
    context: SimContext,
    watermark: Timestamp,
    finds_late: bool,
}

impl<T> Operator<T> for Watch {
    type Out = T;

    fn process(&mut self, record: Record<T>, out: &mut impl Emit<T>) {
        let time = record.time;
        if self.finds_late && time < self.watermark && is_never_idle(time) {
            let passed = self.watermark;
            self.context.0.core.lock().violation(format!("I6: a record of {time} came behind {passed}"));
        }
        out.emit(record);
    }

    fn on_watermark(&mut self, time: Timestamp, _: &mut impl Emit<T>) {
        if time < self.watermark {
            let was = self.watermark;
            self.context.0.core.lock().violation(format!("I6: the watermark fell from {was} to {time}"));
        }
        self.watermark = time;
    }
}

/// See [`SimContext::sink`].
#[derive(Debug)]
pub struct SimSink {
    context: SimContext,
    name: String,
    generation: Generation,
    is_open: bool,
    outputs: Vec<Output>,
}

impl SimSink {
    /// The sink's storage, for a generation that is not fenced.
    fn log<T>(&self, what: &str, act: impl FnOnce(&mut SinkLog) -> T) -> Result<T, BoxError> {
        if !self.is_open {
            let name = &self.name;
            self.context
                .0
                .core
                .lock()
                .violation(format!("the sink `{name}` was to {what} before it was open"));
        }
        let mut sinks = self.context.0.sinks.borrow_mut();
        let log = sinks.entry(self.name.clone()).or_default();
        if log.fence > self.generation {
            return Err(format!("{} is fenced by {}", self.generation, log.fence).into());
        }
        Ok(act(log))
    }
}

impl TransactionalSink<Output> for SimSink {
    type Handle = u64;

    fn open(&mut self, cx: &SinkContext) -> Result<(), BoxError> {
        self.is_open = true;
        self.generation = cx.generation;
        self.context.may_fail("open a sink")?;
        let generation = cx.generation;
        self.log("open", |log| log.fence = log.fence.max(generation))
    }

    fn write(&mut self, record: Record<Output>) -> Result<(), BoxError> {
        self.context.may_fail("write")?;
        if !self.is_open {
            self.context.0.core.lock().violation("a sink was written to before it was open".to_owned());
        }
        self.outputs.push(record.value);
        Ok(())
    }

    fn prepare(&mut self, snapshot: SnapshotId) -> Result<Option<u64>, BoxError> {
        self.context.may_fail("prepare")?;
        let outputs = std::mem::take(&mut self.outputs);
        self.log("prepare", |log| {
            if outputs.is_empty() {
                return None;
            }
            log.n_prepared += 1;
            log.pending.insert(log.n_prepared, Transaction { snapshot, outputs });
            Some(log.n_prepared)
        })
    }

    fn commit(&mut self, snapshot: SnapshotId, handle: u64) -> Result<(), BoxError> {
        self.context.may_fail("commit")?;
        if !self.context.0.core.lock().objects.has_commit_from(snapshot) {
            let text =
                format!("I8: the transaction {handle} was made visible, but {snapshot} is not committed");
            self.context.0.core.lock().violation(text);
        }
        let is_known = self.log("commit", |log| log.commit(handle))?;
        if !is_known {
            let name = &self.name;
            let text = format!("I4: the sink `{name}` was to commit the unknown transaction {handle}");
            self.context.0.core.lock().violation(text);
        }
        Ok(())
    }

    fn recover(&mut self, restored: Option<SnapshotId>, handles: Vec<u64>) -> Result<(), BoxError> {
        self.context.may_fail("recover")?;
        let unknown = self.log("recover", |log| {
            let unknown: Vec<u64> = handles.iter().copied().filter(|handle| !log.commit(*handle)).collect();
            log.discarded.extend(std::mem::take(&mut log.pending).into_keys());
            let restored = restored.unwrap_or_default();
            let is_kept = |handle: &u64, transaction: &mut Transaction| {
                transaction.snapshot <= restored || handles.contains(handle)
            };
            let before: Vec<u64> = log.committed.keys().copied().collect();
            log.committed.retain(is_kept);
            log.discarded.extend(before.into_iter().filter(|handle| !log.committed.contains_key(handle)));
            unknown
        })?;
        let mut core = self.context.0.core.lock();
        if !unknown.is_empty() && !core.objects.is_damaged {
            let name = &self.name;
            core.violation(format!("I4: {restored:?} of `{name}` holds the lost transactions {unknown:?}"));
        }
        Ok(())
    }
}

impl SinkLog {
    /// Whether there is, or was, such a transaction.
    fn commit(&mut self, handle: u64) -> bool {
        match self.pending.remove(&handle) {
            Some(transaction) => {
                self.committed.insert(handle, transaction);
                true
            }
            None => self.committed.contains_key(&handle),
        }
    }
}
