//! The beginning of a stage of records with a key, and the receiving side of a rescale: behind an exchange, or behind
//! stages of the same worker whose records crossed one already.
//!
//! # Rules
//! 1. From the cut of a route version on, records for a bin whose state is still on its way are kept aside, in order.
//! 2. When the state has come, what was kept aside is worked on before anything that arrived later.
//! 3. While a bin is on its way, watermarks and idleness are held, so that no timer fires before the records it waits for.
//!    They are held where the barrier of the route left them; it has also ended the idleness of whoever reads this stage.
//! 4. What is kept aside is bounded: past the bound nothing more is read until a bin arrives.
//! 5. A worker that comes to a running job hears what its channels promise now, and not how far the others had come by what
//!    was promised before: it is told. Until then its bins are on their way, even those whose state is here, and its first
//!    step is not done; then its operators are told before any record. So event time never goes back for a key that moves.
//! 6. Behind the barrier of a route the merged watermark is announced again. It holds, whatever partitions moved: while
//!    a partition was read before the barrier, the channel of its reader counted it.
//! 7. Bins of a stage behind others of the same worker move as any do: each such stage has state of its own, which comes at
//!    a time of its own, so records for it are kept aside here too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Arrivals, Inlet, Pipe, PullContext, Pulled, StageError};
use crate::element::{Control, Keyed, Record, Timestamp};
use crate::exchange::{
    Arrival, Batch, Channels, Data, Decoder, ParcelReceiver, Receive, Remote, bin_of, decode_batch,
};
use crate::ids::{Bin, EdgeId, WorkerId};
use crate::limits::{ASIDE_RECORDS_MAX, LOOKAHEAD_RECORDS};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::operators::Emit;
use crate::ports::WorkerPort;

/// Reads what an exchange brings from all workers, or what stages of the same worker pass on.
pub struct KeyedInbox<K, V> {
    /// Absent if it reads stages of the same worker, whose number does not change.
    edge: Option<Edge<K, V>>,
    mask: u64,
    channels: Channels<Keyed<K, V>>,
    missing: BTreeMap<Bin, Vec<Record<Keyed<K, V>>>>,
    early: BTreeSet<Bin>,
    /// Those of the missing bins whose state has come to a worker that is behind.
    here: BTreeSet<Bin>,
    complete: VecDeque<Vec<Record<Keyed<K, V>>>>,
    n_aside: usize,
    held: Option<Timestamp>,
    /// Whether idleness is held, behind that watermark.
    holds_idle: bool,
    /// The last watermark passed on, and what it was when the first bin of the step was missing.
    told: Timestamp,
    told_at_cut: Timestamp,
    /// Whether the watermark that the other workers have merged is still to be told to this one.
    is_behind: bool,
    /// That watermark, until it has been passed on.
    floor: Timestamp,
    /// Turns by which a mutant works on records kept aside too late.
    n_turns_late: u32,
}

/// A channel whose type is known.
type Input<K, V> = Box<dyn Receive<Keyed<K, V>>>;

/// An exchange, and how to read what it brings.
struct Edge<K, V> {
    id: EdgeId,
    decoder: Decoder,
    typed: fn(Box<dyn ParcelReceiver>) -> Input<K, V>,
}

impl<K: Data, V: Data> KeyedInbox<K, V> {
    pub(crate) fn new(edge: EdgeId, n_bins: u32) -> Self {
        let typed = |receiver| -> Input<K, V> { Box::new(Remote(receiver)) };
        Self::reading(Some(Edge { id: edge, decoder: decode_batch::<Keyed<K, V>>, typed }), n_bins)
    }
}

impl<K: 'static, V: 'static> KeyedInbox<K, V> {
    /// Reads stages of the same worker.
    pub(crate) fn local(inputs: impl IntoIterator<Item = Input<K, V>>, n_bins: u32) -> Self {
        let mut inbox = Self::reading(None, n_bins);
        inputs.into_iter().for_each(|input| inbox.channels.add(input));
        inbox
    }

