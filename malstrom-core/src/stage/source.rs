//! The beginning of a stage that reads a source: the partitions this worker has, read in turn.
//!
//! # Rules
//! 1. What is promised is the least of what the readers of all partitions promise; between two routes it never regresses.
//! 2. Behind the barrier of a route it is promised anew, for the partitions there are then.
//! 3. A partition that has had nothing for as long as the source allows is left out: it holds the others up no longer, except before the end of
//!    event time.
//! 4. A source of which nothing is left to read, or that is quiet, says the greatest that any of its partitions has promised,
//!    and is idle: what one promised while another held it up, or while a route was under way, is not forgotten.
//! 5. While a partition is on its way here, nothing is promised and the source is not idle; the others are read on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{AnySource, Counted, Inlet, OpenError, Pipe, PullContext, Pulled, StageError};
use crate::codec;
use crate::element::{Control, Timestamp};
use crate::ids::SnapshotId;
use crate::mutant::{self, Mutant};
use crate::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Source};
use crate::ports::Nanos;

/// Reads the partitions of a [`Source`].
pub struct SourceInlet<S: Source> {
    name: String,
    source: S,
    /// How long a partition, or all of them, may have nothing before it is left out; without one for ever.
    idle_after: Option<Duration>,
    partitions: Vec<Partition<S::Reader>>,
    next: usize,
    /// Control to put into the stream before any further record.
    due: VecDeque<Control>,
    /// What was promised last, since the last route.
    watermark: Timestamp,
    is_idle: bool,
    /// Partitions on their way here.
    coming: BTreeSet<String>,
    /// Whether a route has made the promise void, and it is to be made anew before any further record.
    is_promise_due: bool,
    /// Since when no partition has had anything.
    quiet_since: Option<Nanos>,
    /// Positions at the cuts of snapshots that are not committed yet.
    at_cut: BTreeMap<SnapshotId, Vec<(String, Vec<u8>)>>,
}

struct Partition<R> {
    name: String,
    reader: R,
    status: ReadStatus,
    /// Since when it has had nothing.
    quiet_since: Option<Nanos>,
    /// Whether that has been for so long that the others' watermarks go on without it.
    is_idle: bool,
}

impl<R> Partition<R> {
    /// It has nothing now; when it will be idle, unless it is or never will be.
    fn quiet(&mut self, now: Nanos, idle_after: Option<Duration>) -> Option<Nanos> {
        let idle_at = self.quiet_since.get_or_insert(now).after(idle_after?);
        self.is_idle = now >= idle_at;
        (!self.is_idle).then_some(idle_at)
    }
}

impl<S: Source> SourceInlet<S> {
    pub(crate) fn new(name: &str, source: S) -> Self {
        Self {
            name: name.to_owned(),
            idle_after: source.idle_after(),
            source,
            partitions: Vec::new(),
            next: 0,
            due: VecDeque::new(),
            watermark: Timestamp::MIN,
            is_idle: false,
            coming: BTreeSet::new(),
            is_promise_due: false,
            quiet_since: None,
            at_cut: BTreeMap::new(),
        }
    }

    /// Another source in place of this one, before anything is read.
    pub(crate) fn map_source<T: Source>(self, map: impl FnOnce(S) -> T) -> SourceInlet<T> {
        let idle_after = self.idle_after;
        SourceInlet::new(&self.name, map(self.source)).idle_after(idle_after)
    }

    /// Other than what the source says.
    pub(crate) fn idle_after(mut self, after: Option<Duration>) -> Self {
        self.idle_after = after;
        self
    }

    fn failed(&self, error: BoxError) -> StageError {
        StageError { operator: self.name.clone(), error }
    }

    /// Reads one partition; how many records it emitted.
    #[inline]
    fn read(
        &mut self,
        at: usize,
        cx: &PullContext,
        out: &mut impl Emit<S::Item>,
    ) -> Result<usize, StageError> {
        let partition = &mut self.partitions[at];
        let mut out = Counted::new(out);
        let cx = ReadContext { n_records_max: cx.n_records_max, now: cx.now };
        match partition.reader.read(cx, &mut out) {
            Ok(status) => partition.status = status,
            Err(error) => {
                let error = format!("partition `{}`: {error}", partition.name).into();
                return Err(self.failed(error));
            }
        }
        let n_records = out.n_records;
        if n_records > 0 {
            (partition.quiet_since, partition.is_idle) = (None, false);
        }
        if let Some(time) = self.merged_watermark() {
            self.due.push_back(Control::Watermark(time));
        } else if n_records > 0 && self.is_idle && self.watermark > Timestamp::MIN {
            // The records may reach nobody: that this source counts again must be said.
            self.due.push_back(Control::Watermark(self.watermark));
        }
        Ok(n_records)
    }

