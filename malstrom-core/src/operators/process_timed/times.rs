//! The times of a key's timers of one kind.

use std::slice;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Times, ascending. As a rule a key has one timer or none: then nothing lies beside its state.
#[derive(Debug, Default)]
pub(in crate::operators) enum Times<T> {
    #[default]
    None,
    One(T),
    Many(Vec<T>),
}

impl<T: Ord + Copy> Times<T> {
    pub(in crate::operators) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(time) => slice::from_ref(time),
            Self::Many(times) => times,
        }
    }

    pub(in crate::operators) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub(in crate::operators) fn has(&self, time: T) -> bool {
        self.as_slice().binary_search(&time).is_ok()
    }

    /// Whether it was not there.
    pub(in crate::operators) fn insert(&mut self, time: T) -> bool {
        let Err(at) = self.as_slice().binary_search(&time) else { return false };
        match self {
            Self::None => *self = Self::One(time),
            Self::One(other) => {
                *self = Self::Many(if at == 0 { vec![time, *other] } else { vec![*other, time] })
            }
            Self::Many(times) => times.insert(at, time),
        }
        true
    }

    /// Whether it was there.
    pub(in crate::operators) fn remove(&mut self, time: T) -> bool {
        let Ok(at) = self.as_slice().binary_search(&time) else { return false };
        match self {
            Self::Many(times) if times.len() > 1 => {
                times.remove(at);
            }
            _ => *self = Self::None,
        }
        true
    }
}

/// A list, whatever the number.
impl<T: Ord + Copy + Serialize> Serialize for Times<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.as_slice())
    }
}

impl<'de, T: Ord + Copy + Deserialize<'de>> Deserialize<'de> for Times<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let times = Vec::deserialize(deserializer)?;
        Ok(match times[..] {
            [] => Self::None,
            [time] => Self::One(time),
            _ => Self::Many(times),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn times_are_ascending_and_each_is_there_once() {
        let mut times = Times::default();
        let inserted = [7, 3, 7, 9, 3].map(|time| times.insert(time));
        assert_eq!((inserted, times.as_slice()), ([true, true, false, true, false], &[3, 7, 9][..]));
        let removed = [7, 7, 3, 9, 9].map(|time| times.remove(time));
        assert_eq!((removed, times.is_empty()), ([true, false, true, true, false], true));
    }

    #[test]
    fn they_are_stored_as_a_list() {
        for list in [vec![], vec![5], vec![5, 8]] {
            let mut times = Times::default();
            list.iter().for_each(|time| assert!(times.insert(*time)));
            let bytes = codec::encode(&times).unwrap();
            assert_eq!(bytes, codec::encode(&list).unwrap());
            let back: Times<i64> = codec::decode(&bytes).unwrap();
            assert_eq!(back.as_slice(), list);
        }
    }

    #[test]
    fn a_single_time_takes_no_more_room_than_a_list_would() {
        assert_eq!(size_of::<Times<i64>>(), size_of::<Vec<i64>>());
    }
}
