//! Polling a coordinator: a flag that its waker sets.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future and whether it asked to be polled.
pub(super) struct Task<T> {
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
    woken: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<T> Task<T> {
    /// A task that is to be polled at once.
    pub(super) fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Some(Box::pin(future)), woken: Arc::new(Flag(AtomicBool::new(true))) }
    }

    /// Whether it asked to be polled since this was last asked.
    pub(super) fn take_woken(&self) -> bool {
        self.future.is_some() && self.woken.0.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.future.is_some()
    }

    /// Polls it; what it came to, once.
    pub(super) fn poll(&mut self) -> Option<T> {
        let future = self.future.as_mut()?;
        let waker = Waker::from(self.woken.clone());
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(result) => {
                self.future = None;
                Some(result)
            }
        }
    }

    /// Drops it, as a crash does.
    pub(super) fn kill(&mut self) {
        self.future = None;
    }
}
