//! Combining records before an exchange: what a window's aggregate keeps of some records of a key crosses it in place of
//! the records.
//!
//! # Rules
//! 1. Nothing is held when control passes, so a cut or a watermark finds every record where it would be without.
//! 2. Only records of one pane are combined: whether they are late is then the same for all of them.

use std::marker::PhantomData;

use super::window::Partial;
use super::{Emit, Operator};
use crate::element::{Keyed, Record, Timestamp};
use crate::exchange::stable_hash;
use crate::limits::COMBINED_KEYS_MAX;
use crate::state::{BinTable, StateKey};
use crate::time::aggregates::Aggregate;
use crate::time::windows::PaneWindows;

/// Combines records of a key and a pane. See [`Stream::window_by`](crate::stream::Stream::window_by).
#[derive(Debug)]
pub struct Combine<K, V, Agg: Aggregate<V>> {
    held: BinTable<K, Held<Agg::Acc>>,
    kind: PaneWindows,
    aggregate: Agg,
    of: PhantomData<fn(V)>,
}

#[derive(Debug)]
struct Held<A> {
    pane: i64,
    partial: Partial<A>,
}

impl<K: StateKey, V, Agg: Aggregate<V>> Combine<K, V, Agg> {
    pub(crate) fn new(kind: PaneWindows, aggregate: Agg) -> Self {
        Self { held: BinTable::new(), kind, aggregate, of: PhantomData }
    }

    #[cold]
    #[inline(never)]
    fn pass_all(&mut self, out: &mut impl Emit<Keyed<K, Partial<Agg::Acc>>>) {
        for (key, held) in self.held.drain() {
            let hash = stable_hash(&key);
            out.emit(passed(hash, key, held));
        }
    }
}

/// It travels at the beginning of its pane: whatever time within it, it belongs to the same windows.
fn passed<K, A>(hash: u64, key: K, held: Held<A>) -> Record<Keyed<K, Partial<A>>> {
    Record::at(Timestamp(held.pane), Keyed { hash, key, value: held.partial })
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
        let Keyed { hash, key, value } = record.value;
        if record.time == Timestamp::MIN {
            // Without a time it belongs to no pane; the other side counts it as late.
            let mut acc = self.aggregate.init();
            self.aggregate.add(&mut acc, value);
            let held = Held { pane: i64::MIN, partial: Partial { n_records: 1, acc } };
            return out.emit(passed(hash, key, held));
        }
        let Self { held, kind, aggregate, .. } = self;
        let is_new = &mut false;
        let (kept, held) = held.get_or_insert_with(
            hash,
            key,
            || {
                *is_new = true;
                let partial = Partial { n_records: 0, acc: aggregate.init() };
                Held { pane: kind.pane_of(record.time), partial }
            },
            stable_hash,
        );
        if record.time.0.wrapping_sub(held.pane) as u64 >= kind.pane_length() as u64 {
            let partial = Partial { n_records: 0, acc: aggregate.init() };
            let before = std::mem::replace(held, Held { pane: kind.pane_of(record.time), partial });
            out.emit(passed(hash, kept.clone(), before));
        }
        held.partial.n_records += 1;
        aggregate.add(&mut held.partial.acc, value);
        if *is_new && self.held.len() >= COMBINED_KEYS_MAX {
            self.pass_all(out);
        }
    }

    #[inline]
    fn on_flush(&mut self, out: &mut impl Emit<Self::Out>) {
        if !self.held.is_empty() {
            self.pass_all(out);
        }
    }
}
