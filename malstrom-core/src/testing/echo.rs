//! A source in a loop with its own job: one of its partitions sends a record only when the job has told what it made of the
//! one before, as a device does that waits for an answer.
//!
//! # Caveats
//! A job whose event time stands still never ends then, and that is what the loop is for.

use std::time::Duration;

use super::context::{Item, SIMULATED_IDLE_AFTER, SimContext};
use super::rng::mix;
use crate::element::{Record, Timestamp};
use crate::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Source};
use crate::ports::Nanos;

/// Event time between two records of the partition that waits.
const STEP: i64 = 100;
/// Records of the partition that waits.
const WAITING_RECORDS: u32 = 12;
/// Partitions besides it, and the records of each at most.
const BRIEF_PARTITIONS_MIN: u64 = 2;
const BRIEF_PARTITIONS_MAX: u64 = 5;
const BRIEF_RECORDS_MAX: u64 = 3;
/// How often the partition that waits looks whether it may go on.
const POLL: Duration = Duration::from_millis(3);

/// A source and the ear that its job speaks to. See [`SimContext::echo`].
#[derive(Clone, Debug)]
pub struct Echo {
    context: SimContext,
    name: String,
}

impl Echo {
    pub(super) fn new(context: SimContext, name: &str) -> Self {
        Self { context, name: name.to_owned() }
    }

    /// The source. A few brief partitions end at once; one more sends a record every hundred units of event time, each when
    /// the job has told the time of the one before, and not too early.
    #[must_use]
    pub fn source(&self) -> EchoSource {
        EchoSource(self.clone())
    }

    /// The job has told all that is before this time.
    pub fn hear(&self, time: Timestamp) {
        self.context.hear(&self.name, time);
    }
}

/// See [`Echo::source`].
#[derive(Debug)]
pub struct EchoSource(Echo);

impl Source for EchoSource {
    type Item = Item;
    type Reader = EchoReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        self.0.context.may_fail("name partitions")?;
        let n_more = BRIEF_PARTITIONS_MAX - BRIEF_PARTITIONS_MIN;
        let n_brief = BRIEF_PARTITIONS_MIN + self.0.context.draw(&self.0.name, n_more + 1);
        Ok((0..=n_brief).rev().map(|partition| format!("{}{partition}", self.0.name)).collect())
    }

    fn open(&mut self, partition: &str, position: Option<u64>) -> Result<EchoReader, BoxError> {
        self.0.context.may_fail("open a partition")?;
        let number: u32 = partition.trim_start_matches(self.0.name.as_str()).parse()?;
        let waits = number == 0;
        let n_records = match waits {
            true => u64::from(WAITING_RECORDS),
            false => self.0.context.draw(partition, BRIEF_RECORDS_MAX + 1),
        };
        let data = self.0.context.draw(partition, u64::MAX);
        Ok(EchoReader {
            echo: self.0.clone(),
            partition: number,
            waits,
            n_records,
            data,
            next: position.unwrap_or(0),
        })
    }

    fn idle_after(&self) -> Option<Duration> {
        Some(SIMULATED_IDLE_AFTER)
    }
}

/// One partition of an [`EchoSource`].
#[derive(Debug)]
pub struct EchoReader {
    echo: Echo,
    partition: u32,
    waits: bool,
    n_records: u64,
    data: u64,
    next: u64,
}

impl EchoReader {
    /// The partition that waits goes through event time in large steps, a brief one stays near its beginning.
    fn time(&self, seq: u64) -> Timestamp {
        let step = if self.waits { STEP } else { 2 };
        Timestamp(step * seq as i64)
    }

    /// When the partition that waits sends its next record at the earliest: faults meet it all the way.
    fn due(&self) -> Nanos {
        let gap = self.echo.context.spread() / WAITING_RECORDS;
        Nanos(0).after(gap.saturating_mul(self.next as u32))
    }
}

impl Read for EchoReader {
    type Item = Item;
    type Position = u64;

    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Item>) -> Result<ReadStatus, BoxError> {
        self.echo.context.may_fail("read")?;
        if self.next >= self.n_records {
            return Ok(ReadStatus::Ended);
        }
        if self.waits && self.due() > cx.now {
            return Ok(ReadStatus::Wait(Some(self.due())));
        }
        let is_told = || self.echo.context.heard(&self.echo.name) > self.time(self.next - 1);
        if self.waits && self.next > 0 && !is_told() {
            return Ok(ReadStatus::Wait(Some(cx.now.after(POLL))));
        }
        let number = mix(self.data ^ self.next);
        let item = Item { partition: self.partition, seq: self.next, key: number % 5, number };
        out.emit(Record::at(self.time(self.next), item));
        self.next += 1;
        Ok(ReadStatus::More)
    }

    fn position(&self) -> u64 {
        self.next
    }

    fn watermark(&self) -> Option<Timestamp> {
        Some(self.time(self.next))
    }
}
