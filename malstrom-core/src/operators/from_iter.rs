//! A source from iterators: for tests, examples and data that a program makes itself.

use super::{BoxError, Emit, Read, ReadContext, ReadStatus, Source};
use crate::element::Record;

/// A source of one partition, named `0`, that yields what the iterator yields.
///
/// `make` is called whenever the partition is opened and must make the same iterator each time: a position is the
/// number of records taken, and opening at one skips as many with [`Iterator::nth`], which is at once for a range.
///
/// ```
/// use malstrom_core::operators::{Source, from_iter};
///
/// let mut numbers = from_iter(|| 0..1_000_000_u64);
/// assert_eq!(numbers.partitions()?, ["0"]);
/// let reader = numbers.open("0", Some(999_999))?;
/// # use malstrom_core::{element::Record, operators::{Emit, Read, ReadContext, ReadStatus}, ports::Nanos};
/// # let mut reader = reader;
/// # struct Out(Vec<u64>);
/// # impl Emit<u64> for Out { fn emit(&mut self, record: Record<u64>) { self.0.push(record.value) } }
/// # let mut out = Out(Vec::new());
/// # reader.read(ReadContext { n_records_max: 10, now: Nanos(0) }, &mut out)?;
/// # assert_eq!(out.0, [999_999]);
/// # Ok::<(), malstrom_core::operators::BoxError>(())
/// ```
pub fn from_iter<I: IntoIterator>(make: impl Fn() -> I + 'static) -> FromIter<impl Fn(usize) -> I> {
    from_iters(1, move |_| make())
}

/// A source of `n` partitions, named `0` to `n - 1`; the partition `i` yields what `make(i)` yields. See [`from_iter`].
///
/// ```
/// use malstrom_core::operators::{Source, from_iters};
///
/// let mut numbers = from_iters(2, |i| [10 * i, 10 * i + 1]);
/// assert_eq!(numbers.partitions()?, ["0", "1"]);
/// # Ok::<(), malstrom_core::operators::BoxError>(())
/// ```
pub fn from_iters<I: IntoIterator, F: Fn(usize) -> I + 'static>(n: usize, make: F) -> FromIter<F> {
    FromIter { n, make }
}

/// A source from iterators; made by [`from_iter`] and [`from_iters`].
#[derive(Clone, Debug)]
pub struct FromIter<F> {
    n: usize,
    make: F,
}

/// Why a partition of a [`FromIter`] cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FromIterError {
    /// The source has no such partition.
    #[error("there is no partition `{partition}`: they are 0 to n - 1 for n = {n}")]
    UnknownPartition {
        /// What was asked for.
        partition: String,
        /// How many there are.
        n: usize,
    },
    /// The iterator ended before the position: it is not the one the position was taken from.
    #[error("the iterator of partition `{partition}` ends before the position {position}")]
    Shorter {
        /// The partition.
        partition: String,
        /// Where it was to be opened.
        position: u64,
    },
}

impl<I, F> Source for FromIter<F>
where
    I: IntoIterator,
    I::IntoIter: 'static,
    I::Item: 'static,
    F: Fn(usize) -> I + 'static,
{
    type Item = I::Item;
    type Reader = IterReader<I::IntoIter>;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok((0..self.n).map(|i| i.to_string()).collect())
    }

    fn open(&mut self, partition: &str, position: Option<u64>) -> Result<Self::Reader, BoxError> {
        let unknown = || FromIterError::UnknownPartition { partition: partition.to_owned(), n: self.n };
        let index = partition.parse::<usize>().ok().filter(|i| *i < self.n).ok_or_else(unknown)?;
        let mut iter = (self.make)(index).into_iter();
        let position = position.unwrap_or(0);
        let shorter = || FromIterError::Shorter { partition: partition.to_owned(), position };
        if let Some(last) = position.checked_sub(1) {
            let last = usize::try_from(last).map_err(|_| shorter())?;
            iter.nth(last).ok_or_else(shorter)?;
        }
        Ok(IterReader { iter: Some(iter), position })
    }
}

/// Records of a block of a read.
const BLOCK_RECORDS: usize = 8;

/// A partition of a [`FromIter`] being read. Its position is the number of records taken.
#[derive(Clone, Debug)]
pub struct IterReader<I> {
    /// Absent only while it is read.
    iter: Option<I>,
    position: u64,
}

impl<I: Iterator + 'static> Read for IterReader<I> {
    type Item = I::Item;
    type Position = u64;

    #[inline]
    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<I::Item>) -> Result<ReadStatus, BoxError> {
        // The iterator is moved here for that long, so that what it counts lies in registers and not in memory.
        let Some(mut iter) = self.iter.take() else {
            return Err("the iterator panicked when it was last read".into());
        };
        let mut n = 0;
        // In a block the end of the read is not looked for, so where the whole stage is a few instructions the compiler makes a
        // block of it without a branch but the iterator's own. That takes two thirds of the time of a loop that looks each time.
        'read: {
            for _ in 0..cx.n_records_max / BLOCK_RECORDS {
                for _ in 0..BLOCK_RECORDS {
                    let Some(value) = iter.next() else { break 'read };
                    n += 1;
                    out.emit(Record::new(value));
                }
            }
            while n < cx.n_records_max {
                let Some(value) = iter.next() else { break };
                n += 1;
                out.emit(Record::new(value));
            }
        }
        self.iter = Some(iter);
        self.position += n as u64;
        Ok(if n < cx.n_records_max { ReadStatus::Ended } else { ReadStatus::More })
    }

    fn position(&self) -> u64 {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Nanos;

    struct Out<T>(Vec<T>);

    impl<T> Emit<T> for Out<T> {
        fn emit(&mut self, record: Record<T>) {
            self.0.push(record.value);
        }
    }

    fn read<R: Read>(reader: &mut R, n_records_max: usize) -> (Vec<R::Item>, ReadStatus) {
        let mut out = Out(Vec::new());
        let status = reader.read(ReadContext { n_records_max, now: Nanos(0) }, &mut out).unwrap();
        (out.0, status)
    }

    #[test]
    fn a_read_emits_no_more_than_asked() {
        let mut reader = from_iter(|| 0..5).open("0", None).unwrap();
        assert_eq!(read(&mut reader, 3), (vec![0, 1, 2], ReadStatus::More));
        assert_eq!(reader.position(), 3);
        assert_eq!(read(&mut reader, 3), (vec![3, 4], ReadStatus::Ended));
        assert_eq!(reader.position(), 5);
    }

    #[test]
    fn any_position_goes_on_with_the_next_record() {
        let mut source = from_iters(3, |i| (0..10).map(move |n| 100 * i + n));
        for position in 0..=10_u64 {
            let mut reader = source.open("2", Some(position)).unwrap();
            let rest: Vec<_> = (200 + usize::try_from(position).unwrap()..210).collect();
            assert_eq!(read(&mut reader, 100), (rest, ReadStatus::Ended));
            assert_eq!(reader.position(), 10);
        }
    }

    #[test]
    fn an_iterator_shorter_than_the_position_is_refused() {
        let error = from_iter(|| 0..5).open("0", Some(6)).unwrap_err();
        assert_eq!(
            error.downcast_ref(),
            Some(&FromIterError::Shorter { partition: "0".to_owned(), position: 6 })
        );
    }

    #[test]
    fn an_unknown_partition_is_refused() {
        for name in ["1", "", "-1", "x"] {
            assert!(from_iter(|| 0..5).open(name, None).is_err(), "{name}");
        }
    }
}
