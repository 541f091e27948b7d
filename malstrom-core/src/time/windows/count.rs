//! Windows of so many records.

use serde::{Deserialize, Serialize};

use super::{Firing, OpenWindows, Trigger, Window, WindowContext, WindowKind};
use crate::element::Timestamp;
use crate::exchange::Data;
use crate::time::aggregates::Aggregate;
use crate::time::{Due, Scheduled};

/// Windows of so many records of a key.
#[derive(Clone, Copy, Debug)]
pub struct Count;

impl Count {
    /// Windows of `n` records. A window that is not full at the end of the stream is not told.
    ///
    /// ```
    /// use malstrom_core::time::windows::Count;
    /// let _dozens = Count::of(12);
    /// ```
    #[must_use]
    pub fn of(n: u64) -> CountWindows {
        CountWindows { n: n.max(1) }
    }
}

/// Windows of so many records, made by [`Count::of`]. They have nothing to do with event time: no record is late. What
/// is told as their beginning and end are the least time and the one behind the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountWindows {
    n: u64,
}

impl WindowKind for CountWindows {
    type Open<A: Data> = OpenCount<A>;

    #[inline]
    fn add<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut OpenCount<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
        time: Timestamp,
        value: V,
    ) -> Option<V> {
        let kept = open.0.get_or_insert_with(|| Kept {
            n: 0,
            first: time.0,
            last: time.0,
            acc: cx.aggregate.init(),
        });
        kept.n += cx.aggregate.n_records(&value);
        (kept.first, kept.last) = (kept.first.min(time.0), kept.last.max(time.0));
        cx.aggregate.add(&mut kept.acc, value);
        if kept.n >= self.n {
            let end = Timestamp(kept.last.saturating_add(1));
            let window = Window { start: Timestamp(kept.first), end };
            let value = cx.aggregate.finish(&kept.acc);
            cx.make(window, Firing::OnTime, value);
            open.0 = None;
        }
        None
    }

    fn fire<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        _: &mut OpenCount<Agg::Acc>,
        _: &mut WindowContext<'_, Agg, T, Agg::Out>,
    ) {
    }
}

/// The window of a key that is being filled.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "A: Serialize", deserialize = "A: Deserialize<'de>"))]
pub struct OpenCount<A>(Option<Kept<A>>);

#[derive(Debug, Serialize, Deserialize)]
struct Kept<A> {
    n: u64,
    first: i64,
    last: i64,
    acc: A,
}

impl<A> Default for OpenCount<A> {
    fn default() -> Self {
        Self(None)
    }
}

impl<A> Scheduled for OpenCount<A> {
    fn each_due(&self, _: &mut dyn FnMut(Due)) {}
}

impl<A: Data> OpenWindows for OpenCount<A> {
    fn armed(&self) -> Timestamp {
        Timestamp::MAX
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}
