//! The clock of the workers: it never goes back while the process runs, and begins where the wall clock stands, so that a
//! moment that was kept in a snapshot means the same in the next process.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use malstrom_core::ports::Nanos;

/// The time now, on a clock all threads share.
pub(crate) fn now() -> Nanos {
    static BEGAN: OnceLock<(Instant, u64)> = OnceLock::new();
    let (began, since_epoch) = BEGAN.get_or_init(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The clock begins at 1 at the earliest: 0 stands for "never" in the gauges.
        (Instant::now(), u64::try_from(since_epoch.as_nanos()).unwrap_or(0).max(1))
    });
    Nanos(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(*since_epoch))
}
