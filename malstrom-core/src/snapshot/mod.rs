//! Snapshots as data: the manifest, the job log, and the decisions taken from them.

mod manifest;

pub use manifest::{After, BlockRef, Manifest, ObjectRef, OperatorKind, RouteTable};
