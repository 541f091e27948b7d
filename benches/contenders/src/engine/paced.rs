//! An open loop: keys are loaded as fast as they can be, then records come when they are due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use malstrom_core::element::Record;
use malstrom_core::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Sink, Source};

use crate::data::{key, nth_key};
use malstrom_measure::latency::{LocalLatencies, Pace, this_thread_makes_records};

/// A key and when it was due; zero if it is only loaded.
pub(super) type Due = (u64, u64);

/// A source of keys by schedule.
#[derive(Clone)]
pub(super) struct Paced {
    pub(super) pace: Arc<Pace>,
    pub(super) n_partitions: u64,
    pub(super) n_keys: u64,
    /// Whether all keys come once before the schedule begins.
    pub(super) loads: bool,
    /// Records of the schedule.
    pub(super) n_records: u64,
    /// Whether its thread never rests, so that records come at the very moment they are due.
    pub(super) spins: bool,
}

impl Source for Paced {
    type Item = Due;
    type Reader = PacedReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok((0..self.n_partitions).map(|i| i.to_string()).collect())
    }

    fn open(&mut self, partition: &str, position: Option<(u64, u64)>) -> Result<PacedReader, BoxError> {
        let (n_loaded, n_read) = position.unwrap_or_default();
        Ok(PacedReader { source: self.clone(), partition: partition.parse()?, n_loaded, n_read })
    }
}

/// A partition of a [`Paced`]. Its position is how many keys it has loaded and how many records it has read.
pub(super) struct PacedReader {
    source: Paced,
    partition: u64,
    n_loaded: u64,
    n_read: u64,
}

impl PacedReader {
    /// The number of the `n`th of this partition's.
    fn nth(&self, n: u64) -> u64 {
        n * self.source.n_partitions + self.partition
    }
}

impl Read for PacedReader {
    type Item = Due;
    type Position = (u64, u64);

    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Due>) -> Result<ReadStatus, BoxError> {
        let source = &self.source;
        if source.spins {
            this_thread_makes_records();
        }
        if source.loads && self.nth(self.n_loaded) < source.n_keys {
            for _ in 0..cx.n_records_max {
                let i = self.nth(self.n_loaded);
                if i >= source.n_keys {
                    break;
                }
                out.emit(Record::new((nth_key(i), 0)));
                self.n_loaded += 1;
            }
            if self.nth(self.n_loaded) >= source.n_keys {
                source.pace.loaded();
            }
            return Ok(ReadStatus::More);
        }
        let now = source.pace.now_ns();
        for _ in 0..cx.n_records_max {
            let i = self.nth(self.n_read);
            if i >= source.n_records {
                return Ok(ReadStatus::Ended);
            }
            let Some(due) = source.pace.due_ns(i) else {
                return Ok(ReadStatus::Wait(Some(cx.now.after(Duration::from_millis(1)))));
            };
            if due > now {
                let wait = if source.spins { Duration::ZERO } else { Duration::from_nanos(due - now) };
                return Ok(ReadStatus::Wait(Some(cx.now.after(wait))));
            }
            out.emit(Record::new((key(i, source.n_keys), due)));
            self.n_read += 1;
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> (u64, u64) {
        (self.n_loaded, self.n_read)
    }
}

/// A sink that measures how long records took.
pub(super) struct Measure {
    pub(super) latencies: LocalLatencies,
    /// Whether only records count that have come from another thread.
    pub(super) crossed: bool,
}

impl Sink<(u64, u64)> for Measure {
    #[inline]
    fn write(&mut self, record: Record<(u64, u64)>) -> Result<(), BoxError> {
        self.latencies.note(record.value.1, self.crossed);
        Ok(())
    }
}

/// A source that has nothing, for a while.
pub(super) struct Nothing {
    pub(super) seconds: f64,
}

impl Source for Nothing {
    type Item = u64;
    type Reader = NothingReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(vec!["0".to_owned()])
    }

    fn open(&mut self, _partition: &str, _position: Option<()>) -> Result<NothingReader, BoxError> {
        Ok(NothingReader { until: Instant::now() + Duration::from_secs_f64(self.seconds) })
    }
}

/// The partition of a [`Nothing`].
pub(super) struct NothingReader {
    until: Instant,
}

impl Read for NothingReader {
    type Item = u64;
    type Position = ();

    fn read(&mut self, cx: ReadContext, _out: &mut impl Emit<u64>) -> Result<ReadStatus, BoxError> {
        let left = self.until.saturating_duration_since(Instant::now());
        Ok(if left.is_zero() { ReadStatus::Ended } else { ReadStatus::Wait(Some(cx.now.after(left))) })
    }

    fn position(&self) {}
}
