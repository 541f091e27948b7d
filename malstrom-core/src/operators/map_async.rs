//! How requests to a service are made, and what is left of one that was never answered. The requests themselves are made
//! by the stage, see `stage/asking`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a stream asks a service. See [`Stream::map_async`](crate::stream::Stream::map_async).
///
/// ```
/// use std::time::Duration;
/// use malstrom_core::operators::AsyncOptions;
///
/// let options = AsyncOptions::new()
///     .concurrency(64)
///     .timeout(Duration::from_secs(2))
///     .retries(3)
///     .backoff(Duration::from_millis(50), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AsyncOptions {
    concurrency: usize,
    timeout: Option<Duration>,
    n_retries: u32,
    backoff_min: Duration,
    backoff_max: Duration,
    is_ordered: bool,
}

impl AsyncOptions {
    /// A hundred requests at once on each worker, answered within 30 seconds, asked once; answers in order.
    #[must_use]
    pub fn new() -> Self {
        Self {
            concurrency: 100,
            timeout: Some(Duration::from_secs(30)),
            n_retries: 0,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            is_ordered: true,
        }
    }

    /// How many requests each worker has under way at most; at least one.
    #[must_use]
    pub fn concurrency(self, n_requests: usize) -> Self {
        Self { concurrency: n_requests.max(1), ..self }
    }

    /// How long one attempt may take. What is answered later is not heard.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// An attempt may take for ever. A request that is never answered then holds up watermarks and the end.
    #[must_use]
    pub fn no_timeout(self) -> Self {
        Self { timeout: None, ..self }
    }

    /// How often a request is made again that failed, or was not answered in time. Behind a restore or a move it is
    /// counted anew.
    #[must_use]
    pub fn retries(self, n_retries: u32) -> Self {
        Self { n_retries, ..self }
    }

    /// How long a request rests before it is made again: `min` the first time, then twice as long each time, up to `max`.
    #[must_use]
    pub fn backoff(self, min: Duration, max: Duration) -> Self {
        Self { backoff_min: min, backoff_max: max, ..self }
    }

    /// Answers are passed on in the order of the records: of each key on a keyed stream, of the stream on one without.
    #[must_use]
    pub fn ordered(self) -> Self {
        Self { is_ordered: true, ..self }
    }

    /// Answers are passed on as they come, so that a slow one holds up no other.
    #[must_use]
    pub fn unordered(self) -> Self {
        Self { is_ordered: false, ..self }
    }

    pub(crate) fn n_at_once(&self) -> usize {
        self.concurrency
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    pub(crate) fn n_retries(&self) -> u32 {
        self.n_retries
    }

    pub(crate) fn timeout_or_never(&self) -> Duration {
        self.timeout.unwrap_or(Duration::MAX)
    }

    /// How long to rest behind so many attempts.
    pub(crate) fn backoff_after(&self, n_attempts: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(n_attempts.saturating_sub(1));
        self.backoff_min.saturating_mul(doubled).min(self.backoff_max)
    }
}

impl Default for AsyncOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// A record whose request came to nothing, after all attempts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unanswered<V, E> {
    /// The record's value.
    pub value: V,
    /// How often it was asked.
    pub n_attempts: u32,
    /// What the last attempt came to.
    pub error: AsyncError<E>,
}

/// Why an attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AsyncError<E> {
    /// There was no answer in time.
    TimedOut,
    /// The answer was an error.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for AsyncError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("there was no answer in time"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for AsyncError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TimedOut => None,
            Self::Failed(error) => Some(error),
        }
    }
}

impl<V: fmt::Debug, E: fmt::Display> fmt::Display for Unanswered<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} was asked {} times: {}", self.value, self.n_attempts, self.error)
    }
}

impl<V: fmt::Debug, E: std::error::Error + 'static> std::error::Error for Unanswered<V, E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_doubles_up_to_the_longest() {
        let options = AsyncOptions::new().backoff(Duration::from_millis(10), Duration::from_millis(50));
        let rests = [1, 2, 3, 4, 40].map(|n| options.backoff_after(n).as_millis());
        assert_eq!(rests, [10, 20, 40, 50, 50]);
    }
}
