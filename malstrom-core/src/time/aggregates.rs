//! What becomes of the records of a window: added one by one as they come, merged where windows share panes, sessions
//! meet, or records were combined before an exchange.
//!
//! ```
//! use malstrom_core::time::aggregates::{Aggregate, mean};
//!
//! let mean = mean(|n: &u32| f64::from(*n));
//! let mut acc = mean.init();
//! [1, 2, 6].into_iter().for_each(|n| mean.add(&mut acc, n));
//! assert_eq!(mean.finish(&acc), 3.0);
//! ```

use std::marker::PhantomData;
use std::ops::AddAssign;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::exchange::Data;

/// What becomes of values of type `V`.
///
/// Merging is adding: what comes of two accumulators merged is what would have come of one to which the values of both
/// had been added.
///
/// ```
/// use malstrom_core::time::aggregates::Aggregate;
///
/// /// The difference between the largest and the smallest number.
/// struct Range;
/// impl Aggregate<i64> for Range {
///     type Acc = (i64, i64);
///     type Out = i64;
///     fn init(&self) -> (i64, i64) { (i64::MAX, i64::MIN) }
///     fn add(&self, acc: &mut (i64, i64), n: i64) { *acc = (acc.0.min(n), acc.1.max(n)) }
///     fn merge(&self, acc: &mut (i64, i64), other: &(i64, i64)) {
///         *acc = (acc.0.min(other.0), acc.1.max(other.1));
///     }
///     fn finish(&self, acc: &(i64, i64)) -> i64 { acc.1 - acc.0 }
/// }
/// let mut acc = Range.init();
/// [3, -1, 4].into_iter().for_each(|n| Range.add(&mut acc, n));
/// assert_eq!(Range.finish(&acc), 5);
/// ```
pub trait Aggregate<V>: 'static {
    /// What is kept while values come.
    type Acc: Data;
    /// What is made of them.
    type Out: 'static;

    /// What is kept of no value.
    fn init(&self) -> Self::Acc;
    /// Adds a value.
    fn add(&self, acc: &mut Self::Acc, value: V);
    /// Adds what was kept of other values.
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc);
    /// What the values came to so far.
    fn finish(&self, acc: &Self::Acc) -> Self::Out;

    /// How many records a value stands for.
    #[doc(hidden)]
    #[inline]
    fn n_records(&self, value: &V) -> u64 {
        let _ = value;
        1
    }
}

impl<V, A: Aggregate<V>> Aggregate<V> for Rc<A> {
    type Acc = A::Acc;
    type Out = A::Out;

    fn init(&self) -> A::Acc {
        A::init(self)
    }

    #[inline]
    fn add(&self, acc: &mut A::Acc, value: V) {
        A::add(self, acc, value);
    }

    fn merge(&self, acc: &mut A::Acc, other: &A::Acc) {
        A::merge(self, acc, other);
    }

    fn finish(&self, acc: &A::Acc) -> A::Out {
        A::finish(self, acc)
    }
}

/// The number of values.
#[must_use]
pub fn count() -> Counting {
    Counting
}

/// See [`count`].
#[derive(Clone, Copy, Debug)]
pub struct Counting;

impl<V> Aggregate<V> for Counting {
    type Acc = u64;
    type Out = u64;

    fn init(&self) -> u64 {
        0
    }

    #[inline]
    fn add(&self, n: &mut u64, _: V) {
        *n += 1;
    }

    fn merge(&self, n: &mut u64, other: &u64) {
        *n += other;
    }

    fn finish(&self, n: &u64) -> u64 {
        *n
    }
}

/// The sum of what `of` takes from each value.
pub fn sum<V, N, F>(of: F) -> Sum<F, N>
where
    F: Fn(&V) -> N + 'static,
    N: AddAssign + Default + Clone + Data,
{
    Sum { of, sum: PhantomData }
}

/// See [`sum`].
#[derive(Clone, Copy, Debug)]
pub struct Sum<F, N> {
    of: F,
    sum: PhantomData<fn() -> N>,
}

