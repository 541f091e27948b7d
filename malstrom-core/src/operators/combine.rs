//! Combining records before an exchange: what an aggregate keeps of some records of a key crosses it in place of the records.
//!
//! # Rules
//! 1. Nothing is held when control passes, so a cut or a watermark finds every record where it would be without.
//! 2. For windows only records of one pane are combined: whether they are late is then the same for all of them.
//! 3. A key has two places where it may be held. One that finds both taken sends the first on and takes its place: what
//!    is held is bounded, and a record costs two comparisons at most.
//! 4. A key is held in one place at most, so what is kept of its earlier records goes out first.

use std::marker::PhantomData;

use super::{Emit, Operator};
use crate::element::{Keyed, Record, Timestamp};
use crate::limits::COMBINED_KEYS_MAX;
use crate::state::StateKey;
use crate::time::aggregates::Aggregate;
use crate::time::windows::PaneWindows;

/// Combines records of a key. See [`Stream::combine_by`](crate::stream::Stream::combine_by) and
/// [`Stream::window_by`](crate::stream::Stream::window_by).
#[derive(Debug)]
pub struct Combine<K, V, Agg: Aggregate<V>, G> {
    places: Vec<Option<Held<K, Agg::Acc>>>,
    /// The places that are taken.
    taken: Vec<usize>,
    groups: G,
    aggregate: Agg,
    of: PhantomData<fn(V)>,
}

#[derive(Debug)]
struct Held<K, A> {
    hash: u64,
    key: K,
    /// When what is held travels.
    time: Timestamp,
    acc: A,
}

impl<K, A> Held<K, A> {
    fn into_record(self) -> Record<Keyed<K, A>> {
        let Self { hash, key, time, acc } = self;
        Record::at(time, Keyed { hash, key, value: acc })
    }
}

/// Which records of a key may be combined.
pub trait Groups: 'static {
    /// When what is kept of a record alone travels; `None` if it is combined with no other.
    fn begin(&self, time: Timestamp) -> Option<Timestamp>;

    /// When what is held travels with a record added to it; `None` if that record belongs to another group.
    fn join(&self, held: Timestamp, time: Timestamp) -> Option<Timestamp>;
}

/// Records of any time. What is kept of them travels at the latest: it is late only if all of them are.
#[derive(Clone, Copy, Debug)]
pub struct AnyTime;

impl Groups for AnyTime {
    #[inline]
    fn begin(&self, time: Timestamp) -> Option<Timestamp> {
        Some(time)
    }

    #[inline]
    fn join(&self, held: Timestamp, time: Timestamp) -> Option<Timestamp> {
        Some(held.max(time))
    }
}

/// Records of one pane. What is kept of them travels at its beginning: whatever time within it, it belongs to the same
/// windows. A record without a time belongs to no pane; the other side counts it as late.
impl Groups for PaneWindows {
    #[inline]
    fn begin(&self, time: Timestamp) -> Option<Timestamp> {
        (time != Timestamp::MIN).then(|| Timestamp(self.pane_of(time)))
    }

    #[inline]
    fn join(&self, held: Timestamp, time: Timestamp) -> Option<Timestamp> {
        ((time.0.wrapping_sub(held.0) as u64) < self.pane_length() as u64).then_some(held)
    }
}

impl<K: StateKey, V, Agg: Aggregate<V>, G: Groups> Combine<K, V, Agg, G> {
    pub(crate) fn new(groups: G, aggregate: Agg) -> Self {
        let places = (0..COMBINED_KEYS_MAX).map(|_| None).collect();
        Self { places, taken: Vec::new(), groups, aggregate, of: PhantomData }
    }

