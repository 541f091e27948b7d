//! What is due, and when: the earliest first, over all bins of a worker.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

/// Keys with something due at a time. It may name what is no longer due: whoever takes from it asks the state, which
/// alone is stored and moved.
///
/// As a rule many keys have something due at one time, the end of a window: they are kept together, so that each costs a
/// place in a list and not its way through a heap.
#[derive(Debug)]
pub(super) struct DueQueue<T, K> {
    times: BTreeMap<T, Keys<K>>,
}

/// Keys and their hashes. Of two that are due at one time the first set comes first, so that a run can be repeated.
#[derive(Debug)]
enum Keys<K> {
    One(u64, K),
    Many(VecDeque<(u64, K)>),
}

impl<T: Ord + Copy, K> DueQueue<T, K> {
    pub(super) fn new() -> Self {
        Self { times: BTreeMap::new() }
    }

    pub(super) fn push(&mut self, time: T, hash: u64, key: K) {
        let keys = match self.times.entry(time) {
            Entry::Vacant(vacant) => {
                vacant.insert(Keys::One(hash, key));
                return;
            }
            Entry::Occupied(occupied) => occupied.into_mut(),
        };
        if let Keys::Many(keys) = keys {
            return keys.push_back((hash, key));
        }
        if let Keys::One(first_hash, first) = std::mem::replace(keys, Keys::Many(VecDeque::new())) {
            *keys = Keys::Many(VecDeque::from([(first_hash, first), (hash, key)]));
        }
    }

    /// When the earliest is due.
    #[inline]
    pub(super) fn first(&self) -> Option<T> {
        self.times.first_key_value().map(|(time, _)| *time)
    }

    /// Takes the earliest, if it is due by then.
    #[inline]
    pub(super) fn pop(&mut self, upto: T) -> Option<(T, u64, K)> {
        let mut first = self.times.first_entry().filter(|first| *first.key() <= upto)?;
        let time = *first.key();
        if let Keys::Many(keys) = first.get_mut()
            && keys.len() > 1
        {
            return keys.pop_front().map(|(hash, key)| (time, hash, key));
        }
        match first.remove() {
            Keys::One(hash, key) => Some((time, hash, key)),
            Keys::Many(mut keys) => keys.pop_front().map(|(hash, key)| (time, hash, key)),
        }
    }
}

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
