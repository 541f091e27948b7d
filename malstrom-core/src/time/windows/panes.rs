//! Windows of a fixed size, one after the other or overlapping.
//!
//! Event time is cut into panes of the greatest length that divides size and step. A record is added to one pane,
//! whatever the number of windows it is in; a window is put together from its panes when it is told.

use serde::{Deserialize, Serialize};

use super::{
    Firing, OpenWindows, Trigger, TriggerAction, TriggerContext, Window, WindowContext, WindowKind, due_at,
};
use crate::element::Timestamp;
use crate::exchange::Data;
use crate::time::aggregates::Aggregate;
use crate::time::{Due, Scheduled, TimeSpan};

/// Windows of a fixed size, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Tumbling;

impl Tumbling {
    /// Windows of this size; one begins at time 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::time::windows::Tumbling;
    /// let _minutes = Tumbling::of(Duration::from_secs(60));
    /// ```
    pub fn of(size: impl Into<TimeSpan>) -> PaneWindows {
        let size = size.into();
        Sliding::of(size, size)
    }
}

/// Windows of a fixed size, of which one begins every step.
#[derive(Clone, Copy, Debug)]
pub struct Sliding;

impl Sliding {
    /// Windows of this size, of which one begins every `step`; one begins at time 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::time::windows::Sliding;
    /// let _the_last_minute_every_ten_seconds = Sliding::of(Duration::from_secs(60), Duration::from_secs(10));
    /// ```
    pub fn of(size: impl Into<TimeSpan>, step: impl Into<TimeSpan>) -> PaneWindows {
        let (size, step) = (size.into().0.max(1), step.into().0.max(1));
        let (mut pane, mut rest) = (size, step);
        while rest > 0 {
            (pane, rest) = (rest, pane % rest);
        }
        PaneWindows { size, step, pane, offset: 0 }
    }
}

/// Windows of a fixed size, made by [`Tumbling::of`] and [`Sliding::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneWindows {
    size: i64,
    step: i64,
    pane: i64,
    offset: i64,
}

impl PaneWindows {
    /// One window begins at this time instead of 0.
    #[must_use]
    pub fn offset(self, time: Timestamp) -> Self {
        Self { offset: time.0.rem_euclid(self.step), ..self }
    }

    /// The beginning of the pane that a time is in.
    #[inline]
    pub(crate) fn pane_of(&self, time: Timestamp) -> i64 {
        self.floor(time.0, self.pane)
    }

    /// The length of a pane.
    #[inline]
    pub(crate) fn pane_length(&self) -> i64 {
        self.pane
    }

    #[inline]
    fn floor(&self, time: i64, unit: i64) -> i64 {
        time.saturating_sub(time.saturating_sub(self.offset).rem_euclid(unit))
    }

    /// The end of the last window that holds the pane; not behind its beginning if none does.
    #[inline]
    fn last_end(&self, pane: i64) -> i64 {
        // A division costs as much as all the rest, and is not needed where a window begins with every pane.
        let start = if self.step == self.pane { pane } else { self.floor(pane, self.step) };
        start.saturating_add(self.size)
    }

    /// The end of the first window that holds the pane and ends behind `after`.
    fn first_end(&self, pane: i64, after: i64) -> Option<i64> {
        let last = self.last_end(pane);
        let bound = pane.max(after);
        if last <= bound {
            return None;
        }
        if last.saturating_sub(bound) <= self.step {
            return Some(last);
        }
        Some(last - (last.saturating_sub(bound) - 1) / self.step * self.step)
    }

    /// The end of the first window behind the one that ends at `end` for which there is a pane.
    fn next_end<A>(&self, open: &Panes<A>, end: i64) -> Option<i64> {
        let following = end.saturating_add(self.step);
        if open.within(self.window(following)).next().is_some() {
            return Some(following);
        }
        open.iter().filter_map(|pane| self.first_end(pane.start, end)).min()
    }

    fn window(&self, end: i64) -> Window {
        Window { start: Timestamp(end.saturating_sub(self.size)), end: Timestamp(end) }
    }

    fn tell<V, Agg: Aggregate<V>, T>(
        &self,
        open: &Panes<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
        end: i64,
        firing: Firing,
    ) {
        let window = self.window(end);
        let mut panes = open.within(window);
        let Some(first) = panes.next() else { return };
        let value = match panes.next() {
            None => cx.aggregate.finish(&first.acc),
            Some(second) => {
                let mut acc = cx.aggregate.init();
                [first, second]
                    .into_iter()
                    .chain(panes)
                    .for_each(|pane| cx.aggregate.merge(&mut acc, &pane.acc));
                cx.aggregate.finish(&acc)
            }
        };
        cx.make(window, firing, value);
    }

    /// What is due next.
    fn arm<A>(&self, open: &mut Panes<A>, trigger: &impl Trigger, watermark: Timestamp, lateness: i64) {
        let mut armed = open.next;
        if open.next < i64::MAX {
            let early = trigger.next_early(self.window(open.next), watermark);
            armed = armed.min(early.map_or(i64::MAX, |early| early.0));
        }
        if lateness > 0 {
            let dropped_at = open.iter().map(|pane| self.last_end(pane.start).saturating_add(lateness)).min();
            armed = armed.min(dropped_at.unwrap_or(i64::MAX));
        }
        open.armed = armed;
    }

