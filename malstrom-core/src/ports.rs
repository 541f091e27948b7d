//! What core asks of the outside: the ports through which time, messages and stored bytes come in.
//!
//! The runtime implements them over threads, clocks and object stores; the simulator implements them over one
//! seeded scheduler. Core knows no other way out.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::coordinator::JobEvent;
use crate::exchange::{Decoder, ParcelReceiver, ParcelSender};
use crate::ids::{EdgeId, Generation, WorkerId};
use crate::limits::{ENCODE_SLICE_BYTES, OBJECT_BYTES_MIN, OBJECTS_STORING_MAX};
use crate::worker::messages::{Command, Mail, Report, ToWorker};

/// Nanoseconds on a clock that never goes back. The clocks of all workers agree, also those of a later process of the job,
/// as well as wall clocks do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The time between an earlier moment and this one; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment and some time.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// How one worker reaches the rest of the job. No call blocks.
pub trait WorkerPort {
    /// What has arrived for this worker, oldest first.
    fn receive(&mut self) -> Option<ToWorker>;
    /// Tells the coordinator a fact.
    fn report(&mut self, report: Report);
    /// Sends state to another worker. Mail between two workers keeps its order.
    fn mail(&mut self, to: WorkerId, mail: Mail);
    /// Whether mail to this worker arrives as it is, so that tables of state need not become bytes.
    fn shares_memory_with(&self, to: WorkerId) -> bool {
        let _ = to;
        false
    }
    /// Begins to store an object; [`ToWorker::Stored`] tells how it went.
    fn put(&mut self, path: String, bytes: Vec<u8>);
    /// Begins to read a range of an object; [`ToWorker::Read`] brings it.
    fn get(&mut self, path: String, offset: u64, bytes: u64);
    /// Opens the sending end of the channel to a worker on an edge. Called once per edge and worker.
    fn channel_to(&mut self, edge: EdgeId, to: WorkerId) -> Box<dyn ParcelSender>;
    /// Opens the receiving end of the channel from a worker on an edge. Called once per edge and worker. A transport
    /// that carries bytes decodes batches with `decoder`.
    fn channel_from(&mut self, edge: EdgeId, from: WorkerId, decoder: Decoder) -> Box<dyn ParcelReceiver>;
    /// The time now.
    fn now(&self) -> Nanos;
    /// What drives the futures of this worker's operators.
    fn driver(&mut self) -> Box<dyn Driver>;
    /// State to be encoded between two batches, in bytes; at least one bin.
    fn slice_bytes(&self) -> usize {
        ENCODE_SLICE_BYTES
    }
    /// Encoded state that goes to the store as one object, in bytes, at least; see [`OBJECT_BYTES_MIN`].
    fn object_bytes_min(&self) -> usize {
        OBJECT_BYTES_MIN
    }
    /// Objects of this worker that are on their way to the store at once; see [`OBJECTS_STORING_MAX`].
    fn objects_storing_max(&self) -> usize {
        OBJECTS_STORING_MAX
    }
}

/// A future that need not leave its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
/// A future that may move between threads.
pub type SendFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Drives futures for one worker: requests to a service, which the worker does not wait for. A future puts what it has
/// come to where its operator finds it.
pub trait Driver {
    /// Begins to drive a future to its end, elsewhere or between two steps of the worker, and has the worker take a step
    /// when it has ended. It need not be driven any more when what is returned is dropped. No call blocks.
    #[must_use]
    fn drive(&self, future: SendFuture<'static, ()>) -> Box<dyn Any>;
}

/// How the coordinator reaches workers, the clock and chance.
pub trait Host {
    /// Starts a worker of a generation, in a job of `n_bins` bins; it reports for itself when it is built, or is
    /// reported lost.
    fn start_worker(&self, generation: Generation, worker: WorkerId, n_bins: u32);
    /// Stops a worker and resolves when it is gone, or has been given up and can reach nobody any more.
    fn stop_worker(&self, worker: WorkerId) -> LocalFuture<'_, ()>;
    /// Sends a command to a worker. Commands to one worker keep their order. One to a lost worker goes nowhere: its
    /// loss is an event of its own.
    fn send(&self, worker: WorkerId, command: Command);
    /// Resolves after a time.
    fn sleep(&self, time: Duration) -> LocalFuture<'static, ()>;
    /// The time now.
    fn now(&self) -> Nanos;
    /// A number nobody else will draw.
    fn token(&self) -> u128;
    /// The longest time without output since this was last asked, the time since the last output included.
    fn take_output_gap(&self) -> Duration;
    /// Tells whoever watches what has happened.
    fn event(&self, event: JobEvent);
}

/// Why a store could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such object.
    #[error("there is no object `{path}`")]
    NotFound {
        /// The object's path.
        path: String,
    },
    /// An object that was to be created exists.
    #[error("the object `{path}` exists already")]
    Exists {
        /// The object's path.
        path: String,
    },
    /// The store failed; whether a write took effect is not known.
    #[error("the store failed to {action} `{path}`: {reason}")]
    Failed {
        /// What was tried: "put", "get", "list" or "delete".
        action: &'static str,
        /// The object's path.
        path: String,
        /// What the store said.
        reason: String,
    },
}

/// An object and its size.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectInfo {
    /// The object's path.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Where snapshots live: named objects that are written once, read by range, listed and deleted. Paths are relative
/// to the job's root and use `/`.
///
/// **Guarantees asked of an implementation.** A put that returned `Ok` is durable and will be read by every later
/// get. An object is seen whole or not at all. Of two `put_new` of one path at most one returns `Ok`. A call that
/// failed may or may not have taken effect.
pub trait SnapshotStore: Send + Sync + fmt::Debug {
    /// Creates an object; [`StoreError::Exists`] if there is one.
    fn put_new<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>>;
    /// Writes an object, over an older one if there is one.
    fn put<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>>;
    /// As [`put`](Self::put), of bytes that the caller would have back, to use their memory again: a store that need not keep
    /// them has let go of them when it answers. Without an implementation of its own it puts a copy.
    fn put_lent<'a>(&'a self, path: &'a str, bytes: Arc<Vec<u8>>) -> SendFuture<'a, Result<(), StoreError>> {
        self.put(path, Arc::unwrap_or_clone(bytes))
    }
    /// Objects that it is worth giving to the store at once, by one worker. Each takes memory until it is written, so a
    /// store that is near asks for few.
    fn puts_at_once(&self) -> usize {
        OBJECTS_STORING_MAX
    }
    /// Reads an object.
    fn get<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<Vec<u8>, StoreError>>;
    /// Reads `bytes` bytes from `offset`; fewer if the object ends before.
    fn get_range<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        bytes: u64,
    ) -> SendFuture<'a, Result<Vec<u8>, StoreError>>;
    /// All objects whose path begins with the folder `prefix` (such as `log/`), ascending by path.
    fn list<'a>(&'a self, prefix: &'a str) -> SendFuture<'a, Result<Vec<ObjectInfo>, StoreError>>;
    /// Deletes an object; `Ok` if there is none.
    fn delete<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<(), StoreError>>;
}
