//! Waking a thread, as shuttle sees it.

use shuttle::thread::Thread;

use crate::{Broken, is_broken};

#[derive(Clone)]
pub(crate) struct Wake(Thread);

impl Wake {
    pub(crate) fn of(thread: Thread) -> Self {
        Self(thread)
    }

    pub(crate) fn wake(&self) {
        if !is_broken(Broken::NoWake) {
            self.0.unpark();
        }
    }
}