    /// A record whose key and group are not held.
    #[cold]
    #[inline(never)]
    fn hold(
        &mut self,
        time: Timestamp,
        Keyed { hash, key, value }: Keyed<K, V>,
        out: &mut impl Emit<Keyed<K, Agg::Acc>>,
    ) {
        let mut acc = self.aggregate.init();
        self.aggregate.add(&mut acc, value);
        let Some(begin) = self.groups.begin(time) else {
            return out.emit(Held { hash, key, time, acc }.into_record());
        };
        let first = place_of(hash);
        let is_same = |held: &Held<K, Agg::Acc>| held.hash == hash && held.key == key;
        let place = match [first, first ^ 1].map(|place| self.places[place].as_ref()) {
            [_, Some(second)] if is_same(second) => first ^ 1,
            [Some(other), None] if !is_same(other) => first ^ 1,
            _ => first,
        };
        match self.places[place].replace(Held { hash, key, time: begin, acc }) {
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

impl<K, V, Agg, G> Operator<Keyed<K, V>> for Combine<K, V, Agg, G>
where
    K: StateKey,
    V: 'static,
    Agg: Aggregate<V>,
    G: Groups,
{
    type Out = Keyed<K, Agg::Acc>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Self::Out>) {
        let Record { time, value: keyed } = record;
        let first = place_of(keyed.hash);
        for place in [first, first ^ 1] {
            if let Some(held) = &mut self.places[place]
                && held.hash == keyed.hash
                && let Some(joined) = self.groups.join(held.time, time)
                && held.key == keyed.key
            {
                held.time = joined;
                self.aggregate.add(&mut held.acc, keyed.value);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::aggregates::fold;

    type Values = Vec<u64>;

    impl Emit<Keyed<u64, Values>> for Vec<(u64, i64, Values)> {
        fn emit(&mut self, record: Record<Keyed<u64, Values>>) {
            self.push((record.value.key, record.time.0, record.value.value));
        }
    }

    /// What comes of values, each behind its key, which is its hash as well, and its time.
    fn combined(groups: impl Groups, records: &[(u64, i64, u64)]) -> Vec<(u64, i64, Values)> {
        let list = fold(Values::new, |all: &mut Values, n| all.push(n), |all, more| all.extend(more));
        let (mut combine, mut out) = (Combine::new(groups, list), Vec::new());
        for &(hash, time, value) in records {
            combine.process(Record::at(Timestamp(time), Keyed { hash, key: hash, value }), &mut out);
        }
        combine.on_flush(&mut out);
        let n = out.len();
        combine.on_flush(&mut out);
        assert_eq!(out.len(), n, "what went out is held no more");
        out
    }

    #[test]
    fn values_of_any_time_travel_at_the_latest() {
        let records = [(1, 5, 10), (2, 1, 20), (1, 9, 11), (1, 7, 12)];
        assert_eq!(combined(AnyTime, &records), [(1, 9, vec![10, 11, 12]), (2, 1, vec![20])]);
        let without = [(1, i64::MIN, 10), (1, i64::MIN, 11)];
        assert_eq!(combined(AnyTime, &without), [(1, i64::MIN, vec![10, 11])]);
    }

    #[test]
    fn rule_2_panes_stay_apart() {
        let records = [(1, 5, 10), (1, 9, 11), (1, i64::MIN, 12), (1, 0, 13), (1, 10, 14), (1, 19, 15)];
        let panes = combined(crate::time::windows::Tumbling::of(10), &records);
        assert_eq!(panes, [(1, i64::MIN, vec![12]), (1, 0, vec![10, 11, 13]), (1, 10, vec![14, 15])]);
    }

    #[test]
    fn rules_3_and_4_a_third_key_of_a_place_sends_the_first_on_and_keys_keep_their_order() {
        let n = COMBINED_KEYS_MAX as u64;
        // All in one pair of places.
        let keys = [0, n, 1, 3 * n + 1, 0, n, 0];
        let records: Vec<_> = keys.iter().zip(0..).map(|(key, i)| (*key, 0, i)).collect();
        let out = combined(AnyTime, &records);
        assert!(out.len() > 4, "some had to give way: {out:?}");
        for key in keys {
            let told: Values =
                out.iter().filter(|(of, ..)| *of == key).flat_map(|(.., v)| v.clone()).collect();
            let given: Values = records.iter().filter(|(of, ..)| *of == key).map(|(.., v)| *v).collect();
            assert_eq!(told, given, "the values of {key}");
        }
    }
}
