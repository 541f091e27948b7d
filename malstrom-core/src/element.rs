//! What flows through a dataflow, and in which order it may.
//!
//! # The grammar of a stream
//!
//! On every channel, in this order and no other:
//!
//! ```text
//! (Record | Watermark | Idle | Barrier)* (Suspend | End)
//! ```
//!
//! - A watermark is never lower than the one before it since the last barrier of a route. Behind that barrier every
//!   promise is made anew: a partition that came with the route may be behind what its new reader had promised before.
//! - A barrier of a snapshot or of a route comes once per channel; snapshot ids and route versions only grow.
//! - After `Idle` the channel is left out of the merge of watermarks until the next record or watermark, or the
//!   barrier of a route.
//! - Nothing follows `Suspend` or `End`.
//!
//! [`Grammar`] checks the same of a channel, rule by rule.

mod either;
mod grammar;

use std::fmt;

pub use either::Either;
pub use grammar::{Grammar, Ungrammatical};

use serde::{Deserialize, Serialize};

use crate::ids::{RouteVersion, SnapshotId};

/// A point in event time: a signed count of whatever unit the job chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Before every other time: what a record carries to which no time was given.
    pub const MIN: Self = Self(i64::MIN);
    /// After every other time: the watermark of an input that has ended.
    pub const MAX: Self = Self(i64::MAX);

    /// A time in milliseconds, the unit most jobs choose.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// So many units later, but not behind the end of time.
    #[must_use]
    pub const fn saturating_add(self, units: i64) -> Self {
        Self(self.0.saturating_add(units))
    }

    /// So many units earlier, but not before the beginning of time.
    #[must_use]
    pub const fn saturating_sub(self, units: i64) -> Self {
        Self(self.0.saturating_sub(units))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// A value and the event time it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<T> {
    /// When it happened; [`Timestamp::MIN`] when nobody said.
    pub time: Timestamp,
    /// What happened.
    pub value: T,
}

impl<T> Record<T> {
    /// A record to which no time is given.
    pub fn new(value: T) -> Self {
        Self { time: Timestamp::MIN, value }
    }

    /// A record at a time.
    pub fn at(time: Timestamp, value: T) -> Self {
        Self { time, value }
    }

    /// The same record with what becomes of its value.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Record<U> {
        Record { time: self.time, value: map(self.value) }
    }

    /// The same record with another value.
    pub fn with<U>(self, value: U) -> Record<U> {
        Record { time: self.time, value }
    }
}

/// A value with its key, as it travels in a keyed stream. The hash is computed once and used for the route as well
/// as for the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed<K, V> {
    /// The stable hash of the key.
    pub hash: u64,
    /// What the stream is partitioned by.
    pub key: K,
    /// The rest of the record.
    pub value: V,
}

/// A mark that cuts a stream in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Barrier {
    /// What came before belongs to this snapshot, what comes after does not.
    Snapshot(SnapshotId),
    /// What came before was routed by an older table, what comes after by this one.
    Route(RouteVersion),
}

/// All that flows besides records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// No record before this time will follow.
    Watermark(Timestamp),
    /// Nothing is to be expected for a while: leave this channel out of the merge of watermarks.
    Idle,
    /// See [`Barrier`].
    Barrier(Barrier),
    /// The job is suspended at the barrier before this one. Nothing follows.
    Suspend,
    /// The stream has ended. Nothing follows.
    End,
}
