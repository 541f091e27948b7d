//! What is due, and when: the earliest first, over all bins of a worker.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::mem;

use crate::limits::{DUE_PIECE_KEYS, LOOKAHEAD_RECORDS};

/// Keys with something due at a time. It may name what is no longer due: whoever takes from it asks the state, which
/// alone is stored and moved.
///
/// As a rule many keys have something due at one time, the end of a window: they are kept together, so that each costs a
/// place in a list and not its way through a heap.
#[derive(Debug)]
pub(super) struct DueQueue<T, K> {
    times: BTreeMap<T, Keys<K>>,
}

/// What is taken from the queue.
#[derive(Debug)]
pub(super) struct Taken<T, K> {
    pub(super) time: T,
    pub(super) hash: u64,
    pub(super) key: K,
    /// The hash of a key that is taken soon: its state may be loaded meanwhile.
    pub(super) upcoming: Option<u64>,
}

/// Keys and their hashes. Of two that are due at one time the first set comes first, so that a run can be repeated.
#[derive(Debug)]
enum Keys<K> {
    One(u64, K),
    Many(VecDeque<(u64, K)>),
    Storm(Box<Storm<K>>),
}

/// More keys than one list should hold: growing it would copy all of them at once, and what has fired would keep its
/// memory until the last has.
#[derive(Debug)]
struct Storm<K> {
    first: VecDeque<(u64, K)>,
    rest: VecDeque<VecDeque<(u64, K)>>,
}

impl<T: Ord + Copy, K> DueQueue<T, K> {
    pub(super) fn new() -> Self {
        Self { times: BTreeMap::new() }
    }

    pub(super) fn push(&mut self, time: T, hash: u64, key: K) {
        match self.times.entry(time) {
            Entry::Vacant(vacant) => {
                vacant.insert(Keys::One(hash, key));
            }
            Entry::Occupied(occupied) => occupied.into_mut().push(hash, key),
        }
    }

    /// When the earliest is due.
    #[inline]
    pub(super) fn first(&self) -> Option<T> {
        self.times.first_key_value().map(|(time, _)| *time)
    }

    /// Takes the earliest, if it is due by then.
    #[inline]
    pub(super) fn pop(&mut self, upto: T) -> Option<Taken<T, K>> {
        let mut first = self.times.first_entry().filter(|first| *first.key() <= upto)?;
        let time = *first.key();
        let (list, is_last) = match first.get_mut() {
            Keys::One(..) => {
                let Keys::One(hash, key) = first.remove() else { return None };
                return Some(Taken { time, hash, key, upcoming: None });
            }
            Keys::Many(list) => {
                let is_last = list.len() == 1;
                (list, is_last)
            }
            Keys::Storm(storm) => storm.first(),
        };
        let taken = list.pop_front();
        let upcoming = list.get(LOOKAHEAD_RECORDS).map(|(hash, _)| *hash);
        if is_last {
            first.remove();
        }
        taken.map(|(hash, key)| Taken { time, hash, key, upcoming })
    }
}

impl<K> Keys<K> {
    fn push(&mut self, hash: u64, key: K) {
        match self {
            Self::Many(list) if list.len() < DUE_PIECE_KEYS => list.push_back((hash, key)),
            Self::Storm(storm) => storm.push(hash, key),
            Self::One(..) | Self::Many(_) => {
                *self = match mem::replace(self, Self::Many(VecDeque::new())) {
                    Self::One(first_hash, first) => {
                        Self::Many(VecDeque::from([(first_hash, first), (hash, key)]))
                    }
                    Self::Many(first) => {
                        let mut storm = Storm { first, rest: VecDeque::new() };
                        storm.push(hash, key);
                        Self::Storm(Box::new(storm))
                    }
                    storm => storm,
                };
            }
        }
    }
}

impl<K> Storm<K> {
    fn push(&mut self, hash: u64, key: K) {
        let last = self.rest.back_mut().unwrap_or(&mut self.first);
        if last.len() < DUE_PIECE_KEYS {
            return last.push_back((hash, key));
        }
        let mut piece = VecDeque::with_capacity(DUE_PIECE_KEYS);
        piece.push_back((hash, key));
        self.rest.push_back(piece);
    }

    /// The list to take from, and whether it holds the last key of all.
    fn first(&mut self) -> (&mut VecDeque<(u64, K)>, bool) {
        if self.first.is_empty()
            && let Some(next) = self.rest.pop_front()
        {
            self.first = next;
        }
        let is_last = self.first.len() == 1 && self.rest.is_empty();
        (&mut self.first, is_last)
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
        while let Some(next) = due.pop(5) {
            taken.push(next.key);
        }
        assert_eq!((taken, due.first()), (vec!['b', 'd', 'a', 'c'], Some(9)));
    }

    #[test]
    fn a_storm_comes_in_the_order_in_which_it_was_set_also_while_it_is_added_to() {
        let n = 5 * DUE_PIECE_KEYS;
        let mut due = DueQueue::new();
        (0..n).for_each(|key| due.push(7, key as u64, key));
        let mut taken: Vec<usize> = (0..n / 2).filter_map(|_| due.pop(7)).map(|next| next.key).collect();
        (n..2 * n).for_each(|key| due.push(7, key as u64, key));
        while let Some(next) = due.pop(7) {
            taken.push(next.key);
        }
        assert!(taken.iter().copied().eq(0..2 * n) && due.first().is_none());
    }

    #[test]
    fn what_is_upcoming_is_taken_soon() {
        let mut due = DueQueue::new();
        (0..100).for_each(|key| due.push(7, key, ()));
        let taken = due.pop(7).map(|taken| (taken.hash, taken.upcoming));
        assert_eq!(taken, Some((0, Some(1 + LOOKAHEAD_RECORDS as u64))));
    }
}
