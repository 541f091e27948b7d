//! How threads hand things to one another and rest meanwhile: a bounded queue between two, and the loop of a worker.
//!
//! # Rules
//! 1. A sender that finds no room says so, looks once more, and only then gives up: the receiver, which looks whether
//!    the sender waits after each item it takes, then cannot miss it.
//! 2. Whoever has something new for the other end wakes it, after the other can see it.
//! 3. Waking one that is awake makes its next rest end at once. So it may look, find nothing and rest: what came in
//!    between wakes it.
//!
//! `tests/schedules.rs` compiles this file with primitives whose interleaving it chooses.

use super::bell::{Bell, Lately, Rest};
use super::primitives::{Arc, AtomicBool, Consumer, Ordering, Producer, PushError, RingBuffer, fence};
use super::wake::Wake;

/// The sending end of a bounded queue.
pub(crate) struct Giver<T> {
    ring: Producer<T>,
    sender_waits: Arc<AtomicBool>,
    receiver: Wake,
}

/// The receiving end of a bounded queue.
pub(crate) struct Taker<T> {
    ring: Consumer<T>,
    sender_waits: Arc<AtomicBool>,
    sender: Wake,
}

/// A queue whose ends know how to wake each other.
pub(crate) fn queue<T>(n_items_max: usize, sender: Wake, receiver: Wake) -> (Giver<T>, Taker<T>) {
    let (ring_in, ring_out) = RingBuffer::new(n_items_max);
    let sender_waits = Arc::new(AtomicBool::new(false));
    (
        Giver { ring: ring_in, sender_waits: sender_waits.clone(), receiver },
        Taker { ring: ring_out, sender_waits, sender },
    )
}

impl<T> Giver<T> {
    /// Sends, or gives the item back when there is no room; the sender is then woken when there is. Without a receiver
    /// items go nowhere.
    #[inline]
    pub(crate) fn try_send(&mut self, item: T) -> Result<(), T> {
        let sent = self.ring.push(item).or_else(|PushError::Full(item)| {
            self.sender_waits.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            self.ring.push(item)
        });
        match sent {
            Ok(()) => {
                self.receiver.wake();
                Ok(())
            }
            // Nobody is there to take it, and nobody will be: the loss of a worker is told elsewhere.
            Err(PushError::Full(_)) if self.ring.is_abandoned() => Ok(()),
            Err(PushError::Full(item)) => Err(item),
        }
    }
}

impl<T> Taker<T> {
    /// The next item, if one is there.
    #[inline]
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        let item = self.ring.pop().ok()?;
        fence(Ordering::SeqCst);
        if self.sender_waits.load(Ordering::Relaxed) {
            self.sender_waits.store(false, Ordering::Relaxed);
            self.sender.wake();
        }
        Some(item)
    }
}

/// Steps until `stop` is set. A step that has nothing to do tells how long to rest by the bell, which is this thread's.
///
/// # Errors
/// That of the step that failed.
pub(crate) fn step_until_stopped<E>(
    stop: &AtomicBool,
    bell: &Bell,
    mut step: impl FnMut() -> Result<Option<Rest>, E>,
) -> Result<(), E> {
    let mut lately = Lately::new();
    while !stop.load(Ordering::Acquire) {
        if let Some(rest) = step()? {
            bell.rest(rest, &mut lately);
        }
    }
    Ok(())
}

/// Has a worker stop.
pub(crate) fn stop(stop: &AtomicBool, worker: &Wake) {
    stop.store(true, Ordering::Release);
    worker.wake();
}