    /// A whole round has brought nothing. A source that is quiet for a while, or has nothing to read at all, is idle.
    fn quiet(&mut self, now: Nanos, wake_at: Option<Nanos>) -> Pulled {
        if self.is_idle || !self.coming.is_empty() {
            return Pulled::Dry(wake_at);
        }
        let since = *self.quiet_since.get_or_insert(now);
        let idle_at = self.idle_after.map(|after| since.after(after));
        if idle_at.is_some_and(|at| now >= at) || self.is_exhausted() {
            if let Some(time) = self.last_promise() {
                self.watermark = time;
                return Pulled::Control(Control::Watermark(time));
            }
            self.is_idle = true;
            return Pulled::Control(Control::Idle);
        }
        Pulled::Dry(idle_at.map_or(wake_at, |at| earliest(wake_at, at)))
    }

    /// How far event time has come in a source that is quiet, if it has not said so. It follows from the positions alone, so
    /// it is the same wherever the partitions are, and whoever joins later hears it too: workers that take the greatest promise
    /// of channels that are all idle agree.
    fn last_promise(&self) -> Option<Timestamp> {
        if mutant::is(Mutant::PromiseForgotten) && !self.is_exhausted() {
            return None;
        }
        let promises = self.partitions.iter().filter_map(|partition| partition.reader.watermark());
        promises.filter(|time| *time < Timestamp::MAX).max().filter(|time| *time > self.watermark)
    }

    fn encode_position(&self, partition: &Partition<S::Reader>) -> Result<Vec<u8>, StageError> {
        codec::encode(&partition.reader.position()).map_err(|error| self.failed(error.into()))
    }

    /// The watermark of all partitions together, if it has grown. Ended and idle ones are left out; a source whose
    /// readers know no event time has none.
    fn merged_watermark(&mut self) -> Option<Timestamp> {
        if !self.coming.is_empty() {
            return None;
        }
        let mut least = None;
        let mut is_over = true;
        for partition in self.partitions.iter().filter(|partition| partition.status != ReadStatus::Ended) {
            let time = partition.reader.watermark();
            // One that is idle holds up all but the end of event time, behind which it could never come back.
            is_over &= time == Some(Timestamp::MAX);
            if !partition.is_idle {
                let time = time?;
                least = Some(least.map_or(time, |least: Timestamp| least.min(time)));
            }
        }
        let time = least?;
        (time > self.watermark && (is_over || time < Timestamp::MAX)).then(|| {
            self.watermark = time;
            time
        })
    }
}

impl<S: Source> Pipe for SourceInlet<S> {
    type Item = S::Item;

    #[inline]
    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<S::Item>) -> Result<Pulled, StageError> {
        if let Some(control) = self.due.pop_front() {
            return Ok(Pulled::Control(control));
        }
        if self.is_promise_due && self.coming.is_empty() {
            self.is_promise_due = false;
            if let Some(time) = self.merged_watermark() {
                return Ok(Pulled::Control(Control::Watermark(time)));
            }
        }
        if cx.n_records_max == 0 {
            return Ok(Pulled::Dry(None));
        }
        let mut wake_at = None;
        let n_partitions = self.partitions.len();
        for turn in 0..n_partitions {
            let at = (self.next + turn) % n_partitions;
            match self.partitions[at].status {
                ReadStatus::Ended => continue,
                ReadStatus::Wait(Some(until)) if until > cx.now => {
                    wake_at = earliest(wake_at, until);
                    wake_at = self.partitions[at]
                        .quiet(cx.now, self.idle_after)
                        .map_or(wake_at, |idle| earliest(wake_at, idle));
                    continue;
                }
                ReadStatus::Wait(_) | ReadStatus::More => {}
            }
            let n_emitted = self.read(at, cx, out)?;
            if n_emitted > 0 || self.partitions[at].status == ReadStatus::More {
                self.next = at + 1;
                self.quiet_since = None;
                self.is_idle = false;
                return Ok(Pulled::Worked);
            }
            if let ReadStatus::Wait(until) = self.partitions[at].status {
                wake_at = until.map_or(wake_at, |until| earliest(wake_at, until));
                wake_at = self.partitions[at]
                    .quiet(cx.now, self.idle_after)
                    .map_or(wake_at, |idle| earliest(wake_at, idle));
            }
        }
        if let Some(time) = self.merged_watermark() {
            self.due.push_back(Control::Watermark(time));
        }
        // What the reads of this round promised goes before idleness: behind it, it would end the idleness for ever.
        if !mutant::is(Mutant::IdleOvertakes)
            && let Some(control) = self.due.pop_front()
        {
            return Ok(Pulled::Control(control));
        }
        Ok(self.quiet(cx.now, wake_at))
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self
    }
}

