//! How long records take under an open loop: each is due at a moment that depends on nothing but its number, and its
//! time runs from then, not from when somebody came round to sending it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Steps between a power of two and the next: a latency is known to 3 %.
const STEPS: u64 = 32;
const BUCKETS: usize = 64 * STEPS as usize;
/// Milliseconds that a slot of the timeline covers.
const SLOT_MS: u64 = 1;

thread_local! {
    /// Whether this thread makes records: what it handles itself has crossed nothing.
    static MAKES_RECORDS: Cell<bool> = const { Cell::new(false) };
}

/// Says that this thread makes records.
pub fn this_thread_makes_records() {
    MAKES_RECORDS.set(true);
}

/// When records are due. Shared by all partitions of a source, on all threads.
#[derive(Debug)]
pub struct Pace {
    origin: Instant,
    rate: u64,
    n_loading: AtomicUsize,
    /// When the first record is due, since `origin`: known when all keys are loaded.
    begin_ns: OnceLock<u64>,
}

impl Pace {
    /// So many records a second, once so many partitions have loaded their keys; as fast as can be with a rate of zero.
    #[must_use]
    pub fn new(rate: u64, n_loading: usize) -> Arc<Self> {
        Arc::new(Self {
            origin: Instant::now(),
            rate,
            n_loading: AtomicUsize::new(n_loading),
            begin_ns: OnceLock::new(),
        })
    }

    /// A partition has loaded its keys.
    pub fn loaded(&self) {
        if self.n_loading.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.begin(Duration::from_millis(300));
        }
    }

    /// Begins after a while, if it has not begun.
    pub fn begin(&self, after: Duration) {
        let ns = self.now_ns() + after.as_nanos() as u64;
        self.begin_ns.get_or_init(|| ns);
    }

    /// When it began, in nanoseconds since the origin.
    #[must_use]
    pub fn began_ns(&self) -> Option<u64> {
        self.begin_ns.get().copied()
    }

    /// Now, in nanoseconds since the origin.
    #[inline]
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// When record `i` is due, in nanoseconds since the origin; `None` if nobody knows yet.
    #[inline]
    #[must_use]
    pub fn due_ns(&self, i: u64) -> Option<u64> {
        let begin = *self.begin_ns.get()?;
        Some(match self.rate {
            0 => begin,
            rate => begin + (u128::from(i) * 1_000_000_000 / u128::from(rate)) as u64,
        })
    }
}

/// What all threads of a run measure.
#[derive(Debug)]
pub struct Latencies {
    pace: Arc<Pace>,
    buckets: Mutex<Box<[u64]>>,
    slots: Box<[Slot]>,
}

#[derive(Debug, Default)]
struct Slot {
    max_ns: AtomicU64,
    n: AtomicU64,
}

impl Latencies {
    /// For a run that takes at most so long after its load has begun.
    #[must_use]
    pub fn new(pace: &Arc<Pace>, at_most: Duration) -> Arc<Self> {
        let n_slots = at_most.as_millis() as u64 / SLOT_MS + 1;
        Arc::new(Self {
            pace: pace.clone(),
            buckets: Mutex::new(vec![0; BUCKETS].into_boxed_slice()),
            slots: (0..n_slots).map(|_| Slot::default()).collect(),
        })
    }

    /// One thread's part.
    #[must_use]
    pub fn local(self: &Arc<Self>) -> LocalLatencies {
        LocalLatencies {
            shared: self.clone(),
            buckets: vec![0; BUCKETS].into_boxed_slice(),
            slot: 0,
            slot_n: 0,
            slot_max_ns: 0,
        }
    }

    /// Percentiles in microseconds, the maximum, and the longest time without output in milliseconds.
    #[must_use]
    pub fn summary(&self) -> Value {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let n: u64 = buckets.iter().sum();
        let percentile = |per_mille: f64| {
            let mut left = (n as f64 * per_mille / 1000.0).ceil() as u64;
            let at = buckets.iter().position(|count| {
                let is_there = *count >= left;
                left = left.saturating_sub(*count);
                is_there
            });
            at.map_or(0.0, |at| bucket_ns(at) as f64 / 1000.0)
        };
        json!({
            "n": n,
            "p50_us": percentile(500.0),
            "p99_us": percentile(990.0),
            "p999_us": percentile(999.0),
            "max_us": self.max_us(0, u64::MAX),
            "gap_ms": self.gap_ms(0, u64::MAX),
            "last_ms": self.last_ms(),
        })
    }

    /// The longest latency in microseconds of what came out between two moments, in milliseconds since the load began.
    #[must_use]
    pub fn max_us(&self, from_ms: u64, to_ms: u64) -> f64 {
        self.between(from_ms, to_ms).iter().map(|slot| slot.max_ns.load(Ordering::Relaxed)).max().unwrap_or(0)
            as f64
            / 1000.0
    }

    /// The longest time without output between two moments; the first and the last output are its outer bounds.
    #[must_use]
    pub fn gap_ms(&self, from_ms: u64, to_ms: u64) -> u64 {
        let slots = self.between(from_ms, to_ms);
        let is_empty = |slot: &Slot| slot.n.load(Ordering::Relaxed) == 0;
        let Some(last) = slots.iter().rposition(|slot| !is_empty(slot)) else { return 0 };
        let first = slots.iter().position(|slot| !is_empty(slot)).unwrap_or(0);
        let (mut gap, mut longest) = (0, 0);
        for slot in &slots[first..=last] {
            gap = if is_empty(slot) { gap + SLOT_MS } else { 0 };
            longest = longest.max(gap);
        }
        longest
    }

