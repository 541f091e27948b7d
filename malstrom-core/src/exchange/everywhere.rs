//! A way out of a stage to all workers, and the beginning of the stage that reads it: each record comes to each of them.

use super::lane::{Lane, Remote, drain_all};
use super::{Channels, Data, decode_batch};
use crate::element::{Barrier, Control, Record, Timestamp};
use crate::ids::{EdgeId, WorkerId};
use crate::operators::Emit;
use crate::ports::WorkerPort;
use crate::stage::{Inlet, Outlet, Pipe, PullContext, Pulled, StageError, pull_from};

/// Sends each record to all workers.
pub(crate) struct Everywhere<T> {
    edge: EdgeId,
    lanes: Vec<Lane<T>>,
    /// The watermark or the idleness that was told last since the last route: a lane that is added begins with it.
    told: Option<Control>,
}

impl<T> Everywhere<T> {
    pub(crate) fn new(edge: EdgeId) -> Self {
        Self { edge, lanes: Vec::new(), told: None }
    }
}

impl<T: Data + Clone> Emit<T> for Everywhere<T> {
    fn emit(&mut self, record: Record<T>) {
        if let Some((last, others)) = self.lanes.split_last_mut() {
            others.iter_mut().for_each(|lane| lane.push(record.clone()));
            last.push(record);
        }
    }
}

impl<T: Data + Clone> Outlet<T> for Everywhere<T> {
    fn drain(&mut self) -> bool {
        drain_all(&mut self.lanes)
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.lanes.iter_mut().for_each(Lane::flush);
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), StageError> {
        match control {
            Control::Watermark(_) | Control::Idle => self.told = Some(control),
            Control::Barrier(Barrier::Route(_)) => self.told = None,
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
            if let Some(control) = self.told {
                lane.control(control);
            }
            self.lanes.push(lane);
        }
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
