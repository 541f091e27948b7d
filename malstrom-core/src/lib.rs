//! The dataflow, the protocols and the decisions of Malstrom. Deterministic: no sockets, no threads, no clock, no
//! randomness. Time, messages and stored bytes come in through [`ports`].

pub mod codec;
pub mod coordinator;
pub mod element;
pub mod exchange;
pub mod ids;
pub mod limits;
pub mod operators;
pub mod ports;
pub mod snapshot;
pub mod state;
pub mod worker;
