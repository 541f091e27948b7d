//! A source of made-up text whose words are distributed as in real text.

mod tables;

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use malstrom_core::element::{Record, Timestamp};
use malstrom_core::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Source};
use malstrom_core::ports::Nanos;

use self::tables::{GOLDEN, SLOT_BYTES, Tables, mix};
use super::limits::{ZIPF_BLOCK_BYTES, ZIPF_LINE_WORDS_MAX, ZIPF_PARTITIONS_MAX, ZIPF_VOCABULARY_WORDS_MAX};
use super::text::Line;

/// Lines of made-up words, the word of rank `r` with a frequency of `1 / r^s` (Zipf's law): 2 to 12 letters long, more
/// frequent ones shorter.
///
/// The line `i` of a partition depends on nothing but the settings, the partition and `i`, on every machine and in
/// every version; so a position is a number of lines, and [`lines`](Self::lines) gives the same text to compare with.
/// Partitions are named `0` to `n - 1`.
///
/// # Rate
/// With a [`rate`](Self::rate) each line is due at a time that depends on nothing but when its partition was opened
/// (an open loop): a job that falls behind is not waited for, and gets later lines at once. The record's time is when
/// the line was due, in microseconds on the worker's clock, so the difference to the time of the result is the whole
/// latency. After a restore the schedule starts anew. Without a rate records have no time.
///
/// ```
/// use malstrom_core::operators::Source;
/// use malstrom_runtime::connectors::ZipfText;
///
/// let mut text = ZipfText::new(1000).words(25).partitions(2).words_per_line(10);
/// assert_eq!(Source::partitions(&mut text)?, ["0", "1"]);
/// let n_words: Vec<_> = text.lines(0)?.map(|line| line.words().count()).collect();
/// assert_eq!(n_words, [10, 3]);
/// # Ok::<(), malstrom_core::operators::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ZipfText {
    n_distinct: u32,
    exponent: f64,
    seed: u64,
    n_words: Option<u64>,
    n_partitions: u32,
    words_per_line: u32,
    rate: Option<u64>,
    tables: OnceLock<Arc<Tables>>,
}

impl ZipfText {
    /// Endless text of so many distinct words: one partition, exponent 1, seed 0, 10 words per line, as fast as can be.
    #[must_use]
    pub fn new(n_distinct: u32) -> Self {
        Self {
            n_distinct,
            exponent: 1.0,
            seed: 0,
            n_words: None,
            n_partitions: 1,
            words_per_line: 10,
            rate: None,
            tables: OnceLock::new(),
        }
    }

    /// The exponent `s`, 0 or more: 0 makes all words equally frequent.
    #[must_use]
    pub fn exponent(mut self, s: f64) -> Self {
        self.exponent = s;
        self.tables = OnceLock::new();
        self
    }

    /// Another seed gives another text of the same words.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Ends after so many words, all partitions together.
    #[must_use]
    pub fn words(mut self, n_words: u64) -> Self {
        self.n_words = Some(n_words);
        self
    }

    /// How many partitions share the text.
    #[must_use]
    pub fn partitions(mut self, n: u32) -> Self {
        self.n_partitions = n;
        self
    }

    /// How many words a line has; the last one of a partition may have fewer.
    #[must_use]
    pub fn words_per_line(mut self, n: u32) -> Self {
        self.words_per_line = n;
        self
    }

    /// Words per second, all partitions together.
    #[must_use]
    pub fn rate(mut self, words_per_second: u64) -> Self {
        self.rate = Some(words_per_second);
        self
    }

    /// The lines of a partition, without any rate.
    ///
    /// # Errors
    /// If the settings make no sense or there is no such partition.
    pub fn lines(&self, partition: u32) -> Result<ZipfLines, ZipfTextError> {
        self.lines_from(partition, 0)
    }

