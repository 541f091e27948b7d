//! Windows: which records belong together, and what is kept of them until they are told.
//!
//! - [`Tumbling`], [`Sliding`]: windows of a fixed size; [`PaneWindows`] is what both make.
//! - [`Session`]: windows that last as long as records keep coming.
//! - [`Global`]: one window for all time. [`Count`]: so many records each.
//! - [`Trigger`]: when a window is told before its time.
//!
//! # Rules
//! 1. A window is told on time once: when the watermark reaches its end. It is told early when the trigger says so, and
//!    again for each record that comes behind its end within the allowed lateness.
//! 2. What is kept of a window is dropped when the watermark reaches its end and the allowed lateness.
//! 3. A record is late when all its windows have been dropped. It goes to the late stream, if there is one, and is
//!    counted.
//! 4. What is due next for a key is part of what is kept of it: [`OpenWindows::armed`].

mod count;
mod global;
mod panes;
mod session;
mod trigger;

pub use count::{Count, CountWindows, OpenCount};
pub use global::{Global, OpenGlobal};
pub use panes::{PaneWindows, Panes, Sliding, Tumbling};
pub use session::{OpenSessions, Session};
pub use trigger::{EarlyEvery, EarlyEveryRecords, OnTime, Trigger, TriggerAction, TriggerContext};

use serde::{Deserialize, Serialize};

use super::aggregates::Aggregate;
use super::{Due, Scheduled};
use crate::element::Timestamp;
use crate::exchange::Data;

/// A stretch of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first time in it.
    pub start: Timestamp,
    /// The first time behind it.
    pub end: Timestamp,
}

/// Why a window was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Firing {
    /// The trigger said so, before the window's end.
    Early,
    /// Event time has come to the window's end.
    OnTime,
    /// A record came behind the end, within the allowed lateness.
    Late,
}

/// What became of the records of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowResult<T> {
    /// The first time in the window.
    pub start: Timestamp,
    /// The first time behind it.
    pub end: Timestamp,
    /// Why it is told now.
    pub firing: Firing,
    /// What the aggregate made.
    pub value: T,
}

/// All that a window needs to know besides what is kept of it.
#[derive(Debug)]
pub struct WindowContext<'a, Agg, T, Out> {
    /// What becomes of records.
    pub aggregate: &'a Agg,
    /// When a window is told before its time.
    pub trigger: &'a T,
    /// How long a window is kept behind its end.
    pub lateness: i64,
    /// How far event time has come.
    pub watermark: Timestamp,
    /// Where results go.
    pub made: &'a mut Vec<WindowResult<Out>>,
}

impl<Agg, T, Out> WindowContext<'_, Agg, T, Out> {
    fn make(&mut self, window: Window, firing: Firing, value: Out) {
        self.made.push(WindowResult { start: window.start, end: window.end, firing, value });
    }
}

/// What is kept of the open windows of a key.
pub trait OpenWindows: Data + Scheduled + Default {
    /// The event time at which there is something to do; the end of time if there is nothing.
    fn armed(&self) -> Timestamp;
    /// Whether nothing is kept.
    fn is_empty(&self) -> bool;
}

/// A way to put records into windows.
pub trait WindowKind: Clone + 'static {
    /// What is kept of the open windows of a key.
    type Open<A: Data>: OpenWindows;

    /// Adds a record; gives it back if it is late.
    fn add<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut Self::Open<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
        time: Timestamp,
        value: V,
    ) -> Option<V>;

    /// Does what is due at the watermark.
    fn fire<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut Self::Open<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
    );
}

fn due_at(armed: i64, tell: &mut dyn FnMut(Due)) {
    if armed < i64::MAX {
        tell(Due::Event(Timestamp(armed)));
    }
}
