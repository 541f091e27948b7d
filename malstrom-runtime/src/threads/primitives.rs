//! What [`handover`](super::handover) is made of. A test compiles the same protocol with others, whose every interleaving
//! it chooses.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
pub(crate) use std::thread::park_timeout;

pub(crate) use rtrb::{Consumer, Producer, PushError, RingBuffer};
