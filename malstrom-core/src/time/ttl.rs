//! How long something is remembered.

use std::time::Duration;

use super::{Due, TimeSpan};
use crate::element::Timestamp;
use crate::ports::Nanos;

/// How long something is remembered after it was written, in event time or by the clock.
///
/// ```
/// use std::time::Duration;
/// use malstrom_core::time::Ttl;
///
/// let _until_an_hour_of_records_has_passed = Ttl::event_time(Duration::from_secs(3600));
/// let _for_an_hour_from_now = Ttl::clock(Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(Span);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Event(TimeSpan),
    Clock(Duration),
}

impl Ttl {
    /// What a record at a time writes is there for records before that time and this span. It is dropped when the watermark
    /// has come there. So what is seen does not depend on when things happen, but on the records alone.
    pub fn event_time(span: impl Into<TimeSpan>) -> Self {
        Self(Span::Event(span.into()))
    }

    /// What is written is there for this long on the worker's clock.
    #[must_use]
    pub fn clock(time: Duration) -> Self {
        Self(Span::Clock(time))
    }

    pub(crate) fn is_event_time(self) -> bool {
        matches!(self.0, Span::Event(_))
    }

    /// When something is forgotten that is written at these times.
    pub(crate) fn due(self, time: Timestamp, now: Nanos) -> Due {
        match self.0 {
            Span::Event(span) => Due::Event(time.saturating_add(span.0)),
            Span::Clock(span) => Due::Clock(now.after(span)),
        }
    }
}
