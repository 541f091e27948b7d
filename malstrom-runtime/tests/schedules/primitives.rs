//! Primitives that shuttle sees, and a ring whose operations are atomic.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::Duration;

pub(crate) use shuttle::hint::spin_loop;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
pub(crate) use shuttle::sync::{Arc, Mutex};
pub(crate) use shuttle::thread::Thread;

use crate::{Broken, is_broken};

/// Time that passes by a microsecond with every look at it.
#[derive(Clone)]
pub(crate) struct Instant(Cell<u64>);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(Cell::new(0))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.replace(self.0.get() + 1))
    }
}

/// A rest that only a wake-up ends.
pub(crate) fn park_timeout(_: Duration) {
    if is_broken(Broken::WakeForgotten) {
        // This rest ends at once and takes with it what came before.
        shuttle::thread::current().unpark();
        shuttle::thread::park();
    }
    shuttle::thread::park();
}

pub(crate) struct RingBuffer<T>(std::marker::PhantomData<T>);

pub(crate) struct Producer<T> {
    ring: Arc<Mutex<Ring<T>>>,
    n_items_max: usize,
    was_full: bool,
}

pub(crate) struct Consumer<T> {
    ring: Arc<Mutex<Ring<T>>>,
}

pub(crate) enum PushError<T> {
    Full(T),
}

struct Ring<T> {
    items: VecDeque<T>,
    is_abandoned: bool,
}

impl<T> RingBuffer<T> {
    #[expect(clippy::new_ret_no_self, reason = "as in the crate whose place this takes")]
    pub(crate) fn new(n_items_max: usize) -> (Producer<T>, Consumer<T>) {
        let ring = Arc::new(Mutex::new(Ring { items: VecDeque::new(), is_abandoned: false }));
        (Producer { ring: ring.clone(), n_items_max, was_full: false }, Consumer { ring })
    }
}

impl<T> Producer<T> {
    pub(crate) fn push(&mut self, item: T) -> Result<(), PushError<T>> {
        // The second of two looks at a full ring, without the look.
        if std::mem::take(&mut self.was_full) && is_broken(Broken::NoSecondLook) {
            return Err(PushError::Full(item));
        }
        let mut ring = self.ring.lock().unwrap();
        if ring.items.len() == self.n_items_max {
            self.was_full = true;
            return Err(PushError::Full(item));
        }
        ring.items.push_back(item);
        Ok(())
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.ring.lock().unwrap().is_abandoned
    }
}

impl<T> Consumer<T> {
    pub(crate) fn pop(&mut self) -> Result<T, ()> {
        self.ring.lock().unwrap().items.pop_front().ok_or(())
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        // A schedule that failed is torn down in whatever state it was.
        if let Ok(mut ring) = self.ring.lock()
            && !std::thread::panicking()
        {
            ring.is_abandoned = true;
        }
    }
}