impl<V, N, F> Aggregate<V> for Sum<F, N>
where
    F: Fn(&V) -> N + 'static,
    N: AddAssign + Default + Clone + Data,
{
    type Acc = N;
    type Out = N;

    fn init(&self) -> N {
        N::default()
    }

    #[inline]
    fn add(&self, sum: &mut N, value: V) {
        *sum += (self.of)(&value);
    }

    fn merge(&self, sum: &mut N, other: &N) {
        *sum += other.clone();
    }

    fn finish(&self, sum: &N) -> N {
        sum.clone()
    }
}

/// The least of what `of` takes from each value.
pub fn min<V, N, F>(of: F) -> Extreme<F, N, false>
where
    F: Fn(&V) -> N + 'static,
    N: PartialOrd + Clone + Data,
{
    Extreme { of, of_type: PhantomData }
}

/// The greatest of what `of` takes from each value.
pub fn max<V, N, F>(of: F) -> Extreme<F, N, true>
where
    F: Fn(&V) -> N + 'static,
    N: PartialOrd + Clone + Data,
{
    Extreme { of, of_type: PhantomData }
}

/// See [`min`] and [`max`].
#[derive(Clone, Copy, Debug)]
pub struct Extreme<F, N, const IS_MAX: bool> {
    of: F,
    of_type: PhantomData<fn() -> N>,
}

/// The extreme so far: none before the first value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found<N> {
    /// None or one.
    found: Vec<N>,
}

impl<F, N: PartialOrd, const IS_MAX: bool> Extreme<F, N, IS_MAX> {
    #[inline]
    fn take(acc: &mut Found<N>, candidate: N) {
        match acc.found.first_mut() {
            None => acc.found.push(candidate),
            Some(found) => {
                let is_better = if IS_MAX { candidate > *found } else { candidate < *found };
                if is_better {
                    *found = candidate;
                }
            }
        }
    }
}

impl<V, N, F, const IS_MAX: bool> Aggregate<V> for Extreme<F, N, IS_MAX>
where
    F: Fn(&V) -> N + 'static,
    N: PartialOrd + Clone + Data,
{
    type Acc = Found<N>;
    type Out = Option<N>;

    fn init(&self) -> Found<N> {
        Found { found: Vec::new() }
    }

    #[inline]
    fn add(&self, acc: &mut Found<N>, value: V) {
        Self::take(acc, (self.of)(&value));
    }

    fn merge(&self, acc: &mut Found<N>, other: &Found<N>) {
        other.found.iter().for_each(|candidate| Self::take(acc, candidate.clone()));
    }

    fn finish(&self, acc: &Found<N>) -> Option<N> {
        acc.found.first().cloned()
    }
}

/// The mean of what `of` takes from each value; not a number if there is none.
pub fn mean<V, F: Fn(&V) -> f64 + 'static>(of: F) -> Mean<F> {
    Mean(of)
}

/// See [`mean`].
#[derive(Clone, Copy, Debug)]
pub struct Mean<F>(F);

impl<V, F: Fn(&V) -> f64 + 'static> Aggregate<V> for Mean<F> {
    type Acc = (f64, u64);
    type Out = f64;

    fn init(&self) -> (f64, u64) {
        (0.0, 0)
    }

    #[inline]
    fn add(&self, acc: &mut (f64, u64), value: V) {
        acc.0 += (self.0)(&value);
        acc.1 += 1;
    }

    fn merge(&self, acc: &mut (f64, u64), other: &(f64, u64)) {
        acc.0 += other.0;
        acc.1 += other.1;
    }

    fn finish(&self, acc: &(f64, u64)) -> f64 {
        acc.0 / acc.1 as f64
    }
}

/// The `n` greatest of what `of` takes from each value, the greatest first.
pub fn top_n<V, N, F>(n: usize, of: F) -> TopN<F, N>
where
    F: Fn(&V) -> N + 'static,
    N: Ord + Clone + Data,
{
    TopN { n, of, of_type: PhantomData }
}

/// See [`top_n`].
#[derive(Clone, Copy, Debug)]
pub struct TopN<F, N> {
    n: usize,
    of: F,
    of_type: PhantomData<fn() -> N>,
}

