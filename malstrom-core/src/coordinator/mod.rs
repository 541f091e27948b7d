//! What the coordinator decides.

pub mod plan;
