//! Joins: rows of two streams that belong together by key and by time.
//!
//! Both sides come as one stream of [`Either`], so that one operator sees them in one order, keeps them in one state of
//! their key, and has one watermark: the least of both.
//!
//! - [`IntervalJoin`]: rows whose times are no further apart than said.
//! - [`WindowJoin`]: rows of the same window.
//! - [`AsOfJoin`]: a row and the version of a table that was in force at its time.
//! - [`LatestJoin`]: a row and what a table holds when it comes.
//!
//! # Rules
//! 1. A row is kept as long as the watermark allows a partner of it to come, and no longer.
//! 2. A row without a partner is told when the watermark proves that none will come, and not before.
//! 3. A row is late when partners of it may have been dropped already: it makes nothing, goes to the side output, if
//!    there is one, and is counted.

mod armed;
mod as_of;
mod interval;
mod latest;
mod timeline;
mod windowed;

pub use as_of::{AsOf, AsOfJoin};
pub use interval::{Interval, IntervalJoin};
pub use latest::{Latest, LatestJoin};
pub use windowed::{Rows, SameWindow, WindowJoin};

use super::{Emit, Operator};
use crate::element::{Either, Keyed, Record, Timestamp};
use crate::exchange::Data;
use crate::state::StateKey;
use crate::time::{Scheduled, TimedState};

/// What a join makes: results, and rows that came too late.
pub type JoinOut<K, L, R, T> = Either<Keyed<K, T>, Keyed<K, Either<L, R>>>;

/// What is made of rows that belong together, and of those that are alone.
pub trait JoinRows<K, L, R>: 'static {
    /// What it is.
    type Out: 'static;
    /// Whether something is made of a left row that is alone.
    const KEEPS_LEFT: bool;
    /// Whether something is made of a right row that is alone.
    const KEEPS_RIGHT: bool;

    /// What is made of a pair.
    fn pair(&mut self, key: &K, left: &L, right: &R) -> Self::Out;

    /// What is made of a left row that is alone.
    fn left(&mut self, key: &K, left: &L) -> Option<Self::Out> {
        let _ = (key, left);
        None
    }

    /// What is made of a right row that is alone.
    fn right(&mut self, key: &K, right: &R) -> Option<Self::Out> {
        let _ = (key, right);
        None
    }
}

/// Pairs alone.
#[derive(Clone, Copy, Debug)]
pub struct Inner<F = ()>(pub(crate) F);

/// Pairs, and left rows that are alone.
#[derive(Clone, Copy, Debug)]
pub struct LeftOuter<F = ()>(pub(crate) F);

/// Pairs, and right rows that are alone.
#[derive(Clone, Copy, Debug)]
pub struct RightOuter<F = ()>(pub(crate) F);

/// Pairs, and rows of either side that are alone.
#[derive(Clone, Copy, Debug)]
pub struct FullOuter<F = ()>(pub(crate) F);

impl<K, L, R, T: 'static, F: FnMut(&K, &L, &R) -> T + 'static> JoinRows<K, L, R> for Inner<F> {
    type Out = T;
    const KEEPS_LEFT: bool = false;
    const KEEPS_RIGHT: bool = false;

    #[inline]
    fn pair(&mut self, key: &K, left: &L, right: &R) -> T {
        (self.0)(key, left, right)
    }
}

impl<K, L, R, T: 'static, F: FnMut(&K, &L, Option<&R>) -> T + 'static> JoinRows<K, L, R> for LeftOuter<F> {
    type Out = T;
    const KEEPS_LEFT: bool = true;
    const KEEPS_RIGHT: bool = false;

    #[inline]
    fn pair(&mut self, key: &K, left: &L, right: &R) -> T {
        (self.0)(key, left, Some(right))
    }

    fn left(&mut self, key: &K, left: &L) -> Option<T> {
        Some((self.0)(key, left, None))
    }
}

impl<K, L, R, T: 'static, F: FnMut(&K, Option<&L>, &R) -> T + 'static> JoinRows<K, L, R> for RightOuter<F> {
    type Out = T;
    const KEEPS_LEFT: bool = false;
    const KEEPS_RIGHT: bool = true;

    #[inline]
    fn pair(&mut self, key: &K, left: &L, right: &R) -> T {
        (self.0)(key, Some(left), right)
    }

    fn right(&mut self, key: &K, right: &R) -> Option<T> {
        Some((self.0)(key, None, right))
    }
}

impl<K, L, R, T: 'static, F> JoinRows<K, L, R> for FullOuter<F>
where
    F: FnMut(&K, Option<&L>, Option<&R>) -> T + 'static,
{
    type Out = T;
    const KEEPS_LEFT: bool = true;
    const KEEPS_RIGHT: bool = true;

    #[inline]
    fn pair(&mut self, key: &K, left: &L, right: &R) -> T {
        (self.0)(key, Some(left), Some(right))
    }

    fn left(&mut self, key: &K, left: &L) -> Option<T> {
        Some((self.0)(key, Some(left), None))
    }

    fn right(&mut self, key: &K, right: &R) -> Option<T> {
        Some((self.0)(key, None, Some(right)))
    }
}

/// Which rows belong together. What follows from it and from what is made of them is an operator.
pub trait JoinHow<K, L, R, F: JoinRows<K, L, R>> {
    /// The operator.
    type Join: Operator<Keyed<K, Either<L, R>>, Out = JoinOut<K, L, R, F::Out>>;

    /// The operator with its name, for a job of `n_bins` bins.
    fn operator(self, name: &str, n_bins: u32, rows: F) -> Self::Join;
}

/// Where the results of a key go.
struct Results<'a, K, E> {
    hash: u64,
    key: &'a K,
    out: &'a mut E,
}

impl<K: Clone, E> Results<'_, K, E> {
    #[inline]
    fn emit<L, R, T>(&mut self, time: Timestamp, value: T)
    where
        E: Emit<JoinOut<K, L, R, T>>,
    {
        let value = Either::Left(Keyed { hash: self.hash, key: self.key.clone(), value });
        self.out.emit(Record { time, value });
    }
}

/// Counts a row that is late, and lets it go (rule 3).
fn late<K: StateKey, L, R, T, S: Data + Scheduled>(
    state: &mut TimedState<K, S>,
    row: Record<Keyed<K, Either<L, R>>>,
    out: &mut impl Emit<JoinOut<K, L, R, T>>,
) {
    state.count_late(1);
    out.emit(Record { time: row.time, value: Either::Right(row.value) });
}

#[cfg(test)]
mod tests;
