//! `deduplicate`: of records that say the same within a time, the first.

use std::collections::BTreeMap;

use super::process_stateful::held::{At, Entry, OfKey, Table};
use super::{Emit, Operator};
use crate::element::{Keyed, Record, Timestamp};
use crate::exchange::Data;
use crate::ports::Nanos;
use crate::state::{StateKey, StateVisitor};
use crate::time::{Due, Ttl};

/// Lets the first of several through. See [`KeyedStream::deduplicate`](crate::stream::KeyedStream::deduplicate).
#[derive(Debug)]
pub struct Deduplicate<K, M, F> {
    /// What came through, for as long as another of it does not.
    seen: Table<K, BTreeMap<M, Entry<()>>>,
    ttl: Ttl,
    what: F,
    now: Nanos,
}

impl<K: StateKey, M: Data + Ord, F> Deduplicate<K, M, F> {
    pub(crate) fn new(name: &str, n_bins: u32, ttl: Ttl, what: F) -> Self {
        Self { seen: Table::new(name, n_bins, Some(ttl)), ttl, what, now: Nanos(0) }
    }
}

impl<K, V, M, F> Operator<Keyed<K, V>> for Deduplicate<K, M, F>
where
    K: StateKey,
    V: 'static,
    M: Data + Ord,
    F: FnMut(&V) -> M + 'static,
{
    type Out = Keyed<K, V>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Keyed<K, V>>) {
        let Record { time, value: Keyed { hash, key, value } } = &record;
        if let Due::Event(forgotten_at) = self.ttl.due(*time, self.now)
            && forgotten_at <= self.seen.state.now()
        {
            // The first of its kind may have been forgotten, so nobody knows whether it is another.
            return self.seen.state.count_late(1);
        }
        let at = At { hash: *hash, key, time: *time, now: self.now };
        let mut seen = OfKey { table: &mut self.seen, at };
        let what = (self.what)(value);
        let is_there = seen.get().and_then(|seen| seen.get(&what)).is_some_and(|entry| at.sees(entry));
        if !is_there {
            seen.change(|seen, expires| seen.insert(what, Entry { value: (), expires }));
            out.emit(record);
        }
    }

    fn advance(&mut self, time: Timestamp, _: &mut impl Emit<Keyed<K, V>>) -> bool {
        self.seen.expire(time)
    }

    fn on_time(&mut self, now: Nanos, _: &mut impl Emit<Keyed<K, V>>) -> Option<Nanos> {
        self.now = now;
        self.seen.expire_by_clock(now)
    }

    #[inline]
    fn hint(&mut self, upcoming: &Keyed<K, V>) {
        self.seen.state.keyed().prefetch(upcoming.hash);
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        visitor.visit(&mut self.seen.state);
    }
}
