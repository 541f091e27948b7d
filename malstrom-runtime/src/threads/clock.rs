//! The time since the process began.

use std::sync::OnceLock;
use std::time::Instant;

use malstrom_core::ports::Nanos;

/// The time now, on a clock all threads share.
pub(crate) fn now() -> Nanos {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let since = BEGAN.get_or_init(Instant::now).elapsed();
    // The clock begins at 1: 0 stands for "never" in the gauges.
    Nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).saturating_add(1))
}
