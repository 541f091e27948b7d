//! Rows in the order of their times.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Rows in the order of their times; those of one time in the order in which they came.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Timeline<T>(VecDeque<(i64, T)>);

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Timeline<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn first_time(&self) -> Option<i64> {
        self.0.front().map(|(time, _)| *time)
    }

    pub(super) fn last_time(&self) -> Option<i64> {
        self.0.back().map(|(time, _)| *time)
    }

    /// The newest row that is not newer than this time.
    pub(super) fn newest_upto(&self, time: i64) -> Option<&(i64, T)> {
        self.0.get(self.n_upto(time).checked_sub(1)?)
    }

    /// Puts a row where its time belongs: nearly always at the end.
    pub(super) fn insert(&mut self, time: i64, row: T) {
        if self.last_time().is_none_or(|last| last <= time) {
            self.0.push_back((time, row));
        } else {
            self.0.insert(self.n_upto(time), (time, row));
        }
    }

    /// The rows of these times.
    pub(super) fn within(&mut self, times: &RangeInclusive<i64>) -> impl Iterator<Item = &mut (i64, T)> {
        let from = self.0.partition_point(|(time, _)| time < times.start());
        let to = self.n_upto(*times.end()).max(from);
        self.0.range_mut(from..to)
    }

    pub(super) fn pop_first(&mut self) -> Option<(i64, T)> {
        self.0.pop_front()
    }

    /// Drops all rows that are not newer than this time but the last `n_kept` of them.
    pub(super) fn drop_upto(&mut self, time: i64, n_kept: usize) {
        self.0.drain(..self.n_upto(time).saturating_sub(n_kept));
    }

    fn n_upto(&self, time: i64) -> usize {
        self.0.partition_point(|(other, _)| *other <= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline() -> Timeline<char> {
        let mut rows = Timeline::default();
        for (time, row) in [(5, 'a'), (9, 'b'), (5, 'c'), (7, 'd'), (1, 'e')] {
            rows.insert(time, row);
        }
        rows
    }

    #[test]
    fn rows_lie_in_the_order_of_their_times_and_of_one_time_as_they_came() {
        let mut rows = timeline();
        let all: String = std::iter::from_fn(|| rows.pop_first()).map(|(_, row)| row).collect();
        assert_eq!(all, "eacdb");
    }

    #[test]
    fn a_range_has_both_its_ends_and_may_be_empty() {
        let mut rows = timeline();
        let mut within = |from, to| rows.within(&(from..=to)).map(|(_, row)| *row).collect::<String>();
        assert_eq!((within(5, 7), within(2, 4), within(9, 1)), ("acd".into(), String::new(), String::new()));
    }

    #[test]
    fn the_newest_of_the_old_can_be_kept() {
        let mut rows = timeline();
        rows.drop_upto(6, 1);
        assert_eq!((rows.len(), rows.newest_upto(6), rows.newest_upto(4)), (3, Some(&(5, 'c')), None));
    }
}
