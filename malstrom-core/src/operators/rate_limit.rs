//! How fast a stream may flow. It is held back by the stage, see `stage/limited.rs`.

/// How many records of a stream pass at most. See [`Stream::rate_limit`](crate::stream::Stream::rate_limit).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    per_second: f64,
    is_divided: bool,
}

impl RateLimit {
    /// So many records a second on each worker; the job as a whole is faster the more workers it has.
    #[must_use]
    pub fn per_worker(records_per_second: f64) -> Self {
        Self { per_second: records_per_second, is_divided: false }
    }

    /// So many records a second in the whole job: each worker has an equal part, also one that has nothing to read, and
    /// the parts change with the scale.
    #[must_use]
    pub fn per_job(records_per_second: f64) -> Self {
        Self { per_second: records_per_second, is_divided: true }
    }

    /// Nanoseconds from one record to the next on one of so many workers. A rate that is not above zero is taken for one
    /// record in a day.
    pub(crate) fn nanos_per_record(&self, n_workers: u32) -> f64 {
        const DAY_SECONDS: f64 = 86_400.0;
        let n_parts = if self.is_divided { f64::from(n_workers.max(1)) } else { 1.0 };
        let rate = self.per_second / n_parts;
        1e9 * if rate > 1.0 / DAY_SECONDS { 1.0 / rate } else { DAY_SECONDS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_for_the_job_is_divided_among_its_workers() {
        assert_eq!(RateLimit::per_worker(1000.0).nanos_per_record(4), 1e6);
        assert_eq!(RateLimit::per_job(1000.0).nanos_per_record(4), 4e6);
    }

    #[test]
    fn a_rate_that_is_none_still_lets_something_pass() {
        for rate in [0.0, -1.0, f64::NAN] {
            assert_eq!(RateLimit::per_worker(rate).nanos_per_record(1), 86_400.0 * 1e9);
        }
    }
}
