//! Futures of a simulated worker's operators: each is driven when its time has come, some long after it is waited for.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::clock::{Event, Shared};
use crate::ports::{Driver, SendFuture};

/// The longest that a service usually takes to answer, in microseconds.
const ANSWER_US_MAX: u64 = 4000;
/// The longest that it takes while faults are injected: whoever waits less asks again.
const SLOW_ANSWER_US_MAX: u64 = 1_000_000;
/// Answers out of a thousand that are slow.
const SLOW_PER_MILLE: u64 = 100;
/// Time between two looks at a future that waits for something of its own.
const POLL_EVERY: Duration = Duration::from_millis(1);

/// All futures under way, by number. A worker that is lost loses its own.
#[derive(Clone, Default)]
pub(super) struct Futures(Rc<RefCell<UnderWay>>);

#[derive(Default)]
struct UnderWay {
    n_begun: u64,
    futures: BTreeMap<u64, SendFuture<'static, ()>>,
}

impl Futures {
    /// Drives a future; whether it has ended.
    pub(super) fn drive(&self, number: u64, actor: usize, core: &Shared) -> bool {
        let Some(mut future) = self.0.borrow_mut().futures.remove(&number) else { return false };
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(()) {
            return true;
        }
        self.0.borrow_mut().futures.insert(number, future);
        core.lock().after(POLL_EVERY, Event::Answer { actor, number });
        false
    }
}

/// Drives the futures of one worker.
pub(super) struct SimDriver {
    pub(super) actor: usize,
    pub(super) futures: Futures,
    pub(super) core: Shared,
}

impl Driver for SimDriver {
    fn drive(&self, future: SendFuture<'static, ()>) -> Box<dyn Any> {
        let number = {
            let mut under_way = self.futures.0.borrow_mut();
            under_way.n_begun += 1;
            let number = under_way.n_begun;
            under_way.futures.insert(number, future);
            number
        };
        let mut core = self.core.lock();
        let is_slow = !core.is_calm && core.rng.per_mille(SLOW_PER_MILLE);
        if is_slow {
            core.counts.add("service: slow answer");
        }
        let delay = core.rng.micros(1, if is_slow { SLOW_ANSWER_US_MAX } else { ANSWER_US_MAX });
        core.after(delay, Event::Answer { actor: self.actor, number });
        Box::new(Wanted { number, futures: self.futures.clone() })
    }
}

/// What is dropped when nobody waits for a future any more.
struct Wanted {
    number: u64,
    futures: Futures,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let future = self.futures.0.borrow_mut().futures.remove(&self.number);
        drop(future);
    }
}