    fn lines_from(&self, partition: u32, line: u64) -> Result<ZipfLines, ZipfTextError> {
        self.check()?;
        let n = self.n_partitions;
        if partition >= n {
            return Err(ZipfTextError::UnknownPartition { partition: partition.to_string(), n });
        }
        let tables = self.tables.get_or_init(|| Arc::new(Tables::new(self.n_distinct, self.exponent)));
        let (n_words, n) = (self.n_words, u64::from(n));
        let n_words = n_words.map_or(u64::MAX, |all| all / n + u64::from(u64::from(partition) < all % n));
        let line_bytes = self.words_per_line as usize * SLOT_BYTES;
        Ok(ZipfLines {
            tables: Arc::clone(tables),
            seed: mix(mix(self.seed).wrapping_add(u64::from(partition))),
            words_per_line: u64::from(self.words_per_line),
            n_lines: n_words.div_ceil(u64::from(self.words_per_line)),
            n_words,
            line,
            block: Bytes::new(),
            block_bytes: ZIPF_BLOCK_BYTES.max(line_bytes),
            ends: Vec::new(),
            n_taken: 0,
            start: 0,
        })
    }

    fn check(&self) -> Result<(), ZipfTextError> {
        let within = |what, value: u64, max: u64| match value {
            value if (1..=max).contains(&value) => Ok(()),
            value => Err(ZipfTextError::OutOfBounds { what, value, max }),
        };
        within("distinct words", self.n_distinct.into(), ZIPF_VOCABULARY_WORDS_MAX.into())?;
        within("partitions", self.n_partitions.into(), ZIPF_PARTITIONS_MAX.into())?;
        within("words per line", self.words_per_line.into(), ZIPF_LINE_WORDS_MAX.into())?;
        within("words per second", self.rate.unwrap_or(1), u64::MAX)?;
        if !(0.0..=16.0).contains(&self.exponent) {
            return Err(ZipfTextError::Exponent { exponent: self.exponent });
        }
        Ok(())
    }
}

/// Why a [`ZipfText`] cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ZipfTextError {
    /// A setting is zero or too large.
    #[error("{value} {what}: must be 1 to {max}")]
    OutOfBounds {
        /// The setting.
        what: &'static str,
        /// What it is.
        value: u64,
        /// What it can be.
        max: u64,
    },
    /// The exponent is not between 0 and 16.
    #[error("the exponent {exponent} is not between 0 and 16")]
    Exponent {
        /// What it is.
        exponent: f64,
    },
    /// The source has no such partition.
    #[error("there is no partition `{partition}`: they are 0 to n - 1 for n = {n}")]
    UnknownPartition {
        /// What was asked for.
        partition: String,
        /// How many there are.
        n: u32,
    },
}

impl Source for ZipfText {
    type Item = Line;
    type Reader = ZipfReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        self.check()?;
        Ok((0..self.n_partitions).map(|i| i.to_string()).collect())
    }

    fn open(&mut self, partition: &str, position: Option<u64>) -> Result<ZipfReader, BoxError> {
        let unknown =
            || ZipfTextError::UnknownPartition { partition: partition.to_owned(), n: self.n_partitions };
        let index = partition.parse().map_err(|_| unknown())?;
        let lines = self.lines_from(index, position.unwrap_or(0))?;
        let words = f64::from(self.words_per_line) * f64::from(self.n_partitions);
        let schedule = self.rate.map(|rate| Schedule {
            ns_per_line: words * 1e9 / rate as f64,
            start: None,
            first: lines.line,
            due: None,
        });
        Ok(ZipfReader { lines, schedule })
    }
}

/// A partition of a [`ZipfText`] being read. Its position is the number of lines emitted.
#[derive(Clone, Debug)]
pub struct ZipfReader {
    lines: ZipfLines,
    schedule: Option<Schedule>,
}

impl Read for ZipfReader {
    type Item = Line;
    type Position = u64;

    #[inline]
    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Line>) -> Result<ReadStatus, BoxError> {
        let lines = &mut self.lines;
        let n_max = cx.n_records_max as u64;
        let Some(schedule) = &mut self.schedule else {
            lines.take_each(n_max, |line| out.emit(Record::new(line)));
            return Ok(if lines.is_at_end() { ReadStatus::Ended } else { ReadStatus::More });
        };
        schedule.start.get_or_insert(cx.now);
        let first = lines.line;
        let n_due = schedule.n_due(first, cx.now);
        let mut index = first;
        lines.take_each(n_due.min(n_max), |line| {
            let time = schedule.due(index);
            index += 1;
            out.emit(Record::at(time, line));
        });
        if index > first {
            schedule.due = Some(schedule.due(index - 1));
        }
        Ok(match () {
            () if lines.is_at_end() => ReadStatus::Ended,
            () if schedule.due_at(lines.line) <= cx.now => ReadStatus::More,
            () => ReadStatus::Wait(Some(schedule.due_at(lines.line))),
        })
    }

    fn position(&self) -> u64 {
        self.lines.line
    }

    fn watermark(&self) -> Option<Timestamp> {
        self.schedule.as_ref().and_then(|schedule| schedule.due)
    }
}

