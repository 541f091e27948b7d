//! What [`handover`](super::handover) is made of. A test compiles the same protocol with others, whose every interleaving
//! it chooses.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
pub(crate) use std::thread::{Thread, park_timeout};
pub(crate) use std::time::Instant;

pub(crate) use rtrb::{Consumer, Producer, PushError, RingBuffer};
