//! Events with a time of their own, a little out of order, made when they are asked for.

use super::numbers::{GOLDEN, mix, nth_key};

/// What happened when, of what key.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Milliseconds since the first.
    pub time_ms: i64,
    /// Whose.
    pub key: u64,
    /// How much.
    pub value: u64,
}

/// The length of a window.
pub const WINDOW_MS: i64 = 10_000;
/// No event is older than the newest before it by more than this.
pub const DISORDER_MS: i64 = 64;
/// Events in a millisecond.
const EVENTS_PER_MS: u64 = 10;

/// Event number `i`.
#[inline]
#[must_use]
pub const fn event(i: u64, n_keys: u64) -> Event {
    let random = mix(i.wrapping_mul(GOLDEN));
    let late = (random & (DISORDER_MS as u64 - 1)) as i64;
    let index = ((random as u128 * n_keys as u128) >> 64) as u64;
    Event {
        time_ms: (i / EVENTS_PER_MS) as i64 + DISORDER_MS - 1 - late,
        key: nth_key(index),
        value: (random >> 8) & 0xff,
    }
}

/// The events of part `i` of `n`: each `n`th one, so that all parts are at about the same time.
pub fn events(n_records: u64, n_keys: u64, i: usize, n: usize) -> impl Iterator<Item = Event> {
    (i as u64..n_records).step_by(n).map(move |i| event(i, n_keys))
}

/// The beginning of the window that a time is in.
#[inline]
#[must_use]
pub const fn window_of(time_ms: i64) -> i64 {
    time_ms - time_ms.rem_euclid(WINDOW_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disorder_has_a_bound() {
        let mut newest = i64::MIN;
        let mut n_out_of_order = 0;
        for event in events(100_000, 10, 0, 2) {
            assert!(event.time_ms + DISORDER_MS >= newest);
            n_out_of_order += usize::from(event.time_ms < newest);
            newest = newest.max(event.time_ms);
        }
        assert!(n_out_of_order > 10_000);
    }
}
