//! Where the rows of a query go: into files, exactly once, or into a digest and figures of latency.

use std::path::PathBuf;
use std::sync::Arc;

use malstrom_core::element::{Record, Timestamp};
use malstrom_core::operators::{BoxError, Sink};
use malstrom_core::stage::Pipe;
use malstrom_core::stream::Stream;
use malstrom_measure::latency::{Latencies, LocalLatencies};
use malstrom_measure::tally::{LocalTally, Tally};
use malstrom_runtime::connectors::TransactionalFiles;

use crate::generator::Generator;
use crate::rows::Row;
use crate::source::Schedule;

/// The end of a query.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    /// A folder for the rows; without it they are only counted.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) generator: Generator,
    /// When events are due, and what is measured of it.
    pub(crate) latency: Option<(Arc<Schedule>, Arc<Latencies>)>,
}

impl Out {
    /// Ends a stream of rows.
    pub(crate) fn write<P: Pipe<Item: Row>>(&self, rows: Stream<P>) {
        match &self.folder {
            Some(folder) => {
                let files =
                    TransactionalFiles::new(folder, |row: &P::Item, line: &mut Vec<u8>| row.write(line));
                rows.transactional_sink("rows", files);
            }
            None => rows.sink("rows", self.measure()),
        }
    }

    fn measure(&self) -> Measure {
        let latency = self.latency.as_ref();
        Measure {
            tally: self.tally.local(),
            generator: self.generator,
            latency: latency.map(|(schedule, latencies)| (schedule.clone(), latencies.local())),
        }
    }
}

/// Adds rows up, and notes how late they come. A row is due when the event is that has its time: a window's rows have its
/// last time, so the wait for events out of order counts.
struct Measure {
    tally: LocalTally,
    generator: Generator,
    latency: Option<(Arc<Schedule>, LocalLatencies)>,
}

impl<R: Row> Sink<R> for Measure {
    #[inline]
    fn write(&mut self, record: Record<R>) -> Result<(), BoxError> {
        self.tally.add(record.value.digest());
        if let Some((schedule, latencies)) = &mut self.latency
            && record.time != Timestamp::MIN
        {
            latencies.note(schedule.due_ns(self.generator.number_at(record.time.0)), false);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        self.tally.publish();
        Ok(())
    }
}
