//! What is due, a slice at a time: the loop of every operator that does something for a key when its time has come.
//!
//! # Rules
//! 1. No more than a slice of [`TIMERS_FIRED_SLICE`] keys is looked at in a turn, however many are due.
//! 2. A queue may name what the state no longer holds (see [`TimedState`]), so `fire` looks into the state of the key.
//! 3. `fire` may schedule more: what is due at once is part of the same slice or of the next.

use crate::element::Timestamp;
use crate::exchange::Data;
use crate::limits::TIMERS_FIRED_SLICE;
use crate::ports::Nanos;
use crate::state::StateKey;
use crate::time::{Due, Scheduled, TimedState};

/// Event time has come to `time`: has `fire` look at each key of which something may be due. Whether that was all.
pub(super) fn fire_by_event<Of, K: StateKey, S: Data + Scheduled>(
    of: &mut Of,
    state: impl Fn(&mut Of) -> &mut TimedState<K, S>,
    time: Timestamp,
    mut fire: impl FnMut(&mut Of, Due, u64, K),
) -> bool {
    state(of).advance(time);
    for _ in 0..TIMERS_FIRED_SLICE {
        let Some((due, hash, key)) = state(of).next_event() else { return true };
        fire(of, due, hash, key);
    }
    false
}

/// The clock has come to `now`: has `fire` look at each key of which something may be due. When to come again.
pub(super) fn fire_by_clock<Of, K: StateKey, S: Data + Scheduled>(
    of: &mut Of,
    state: impl Fn(&mut Of) -> &mut TimedState<K, S>,
    now: Nanos,
    mut fire: impl FnMut(&mut Of, Due, u64, K),
) -> Option<Nanos> {
    for _ in 0..TIMERS_FIRED_SLICE {
        let Some((due, hash, key)) = state(of).next_by_clock(now) else { break };
        fire(of, due, hash, key);
    }
    state(of).wake_at()
}