    fn reading(edge: Option<Edge<K, V>>, n_bins: u32) -> Self {
        Self {
            edge,
            mask: u64::from(n_bins) - 1,
            channels: Channels::new(),
            missing: BTreeMap::new(),
            early: BTreeSet::new(),
            here: BTreeSet::new(),
            complete: VecDeque::new(),
            n_aside: 0,
            held: None,
            holds_idle: false,
            told: Timestamp::MIN,
            told_at_cut: Timestamp::MIN,
            is_behind: false,
            floor: Timestamp::MIN,
            n_turns_late: 0,
        }
    }

    /// The usual case: no bin is on its way, so no record needs to be looked at.
    #[inline]
    fn work(batch: &mut Batch<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, V>>) {
        for upcoming in batch.values().iter().take(LOOKAHEAD_RECORDS) {
            out.hint(upcoming);
        }
        batch.drain_ahead(LOOKAHEAD_RECORDS, |upcoming, record| {
            if let Some(upcoming) = upcoming {
                out.hint(upcoming);
            }
            out.emit(record);
        });
    }

    /// Whether watermarks and idleness are held.
    #[inline]
    fn holds(&self) -> bool {
        !self.missing.is_empty() || self.is_behind
    }

    /// What the others had merged, as soon as the cut is passed: nothing that was kept aside came before it.
    #[cold]
    #[inline(never)]
    fn reach_floor(&mut self) -> Option<Timestamp> {
        let floor = std::mem::replace(&mut self.floor, Timestamp::MIN);
        self.channels.raise(floor);
        self.held = self.held.filter(|held| *held > floor);
        if floor <= self.told {
            return None;
        }
        mark::hit(Mark::NewcomerCaughtUp);
        self.holds_idle |= self.channels.is_idle();
        (self.told, self.told_at_cut) = (floor, floor);
        Some(floor)
    }

    /// Whether records for a bin are kept aside even if its state is here.
    fn keeps_arrived(&self) -> bool {
        self.is_behind && !mutant::is(Mutant::NewcomerEager)
    }

    /// The state of a bin is here, and nothing else is missing for it.
    fn completed(&mut self, bin: Bin) {
        if let Some(aside) = self.missing.remove(&bin).filter(|aside| !aside.is_empty()) {
            self.complete.push_back(aside);
        }
    }

    #[cold]
    #[inline(never)]
    fn work_aside(records: Vec<Record<Keyed<K, V>>>, out: &mut impl Emit<Keyed<K, V>>) {
        records.into_iter().for_each(|record| out.emit(record));
    }

    #[cold]
    #[inline(never)]
    fn work_or_keep(&mut self, batch: &mut Batch<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, V>>) {
        for record in batch.drain() {
            match self.missing.get_mut(&bin_number(bin_of(record.value.hash, self.mask))) {
                Some(_) if mutant::is(Mutant::AsideDropped) => {}
                Some(aside) => {
                    mark::hit(Mark::RecordAside);
                    aside.push(record);
                    self.n_aside += 1;
                }
                None => out.emit(record),
            }
        }
    }
}

impl<K: 'static, V: 'static> Pipe for KeyedInbox<K, V> {
    type Item = Keyed<K, V>;

    #[inline]
    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<Self::Item>) -> Result<Pulled, StageError> {
        if cx.n_records_max == 0 {
            return Ok(Pulled::Dry(None));
        }
        if self.floor > Timestamp::MIN
            && self.early.is_empty()
            && (!mutant::is(Mutant::NewcomerEager) || self.missing.is_empty() && self.complete.is_empty())
            && let Some(time) = self.reach_floor()
        {
            return Ok(Pulled::Control(Control::Watermark(time)));
        }
        let is_late = mutant::is(Mutant::AsideOvertaken) && self.n_turns_late < 8;
        self.n_turns_late = if is_late && !self.complete.is_empty() { self.n_turns_late + 1 } else { 0 };
        if !is_late && let Some(records) = self.complete.pop_front() {
            mark::hit(Mark::AsideWorkedOn);
            assert!(self.told == self.told_at_cut, "a watermark overtook records kept aside");
            self.n_aside -= records.len();
            Self::work_aside(records, out);
            return Ok(Pulled::Worked);
        }
        if !self.holds() {
            if let Some(time) = self.held.take() {
                self.told = time;
                return Ok(Pulled::Control(Control::Watermark(time)));
            }
            if std::mem::take(&mut self.holds_idle) {
                return Ok(Pulled::Control(Control::Idle));
            }
        } else if self.n_aside >= ASIDE_RECORDS_MAX {
            return Ok(Pulled::Dry(None));
        }
        match self.channels.poll() {
            Arrival::Nothing => Ok(Pulled::Dry(None)),
            Arrival::Control(Control::Watermark(time))
                if self.holds() && !mutant::is(Mutant::WatermarkOvertakes) =>
            {
                mark::hit(Mark::WatermarkHeld);
                self.held = Some(time);
                self.holds_idle = false;
                Ok(Pulled::Worked)
            }
            Arrival::Control(Control::Idle) if self.holds() => {
                mark::hit(Mark::IdleHeld);
                self.holds_idle = true;
                Ok(Pulled::Worked)
            }
            Arrival::Control(Control::Watermark(time)) => {
                // What was merged before the others were caught up with may still come.
                self.told = time.max(self.told);
                Ok(Pulled::Control(Control::Watermark(self.told)))
            }
            Arrival::Control(control) => Ok(Pulled::Control(control)),
            Arrival::Batch(mut batch, from) => {
                if self.missing.is_empty() {
                    Self::work(&mut batch, out);
                } else {
                    self.holds_idle = false;
                    self.work_or_keep(&mut batch, out);
                }
                self.channels.recycle(batch, from);
                Ok(Pulled::Worked)
            }
        }
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self
    }
}

