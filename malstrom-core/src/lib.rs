//! The dataflow, the protocols and the decisions of Malstrom, a distributed, stateful stream processor. Core is
//! deterministic: no sockets, no threads, no clock, no randomness. Time, messages and stored bytes come in through
//! [`ports`].
//!
//! In reading order:
//!
//! - [`stream`]: the builder a user sees.
//! - [`operators`]: operators, one a file, and the traits for a user's own.
//! - [`element`]: what flows, and the grammar of a stream.
//! - [`stage`]: operators fused into one loop; the only place that forwards control.
//! - [`exchange`]: stable hash, bins, routes, outboxes, alignment.
//! - [`state`]: keyed state by bin, dirty marks, encoding.
//! - [`time`]: watermarks, timers, windows, aggregates.
//! - [`snapshot`]: formats, and the decisions taken from the job log.
//! - [`worker`]: one worker's step, the hot path.
//! - [`coordinator`]: the watch-map, a procedure for each operation, the planner.
//! - [`session`]: exactly-once delivery over a link that loses and duplicates.
//! - [`testing`]: a whole job in one thread, in simulated time, with faults.
//! - [`ports`]: what core asks of the outside.
//! - [`ids`], [`limits`], [`codec`], [`key`]: small things that all others use.

pub mod codec;
pub mod coordinator;
pub mod element;
pub mod exchange;
pub mod ids;
pub mod key;
pub mod limits;
mod mark;
mod mutant;
pub mod operators;
pub mod ports;
pub mod session;
pub mod snapshot;
pub mod stage;
pub mod state;
pub mod stream;
pub mod testing;
pub mod time;
pub mod worker;
