//! `deduplicate`: of records that say the same within a time, the first.

use std::collections::BTreeMap;

use super::process_stateful::held::{At, Entry, OfKey, Table};
use super::{Emit, Operator};
use crate::element::{Either, Keyed, Record, Timestamp};
use crate::exchange::Data;
use crate::ports::Nanos;
use crate::state::{StateKey, StateVisitor};
use crate::time::Ttl;

/// Lets the first of several through, to the left; to the right goes what comes too late for anybody to know. See [`KeyedStream::deduplicate`](crate::stream::KeyedStream::deduplicate).
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
    type Out = Either<Keyed<K, V>, Keyed<K, V>>;

    #[inline]
    fn process(&mut self, record: Record<Keyed<K, V>>, out: &mut impl Emit<Self::Out>) {
        let Record { time, value: Keyed { hash, key, value } } = &record;
        if self.ttl.is_event_time() && *time < self.seen.state.now() {
            // The first of its kind may have been forgotten, so nobody knows whether it is another: what the watermark
            // has made be forgotten, records before it would still have seen.
            self.seen.state.count_late(1);
            return out.emit(Record { time: record.time, value: Either::Right(record.value) });
        }
        let at = At { hash: *hash, key, time: *time, now: self.now };
        let mut seen = OfKey { table: &mut self.seen, at };
        let what = (self.what)(value);
        let is_there = seen.get().and_then(|seen| seen.get(&what)).is_some_and(|entry| at.sees(entry));
        if !is_there {
            seen.change(|seen, expires| seen.insert(what, Entry { value: (), expires }));
            out.emit(Record { time: record.time, value: Either::Left(record.value) });
        }
    }

    fn advance(&mut self, time: Timestamp, _: &mut impl Emit<Self::Out>) -> bool {
        self.seen.expire(time)
    }

    fn on_time(&mut self, now: Nanos, _: &mut impl Emit<Self::Out>) -> Option<Nanos> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::stable_hash;

    #[derive(Default)]
    struct Out {
        firsts: Vec<i64>,
        late: Vec<i64>,
    }

    impl Emit<Either<Keyed<u8, ()>, Keyed<u8, ()>>> for Out {
        fn emit(&mut self, record: Record<Either<Keyed<u8, ()>, Keyed<u8, ()>>>) {
            match record.value {
                Either::Left(_) => self.firsts.push(record.time.0),
                Either::Right(_) => self.late.push(record.time.0),
            }
        }
    }

    #[test]
    fn a_record_is_late_when_one_like_it_may_have_been_forgotten() {
        let mut first = Deduplicate::new("first", 4, Ttl::event_time(10), |_: &()| ());
        let mut out = Out::default();
        // The record at 10 is like that at 1, which the watermark 11 has made be forgotten.
        for (time, watermark) in [(1, 5), (6, 11), (10, 11), (11, 11)] {
            let value = Keyed { hash: stable_hash(&7_u8), key: 7, value: () };
            first.process(Record::at(Timestamp(time), value), &mut out);
            while !Operator::<Keyed<u8, ()>>::advance(&mut first, Timestamp(watermark), &mut out) {}
        }
        assert_eq!((out.firsts, out.late), (vec![1, 11], vec![10]));
    }
}