    /// How many records came out between two moments.
    #[must_use]
    pub fn n_between(&self, from_ms: u64, to_ms: u64) -> u64 {
        self.between(from_ms, to_ms).iter().map(|slot| slot.n.load(Ordering::Relaxed)).sum()
    }

    /// When the last record came out, in milliseconds since the load began.
    #[must_use]
    pub fn last_ms(&self) -> u64 {
        let last = self.slots.iter().rposition(|slot| slot.n.load(Ordering::Relaxed) > 0);
        last.map_or(0, |last| (last as u64 + 1) * SLOT_MS)
    }

    /// The 99.9th percentile in microseconds of the slots' maxima between two moments.
    #[must_use]
    pub fn worst_slots_us(&self, from_ms: u64, to_ms: u64) -> f64 {
        let mut maxima: Vec<u64> =
            self.between(from_ms, to_ms).iter().map(|slot| slot.max_ns.load(Ordering::Relaxed)).collect();
        maxima.sort_unstable();
        let at = (maxima.len() as f64 * 0.999) as usize;
        maxima.get(at.min(maxima.len().saturating_sub(1))).map_or(0.0, |ns| *ns as f64 / 1000.0)
    }

    /// For every `step_ms`: the longest latency in microseconds, and the records that came out.
    #[must_use]
    pub fn timeline(&self, step_ms: u64) -> Value {
        let steps = self.slots.chunks((step_ms / SLOT_MS).max(1) as usize).map(|slots| {
            let max_ns = slots.iter().map(|slot| slot.max_ns.load(Ordering::Relaxed)).max().unwrap_or(0);
            let n: u64 = slots.iter().map(|slot| slot.n.load(Ordering::Relaxed)).sum();
            json!([max_ns / 1000, n])
        });
        steps.collect()
    }

    fn between(&self, from_ms: u64, to_ms: u64) -> &[Slot] {
        let at = |ms: u64| usize::try_from(ms / SLOT_MS).unwrap_or(usize::MAX).min(self.slots.len());
        &self.slots[at(from_ms)..at(to_ms).max(at(from_ms))]
    }
}

/// One thread's part of [`Latencies`]; it is added to the whole when it is dropped.
#[derive(Debug)]
pub struct LocalLatencies {
    shared: Arc<Latencies>,
    buckets: Box<[u64]>,
    slot: u64,
    slot_n: u64,
    slot_max_ns: u64,
}

impl LocalLatencies {
    /// What it is a part of.
    #[must_use]
    pub fn whole(&self) -> Arc<Latencies> {
        self.shared.clone()
    }

    /// A record has come out that was due then; zero if it was never due. One that comes before it is due tells nothing: it
    /// came because the stream has ended. With `crossed` it counts only if it has come from another thread.
    #[inline]
    pub fn note(&mut self, due_ns: u64, crossed: bool) {
        if due_ns == 0 || (crossed && MAKES_RECORDS.get()) {
            return;
        }
        let now_ns = self.shared.pace.now_ns();
        let Some(latency_ns) = now_ns.checked_sub(due_ns) else { return };
        self.buckets[bucket(latency_ns)] += 1;
        let began = self.shared.pace.began_ns().unwrap_or(0);
        let slot = now_ns.saturating_sub(began) / (SLOT_MS * 1_000_000);
        if slot != self.slot {
            self.publish_slot();
            self.slot = slot;
        }
        self.slot_n += 1;
        self.slot_max_ns = self.slot_max_ns.max(latency_ns);
    }

    fn publish_slot(&mut self) {
        if let Some(slot) = self.shared.slots.get(self.slot as usize) {
            slot.n.fetch_add(self.slot_n, Ordering::Relaxed);
            slot.max_ns.fetch_max(self.slot_max_ns, Ordering::Relaxed);
        }
        (self.slot_n, self.slot_max_ns) = (0, 0);
    }
}

impl Drop for LocalLatencies {
    fn drop(&mut self) {
        self.publish_slot();
        let mut all = self.shared.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().zip(&self.buckets).for_each(|(all, own)| *all += own);
    }
}

/// The clone begins at nothing.
impl Clone for LocalLatencies {
    fn clone(&self) -> Self {
        self.shared.local()
    }
}

fn bucket(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let power = ns.ilog2() - STEPS.ilog2();
    (u64::from(power + 1) * STEPS + (ns >> power) % STEPS) as usize
}

/// The largest latency of a bucket.
fn bucket_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let power = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        for ns in (0..100_000).chain([1 << 40, 12_345_678_901]) {
            let end = bucket_ns(bucket(ns));
            assert!(end >= ns && end <= ns + ns / 16, "{ns} {end}");
            assert_eq!(bucket(end + 1), bucket(ns) + 1);
        }
    }

    #[test]
    fn a_gap_is_what_lies_between_two_outputs() {
        let pace = Pace::new(1, 0);
        let latencies = Latencies::new(&pace, Duration::from_millis(10));
        for at in [2, 3, 7] {
            latencies.slots[at].n.store(1, Ordering::Relaxed);
        }
        assert_eq!(latencies.gap_ms(0, u64::MAX), 3);
        assert_eq!(latencies.gap_ms(0, 4), 0);
    }

    #[test]
    fn a_record_that_is_due_later_is_due_by_its_number() {
        let pace = Pace::new(1000, 1);
        assert_eq!(pace.due_ns(5), None);
        pace.loaded();
        assert_eq!(pace.due_ns(5).unwrap() - pace.due_ns(0).unwrap(), 5_000_000);
    }
}
