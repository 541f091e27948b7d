//! Event time: where timestamps and watermarks come from, what is due at a time, and windows.
//!
//! - [`Watermarks`] and [`WatermarkGenerator`]: how far event time has come, from the records of one partition.
//! - [`TimeSpan`]: a length of event time. [`TimeOffset`]: how much earlier or later.
//! - [`TimedState`]: keyed state of which some is due at a time; timers and windows lie in it.
//! - [`Ttl`]: how long something is remembered.
//! - [`windows`]: which window a record belongs to, and what is kept of it.
//! - [`aggregates`]: what becomes of the records of a window.
//!
//! Nothing here reads a clock: the time on the worker's clock comes in with each turn of a stage.

pub mod aggregates;
mod due;
mod timed_state;
mod ttl;
mod watermarks;
pub mod windows;

pub(crate) use watermarks::Stamp;

pub use timed_state::{Due, Scheduled, TimedState};
pub use ttl::Ttl;
pub use watermarks::{
    BoundedDisorder, Punctuated, Timed, TimedPosition, TimedReader, WatermarkGenerator, Watermarks,
};

use std::time::Duration;

/// A length of event time, in the unit that the job's timestamps have. A [`Duration`] stands for milliseconds, a number
/// for itself.
///
/// ```
/// use std::time::Duration;
/// use malstrom_core::time::TimeSpan;
///
/// assert_eq!(TimeSpan::from(Duration::from_secs(1)), TimeSpan::from(1000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(pub(crate) i64);

impl TimeSpan {
    /// No time at all.
    pub const ZERO: Self = Self(0);
}

impl From<Duration> for TimeSpan {
    fn from(time: Duration) -> Self {
        Self(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }
}

impl From<i64> for TimeSpan {
    fn from(units: i64) -> Self {
        Self(units.max(0))
    }
}

/// How much earlier or later, in the unit that the job's timestamps have. A [`Duration`] stands for so many milliseconds
/// later, a number for itself.
///
/// ```
/// use std::time::Duration;
/// use malstrom_core::time::TimeOffset;
///
/// assert_eq!(TimeOffset::before(Duration::from_secs(1)), TimeOffset::from(-1000));
/// assert_eq!(TimeOffset::after(Duration::from_secs(1)), TimeOffset::from(Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOffset(pub(crate) i64);

impl TimeOffset {
    /// So much earlier.
    pub fn before(span: impl Into<TimeSpan>) -> Self {
        Self(-span.into().0)
    }

    /// So much later.
    pub fn after(span: impl Into<TimeSpan>) -> Self {
        Self(span.into().0)
    }
}

impl From<Duration> for TimeOffset {
    fn from(time: Duration) -> Self {
        Self::after(time)
    }
}

impl From<i64> for TimeOffset {
    fn from(units: i64) -> Self {
        Self(units)
    }
}
