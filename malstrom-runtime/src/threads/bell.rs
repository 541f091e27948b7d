//! How a thread that has nothing to do rests until something new is there.
//!
//! Waking a thread that sleeps costs the one that wakes it a call of the kernel, and the sleeper ten to thirty
//! microseconds until it runs. So a thread looks for a moment whether its bell rings before it sleeps, as long as most of
//! its rests have lately ended within such a moment (Karlin et al., "Empirical studies of competitive spinning for a
//! shared-memory multiprocessor"). One that gets nothing sleeps (decision 16).
//!
//! `tests/schedules.rs` compiles this file with primitives whose interleaving it chooses.

use std::time::Duration;

use super::primitives::{AtomicU8, Instant, Ordering, Thread, park_timeout, spin_loop};

/// The thread works, or looks.
const AWAKE: u8 = 0;
/// Something new is there that the thread may not have seen.
const RUNG: u8 = 1;
/// The thread sleeps, or is about to.
const ASLEEP: u8 = 2;

/// Wakes one thread. Ringing for one that is awake makes its next rest end at once, so nothing is missed.
#[derive(Debug)]
pub(crate) struct Bell {
    state: AtomicU8,
    thread: Thread,
}

impl Bell {
    /// The bell of a thread, which alone may rest by it.
    pub(crate) fn of(thread: Thread) -> Self {
        Self { state: AtomicU8::new(AWAKE), thread }
    }

    pub(crate) fn ring(&self) {
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            self.thread.unpark();
        }
    }

    /// Rests until the bell rings, or about until the time is over. It may end sooner for no reason.
    pub(crate) fn rest(&self, rest: Rest, lately: &mut Lately) {
        if rest.max.is_zero() {
            return;
        }
        let began = Instant::now();
        let look = lately.look(rest);
        while self.state.load(Ordering::Relaxed) != RUNG {
            if began.elapsed() < look {
                spin_loop();
                continue;
            }
            if self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                park_timeout(rest.max);
            }
            break;
        }
        // All that whoever rang did before is seen by the look that follows.
        self.state.swap(AWAKE, Ordering::AcqRel);
        lately.learn(rest, began.elapsed());
    }
}

/// How long to rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) max: Duration,
    /// How long to look before sleeping, if looking has lately paid. None at all: not to look.
    pub(crate) look_max: Duration,
}

/// The latest rests, a bit for each: whether it was short enough that looking would have seen its end.
pub(crate) struct Lately(u8);

impl Lately {
    /// Begins by looking.
    pub(crate) fn new() -> Self {
        Self(u8::MAX)
    }

    /// How long to look before sleeping.
    pub(crate) fn look(&self, rest: Rest) -> Duration {
        let were_short = self.0.count_ones() >= u8::BITS / 2;
        if were_short { rest.look_max.min(rest.max) } else { Duration::ZERO }
    }

    pub(crate) fn learn(&mut self, rest: Rest, rested: Duration) {
        self.0 = self.0 << 1 | u8::from(rested <= rest.look_max);
    }
}
