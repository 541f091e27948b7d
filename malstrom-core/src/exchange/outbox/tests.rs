use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::element::{Barrier, Timestamp};
use crate::exchange::{AnyBatch, Decoder, Parcel, ParcelReceiver, ParcelSender};
use crate::ids::{RouteVersion, SnapshotId, WorkerId};
use crate::ports::Nanos;
use crate::worker::messages::{Mail, Report};

/// What was sent to each worker, in the order in which channels were opened.
#[derive(Clone, Default)]
struct Sent(Rc<RefCell<Vec<Vec<Control>>>>);

struct To(Sent, usize);

impl ParcelSender for To {
    fn try_send(&mut self, parcel: Parcel) -> Result<(), Parcel> {
        if let Parcel::Control(control) = parcel {
            self.0.0.borrow_mut()[self.1].push(control);
        }
        Ok(())
    }

    fn recycled(&mut self) -> Option<Box<dyn AnyBatch>> {
        None
    }
}

/// A port for nothing but channels out.
impl WorkerPort for Sent {
    fn receive(&mut self) -> Option<crate::worker::messages::ToWorker> {
        None
    }

    fn report(&mut self, _: Report) {}

    fn mail(&mut self, _: WorkerId, _: Mail) {}

    fn put(&mut self, _: String, _: Vec<u8>) {}

    fn get(&mut self, _: String, _: u64, _: u64) {}

    fn channel_to(&mut self, _: EdgeId, _: WorkerId) -> Box<dyn ParcelSender> {
        let mut sent = self.0.borrow_mut();
        sent.push(Vec::new());
        Box::new(To(self.clone(), sent.len() - 1))
    }

    fn channel_from(&mut self, _: EdgeId, _: WorkerId, _: Decoder) -> Box<dyn ParcelReceiver> {
        unreachable!("an outbox receives nothing")
    }

    fn driver(&mut self) -> Box<dyn crate::ports::Driver> {
        unreachable!("nothing is asked here")
    }

    fn now(&self) -> Nanos {
        Nanos(0)
    }
}

const PROMISE: Control = Control::Watermark(Timestamp(5));

/// What a lane is told that is connected after all this.
fn told_to_a_newcomer(before: &[Control]) -> Vec<Control> {
    let mut sent = Sent::default();
    let mut outbox = Outbox::<u64, u64>::new(EdgeId(0), 4);
    outbox.connect(1, &mut sent);
    before.iter().for_each(|control| outbox.control(*control).unwrap());
    outbox.connect(2, &mut sent);
    assert_eq!(sent.0.borrow()[0], before, "who was there is told nothing twice");
    sent.0.take().swap_remove(1)
}

#[test]
fn a_new_lane_begins_with_the_last_watermark() {
    assert_eq!(told_to_a_newcomer(&[]), []);
    assert_eq!(told_to_a_newcomer(&[PROMISE]), [PROMISE]);
    assert_eq!(told_to_a_newcomer(&[PROMISE, Control::Barrier(Barrier::Snapshot(SnapshotId(1)))]), [PROMISE]);
}

#[test]
fn i7_a_new_lane_from_an_idle_stage_begins_idle_behind_the_last_watermark() {
    assert_eq!(told_to_a_newcomer(&[PROMISE, Control::Idle]), [PROMISE, Control::Idle]);
    assert_eq!(told_to_a_newcomer(&[PROMISE, Control::Idle, PROMISE]), [PROMISE]);
    let route = Control::Barrier(Barrier::Route(RouteVersion(1)));
    assert_eq!(told_to_a_newcomer(&[PROMISE, route, Control::Idle]), [Control::Idle]);
}

#[test]
fn i6_a_new_lane_is_told_no_promise_that_a_route_has_made_void() {
    assert_eq!(told_to_a_newcomer(&[PROMISE, Control::Barrier(Barrier::Route(RouteVersion(1)))]), []);
}
