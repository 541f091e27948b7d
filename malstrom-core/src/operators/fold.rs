//! `fold` and `fold_final`: a state for each key to which every value is added.

use super::{Emit, Operator};
use crate::element::{Keyed, Record, Timestamp};
use crate::exchange::{Data, stable_hash};
use crate::state::{KeyedState, StateKey, StateVisitor};

/// Adds every value to the state of its key and passes the state on each time. See
/// [`KeyedStream::fold`](crate::stream::KeyedStream::fold).
#[derive(Debug)]
pub struct Fold<K, S, I, F> {
    state: KeyedState<K, S>,
    init: I,
    add: F,
}

impl<K: StateKey, S: Data, I, F> Fold<K, S, I, F> {
    pub(crate) fn new(name: &str, n_bins: u32, init: I, add: F) -> Self {
        Self { state: KeyedState::new(name, n_bins), init, add }
    }

    /// Adds a value to the state of its key; what that is now.
    #[inline(always)]
    fn add<V>(&mut self, hash: u64, key: &K, value: V) -> &S
    where
        I: FnMut() -> S,
        F: FnMut(&mut S, V),
    {
        let (_, state) = self.state.get_or_insert_with(hash, key, &mut self.init);
        (self.add)(state, value);
        state
    }
}

impl<K, V, S, I, F> Operator<Keyed<K, V>> for Fold<K, S, I, F>
where
    K: StateKey,
    V: 'static,
    S: Data + Clone,
    I: FnMut() -> S + 'static,
    F: FnMut(&mut S, V) + 'static,
{
    type Out = Keyed<K, S>;

    #[inline(always)]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, S>>) {
        let Keyed { hash, key, value } = record.value;
        let value = self.add(hash, &key, value).clone();
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

/// Adds every value to the state of its key and passes each state on once, at the end. See
/// [`KeyedStream::fold_final`](crate::stream::KeyedStream::fold_final).
#[derive(Debug)]
pub struct FoldFinal<K, S, I, F>(Fold<K, S, I, F>);

impl<K: StateKey, S: Data, I, F> FoldFinal<K, S, I, F> {
    pub(crate) fn new(name: &str, n_bins: u32, init: I, add: F) -> Self {
        Self(Fold::new(name, n_bins, init, add))
    }
}

impl<K, V, S, I, F> Operator<Keyed<K, V>> for FoldFinal<K, S, I, F>
where
    K: StateKey,
    V: 'static,
    S: Data + Clone,
    I: FnMut() -> S + 'static,
    F: FnMut(&mut S, V) + 'static,
{
    type Out = Keyed<K, S>;

    #[inline(always)]
    fn process(&mut self, record: Record<Keyed<K, V>>, _: &mut impl Emit<Keyed<K, S>>) {
        let Keyed { hash, key, value } = record.value;
        self.0.add(hash, &key, value);
    }

    fn on_end(&mut self, out: &mut impl Emit<Keyed<K, S>>) {
        for (key, state) in self.0.state.iter() {
            let value = Keyed { hash: stable_hash(key), key: key.clone(), value: state.clone() };
            out.emit(Record { time: Timestamp::MAX, value });
        }
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, V>) {
        self.0.state.prefetch(upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.0.state);
    }
}
