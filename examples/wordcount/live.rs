//! What the sink shows of the counts as they grow. Nearly all records cost it one addition and one branch: it looks at
//! samples.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use malstrom_core::element::{Record, Timestamp};
use malstrom_core::key::KeyBytes;
use malstrom_core::operators::{BoxError, Sink};

use crate::pace::timestamp;

/// One record in so many is looked at.
const SAMPLE_EVERY: u32 = 64;
/// The most frequent words that are shown.
pub(crate) const TOP_WORDS: usize = 10;
/// Time between two looks of others at what one sink has seen.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

/// What all sinks have seen, for the view.
#[derive(Debug, Default)]
pub(crate) struct Live {
    top: Mutex<Top>,
    pub(crate) latency: Latencies,
}

impl Live {
    /// The most frequent words so far, most frequent first.
    pub(crate) fn top(&self) -> Vec<(KeyBytes, u64)> {
        self.top.lock().unwrap_or_else(PoisonError::into_inner).words.clone()
    }
}

/// The sink of one worker.
#[derive(Debug)]
pub(crate) struct LiveSink {
    live: Arc<Live>,
    top: Top,
    n_until_sample: u32,
    /// The time of the newest record that was not yet looked at.
    newest: Timestamp,
    published: Instant,
}

impl LiveSink {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        let top = Top::default();
        Self { live, top, n_until_sample: SAMPLE_EVERY, newest: Timestamp::MIN, published: Instant::now() }
    }

    #[cold]
    fn sample(&mut self, word: KeyBytes, count: u64) {
        self.n_until_sample = SAMPLE_EVERY;
        self.top.offer(word, count);
        self.measure();
    }

    /// Measures how long the newest record took, if it says when it was due.
    fn measure(&mut self) {
        let now = Instant::now();
        let due = std::mem::replace(&mut self.newest, Timestamp::MIN);
        if due != Timestamp::MIN {
            let us = timestamp(now).0.saturating_sub(due.0);
            self.live.latency.note(u64::try_from(us).unwrap_or(0));
        }
        if now.duration_since(self.published) >= PUBLISH_EVERY {
            self.published = now;
            let mut all = self.live.top.lock().unwrap_or_else(PoisonError::into_inner);
            self.top.words.drain(..).for_each(|(word, count)| all.offer(word, count));
        }
    }
}

impl Sink<(KeyBytes, u64)> for LiveSink {
    #[inline]
    fn write(&mut self, record: Record<(KeyBytes, u64)>) -> Result<(), BoxError> {
        self.newest = record.time;
        self.n_until_sample -= 1;
        if self.n_until_sample == 0 {
            let (word, count) = record.value;
            self.sample(word, count);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        self.measure();
        Ok(())
    }
}

/// The most frequent words of those that were offered, most frequent first. Counts only grow, so of two counts of one
/// word the larger is the newer.
#[derive(Debug, Default)]
struct Top {
    words: Vec<(KeyBytes, u64)>,
}

impl Top {
    fn offer(&mut self, word: KeyBytes, count: u64) {
        if self.words.len() == TOP_WORDS && self.words.last().is_some_and(|(_, least)| *least >= count) {
            return;
        }
        match self.words.iter_mut().find(|(known, _)| *known == word) {
            Some((_, known)) => *known = count.max(*known),
            None => self.words.push((word, count)),
        }
        self.words.sort_unstable_by(|(_, one), (_, two)| two.cmp(one));
        self.words.truncate(TOP_WORDS);
    }
}

/// Steps between one power of two and the next.
const STEPS: usize = 8;
const BUCKETS: usize = 64 * STEPS;

/// How long records took, in microseconds, to an eighth.
#[derive(Debug)]
pub(crate) struct Latencies {
    buckets: [AtomicU64; BUCKETS],
    max: AtomicU64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], max: AtomicU64::new(0) }
    }
}

impl Latencies {
    fn note(&self, us: u64) {
        self.buckets[bucket(us)].fetch_add(1, Ordering::Relaxed);
        self.max.fetch_max(us, Ordering::Relaxed);
    }

    /// The median, the 99th percentile and the maximum; `None` if nothing was measured.
    pub(crate) fn summary(&self) -> Option<[Duration; 3]> {
        let counts: Vec<u64> = self.buckets.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        let n: u64 = counts.iter().sum();
        let max = self.max.load(Ordering::Relaxed);
        let percentile = |hundredths: u64| {
            let mut left = (n * hundredths).div_ceil(100);
            let at = counts.iter().position(|count| {
                let is_there = *count >= left;
                left = left.saturating_sub(*count);
                is_there
            });
            Duration::from_micros(at.map_or(max, bucket_end).min(max))
        };
        (n > 0).then(|| [percentile(50), percentile(99), Duration::from_micros(max)])
    }
}

fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    let power = us.ilog2() as usize;
    let step = (us >> (power - STEPS.ilog2() as usize)) as usize % STEPS;
    (power - STEPS.ilog2() as usize + 1) * STEPS + step
}

/// The largest latency of a bucket.
fn bucket_end(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let power = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) as u64).checked_shl(power as u32).map_or(u64::MAX, |end| end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        for us in (0..100_000).chain([u64::from(u32::MAX), 1 << 50]) {
            let end = bucket_end(bucket(us));
            assert!(end >= us && end <= us + us / 8, "{us} {end}");
            assert_eq!(bucket(end), bucket(us));
            assert_eq!(bucket(end + 1), bucket(us) + 1);
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_noted() {
        let latencies = Latencies::default();
        assert_eq!(latencies.summary(), None);
        (1..=7).for_each(|us| latencies.note(us));
        assert_eq!(latencies.summary(), Some([4, 7, 7].map(Duration::from_micros)));
    }

    #[test]
    fn the_top_keeps_the_newest_count_of_a_word() {
        let mut top = Top::default();
        (0..20_u8).for_each(|i| top.offer(KeyBytes::from(&[i][..]), i.into()));
        top.offer(KeyBytes::from(&[15][..]), 99);
        assert_eq!(top.words.len(), TOP_WORDS);
        assert_eq!(top.words[0], (KeyBytes::from(&[15][..]), 99));
        assert_eq!(top.words[9].1, 10);
    }
}
