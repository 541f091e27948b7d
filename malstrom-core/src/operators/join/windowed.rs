//! Rows of the same window: a window whose aggregate keeps the rows of both sides, and tells them in pairs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{JoinHow, JoinOut, JoinRows, Results};
use crate::element::{Either, Keyed, Record, Timestamp};
use crate::exchange::Data;
use crate::operators::{Emit, Operator, Window};
use crate::state::{StateKey, StateVisitor};
use crate::time::aggregates::Aggregate;
use crate::time::windows::{OnTime, WindowKind, WindowResult};

/// Rows belong together that are in the same window.
#[derive(Clone, Copy, Debug)]
pub struct SameWindow<W> {
    pub(crate) kind: W,
    pub(crate) lateness: i64,
}

impl<K, L, R, W, F> JoinHow<K, L, R, F> for SameWindow<W>
where
    K: StateKey,
    L: Data + Clone,
    R: Data + Clone,
    W: WindowKind,
    F: JoinRows<K, L, R>,
{
    type Join = WindowJoin<K, L, R, W, F>;

    fn operator(self, name: &str, n_bins: u32, rows: F) -> Self::Join {
        WindowJoin { window: Window::new(name, n_bins, self.kind, Gather, OnTime, self.lateness), rows }
    }
}

/// Joins rows of the same window. See [`Joined::window`](crate::stream::Joined::window).
pub struct WindowJoin<K, L: Data + Clone, R: Data + Clone, W: WindowKind, F> {
    window: Window<K, Either<L, R>, W, Gather, OnTime>,
    rows: F,
}

impl<K, L: Data + Clone, R: Data + Clone, W: WindowKind, F> fmt::Debug for WindowJoin<K, L, R, W, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WindowJoin")
    }
}

impl<K, L, R, W, F> Operator<Keyed<K, Either<L, R>>> for WindowJoin<K, L, R, W, F>
where
    K: StateKey,
    L: Data + Clone,
    R: Data + Clone,
    W: WindowKind,
    F: JoinRows<K, L, R>,
{
    type Out = JoinOut<K, L, R, F::Out>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, Either<L, R>>>, out: &mut impl Emit<Self::Out>) {
        self.window.process(record, &mut Pairs { rows: &mut self.rows, out });
    }

    fn advance(&mut self, time: Timestamp, out: &mut impl Emit<Self::Out>) -> bool {
        self.window.advance(time, &mut Pairs { rows: &mut self.rows, out })
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, Either<L, R>>) {
        self.window.hint(upcoming);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        self.window.visit(visitor);
    }
}

/// The rows of a window, each side in the order in which they came.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rows<L, R> {
    left: Vec<L>,
    right: Vec<R>,
}

/// Keeps all rows.
#[derive(Debug)]
struct Gather;

impl<L: Data + Clone, R: Data + Clone> Aggregate<Either<L, R>> for Gather {
    type Acc = Rows<L, R>;
    type Out = Rows<L, R>;

    fn init(&self) -> Rows<L, R> {
        Rows { left: Vec::new(), right: Vec::new() }
    }

    fn add(&self, rows: &mut Rows<L, R>, row: Either<L, R>) {
        match row {
            Either::Left(left) => rows.left.push(left),
            Either::Right(right) => rows.right.push(right),
        }
    }

    fn merge(&self, rows: &mut Rows<L, R>, other: &Rows<L, R>) {
        rows.left.extend_from_slice(&other.left);
        rows.right.extend_from_slice(&other.right);
    }

    fn finish(&self, rows: &Rows<L, R>) -> Rows<L, R> {
        rows.clone()
    }
}

/// Makes pairs of the rows of a window.
struct Pairs<'a, F, E> {
    rows: &'a mut F,
    out: &'a mut E,
}

type Told<K, L, R> = Either<Keyed<K, WindowResult<Rows<L, R>>>, Keyed<K, Either<L, R>>>;

impl<K, L, R, F, E> Emit<Told<K, L, R>> for Pairs<'_, F, E>
where
    K: Clone,
    F: JoinRows<K, L, R>,
    E: Emit<JoinOut<K, L, R, F::Out>>,
{
    fn emit(&mut self, record: Record<Told<K, L, R>>) {
        let time = record.time;
        let (hash, key, Rows { left, right }) = match record.value {
            Either::Left(Keyed { hash, key, value }) => (hash, key, value.value),
            Either::Right(late) => return self.out.emit(Record { time, value: Either::Right(late) }),
        };
        let mut results = Results { hash, key: &key, out: self.out };
        for left in &left {
            right.iter().for_each(|right| results.emit(time, self.rows.pair(&key, left, right)));
        }
        if F::KEEPS_LEFT && right.is_empty() {
            let alone = left.iter().filter_map(|left| self.rows.left(&key, left));
            alone.for_each(|made| results.emit(time, made));
        }
        if F::KEEPS_RIGHT && left.is_empty() {
            let alone = right.iter().filter_map(|right| self.rows.right(&key, right));
            alone.for_each(|made| results.emit(time, made));
        }
    }
}