impl<K: 'static, V: 'static> Inlet for KeyedInbox<K, V> {
    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        let Some(edge) = &self.edge else { return };
        self.channels.truncate(n_workers as usize);
        let is_running = self.channels.len() > 0;
        for worker in self.channels.len()..n_workers as usize {
            let from = WorkerId(u32::try_from(worker).expect("fits: it is below n_workers"));
            let receiver = (edge.typed)(port.channel_from(edge.id, from, edge.decoder));
            if is_running { self.channels.add_newcomer(receiver) } else { self.channels.add(receiver) }
        }
    }

    fn rerouted(&mut self) -> Option<Timestamp> {
        let time = self.channels.watermark();
        (time > Timestamp::MIN).then_some(time)
    }

    fn arrivals(&mut self) -> Option<&mut dyn Arrivals> {
        Some(self)
    }
}

impl<K: 'static, V: 'static> Arrivals for KeyedInbox<K, V> {
    fn expect(&mut self, bins: &[Bin]) {
        debug_assert!(self.missing.is_empty(), "a step begins when the one before it is done");
        self.told_at_cut = self.told;
        for &bin in bins {
            let is_here = self.early.remove(&bin);
            if is_here && self.keeps_arrived() {
                self.here.insert(bin);
            }
            if !is_here || self.keeps_arrived() {
                self.missing.insert(bin, Vec::new());
            }
        }
        debug_assert!(self.early.is_empty(), "only bins that were announced arrive");
    }

    fn arrived(&mut self, bin: Bin) {
        if !self.missing.contains_key(&bin) {
            mark::hit(Mark::BinEarly);
            self.early.insert(bin);
        } else if self.keeps_arrived() {
            mark::hit(Mark::BinAwaitsTime);
            self.here.insert(bin);
        } else {
            self.completed(bin);
        }
    }

    fn n_missing(&self) -> usize {
        self.missing.len() - self.here.len() + usize::from(self.is_behind)
    }

    fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    fn merged(&self) -> Timestamp {
        self.channels.watermark()
    }

    fn await_merged(&mut self) {
        self.is_behind = !mutant::is(Mutant::NewcomerBehind);
        self.channels.await_route();
    }

    fn catch_up(&mut self, merged: Timestamp) {
        if std::mem::take(&mut self.is_behind) {
            self.floor = merged;
            std::mem::take(&mut self.here).into_iter().for_each(|bin| self.completed(bin));
        }
    }
}

impl<K, V> std::fmt::Debug for KeyedInbox<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedInbox")
            .field("edge", &self.edge.as_ref().map(|edge| edge.id))
            .field("n_channels", &self.channels.len())
            .field("n_missing", &self.missing.len())
            .field("n_aside", &self.n_aside)
            .finish_non_exhaustive()
    }
}

fn bin_number(bin: usize) -> Bin {
    Bin(u16::try_from(bin).expect("a job has at most 2^15 bins"))
}

#[cfg(test)]
mod tests;
