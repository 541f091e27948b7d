//! The way out of a stage into an exchange: a lane for each worker, chosen by the bin of the record's key.

use std::hash::Hash;

use super::lanes::Lanes;
use super::{Data, bin_of};
use crate::element::{Control, Keyed, Record};
use crate::ids::{EdgeId, WorkerId};
use crate::operators::Emit;
use crate::ports::WorkerPort;
use crate::snapshot::RouteTable;
use crate::stage::{Outlet, StageError};
use crate::worker::messages::BinMove;

/// Sends keyed records to the workers that own their bins.
pub struct Outbox<K, V> {
    /// The owner of each bin, in two bytes: each record looks here, and the first-level cache has other work too.
    owners: Vec<u16>,
    mask: u64,
    lanes: Lanes<Keyed<K, V>>,
}

impl<K: Data + Hash, V: Data> Outbox<K, V> {
    pub(crate) fn new(edge: EdgeId, n_bins: u32) -> Self {
        Self { owners: vec![0; n_bins as usize], mask: u64::from(n_bins) - 1, lanes: Lanes::new(edge) }
    }
}

impl<K: Data + Hash, V: Data> Emit<Keyed<K, V>> for Outbox<K, V> {
    #[inline(always)]
    fn emit(&mut self, record: Record<Keyed<K, V>>) {
        let lanes = self.lanes.get_mut();
        // One worker owns every bin: the routes need not be looked at.
        if let [only] = lanes {
            return only.push(record);
        }
        let owner = self.owners[bin_of(record.value.hash, self.mask)];
        lanes[usize::from(owner)].push(record);
    }
}

impl<K: Data + Hash, V: Data> Outlet<Keyed<K, V>> for Outbox<K, V> {
    fn drain(&mut self) -> bool {
        self.lanes.drain()
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.lanes.flush();
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), StageError> {
        self.lanes.control(control);
        Ok(())
    }

    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.lanes.connect(n_workers, port);
    }

    fn set_routes(&mut self, routes: &RouteTable) {
        self.owners = routes.owners.iter().map(|owner| number(*owner)).collect();
    }

    fn move_bins(&mut self, moves: &[BinMove]) {
        for step in moves {
            self.owners[step.bin.index()] = number(step.to);
        }
    }
}

fn number(worker: WorkerId) -> u16 {
    u16::try_from(worker.0).expect("a job has at most 2^15 bins, and a worker for each")
}

#[cfg(test)]
mod tests;