impl<F, N: Ord> TopN<F, N> {
    fn take(&self, top: &mut Vec<N>, candidate: N) {
        let is_full = top.len() >= self.n;
        if is_full && top.last().is_none_or(|least| candidate <= *least) {
            return;
        }
        let at = top.partition_point(|better| *better >= candidate);
        top.insert(at, candidate);
        top.truncate(self.n);
    }
}

impl<V, N, F> Aggregate<V> for TopN<F, N>
where
    F: Fn(&V) -> N + 'static,
    N: Ord + Clone + Data,
{
    type Acc = Vec<N>;
    type Out = Vec<N>;

    fn init(&self) -> Vec<N> {
        Vec::new()
    }

    #[inline]
    fn add(&self, top: &mut Vec<N>, value: V) {
        self.take(top, (self.of)(&value));
    }

    fn merge(&self, top: &mut Vec<N>, other: &Vec<N>) {
        other.iter().for_each(|candidate| self.take(top, candidate.clone()));
    }

    fn finish(&self, top: &Vec<N>) -> Vec<N> {
        top.clone()
    }
}

/// An aggregate of closures: what to begin with, how to add a value, and how to add what was kept of other values.
pub fn fold<V, A, I, F, M>(init: I, add: F, merge: M) -> Folded<I, F, M, A>
where
    A: Data + Clone,
    I: Fn() -> A + 'static,
    F: Fn(&mut A, V) + 'static,
    M: Fn(&mut A, &A) + 'static,
{
    Folded { init, add, merge, of_type: PhantomData }
}

/// See [`fold`].
#[derive(Clone, Copy, Debug)]
pub struct Folded<I, F, M, A> {
    init: I,
    add: F,
    merge: M,
    of_type: PhantomData<fn() -> A>,
}

impl<V, A, I, F, M> Aggregate<V> for Folded<I, F, M, A>
where
    A: Data + Clone,
    I: Fn() -> A + 'static,
    F: Fn(&mut A, V) + 'static,
    M: Fn(&mut A, &A) + 'static,
{
    type Acc = A;
    type Out = A;

    fn init(&self) -> A {
        (self.init)()
    }

    #[inline]
    fn add(&self, acc: &mut A, value: V) {
        (self.add)(acc, value);
    }

    fn merge(&self, acc: &mut A, other: &A) {
        (self.merge)(acc, other);
    }

    fn finish(&self, acc: &A) -> A {
        acc.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds the values to one accumulator, and to two that are merged then.
    fn both<V: Copy, A: Aggregate<V>>(aggregate: &A, values: &[V]) -> (A::Out, A::Out) {
        let of = |values: &[V]| {
            let mut acc = aggregate.init();
            values.iter().for_each(|value| aggregate.add(&mut acc, *value));
            acc
        };
        let (first, second) = values.split_at(values.len() / 2);
        let mut merged = of(first);
        aggregate.merge(&mut merged, &of(second));
        (aggregate.finish(&of(values)), aggregate.finish(&merged))
    }

    #[test]
    fn merging_is_adding() {
        let values = [3_i64, 9, -4, 9, 0, 7];
        assert_eq!(both(&count(), &values), (6, 6));
        assert_eq!(both(&sum(|n: &i64| *n), &values), (24, 24));
        assert_eq!(both(&min(|n: &i64| *n), &values), (Some(-4), Some(-4)));
        assert_eq!(both(&max(|n: &i64| *n), &values), (Some(9), Some(9)));
        assert_eq!(both(&mean(|n: &i64| *n as f64), &values), (4.0, 4.0));
        assert_eq!(both(&top_n(3, |n: &i64| *n), &values), (vec![9, 9, 7], vec![9, 9, 7]));
        let product = fold(|| 1_i64, |acc: &mut i64, n: i64| *acc *= n, |acc, other| *acc *= other);
        assert_eq!(both(&product, &values[..4]), (-972, -972));
    }

    #[test]
    fn the_least_of_nothing_is_none_and_the_top_of_few_is_all() {
        let least = min(|n: &i64| *n);
        assert_eq!(least.finish(&Aggregate::<i64>::init(&least)), None);
        assert_eq!(both(&top_n(5, |n: &i64| *n), &[2, 1]).0, [2, 1]);
        assert!(both(&top_n(0, |n: &i64| *n), &[2, 1]).0.is_empty());
    }
}
