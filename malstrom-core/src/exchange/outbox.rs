//! The way out of a stage into an exchange: a lane for each worker, chosen by the bin of the record's key.

use std::hash::Hash;

use super::lane::{Lane, Remote, drain_all};
use super::{Data, bin_of};
use crate::element::{Barrier, Control, Keyed, Record};
use crate::ids::{EdgeId, WorkerId};
use crate::operators::Emit;
use crate::ports::WorkerPort;
use crate::snapshot::RouteTable;
use crate::stage::{Outlet, StageError};
use crate::worker::messages::BinMove;

/// Sends keyed records to the workers that own their bins.
pub struct Outbox<K, V> {
    edge: EdgeId,
    owners: Vec<u32>,
    mask: u64,
    lanes: Vec<Lane<Keyed<K, V>>>,
    /// The watermark that was told last since the last route, and the idleness behind it: a lane that is added begins with
    /// both. Who knows only that a channel is idle, and not how far it had come, lags behind the others when all are idle.
    told: [Option<Control>; 2],
}

impl<K: Data + Hash, V: Data> Outbox<K, V> {
    pub(crate) fn new(edge: EdgeId, n_bins: u32) -> Self {
        Self {
            edge,
            owners: vec![0; n_bins as usize],
            mask: u64::from(n_bins) - 1,
            lanes: Vec::new(),
            told: [None, None],
        }
    }
}

impl<K: Data + Hash, V: Data> Emit<Keyed<K, V>> for Outbox<K, V> {
    #[inline(always)]
    fn emit(&mut self, record: Record<Keyed<K, V>>) {
        let owner = self.owners[bin_of(record.value.hash, self.mask)];
        self.lanes[owner as usize].push(record);
    }
}

impl<K: Data + Hash, V: Data> Outlet<Keyed<K, V>> for Outbox<K, V> {
    fn drain(&mut self) -> bool {
        drain_all(&mut self.lanes)
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.lanes.iter_mut().for_each(Lane::flush);
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), StageError> {
        match control {
            Control::Watermark(_) => self.told = [Some(control), None],
            Control::Idle => self.told[1] = Some(control),
            Control::Barrier(Barrier::Route(_)) => self.told = [None, None],
            Control::Barrier(Barrier::Snapshot(_)) | Control::Suspend | Control::End => {}
        }
        self.lanes.iter_mut().for_each(|lane| lane.control(control));
        Ok(())
    }

    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.lanes.truncate(n_workers as usize);
        for worker in self.lanes.len()..n_workers as usize {
            let to = WorkerId(u32::try_from(worker).expect("fits: it is below n_workers"));
            let mut lane = Lane::new(Box::new(Remote(port.channel_to(self.edge, to))));
            self.told.into_iter().flatten().for_each(|control| lane.control(control));
            self.lanes.push(lane);
        }
    }

    fn set_routes(&mut self, routes: &RouteTable) {
        self.owners = routes.owners.iter().map(|owner| owner.0).collect();
    }

    fn move_bins(&mut self, moves: &[BinMove]) {
        for step in moves {
            self.owners[step.bin.index()] = step.to.0;
        }
    }
}

#[cfg(test)]
mod tests;
