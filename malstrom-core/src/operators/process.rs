//! `process`: the general keyed operator, with a state that can be absent and any number of records out.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Emit, Operator};
use crate::element::{Keyed, Record};
use crate::exchange::Data;
use crate::state::{KeyedState, StateKey, StateVisitor};

/// What a user writes to handle the records of a key with its state. A closure
/// `FnMut(&K, &mut Option<S>, Record<V>, &mut Vec<Out>)` is one.
///
/// The state passed in is the only thing that survives: it is part of snapshots and moves with its key.
///
/// ```
/// use malstrom_core::element::Record;
/// use malstrom_core::operators::{Discard, Emit, KeyedOperator, from_iter};
///
/// /// Passes on the first value of each key.
/// struct First;
/// impl KeyedOperator<u64, u64> for First {
///     type State = ();
///     type Out = u64;
///     fn process(&mut self, _: &u64, seen: &mut Option<()>, n: Record<u64>, out: &mut impl Emit<u64>) {
///         if seen.replace(()).is_none() { out.emit(n); }
///     }
/// }
/// # malstrom_core::stream::Dataflow::build(4, |job| {
/// #     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
/// #     keyed.process_with("first", First).sink("firsts", Discard);
/// # })?;
/// # Ok::<(), malstrom_core::stream::BuildError>(())
/// ```
pub trait KeyedOperator<K, V>: 'static {
    /// What is kept for each key.
    type State: Data;
    /// What is made.
    type Out;

    /// Handles one record of one key. A state that is `None` afterwards is forgotten.
    fn process(
        &mut self,
        key: &K,
        state: &mut Option<Self::State>,
        record: Record<V>,
        out: &mut impl Emit<Self::Out>,
    );
}

/// Runs a [`KeyedOperator`]. See [`KeyedStream::process`](crate::stream::KeyedStream::process).
#[derive(Debug)]
pub struct Process<K, S, Op> {
    state: KeyedState<K, Kept<S>>,
    operator: Op,
}

impl<K: StateKey, S: Data, Op> Process<K, S, Op> {
    pub(crate) fn new(name: &str, n_bins: u32, operator: Op) -> Self {
        Self { state: KeyedState::new(name, n_bins), operator }
    }
}

impl<K, V, Op> Operator<Keyed<K, V>> for Process<K, Op::State, Op>
where
    K: StateKey,
    V: 'static,
    Op: KeyedOperator<K, V>,
{
    type Out = Keyed<K, Op::Out>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, Op::Out>>) {
        let Keyed { hash, key, value } = record.value;
        let (kept, Kept(state)) = self.state.get_or_insert_with(hash, &key, || Kept(None));
        let mut out = WithKey { hash, key: &key, out };
        self.operator.process(kept, state, Record { time: record.time, value }, &mut out);
        if state.is_none() {
            self.state.remove(hash, &key);
        }
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, V>) {
        self.state.prefetch(upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.state);
    }
}

/// A state as it lies in the table: `None` only while its record is worked on. It is encoded as the state alone, since
/// the codec cannot tell `Some(())` or `Some(None)` from `None`.
#[derive(Debug)]
struct Kept<S>(Option<S>);

impl<S: Serialize> Serialize for Kept<S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        match &self.0 {
            Some(state) => state.serialize(serializer),
            None => Err(serde::ser::Error::custom("a state that is `None` is forgotten, not kept")),
        }
    }
}

impl<'de, S: Deserialize<'de>> Deserialize<'de> for Kept<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        S::deserialize(deserializer).map(|state| Self(Some(state)))
    }
}

/// Puts the key back onto what an operator makes of its records.
pub(super) struct WithKey<'a, K, E> {
    pub(super) hash: u64,
    pub(super) key: &'a K,
    pub(super) out: &'a mut E,
}

impl<K: Clone, T, E: Emit<Keyed<K, T>>> Emit<T> for WithKey<'_, K, E> {
    #[inline]
    fn emit(&mut self, record: Record<T>) {
        let value = Keyed { hash: self.hash, key: self.key.clone(), value: record.value };
        self.out.emit(Record { time: record.time, value });
    }
}

/// A closure as a [`KeyedOperator`]: it puts what it makes into a buffer.
#[derive(Debug)]
pub struct ProcessFn<F, S, T> {
    process: F,
    made: Vec<T>,
    of: std::marker::PhantomData<fn(S)>,
}

impl<F, S, T> ProcessFn<F, S, T> {
    pub(crate) fn new(process: F) -> Self {
        Self { process, made: Vec::new(), of: std::marker::PhantomData }
    }
}

impl<K, V, S, T, F> KeyedOperator<K, V> for ProcessFn<F, S, T>
where
    S: Data,
    T: 'static,
    F: FnMut(&K, &mut Option<S>, V, &mut Vec<T>) + 'static,
{
    type State = S;
    type Out = T;

    #[inline]
    fn process(&mut self, key: &K, state: &mut Option<S>, record: Record<V>, out: &mut impl Emit<T>) {
        (self.process)(key, state, record.value, &mut self.made);
        self.made.drain(..).for_each(|value| out.emit(Record { time: record.time, value }));
    }
}

#[cfg(test)]
mod tests;
