//! A row and what a table holds when the row comes.

use serde::{Deserialize, Serialize};

use super::{JoinHow, JoinOut, JoinRows, Results};
use crate::element::{Either, Keyed, Record, Timestamp};
use crate::exchange::Data;
use crate::operators::{Emit, Operator};
use crate::state::{KeyedState, StateKey, StateVisitor};

/// A row belongs to what the table holds when it comes.
#[derive(Clone, Copy, Debug)]
pub struct Latest;

impl<K: StateKey, L: 'static, R: Data, F: JoinRows<K, L, R>> JoinHow<K, L, R, F> for Latest {
    type Join = LatestJoin<K, R, F>;

    fn operator(self, name: &str, n_bins: u32, rows: F) -> Self::Join {
        LatestJoin { table: KeyedState::new(name, n_bins), rows }
    }
}

/// Joins rows with the latest of a table. See [`Joined::latest`](crate::stream::Joined::latest).
#[derive(Debug)]
pub struct LatestJoin<K, R, F> {
    table: KeyedState<K, Held<R>>,
    rows: F,
}

#[derive(Debug, Serialize, Deserialize)]
struct Held<R> {
    time: Timestamp,
    row: R,
}

impl<K, L, R, F> Operator<Keyed<K, Either<L, R>>> for LatestJoin<K, R, F>
where
    K: StateKey,
    L: 'static,
    R: Data,
    F: JoinRows<K, L, R>,
{
    type Out = JoinOut<K, L, R, F::Out>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, Either<L, R>>>, out: &mut impl Emit<Self::Out>) {
        let Record { time, value: Keyed { hash, key, value } } = record;
        match value {
            Either::Left(left) => {
                let made = match self.table.get(hash, &key) {
                    Some(held) => Some(self.rows.pair(&key, &left, &held.row)),
                    None => self.rows.left(&key, &left),
                };
                if let Some(made) = made {
                    Results { hash, key: &key, out }.emit(time, made);
                }
            }
            Either::Right(row) => match self.table.get_mut(hash, &key) {
                // Of two partitions of the table the slower one must not undo what the faster has said.
                Some(held) if held.time > time => {}
                Some(held) => *held = Held { time, row },
                None => {
                    self.table.get_or_insert_with(hash, &key, || Held { time, row });
                }
            },
        }
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, Either<L, R>>) {
        self.table.prefetch(upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.table);
    }
}
