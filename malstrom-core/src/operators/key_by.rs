//! `key_by` and `into_keyed`: give each record the key by which it finds its worker and its state.

use std::hash::Hash;

use super::{Emit, Operator};
use crate::element::{Keyed, Record};
use crate::exchange::stable_hash;

/// Takes a key from each value and hashes it, once. See [`Stream::key_by`](crate::stream::Stream::key_by).
#[derive(Debug)]
pub struct KeyBy<F>(pub(crate) F);

impl<In, K, F> Operator<In> for KeyBy<F>
where
    K: Hash,
    F: FnMut(&In) -> K + 'static,
{
    type Out = Keyed<K, In>;

    #[inline(always)]
    fn process(&mut self, record: Record<In>, out: &mut impl Emit<Keyed<K, In>>) {
        let key = (self.0)(&record.value);
        out.emit(Record {
            time: record.time,
            value: Keyed { hash: stable_hash(&key), key, value: record.value },
        });
    }
}

/// Takes each value apart into key and rest. See [`Stream::into_keyed`](crate::stream::Stream::into_keyed).
#[derive(Debug)]
pub struct IntoKeyed<F>(pub(crate) F);

impl<In, K, V, F> Operator<In> for IntoKeyed<F>
where
    K: Hash,
    F: FnMut(In) -> (K, V) + 'static,
{
    type Out = Keyed<K, V>;

    #[inline(always)]
    fn process(&mut self, record: Record<In>, out: &mut impl Emit<Keyed<K, V>>) {
        let (key, value) = (self.0)(record.value);
        out.emit(Record { time: record.time, value: Keyed { hash: stable_hash(&key), key, value } });
    }
}

/// Gives key and value of each record as a pair. See
/// [`KeyedStream::into_pairs`](crate::stream::KeyedStream::into_pairs).
#[derive(Debug)]
pub struct IntoPairs;

impl<K: 'static, V: 'static> Operator<Keyed<K, V>> for IntoPairs {
    type Out = (K, V);

    #[inline(always)]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<(K, V)>) {
        out.emit(Record { time: record.time, value: (record.value.key, record.value.value) });
    }
}

/// Turns the value of each keyed record into another and leaves its key. See
/// [`KeyedStream::map_values`](crate::stream::KeyedStream::map_values).
#[derive(Debug)]
pub struct MapValues<F>(pub(crate) F);

impl<K: 'static, V: 'static, W, F: FnMut(&K, V) -> W + 'static> Operator<Keyed<K, V>> for MapValues<F> {
    type Out = Keyed<K, W>;

    #[inline(always)]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, W>>) {
        let Keyed { hash, key, value } = record.value;
        let value = (self.0)(&key, value);
        out.emit(Record { time: record.time, value: Keyed { hash, key, value } });
    }

    #[inline]
    fn hint(&mut self, _: &Keyed<K, V>) {}
}
