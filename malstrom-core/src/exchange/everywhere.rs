//! A way out of a stage to all workers, and the beginning of the stage that reads it: each record comes to each of them.

use super::lane::Remote;
use super::lanes::Lanes;
use super::{Channels, Data, decode_batch};
use crate::element::{Control, Record, Timestamp};
use crate::ids::{EdgeId, WorkerId};
use crate::operators::Emit;
use crate::ports::WorkerPort;
use crate::stage::{Inlet, Outlet, Pipe, PullContext, Pulled, StageError, pull_from};

/// Sends each record to all workers.
pub(crate) struct Everywhere<T> {
    lanes: Lanes<T>,
}

impl<T> Everywhere<T> {
    pub(crate) fn new(edge: EdgeId) -> Self {
        Self { lanes: Lanes::new(edge) }
    }
}

impl<T: Data + Clone> Emit<T> for Everywhere<T> {
    fn emit(&mut self, record: Record<T>) {
        if let Some((last, others)) = self.lanes.get_mut().split_last_mut() {
            others.iter_mut().for_each(|lane| lane.push(record.clone()));
            last.push(record);
        }
    }
}

impl<T: Data + Clone> Outlet<T> for Everywhere<T> {
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
}

/// Reads what all workers send everywhere.
pub(crate) struct EverywhereInbox<T> {
    edge: EdgeId,
    channels: Channels<T>,
}

impl<T> EverywhereInbox<T> {
    pub(crate) fn new(edge: EdgeId) -> Self {
        Self { edge, channels: Channels::new() }
    }
}

impl<T: Data> Pipe for EverywhereInbox<T> {
    type Item = T;

    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<T>) -> Result<Pulled, StageError> {
        Ok(pull_from(&mut self.channels, cx, out))
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self
    }
}

impl<T: Data> Inlet for EverywhereInbox<T> {
    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.channels.truncate(n_workers as usize);
        let is_running = self.channels.len() > 0;
        for worker in self.channels.len()..n_workers as usize {
            let from = WorkerId(u32::try_from(worker).expect("fits: it is below n_workers"));
            let receiver = Box::new(Remote(port.channel_from(self.edge, from, decode_batch::<T>)));
            if is_running { self.channels.add_newcomer(receiver) } else { self.channels.add(receiver) }
        }
    }

    fn rerouted(&mut self) -> Option<Timestamp> {
        let time = self.channels.watermark();
        (time > Timestamp::MIN).then_some(time)
    }
}
