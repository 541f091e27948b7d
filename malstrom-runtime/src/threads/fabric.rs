//! Who is connected with whom, in one generation.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use malstrom_core::ids::{EdgeId, WorkerId};
use malstrom_core::worker::messages::ToWorker;

use super::channel::{Receiver, Sender, channel};
use super::wake::Wake;

type Channel = (EdgeId, WorkerId, WorkerId);

/// The workers of one generation and the channels between them. Whoever opens a channel first makes it and leaves the
/// other end here.
#[derive(Default)]
pub(crate) struct Fabric {
    workers: Mutex<HashMap<WorkerId, Member>>,
    senders: Mutex<HashMap<Channel, Sender>>,
    receivers: Mutex<HashMap<Channel, Receiver>>,
}

#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) inbox: flume::Sender<ToWorker>,
    pub(crate) wake: Wake,
}

impl Member {
    /// A message to a worker that is gone goes nowhere: its loss is told elsewhere.
    pub(crate) fn tell(&self, message: ToWorker) {
        if self.inbox.send(message).is_ok() {
            self.wake.wake();
        }
    }
}

impl Fabric {
    pub(crate) fn join(&self, worker: WorkerId, member: Member) {
        locked(&self.workers).insert(worker, member);
    }

    /// Forgets a worker and the ends of channels that it has not fetched.
    pub(crate) fn leave(&self, worker: WorkerId) {
        locked(&self.workers).remove(&worker);
        locked(&self.senders).retain(|(_, from, to), _| *from != worker && *to != worker);
        locked(&self.receivers).retain(|(_, from, to), _| *from != worker && *to != worker);
    }

    pub(crate) fn member(&self, worker: WorkerId) -> Option<Member> {
        locked(&self.workers).get(&worker).cloned()
    }

    pub(crate) fn sender(&self, edge: EdgeId, from: WorkerId, to: WorkerId) -> Sender {
        let mut receivers = locked(&self.receivers);
        if let Some(sender) = locked(&self.senders).remove(&(edge, from, to)) {
            return sender;
        }
        let (sender, receiver) = self.channel(from, to);
        receivers.insert((edge, from, to), receiver);
        sender
    }

    pub(crate) fn receiver(&self, edge: EdgeId, from: WorkerId, to: WorkerId) -> Receiver {
        let mut receivers = locked(&self.receivers);
        if let Some(receiver) = receivers.remove(&(edge, from, to)) {
            return receiver;
        }
        let (sender, receiver) = self.channel(from, to);
        locked(&self.senders).insert((edge, from, to), sender);
        receiver
    }

    fn channel(&self, from: WorkerId, to: WorkerId) -> (Sender, Receiver) {
        let wake = |worker| match self.member(worker) {
            Some(member) => member.wake,
            // Whoever is gone already need not be woken.
            None => Wake::Task(Default::default()),
        };
        channel(wake(from), wake(to))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the maps hold is whole between any two calls, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
