//! What happened, as one number and as the last few entries of a list.

use std::collections::VecDeque;

use super::rng::mix;

/// Entries that are kept to be shown when a run fails.
const TRACE_ENTRIES_MAX: usize = 120;

/// A running hash of every decision of the scheduler, and the last of them in words.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    n: u64,
    last: VecDeque<(u64, &'static str, u64)>,
    notes: VecDeque<(u64, String)>,
}

impl Trace {
    /// Takes note of a decision.
    pub(super) fn decision(&mut self, now: u64, what: &'static str, which: u64) {
        let kind = what.bytes().fold(0, |kind: u64, byte| kind.wrapping_mul(31) + u64::from(byte));
        self.hash = mix(self.hash ^ mix(now) ^ kind.rotate_left(32) ^ which);
        self.n += 1;
        if self.last.len() == TRACE_ENTRIES_MAX {
            self.last.pop_front();
        }
        self.last.push_back((now, what, which));
    }

    /// Takes note of something worth reading.
    pub(super) fn note(&mut self, now: u64, text: String) {
        if self.notes.len() == TRACE_ENTRIES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back((now, text));
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn n_decisions(&self) -> u64 {
        self.n
    }

    /// The end of the trace, for a person.
    pub(super) fn tail(&self) -> String {
        let mut text = String::from("notes:\n");
        for (now, note) in &self.notes {
            text.push_str(&format!("  {:>12.3} ms  {note}\n", *now as f64 / 1e6));
        }
        text.push_str("last decisions:\n");
        for (now, what, which) in self.last.iter().rev().take(25).rev() {
            text.push_str(&format!("  {:>12.3} ms  {what} {which}\n", *now as f64 / 1e6));
        }
        text
    }
}
