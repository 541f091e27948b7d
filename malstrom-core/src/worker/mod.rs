//! One worker's step.

pub mod messages;
