//! Workers on threads.
//!
//! - [`clock`](self): the time since the process began, and the gauge of output gaps.
//! - `bell`: how a worker that has nothing to do rests, over `primitives`, and `wake`: how whoever it may be wakes it.
//! - `handover`: how threads hand things to one another and rest meanwhile, over `primitives`.
//! - `channel`: the bounded channel between two workers, which hands batches back to be filled again.
//! - `fabric`: who is connected with whom in one generation.
//! - `port`: a worker's port over all these.
//! - `requests`: where the futures of operators are driven.
//! - `worker`: the loop that drives a worker.
//! - `host`: the coordinator's port: starts, stops and reaches workers.
//! - `drive`: the coordinator's thread.

mod bell;
mod channel;
mod clock;
mod drive;
mod fabric;
mod handover;
mod host;
mod metrics;
mod port;
mod primitives;
mod requests;
mod wake;
mod worker;

pub use metrics::{Figures, WorkerFigures};

pub(crate) use drive::{Arrivals, Execution, Placement, Plan, drive};
pub(crate) use metrics::Metrics;
