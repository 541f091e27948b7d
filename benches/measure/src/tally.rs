//! What the output of a run adds up to, and when the last of it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::outcome::{Outcome, cpu_seconds, peak_bytes};

/// Shared by all threads of a run. Made when a program has its input: its clock starts then.
#[derive(Debug)]
pub struct Tally {
    started: Instant,
    started_cpu: f64,
    digest: AtomicU64,
    n: AtomicU64,
    n_inputs: AtomicU64,
    last_ns: AtomicU64,
}

impl Tally {
    /// Starts the clock.
    #[must_use]
    pub fn start() -> Arc<Self> {
        let (digest, n, n_inputs, last_ns) = Default::default();
        Arc::new(Self { started: Instant::now(), started_cpu: cpu_seconds(), digest, n, n_inputs, last_ns })
    }

    /// One thread's part.
    #[must_use]
    pub fn local(self: &Arc<Self>) -> LocalTally {
        LocalTally { tally: self.clone(), digest: 0, n: 0 }
    }

    /// Notes records that came in, where the output does not tell.
    pub fn note_inputs(&self, n: u64) {
        self.n_inputs.fetch_add(n, Ordering::Relaxed);
    }

    /// The records that came in: those that were noted, or else as many as came out.
    #[must_use]
    pub fn inputs(&self, n_outputs: u64) -> u64 {
        match self.n_inputs.load(Ordering::Relaxed) {
            0 => n_outputs,
            n => n,
        }
    }

    /// Stops the clock: everything has ended.
    #[must_use]
    pub fn outcome(&self, records: u64) -> Outcome {
        let seconds_to_end = self.started.elapsed().as_secs_f64();
        Outcome {
            records,
            outputs: self.n.load(Ordering::Relaxed),
            digest: format!("{:016x}", self.digest.load(Ordering::Relaxed)),
            seconds: self.last_ns.load(Ordering::Relaxed) as f64 * 1e-9,
            seconds_to_end,
            cpu_seconds: cpu_seconds() - self.started_cpu,
            peak_bytes: peak_bytes().unwrap_or(0),
            ..Outcome::default()
        }
    }
}

/// One thread's part of a [`Tally`]. What it holds is published when it is dropped, if not before.
#[derive(Debug)]
pub struct LocalTally {
    tally: Arc<Tally>,
    digest: u64,
    n: u64,
}

impl LocalTally {
    /// One more record has come out.
    #[inline]
    pub fn add(&mut self, digest: u64) {
        self.digest = self.digest.wrapping_add(digest);
        self.n += 1;
    }

    /// Several records have come out.
    #[inline]
    pub fn add_many(&mut self, n: u64, digest: u64) {
        self.digest = self.digest.wrapping_add(digest);
        self.n += n;
    }

    /// Tells the others, and notes the time if there was anything to tell.
    pub fn publish(&mut self) {
        if self.n == 0 {
            return;
        }
        let ns = self.tally.started.elapsed().as_nanos();
        self.tally.last_ns.fetch_max(u64::try_from(ns).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.tally.digest.fetch_add(std::mem::take(&mut self.digest), Ordering::Relaxed);
        self.tally.n.fetch_add(std::mem::take(&mut self.n), Ordering::Relaxed);
    }
}

impl Drop for LocalTally {
    fn drop(&mut self) {
        self.publish();
    }
}

/// The clone begins at nothing.
impl Clone for LocalTally {
    fn clone(&self) -> Self {
        self.tally.local()
    }
}
