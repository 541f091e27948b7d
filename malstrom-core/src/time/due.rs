//! What is due, and when: the earliest first, over all bins of a worker.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Keys with something due at a time. It may name what is no longer due: whoever takes from it asks the state, which
/// alone is stored and moved.
#[derive(Debug)]
pub(super) struct DueQueue<T, K> {
    heap: BinaryHeap<Entry<T, K>>,
    n_pushed: u64,
}

#[derive(Debug)]
struct Entry<T, K> {
    time: T,
    /// Of two that are due at one time the first set comes first, so that a run can be repeated.
    number: u64,
    hash: u64,
    key: K,
}

impl<T: Ord + Copy, K> DueQueue<T, K> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), n_pushed: 0 }
    }

    pub(super) fn push(&mut self, time: T, hash: u64, key: K) {
        self.n_pushed += 1;
        self.heap.push(Entry { time, number: self.n_pushed, hash, key });
    }

    /// When the earliest is due.
    #[inline]
    pub(super) fn first(&self) -> Option<T> {
        self.heap.peek().map(|entry| entry.time)
    }

    /// Takes the earliest, if it is due by then.
    #[inline]
    pub(super) fn pop(&mut self, upto: T) -> Option<(T, u64, K)> {
        if self.first()? > upto {
            return None;
        }
        self.heap.pop().map(|entry| (entry.time, entry.hash, entry.key))
    }
}

impl<T: Ord, K> Ord for Entry<T, K> {
    /// The greatest is the earliest: a heap gives its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (&other.time, other.number).cmp(&(&self.time, self.number))
    }
}

impl<T: Ord, K> PartialOrd for Entry<T, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord, K> PartialEq for Entry<T, K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T: Ord, K> Eq for Entry<T, K> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_of_two_at_one_time_the_first_set() {
        let mut due = DueQueue::new();
        for (time, key) in [(5, 'a'), (3, 'b'), (5, 'c'), (3, 'd'), (9, 'e')] {
            due.push(time, 0, key);
        }
        let mut taken = Vec::new();
        while let Some((_, _, key)) = due.pop(5) {
            taken.push(key);
        }
        assert_eq!((taken, due.first()), (vec!['b', 'd', 'a', 'c'], Some(9)));
    }
}
