//! `map_with_state`: one record out for each record in, with a state for each key to read and write.

use super::{Emit, Operator};
use crate::element::{Keyed, Record};
use crate::exchange::Data;
use crate::state::{KeyedState, StateKey, StateVisitor};

/// Turns each value into another with the help of its key's state. See
/// [`KeyedStream::map_with_state`](crate::stream::KeyedStream::map_with_state).
#[derive(Debug)]
pub struct MapWithState<K, S, F> {
    state: KeyedState<K, S>,
    map: F,
}

impl<K: StateKey, S: Data, F> MapWithState<K, S, F> {
    pub(crate) fn new(name: &str, n_bins: u32, map: F) -> Self {
        Self { state: KeyedState::new(name, n_bins), map }
    }
}

impl<K, V, S, W, F> Operator<Keyed<K, V>> for MapWithState<K, S, F>
where
    K: StateKey,
    V: 'static,
    S: Data + Default,
    F: FnMut(&K, &mut S, V) -> W + 'static,
{
    type Out = Keyed<K, W>;

    #[inline(always)]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, W>>) {
        let Keyed { hash, key, value } = record.value;
        let (kept, state) = self.state.get_or_insert_with(hash, &key, S::default);
        let value = (self.map)(kept, state, value);
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
