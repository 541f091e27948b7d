//! Where Malstrom runs: worker threads, stores, sources and sinks.

pub mod connectors;
