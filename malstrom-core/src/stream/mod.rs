//! The builder a user sees: [`Job`], [`Stream`], [`KeyedStream`], and their windows.
//!
//! A job's closure is called once on every worker, each time a worker starts; it must build the same dataflow each
//! time. Operators and closures stay on the thread that built them: none of them need be `Send`.

mod asking;
mod broadcast;
mod flow;
mod job;
mod keyed;
mod plain;
mod windowed;

pub use job::{BuildError, Dataflow, Job};
pub use keyed::KeyedStream;
pub use plain::Stream;
pub use windowed::{CombinedPipe, Windowed, WindowedBy};
