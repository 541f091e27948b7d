//! The lanes of one stage to all workers on one edge.

use super::Data;
use super::lane::{Lane, Remote, drain_all};
use crate::element::{Barrier, Control};
use crate::ids::{EdgeId, WorkerId};
use crate::ports::WorkerPort;

/// A lane for each worker, in the order of their numbers.
pub(super) struct Lanes<T> {
    edge: EdgeId,
    lanes: Vec<Lane<T>>,
    /// The watermark that was told last since the last route, and the idleness behind it: a lane that is added begins with
    /// both. Who knows only that a channel is idle, and not how far it had come, lags behind the others when all are idle.
    told: [Option<Control>; 2],
}

impl<T> Lanes<T> {
    pub(super) fn new(edge: EdgeId) -> Self {
        Self { edge, lanes: Vec::new(), told: [None, None] }
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self) -> &mut [Lane<T>] {
        &mut self.lanes
    }
}

impl<T: Data> Lanes<T> {
    pub(super) fn drain(&mut self) -> bool {
        drain_all(&mut self.lanes)
    }

    pub(super) fn flush(&mut self) {
        self.lanes.iter_mut().for_each(Lane::flush);
    }

    pub(super) fn control(&mut self, control: Control) {
        match control {
            Control::Watermark(_) => self.told = [Some(control), None],
            Control::Idle => self.told[1] = Some(control),
            Control::Barrier(Barrier::Route(_)) => self.told = [None, None],
            Control::Barrier(Barrier::Snapshot(_)) | Control::Suspend | Control::End => {}
        }
        self.lanes.iter_mut().for_each(|lane| lane.control(control));
    }

    pub(super) fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.lanes.truncate(n_workers as usize);
        for worker in self.lanes.len()..n_workers as usize {
            let to = WorkerId(u32::try_from(worker).expect("fits: it is below n_workers"));
            let mut lane = Lane::new(Box::new(Remote(port.channel_to(self.edge, to))));
            self.told.into_iter().flatten().for_each(|control| lane.control(control));
            self.lanes.push(lane);
        }
    }
}
