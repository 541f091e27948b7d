//! How a worker that has nothing to do is woken.

use std::sync::Arc;

use tokio::sync::Notify;

use super::bell::Bell;

/// Wakes one worker. Waking one that is awake makes its next rest end at once, so no wake-up is lost.
#[derive(Clone, Debug)]
pub(crate) enum Wake {
    /// The worker has a thread of its own.
    Thread(Arc<Bell>),
    /// The worker shares the coordinator's thread.
    Task(Arc<Notify>),
}

impl Wake {
    pub(crate) fn wake(&self) {
        match self {
            Self::Thread(bell) => bell.ring(),
            Self::Task(notify) => notify.notify_one(),
        }
    }
}
