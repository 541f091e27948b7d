//! The events as a source of Malstrom: partitions that take turns at the numbers, as fast as can be or at a rate.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use malstrom_core::element::Record;
use malstrom_core::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Source};
use malstrom_measure::latency::Pace;

use crate::event::Event;
use crate::generator::Generator;

/// When events are due: each at a moment that depends on nothing but its number.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) pace: Arc<Pace>,
    /// The first event of this process: a job that was resumed begins in the middle.
    first: OnceLock<u64>,
}

impl Schedule {
    /// So many events a second.
    pub(crate) fn new(rate: u64) -> Arc<Self> {
        Arc::new(Self { pace: Pace::new(rate, 0), first: OnceLock::new() })
    }

    /// When event `n` is due, on the clock of the pace.
    #[inline]
    pub(crate) fn due_ns(&self, n: u64) -> u64 {
        let first = self.first.get().copied().unwrap_or(0);
        self.pace.due_ns(n.saturating_sub(first)).unwrap_or(0)
    }

    fn begin(&self, n: u64) {
        self.first.get_or_init(|| n);
        self.pace.begin(Duration::ZERO);
    }
}

/// All events.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    pub(crate) generator: Generator,
    pub(crate) n_events: u64,
    pub(crate) n_partitions: u64,
    pub(crate) schedule: Option<Arc<Schedule>>,
}

impl Source for Events {
    type Item = Event;
    type Reader = EventReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok((0..self.n_partitions).map(|part| part.to_string()).collect())
    }

    fn open(&mut self, partition: &str, position: Option<u64>) -> Result<EventReader, BoxError> {
        let next = position.map_or_else(|| partition.parse(), Ok)?;
        if let Some(schedule) = &self.schedule {
            schedule.begin(next);
        }
        Ok(EventReader { events: self.clone(), next })
    }
}

/// A partition of [`Events`]. Its position is the number of the next event.
#[derive(Debug)]
pub(crate) struct EventReader {
    events: Events,
    next: u64,
}

impl Read for EventReader {
    type Item = Event;
    type Position = u64;

    #[inline]
    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Event>) -> Result<ReadStatus, BoxError> {
        let Events { generator, n_events, n_partitions, schedule } = &self.events;
        let now_ns = schedule.as_ref().map(|schedule| schedule.pace.now_ns());
        for _ in 0..cx.n_records_max {
            if self.next >= *n_events {
                return Ok(ReadStatus::Ended);
            }
            if let (Some(schedule), Some(now_ns)) = (schedule, now_ns) {
                let due_ns = schedule.due_ns(self.next);
                if due_ns > now_ns {
                    let until = cx.now.after(Duration::from_nanos(due_ns - now_ns));
                    return Ok(ReadStatus::Wait(Some(until)));
                }
            }
            out.emit(Record::new(generator.event(self.next)));
            self.next += n_partitions;
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> u64 {
        self.next
    }
}