    /// A record that opens a pane, comes behind the watermark, or may have the trigger fire.
    #[cold]
    #[inline(never)]
    fn add_slowly<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut Panes<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
        time: Timestamp,
        value: V,
    ) -> Option<V> {
        if time == Timestamp::MIN {
            return Some(value);
        }
        let (start, watermark) = (self.pane_of(time), cx.watermark.0);
        let last = self.last_end(start);
        if last <= start {
            // The step is longer than the size, and the record lies between two windows.
            return None;
        }
        if last.saturating_add(cx.lateness) <= watermark {
            return Some(value);
        }
        let pane = open.pane(start, || cx.aggregate.init());
        pane.n_records += cx.aggregate.n_records(&value);
        cx.aggregate.add(&mut pane.acc, value);
        // Windows that ended before are told again only within the lateness; of those to come only the first is due next.
        let mut after = if cx.lateness > 0 { i64::MIN } else { watermark };
        while let Some(end) = self.first_end(start, after) {
            after = end;
            if end > watermark {
                open.next = open.next.min(end);
                if !T::SEES_RECORDS {
                    break;
                }
                self.ask(open, cx, time, end);
            } else if end.saturating_add(cx.lateness) > watermark {
                self.tell(open, cx, end, Firing::Late);
            }
        }
        self.arm(open, cx.trigger, cx.watermark, cx.lateness);
        None
    }

    fn ask<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut Panes<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
        time: Timestamp,
        end: i64,
    ) {
        let window = self.window(end);
        let n_records = open.within(window).map(|pane| pane.n_records).sum();
        let action = cx.trigger.on_record(&TriggerContext::new(window, time, cx.watermark, n_records));
        if action != TriggerAction::Wait {
            self.tell(open, cx, end, Firing::Early);
        }
        if action == TriggerAction::FireAndPurge {
            open.retain(|pane| pane.start < window.start.0 || pane.start >= end);
        }
    }
}

impl WindowKind for PaneWindows {
    type Open<A: Data> = Panes<A>;

    #[inline(always)]
    fn add<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut Panes<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
        time: Timestamp,
        value: V,
    ) -> Option<V> {
        // Before the watermark has come to the end of its pane, a record is late for none of its windows, even if it lies
        // behind the watermark itself: what was combined before an exchange travels at the beginning of its pane. A window
        // that is kept for late records may have been told where more event time was known than here: it is told again.
        if !T::SEES_RECORDS
            && let Some(pane) = &mut open.newest
            && (time.0.wrapping_sub(pane.start) as u64) < self.pane as u64
            && pane.start.saturating_add(self.pane) > cx.watermark.0
            && (cx.lateness == 0 || open.next <= pane.start.saturating_add(self.pane))
        {
            pane.n_records += cx.aggregate.n_records(&value);
            cx.aggregate.add(&mut pane.acc, value);
            return None;
        }
        self.add_slowly(open, cx, time, value)
    }

    fn fire<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut Panes<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
    ) {
        let watermark = cx.watermark.0;
        let due_early = open.armed < open.next && open.next > watermark && open.armed <= watermark;
        while open.next <= watermark && open.next < i64::MAX {
            let end = open.next;
            self.tell(open, cx, end, Firing::OnTime);
            open.next = self.next_end(open, end).unwrap_or(i64::MAX);
        }
        let armed = Timestamp(open.armed);
        if due_early && cx.trigger.next_early(self.window(open.next), Timestamp(armed.0 - 1)) == Some(armed) {
            self.tell(open, cx, open.next, Firing::Early);
        }
        let lateness = cx.lateness;
        open.retain(|pane| self.last_end(pane.start).saturating_add(lateness) > watermark);
        if open.is_empty() {
            open.next = i64::MAX;
        }
        self.arm(open, cx.trigger, cx.watermark, cx.lateness);
    }
}

/// The open panes of a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "A: Serialize", deserialize = "A: Deserialize<'de>"))]
pub struct Panes<A> {
    /// When there is something to do.
    armed: i64,
    /// The end of the first window that is not complete yet.
    next: i64,
    /// The pane that a record was added to last: the next one is for it too, as a rule.
    newest: Option<Pane<A>>,
    older: Vec<Pane<A>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pane<A> {
    start: i64,
    n_records: u64,
    acc: A,
}

impl<A> Default for Panes<A> {
    fn default() -> Self {
        Self { armed: i64::MAX, next: i64::MAX, newest: None, older: Vec::new() }
    }
}

impl<A> Panes<A> {
    fn iter(&self) -> impl Iterator<Item = &Pane<A>> {
        self.older.iter().chain(&self.newest)
    }

    fn within(&self, window: Window) -> impl Iterator<Item = &Pane<A>> {
        self.iter().filter(move |pane| (window.start.0..window.end.0).contains(&pane.start))
    }

    fn pane(&mut self, start: i64, init: impl FnOnce() -> A) -> &mut Pane<A> {
        if self.newest.as_ref().is_none_or(|newest| newest.start != start) {
            let at = self.older.iter().position(|pane| pane.start == start);
            let found = at.map(|at| self.older.swap_remove(at));
            self.older.extend(self.newest.take());
            self.newest = found;
        }
        self.newest.get_or_insert_with(|| Pane { start, n_records: 0, acc: init() })
    }

    fn retain(&mut self, mut keep: impl FnMut(&Pane<A>) -> bool) {
        self.older.retain(&mut keep);
        if self.newest.as_ref().is_some_and(|newest| !keep(newest)) {
            self.newest = None;
        }
    }
}

impl<A> Scheduled for Panes<A> {
    fn each_due(&self, tell: &mut dyn FnMut(Due)) {
        due_at(self.armed, tell);
    }
}

impl<A: Data> OpenWindows for Panes<A> {
    #[inline]
    fn armed(&self) -> Timestamp {
        Timestamp(self.armed)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.newest.is_none() && self.older.is_empty()
    }
}
