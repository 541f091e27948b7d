//! One window for all time.

use serde::{Deserialize, Serialize};

use super::{
    Firing, OpenWindows, Trigger, TriggerAction, TriggerContext, Window, WindowContext, WindowKind, due_at,
};
use crate::element::Timestamp;
use crate::exchange::Data;
use crate::time::aggregates::Aggregate;
use crate::time::{Due, Scheduled};

/// One window for all time: it is told at the end of the stream, and whenever the trigger says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global;

const ALWAYS: Window = Window { start: Timestamp::MIN, end: Timestamp::MAX };

impl WindowKind for Global {
    type Open<A: Data> = OpenGlobal<A>;

    fn add<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut OpenGlobal<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
        time: Timestamp,
        value: V,
    ) -> Option<V> {
        if open.kept.is_none() {
            let early = cx.trigger.next_early(ALWAYS, cx.watermark);
            open.armed = early.unwrap_or(Timestamp::MAX).0;
        }
        let kept = open.kept.get_or_insert_with(|| Kept { n_records: 0, acc: cx.aggregate.init() });
        kept.n_records += cx.aggregate.n_records(&value);
        cx.aggregate.add(&mut kept.acc, value);
        if T::SEES_RECORDS {
            let action =
                cx.trigger.on_record(&TriggerContext::new(ALWAYS, time, cx.watermark, kept.n_records));
            if action != TriggerAction::Wait {
                let value = cx.aggregate.finish(&kept.acc);
                cx.make(ALWAYS, Firing::Early, value);
            }
            if action == TriggerAction::FireAndPurge {
                *open = OpenGlobal::default();
            }
        }
        None
    }

    fn fire<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut OpenGlobal<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
    ) {
        let is_over = cx.watermark == Timestamp::MAX;
        if let Some(kept) = &open.kept {
            let firing = if is_over { Firing::OnTime } else { Firing::Early };
            cx.make(ALWAYS, firing, cx.aggregate.finish(&kept.acc));
        }
        open.armed = cx.trigger.next_early(ALWAYS, cx.watermark).unwrap_or(Timestamp::MAX).0;
        if is_over {
            *open = OpenGlobal::default();
        }
    }
}

/// What is kept of a key for all time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "A: Serialize", deserialize = "A: Deserialize<'de>"))]
pub struct OpenGlobal<A> {
    armed: i64,
    kept: Option<Kept<A>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept<A> {
    n_records: u64,
    acc: A,
}

impl<A> Default for OpenGlobal<A> {
    fn default() -> Self {
        Self { armed: i64::MAX, kept: None }
    }
}

impl<A> Scheduled for OpenGlobal<A> {
    fn each_due(&self, tell: &mut dyn FnMut(Due)) {
        due_at(self.armed, tell);
        // The end of the stream is an event time like any other.
        if self.kept.is_some() {
            tell(Due::Event(Timestamp::MAX));
        }
    }
}

impl<A: Data> OpenWindows for OpenGlobal<A> {
    fn armed(&self) -> Timestamp {
        Timestamp(self.armed)
    }

    fn is_empty(&self) -> bool {
        self.kept.is_none()
    }
}
