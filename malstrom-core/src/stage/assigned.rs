//! Event time given by an operator: what comes before it in the stage goes by the time there was, what comes behind it by
//! the time it gives.
//!
//! # Rules
//! 1. The operators before are told the watermarks that come in; those behind are told the generator's.
//! 2. What was promised is part of a snapshot: the least that any worker had promised. After a restore no worker promises
//!    less. That is what all who read on had been told, since they merge by minimum.
//! 3. A generator belongs to a worker, not to a partition. A partition that comes with a rescale may be behind it; its
//!    records are late then. Where that matters, the source assigns the times.

use super::{Inlet, Pipe, PullContext, Pulled, StageError};
use crate::codec::CodecError;
use crate::element::{Control, Timestamp};
use crate::ids::{Bin, SnapshotId};
use crate::operators::Emit;
use crate::ports::{Nanos, WorkerPort};
use crate::state::{AnyState, EncodedBin, StateVisitor};
use crate::time::{Stamp, WatermarkGenerator};

/// A pipe whose records are given times. See
/// [`Stream::reassign_timestamps`](crate::stream::Stream::reassign_timestamps).
#[derive(Debug)]
pub struct Assigned<P, F, W> {
    pipe: P,
    time_of: F,
    generator: W,
    promised: Promised,
    /// What those behind were told of it.
    told: Timestamp,
    /// A watermark that those before are being told.
    telling: Option<Timestamp>,
}

impl<P, F, W> Assigned<P, F, W> {
    pub(crate) fn new(name: &str, pipe: P, time_of: F, generator: W) -> Self {
        let promised = Promised { name: name.to_owned(), watermark: Timestamp::MIN };
        Self { pipe, time_of, generator, promised, told: Timestamp::MIN, telling: None }
    }

    fn due(&mut self) -> Option<Pulled> {
        (self.promised.watermark > self.told).then(|| {
            self.told = self.promised.watermark;
            Pulled::Control(Control::Watermark(self.told))
        })
    }
}

impl<P, F, W> Pipe for Assigned<P, F, W>
where
    P: Pipe,
    F: Fn(&P::Item) -> Timestamp + 'static,
    W: WatermarkGenerator<P::Item>,
{
    type Item = P::Item;

    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<P::Item>) -> Result<Pulled, StageError> {
        if let Some(due) = self.due() {
            return Ok(due);
        }
        let mut out = Stamp { time_of: &mut self.time_of, generator: &mut self.generator, out };
        if let Some(time) = self.telling {
            if self.pipe.watermark(time, &mut out) {
                self.telling = None;
            }
            return Ok(Pulled::Worked);
        }
        let pulled = self.pipe.pull(cx, &mut out)?;
        self.promised.watermark = self.generator.watermark().max(self.promised.watermark);
        match pulled {
            Pulled::Control(Control::Watermark(time)) => {
                self.telling = Some(time);
                Ok(Pulled::Worked)
            }
            Pulled::Dry(_) => Ok(self.due().unwrap_or(pulled)),
            Pulled::Worked | Pulled::Control(_) => Ok(pulled),
        }
    }

    fn watermark(&mut self, time: Timestamp, out: &mut impl Emit<P::Item>) -> bool {
        // The end of time is the same for all.
        let mut out = Stamp { time_of: &mut self.time_of, generator: &mut self.generator, out };
        time < Timestamp::MAX || self.pipe.watermark(time, &mut out)
    }

    fn tick(&mut self, now: Nanos, out: &mut impl Emit<P::Item>) -> Option<Nanos> {
        self.pipe.tick(now, &mut Stamp { time_of: &mut self.time_of, generator: &mut self.generator, out })
    }

    fn flush(&mut self, out: &mut impl Emit<P::Item>) {
        self.pipe.flush(&mut Stamp { time_of: &mut self.time_of, generator: &mut self.generator, out });
    }

    fn end(&mut self, out: &mut impl Emit<P::Item>) {
        self.pipe.end(&mut Stamp { time_of: &mut self.time_of, generator: &mut self.generator, out });
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self.pipe.inlet()
    }

    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.pipe.connect(n_workers, port);
    }

    fn promised(&mut self) -> Option<Timestamp> {
        self.pipe.promised();
        (self.told > Timestamp::MIN).then_some(self.told)
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        self.pipe.visit(visitor);
        visitor.visit(&mut self.promised);
    }
}

/// What a worker has promised: a state without keys.
#[derive(Debug)]
struct Promised {
    name: String,
    watermark: Timestamp,
}

impl AnyState for Promised {
    fn name(&self) -> &str {
        &self.name
    }

    fn n_keys(&self) -> u64 {
        0
    }

    fn n_bins(&self) -> usize {
        0
    }

    fn freeze(&mut self, _: SnapshotId, _: Option<SnapshotId>) {}

    fn encode_next(&mut self) -> Result<Option<EncodedBin>, CodecError> {
        Ok(None)
    }

    fn take(&mut self, bin: Bin) -> Result<(SnapshotId, EncodedBin), CodecError> {
        Ok((SnapshotId(0), EncodedBin { bin, keys: 0, bytes: Vec::new() }))
    }

    fn put(&mut self, bin: Bin, _: SnapshotId, bytes: &[u8]) -> Result<(), CodecError> {
        if bytes.is_empty() {
            return Ok(());
        }
        Err(CodecError::Malformed {
            what: "block of state",
            reason: format!("`{}` bin {}: the operator keeps no keys", self.name, bin.0),
        })
    }

    fn restored(&mut self, _: SnapshotId) {}

    fn watermark(&self) -> Option<Timestamp> {
        Some(self.watermark)
    }

    fn restored_watermark(&mut self, time: Timestamp) {
        self.watermark = time;
    }
}
