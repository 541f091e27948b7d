//! `reduce`: combine the values of each key into one of the same type.

use super::{Emit, Operator};
use crate::element::{Keyed, Record};
use crate::exchange::Data;
use crate::state::{KeyedState, StateKey, StateVisitor};

/// Combines every value with what its key has so far, and passes the result on each time. See
/// [`KeyedStream::reduce`](crate::stream::KeyedStream::reduce).
#[derive(Debug)]
pub struct Reduce<K, V, F> {
    state: KeyedState<K, V>,
    combine: F,
}

impl<K: StateKey, V: Data, F> Reduce<K, V, F> {
    pub(crate) fn new(name: &str, n_bins: u32, combine: F) -> Self {
        Self { state: KeyedState::new(name, n_bins), combine }
    }
}

impl<K, V, F> Operator<Keyed<K, V>> for Reduce<K, V, F>
where
    K: StateKey,
    V: Data + Clone,
    F: FnMut(&mut V, V) + 'static,
{
    type Out = Keyed<K, V>;

    #[inline(always)]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, V>>) {
        let Keyed { hash, key, value } = record.value;
        let mut first = Some(value);
        let (_, state) =
            self.state.get_or_insert_with(hash, &key, || first.take().expect("a state is made at most once"));
        if let Some(value) = first {
            (self.combine)(state, value);
        }
        let value = state.clone();
        out.emit(Record { time: record.time, value: Keyed { hash, key, value } });
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, V>) {
        self.state.prefetch(upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.state);
    }
}