/// The lines of a partition of a [`ZipfText`]; see [`ZipfText::lines`].
#[derive(Clone, Debug)]
pub struct ZipfLines {
    tables: Arc<Tables>,
    seed: u64,
    words_per_line: u64,
    n_lines: u64,
    n_words: u64,
    /// The next line to give.
    line: u64,
    /// Lines that are written already, one after another, and where each ends.
    block: Bytes,
    block_bytes: usize,
    ends: Vec<u32>,
    n_taken: usize,
    start: usize,
}

impl Iterator for ZipfLines {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let mut next = None;
        self.take_each(1, |line| next = Some(line));
        next
    }
}

impl ZipfLines {
    fn is_at_end(&self) -> bool {
        self.line >= self.n_lines
    }

    /// Hands out the next lines, at most `n_max`.
    #[inline]
    fn take_each(&mut self, n_max: u64, mut each: impl FnMut(Line)) {
        let mut left = n_max;
        while left > 0 && !self.is_at_end() {
            if self.n_taken == self.ends.len() {
                self.write_block();
            }
            let ends = &self.ends[self.n_taken..];
            let ends = &ends[..ends.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            for end in ends {
                let end = *end as usize;
                each(Line::from(self.block.slice(self.start..end)));
                self.start = end;
            }
            let n = ends.len();
            self.n_taken += n;
            self.line += n as u64;
            left -= n as u64;
        }
    }

    /// Writes a block of lines, into the last one's memory if none of its lines is left.
    fn write_block(&mut self) {
        let mut block = std::mem::take(&mut self.block)
            .try_into_mut()
            .ok()
            .filter(|block| block.len() == self.block_bytes)
            .unwrap_or_else(|| BytesMut::zeroed(self.block_bytes));
        self.ends.clear();
        (self.n_taken, self.start) = (0, 0);
        let line_bytes = self.words_per_line as usize * SLOT_BYTES;
        let (mut at, mut line) = (0, self.line);
        while line < self.n_lines && at + line_bytes <= block.len() {
            let n_words = (self.n_words - line * self.words_per_line).min(self.words_per_line);
            at += self.tables.write_line(
                mix(self.seed.wrapping_add(line.wrapping_mul(GOLDEN))),
                n_words,
                &mut block[at..],
            );
            self.ends.push(u32::try_from(at).unwrap_or(u32::MAX));
            line += 1;
        }
        self.block = block.freeze();
    }
}

/// When lines are due.
#[derive(Clone, Debug)]
struct Schedule {
    ns_per_line: f64,
    /// When the first line that is emitted after opening was due.
    start: Option<Nanos>,
    first: u64,
    due: Option<Timestamp>,
}

impl Schedule {
    fn due_at(&self, line: u64) -> Nanos {
        let start = self.start.unwrap_or_default();
        Nanos(start.0.saturating_add(((line - self.first) as f64 * self.ns_per_line) as u64))
    }

    fn due(&self, line: u64) -> Timestamp {
        Timestamp(i64::try_from(self.due_at(line).0 / 1000).unwrap_or(i64::MAX))
    }

    /// How many lines from `line` on are due.
    fn n_due(&self, line: u64, now: Nanos) -> u64 {
        let elapsed = now.since(self.start.unwrap_or(now)).as_nanos() as f64;
        let n = (elapsed / self.ns_per_line) as u64;
        let end = self.first.saturating_add(n).saturating_add(1);
        // The quotient may be off by one; what counts is the time that the line is given.
        let early = u64::from(self.due_at(end - 1) > now);
        (end - early).saturating_sub(line)
    }
}

#[cfg(test)]
mod tests;
