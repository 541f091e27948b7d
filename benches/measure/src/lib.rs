//! What a run of any program tells. Whoever measures uses it, and builds no program that it does not compare.
//!
//! - [`tally`]: what the output of a run adds up to, and when the last of it came.
//! - [`latency`]: how long records take under an open loop.
//! - [`outcome`]: what one run tells.

pub mod latency;
pub mod outcome;
pub mod tally;
