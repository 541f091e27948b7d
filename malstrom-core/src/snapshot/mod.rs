//! Snapshots as data: the manifest, the job log, and the decisions taken from them.

pub mod block;
pub mod collect;
mod fit;
mod frame;
mod history;
pub mod log;
mod manifest;
mod resolve;
#[cfg(test)]
mod testing;
mod validate;

pub use collect::{ObjectName, object_path, parse_object_path};
pub use fit::{Fit, Misfit, check_fit};
pub use frame::FrameError;
pub use history::ReadEntry;
pub(crate) use history::newest_generation;
pub use log::LogEntry;
pub use manifest::{After, BlockRef, Manifest, ObjectRef, OperatorKind, RouteTable};
pub use resolve::{Candidate, JobState, Refusal, Resolution, resolve};
pub use validate::ManifestError;
