//! How fast text comes: a source that holds another one back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use malstrom_core::element::{Record, Timestamp};
use malstrom_core::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Source};
use malstrom_runtime::connectors::Line;

/// Words per line that are expected before any line was seen.
const WORDS_PER_LINE_GUESS: f64 = 10.0;

/// A schedule for words, shared by all partitions that are read in this process: each word is due at a time that
/// depends on the words before it alone. A job that falls behind is not waited for, so what it then takes shows as
/// latency.
#[derive(Debug)]
pub(crate) struct Pace {
    words_per_s: f64,
    n_read: AtomicU64,
    /// When the first word was due.
    began: OnceLock<Instant>,
}

impl Pace {
    pub(crate) fn new(words_per_s: u64) -> Self {
        Self { words_per_s: words_per_s as f64, n_read: AtomicU64::new(0), began: OnceLock::new() }
    }

    /// How many words are due and not read yet.
    fn n_due(&self) -> u64 {
        let began = self.began.get_or_init(Instant::now);
        let n_due = (began.elapsed().as_secs_f64() * self.words_per_s) as u64 + 1;
        n_due.saturating_sub(self.n_read.load(Ordering::Relaxed))
    }

    /// Time until another word is due.
    fn wait(&self) -> Duration {
        self.due(self.n_read.load(Ordering::Relaxed)).saturating_duration_since(Instant::now())
    }

    /// Takes note of words that were read, and returns when the first of them was due.
    fn take(&self, n_words: u64) -> Instant {
        self.due(self.n_read.fetch_add(n_words, Ordering::Relaxed))
    }

    fn due(&self, word: u64) -> Instant {
        *self.began.get_or_init(Instant::now) + Duration::from_secs_f64(word as f64 / self.words_per_s)
    }
}

/// A moment as the time of a record: microseconds since the process first asked.
pub(crate) fn timestamp(moment: Instant) -> Timestamp {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(|| moment);
    let since = moment.saturating_duration_since(origin).as_micros();
    Timestamp(i64::try_from(since).unwrap_or(i64::MAX))
}

/// A source of lines that come on schedule and carry the time at which they were due; without a pace, as fast as they
/// are read.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    source: S,
    pace: Option<Arc<Pace>>,
}

impl<S> Paced<S> {
    pub(crate) fn new(source: S, pace: Option<Arc<Pace>>) -> Self {
        Self { source, pace }
    }
}

impl<S: Source<Item = Line>> Source for Paced<S> {
    type Item = Line;
    type Reader = PacedReader<S::Reader>;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        self.source.partitions()
    }

    fn open(
        &mut self,
        partition: &str,
        position: Option<<S::Reader as Read>::Position>,
    ) -> Result<Self::Reader, BoxError> {
        let reader = self.source.open(partition, position)?;
        Ok(PacedReader { reader, pace: self.pace.clone(), words_per_line: WORDS_PER_LINE_GUESS })
    }
}

/// A partition of a [`Paced`] source.
#[derive(Debug)]
pub(crate) struct PacedReader<R> {
    reader: R,
    pace: Option<Arc<Pace>>,
    words_per_line: f64,
}

impl<R: Read<Item = Line>> Read for PacedReader<R> {
    type Item = Line;
    type Position = R::Position;

    #[inline]
    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Line>) -> Result<ReadStatus, BoxError> {
        let Some(pace) = &self.pace else { return self.reader.read(cx, out) };
        let n_due = pace.n_due();
        if n_due == 0 {
            return Ok(ReadStatus::Wait(Some(cx.now.after(pace.wait()))));
        }
        // Words come in lines, so some may come early; the next ones then come as much later.
        let n_lines = (n_due as f64 / self.words_per_line) as usize;
        let cx = ReadContext { n_records_max: n_lines.clamp(1, cx.n_records_max), ..cx };
        let mut stamped = Stamp { pace, out, n_lines: 0, n_words: 0 };
        let status = self.reader.read(cx, &mut stamped)?;
        if stamped.n_lines > 0 {
            let average = stamped.n_words as f64 / stamped.n_lines as f64;
            self.words_per_line = (0.9 * self.words_per_line + 0.1 * average).max(1.0);
        }
        Ok(status)
    }

    fn position(&self) -> R::Position {
        self.reader.position()
    }

    fn watermark(&self) -> Option<Timestamp> {
        self.reader.watermark()
    }

    fn acknowledge(&mut self, committed: R::Position) {
        self.reader.acknowledge(committed);
    }
}

/// Gives each line the time at which it was due.
struct Stamp<'a, E> {
    pace: &'a Pace,
    out: &'a mut E,
    n_lines: u64,
    n_words: u64,
}

impl<E: Emit<Line>> Emit<Line> for Stamp<'_, E> {
    fn emit(&mut self, record: Record<Line>) {
        let n_words = record.value.words().count() as u64;
        let due = self.pace.take(n_words);
        self.n_lines += 1;
        self.n_words += n_words;
        self.out.emit(Record::at(timestamp(due), record.value));
    }
}
