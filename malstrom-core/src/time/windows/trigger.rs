//! When a window is told before its time.

use super::Window;
use crate::element::Timestamp;
use crate::time::TimeSpan;

/// What a trigger wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerAction {
    /// Nothing.
    Wait,
    /// The window is told.
    Fire,
    /// The window is told, and what was kept of it so far is dropped. Windows that overlap share what is kept.
    FireAndPurge,
}

/// What a trigger is told of a record that has just been added to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TriggerContext {
    /// The window.
    pub window: Window,
    /// The record's time.
    pub time: Timestamp,
    /// How far event time has come.
    pub watermark: Timestamp,
    /// How many records the window holds now.
    pub n_records: u64,
}

impl TriggerContext {
    pub(super) fn new(window: Window, time: Timestamp, watermark: Timestamp, n_records: u64) -> Self {
        Self { window, time, watermark, n_records }
    }
}

/// When a window is told before its time. On time it is told in any case.
///
/// A trigger keeps nothing: what it decides follows from what it is told.
///
/// ```
/// use malstrom_core::operators::{Discard, from_iter};
/// use malstrom_core::time::aggregates::count;
/// use malstrom_core::time::windows::{Global, Trigger, TriggerAction, TriggerContext};
/// use malstrom_core::stream::Dataflow;
///
/// /// Tells every hundred records and begins anew.
/// struct Hundreds;
/// impl Trigger for Hundreds {
///     fn on_record(&self, cx: &TriggerContext) -> TriggerAction {
///         if cx.n_records >= 100 { TriggerAction::FireAndPurge } else { TriggerAction::Wait }
///     }
/// }
/// let dataflow = Dataflow::build(4, |job| {
///     let keyed = job.source("numbers", from_iter(|| 0..1000_u64)).key_by(|n| n % 3);
///     keyed.window(Global).trigger(Hundreds).aggregate("hundreds", count()).sink("out", Discard);
/// })?;
/// # Ok::<(), malstrom_core::stream::BuildError>(())
/// ```
pub trait Trigger: 'static {
    /// Whether it is asked about records at all.
    const SEES_RECORDS: bool = true;

    /// A record was added to a window that is not complete.
    fn on_record(&self, cx: &TriggerContext) -> TriggerAction {
        let _ = cx;
        TriggerAction::Wait
    }

    /// The next event time, later than `after` and before the window's end, at which the window is told early.
    fn next_early(&self, window: Window, after: Timestamp) -> Option<Timestamp> {
        let _ = (window, after);
        None
    }
}

/// Tells a window when it is complete, and not before.
#[derive(Clone, Copy, Debug)]
pub struct OnTime;

impl Trigger for OnTime {
    const SEES_RECORDS: bool = false;
}

/// Tells a window early, every so long in event time from its beginning.
#[derive(Clone, Copy, Debug)]
pub struct EarlyEvery(pub(crate) i64);

impl EarlyEvery {
    /// Every so long.
    pub fn new(span: impl Into<TimeSpan>) -> Self {
        Self(span.into().0.max(1))
    }
}

impl Trigger for EarlyEvery {
    const SEES_RECORDS: bool = false;

    fn next_early(&self, window: Window, after: Timestamp) -> Option<Timestamp> {
        // A window without a beginning is told at multiples.
        let from = if window.start == Timestamp::MIN { 0 } else { window.start.0 };
        let since = after.max(window.start).0.saturating_sub(from);
        let next = from.saturating_add(since.div_euclid(self.0).saturating_add(1).saturating_mul(self.0));
        (next < window.end.0 && next > after.0).then_some(Timestamp(next))
    }
}

/// Tells a window early, every so many records.
#[derive(Clone, Copy, Debug)]
pub struct EarlyEveryRecords(pub u64);

impl Trigger for EarlyEveryRecords {
    fn on_record(&self, cx: &TriggerContext) -> TriggerAction {
        if cx.n_records.is_multiple_of(self.0.max(1)) { TriggerAction::Fire } else { TriggerAction::Wait }
    }
}
