//! The builder a user sees: [`Job`], [`Stream`], [`KeyedStream`], their windows, joins and side outputs.
//!
//! A job's closure is called once when it is checked and once on every worker, each time one starts; it must build the
//! same dataflow each time. Operators and closures stay on the thread that built them: none of them needs to be `Send`.

mod asking;
mod broadcast;
mod deduplicated;
mod flow;
mod job;
mod joined;
mod keyed;
mod plain;
mod sides;
mod windowed;

pub use job::{BuildError, Dataflow, Job};
pub use joined::{JoinPipe, Joined};
pub use keyed::KeyedStream;
pub use plain::Stream;
pub use sides::KeyedSides;
pub use windowed::{CombinedPipe, Windowed, WindowedBy};