impl<S: Source> Inlet for SourceInlet<S> {
    fn source(&mut self) -> Option<&mut dyn AnySource> {
        Some(self)
    }

    fn rerouted(&mut self) -> Option<Timestamp> {
        self.watermark = Timestamp::MIN;
        self.is_idle = false;
        self.is_promise_due = true;
        // Which partitions there are is known only when this cut is done.
        None
    }
}

impl<S: Source> AnySource for SourceInlet<S> {
    fn name(&self) -> &str {
        &self.name
    }

    fn partitions(&mut self) -> Result<Vec<String>, StageError> {
        self.source.partitions().map_err(|error| self.failed(error))
    }

    fn open(&mut self, partition: &str, position: Option<&[u8]>) -> Result<(), OpenError> {
        let position = position.map(codec::decode).transpose().map_err(|error| OpenError::Position {
            partition: format!("{}/{partition}", self.name),
            reason: error.to_string(),
        })?;
        let opened = self.source.open(partition, position);
        let reader =
            opened.map_err(|error| self.failed(format!("partition `{partition}`: {error}").into()))?;
        self.partitions.push(Partition {
            name: partition.to_owned(),
            reader,
            status: ReadStatus::More,
            quiet_since: None,
            is_idle: false,
        });
        self.coming.remove(partition);
        // How long the others were quiet says nothing about this one.
        self.quiet_since = None;
        Ok(())
    }

    fn expect(&mut self, partition: &str) {
        self.coming.insert(partition.to_owned());
    }

    fn close(&mut self, partition: &str) -> Result<Option<Vec<u8>>, StageError> {
        let Some(at) = self.partitions.iter().position(|open| open.name == partition) else {
            return Ok(None);
        };
        let position = self.encode_position(&self.partitions[at])?;
        self.partitions.remove(at);
        self.next = 0;
        Ok(Some(position))
    }

    fn inject(&mut self, control: Control) {
        self.due.push_back(control);
    }

    fn positions(&mut self, snapshot: SnapshotId) -> Result<Vec<(String, Vec<u8>)>, StageError> {
        let position = |open: &Partition<S::Reader>| Ok((open.name.clone(), self.encode_position(open)?));
        let positions = self.partitions.iter().map(position).collect::<Result<Vec<_>, StageError>>()?;
        self.at_cut.insert(snapshot, positions.clone());
        Ok(positions)
    }

    fn committed(&mut self, snapshot: SnapshotId) {
        let later = self.at_cut.split_off(&snapshot.next());
        let committed = std::mem::replace(&mut self.at_cut, later).remove(&snapshot);
        for (name, position) in committed.into_iter().flatten() {
            // A partition that has moved on is acknowledged by whoever reads it at the next snapshot.
            let reader = self.partitions.iter_mut().find(|open| open.name == name);
            if let (Some(open), Ok(position)) = (reader, codec::decode(&position)) {
                open.reader.acknowledge(position);
            }
        }
    }

    fn is_exhausted(&self) -> bool {
        self.partitions.iter().all(|open| open.status == ReadStatus::Ended)
    }
}

fn earliest(one: Option<Nanos>, other: Nanos) -> Option<Nanos> {
    Some(one.map_or(other, |one| one.min(other)))
}

impl<S: Source> std::fmt::Debug for SourceInlet<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceInlet")
            .field("name", &self.name)
            .field("n_partitions", &self.partitions.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
