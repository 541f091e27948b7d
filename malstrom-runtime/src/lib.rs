//! Where Malstrom runs: worker threads, stores, sources and sinks.
//!
//! ```
//! use malstrom_core::operators::from_iter;
//! use malstrom_runtime::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let job = MultiThread::builder()
//!     .job("squares", |job: &Job| {
//!         job.source("numbers", from_iter(|| 0..10_u64)).map(|n| n * n).for_each("print", |n| println!("{n}"));
//!     })
//!     .workers(2)
//!     .build()?;
//! let outcome = job.run()?;
//! assert_eq!(outcome.completion, Completion::Finished);
//! # Ok(())
//! # }
//! ```
//!
//! In reading order:
//!
//! - [`job`]: the builder of a runtime, the handle on a running job, what is left of one that has ended.
//! - [`threads`]: workers on threads, the channels between them, the coordinator on a thread of its own.
//! - [`store`]: where snapshots are kept.
//! - [`connectors`]: sources and sinks.

pub mod connectors;
pub mod job;
pub mod store;
pub mod threads;

/// What nearly every program that runs a job needs.
pub mod prelude {
    pub use malstrom_core::coordinator::{Completion, JobError, JobEvent, RequestError};
    pub use malstrom_core::element::{Either, Record, Timestamp};
    pub use malstrom_core::operators::{AsyncOptions, Unanswered};
    pub use malstrom_core::stream::{Job, KeyedStream, Stream};
    pub use malstrom_core::time::aggregates::{self, Aggregate};
    pub use malstrom_core::time::windows::{Count, Global, Session, Sliding, Tumbling, WindowResult};
    pub use malstrom_core::time::{TimeOffset, Ttl, Watermarks};

    pub use crate::job::{JobApi, JobHandle, JobOutcome, MultiThread, RunnableJob, SingleThread};
}
