//! Combining records before an exchange: what a window's aggregate keeps of some records of a key crosses it in place of
//! the records.
//!
//! # Rules
//! 1. Nothing is held when control passes, so a cut or a watermark finds every record where it would be without.
//! 2. Only records of one pane are combined: whether they are late is then the same for all of them.
//! 3. A key has two places where it may be held. One that finds both taken sends the first on and takes its place: what
//!    is held is bounded, and a record costs two comparisons at most.

use std::marker::PhantomData;

use super::window::Partial;
use super::{Emit, Operator};
use crate::element::{Keyed, Record, Timestamp};
use crate::limits::COMBINED_KEYS_MAX;
use crate::state::StateKey;
use crate::time::aggregates::Aggregate;
use crate::time::windows::PaneWindows;

/// Combines records of a key and a pane. See [`Stream::window_by`](crate::stream::Stream::window_by).
#[derive(Debug)]
pub struct Combine<K, V, Agg: Aggregate<V>> {
    places: Vec<Option<Held<K, Agg::Acc>>>,
    /// The places that are taken.
    taken: Vec<usize>,
    kind: PaneWindows,
    aggregate: Agg,
    of: PhantomData<fn(V)>,
}

#[derive(Debug)]
struct Held<K, A> {
    hash: u64,
    key: K,
    pane: i64,
    partial: Partial<A>,
}

impl<K, A> Held<K, A> {
    /// It travels at the beginning of its pane: whatever time within it, it belongs to the same windows.
    fn into_record(self) -> Record<Keyed<K, Partial<A>>> {
        let Self { hash, key, pane, partial } = self;
        Record::at(Timestamp(pane), Keyed { hash, key, value: partial })
    }
}

impl<K: StateKey, V, Agg: Aggregate<V>> Combine<K, V, Agg> {
    pub(crate) fn new(kind: PaneWindows, aggregate: Agg) -> Self {
        let places = (0..COMBINED_KEYS_MAX).map(|_| None).collect();
        Self { places, taken: Vec::new(), kind, aggregate, of: PhantomData }
    }

    /// A record whose key and pane are not held.
    #[cold]
    #[inline(never)]
    fn hold(
        &mut self,
        time: Timestamp,
        Keyed { hash, key, value }: Keyed<K, V>,
        out: &mut impl Emit<Keyed<K, Partial<Agg::Acc>>>,
    ) {
        let mut acc = self.aggregate.init();
        self.aggregate.add(&mut acc, value);
        let partial = Partial { n_records: 1, acc };
        if time == Timestamp::MIN {
            // Without a time it belongs to no pane; the other side counts it as late.
            return out.emit(Held { hash, key, pane: time.0, partial }.into_record());
        }
        let first = place_of(hash);
        let is_same = |held: &Held<K, Agg::Acc>| held.hash == hash && held.key == key;
        let place = match [first, first ^ 1].map(|place| self.places[place].as_ref()) {
            [_, Some(second)] if is_same(second) => first ^ 1,
            [Some(other), None] if !is_same(other) => first ^ 1,
            _ => first,
        };
        let held = Held { hash, key, pane: self.kind.pane_of(time), partial };
        match self.places[place].replace(held) {
            Some(before) => out.emit(before.into_record()),
            None => self.taken.push(place),
        }
    }
}

/// The first of a key's two places; the other is its neighbour.
#[inline]
fn place_of(hash: u64) -> usize {
    const { assert!(COMBINED_KEYS_MAX.is_power_of_two(), "a place is some bits of a hash") };
    hash as usize & (COMBINED_KEYS_MAX - 1)
}

impl<K, V, Agg> Operator<Keyed<K, V>> for Combine<K, V, Agg>
where
    K: StateKey,
    V: 'static,
    Agg: Aggregate<V>,
{
    type Out = Keyed<K, Partial<Agg::Acc>>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Self::Out>) {
        let Record { time, value: keyed } = record;
        let (first, length) = (place_of(keyed.hash), self.kind.pane_length() as u64);
        for place in [first, first ^ 1] {
            if let Some(held) = &mut self.places[place]
                && held.hash == keyed.hash
                && (time.0.wrapping_sub(held.pane) as u64) < length
                && held.key == keyed.key
            {
                held.partial.n_records += 1;
                self.aggregate.add(&mut held.partial.acc, keyed.value);
                return;
            }
        }
        self.hold(time, keyed, out);
    }

    #[inline]
    fn on_flush(&mut self, out: &mut impl Emit<Self::Out>) {
        for place in self.taken.drain(..) {
            if let Some(held) = self.places[place].take() {
                out.emit(held.into_record());
            }
        }
    }
}
