//! Running a job: the builder of a runtime, the handle on a job, what is left of one that has ended.

mod api;
mod builder;
mod outcome;

pub use api::{JobApi, JobHandle, JobStatus, RunnableJob};
pub use builder::{Builder, Defined, Missing, MultiThread, SingleThread, Workers};
pub use outcome::{JobOutcome, StateReadError};
