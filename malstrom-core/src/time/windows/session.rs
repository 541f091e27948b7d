//! Windows that last as long as records of the key keep coming.

use serde::{Deserialize, Serialize};

use super::{
    Firing, OpenWindows, Trigger, TriggerAction, TriggerContext, Window, WindowContext, WindowKind, due_at,
};
use crate::element::Timestamp;
use crate::exchange::Data;
use crate::mutant::{self, Mutant};
use crate::time::aggregates::Aggregate;
use crate::time::{Due, Scheduled, TimeSpan};

/// Windows that end when no record of the key comes for a while. A record that lies between two sessions and close
/// enough to both makes one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    gap: i64,
}

impl Session {
    /// Sessions that end this long after their last record.
    ///
    /// ```
    /// use std::time::Duration;
    /// use malstrom_core::time::windows::Session;
    /// let _visits = Session::with_gap(Duration::from_secs(30 * 60));
    /// ```
    pub fn with_gap(gap: impl Into<TimeSpan>) -> Self {
        Self { gap: gap.into().0.max(1) }
    }

    fn arm<A>(
        &self,
        open: &mut OpenSessions<A>,
        trigger: &impl Trigger,
        watermark: Timestamp,
        lateness: i64,
    ) {
        let due = |session: &OpenSession<A>| {
            if session.is_told {
                return session.end.saturating_add(lateness);
            }
            let early = trigger.next_early(session.window(), watermark);
            early.map_or(session.end, |early| early.0.min(session.end))
        };
        open.armed = open.sessions.iter().map(due).min().unwrap_or(i64::MAX);
    }
}

impl WindowKind for Session {
    type Open<A: Data> = OpenSessions<A>;

    fn add<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut OpenSessions<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
        time: Timestamp,
        value: V,
    ) -> Option<V> {
        let (start, end, watermark) = (time.0, time.0.saturating_add(self.gap), cx.watermark.0);
        let n_records = cx.aggregate.n_records(&value);
        // The session that the record lengthens, if there is one; those it touches besides are merged into it.
        let touches = |session: &OpenSession<Agg::Acc>| session.start < end && start < session.end;
        // One that is over and was not told came from a worker that knew of less event time. It is told when this one's
        // goes on, with the record.
        let mut is_overdue = false;
        let mut look_at = |session: &OpenSession<Agg::Acc>| {
            is_overdue |= !session.is_told && session.end <= watermark;
        };
        let at = match open.sessions.iter().position(touches) {
            Some(at) => {
                look_at(&open.sessions[at]);
                at
            }
            None => {
                let is_late =
                    end.saturating_add(cx.lateness) <= watermark && !mutant::is(Mutant::LatenessIgnored);
                if is_late || time == Timestamp::MIN {
                    return Some(value);
                }
                let acc = cx.aggregate.init();
                open.sessions.push(OpenSession { start, end, n_records: 0, is_told: false, acc });
                open.sessions.len() - 1
            }
        };
        let mut other = at + 1;
        while other < open.sessions.len() {
            if !touches(&open.sessions[other]) {
                other += 1;
                continue;
            }
            let merged = open.sessions.swap_remove(other);
            look_at(&merged);
            let session = &mut open.sessions[at];
            (session.start, session.end) = (session.start.min(merged.start), session.end.max(merged.end));
            session.n_records += merged.n_records;
            cx.aggregate.merge(&mut session.acc, &merged.acc);
        }
        let session = &mut open.sessions[at];
        (session.start, session.end) = (session.start.min(start), session.end.max(end));
        session.n_records += n_records;
        session.is_told = session.end <= watermark && !is_overdue;
        cx.aggregate.add(&mut session.acc, value);
        let window = session.window();
        if session.is_told {
            let value = cx.aggregate.finish(&session.acc);
            cx.make(window, Firing::Late, value);
        } else if T::SEES_RECORDS && !is_overdue {
            let about = TriggerContext::new(window, time, cx.watermark, session.n_records);
            let action = cx.trigger.on_record(&about);
            if action != TriggerAction::Wait {
                let value = cx.aggregate.finish(&session.acc);
                cx.make(window, Firing::Early, value);
            }
            if action == TriggerAction::FireAndPurge {
                session.acc = cx.aggregate.init();
                session.n_records = 0;
            }
        }
        // A session that grew is found out of date when it is due: its key is armed anew then.
        if open.armed > open.sessions[at].end || cx.lateness > 0 || open.armed == i64::MAX {
            self.arm(open, cx.trigger, cx.watermark, cx.lateness);
        }
        None
    }

    fn fire<V, Agg: Aggregate<V>, T: Trigger>(
        &self,
        open: &mut OpenSessions<Agg::Acc>,
        cx: &mut WindowContext<'_, Agg, T, Agg::Out>,
    ) {
        let watermark = cx.watermark.0;
        open.sessions.sort_by_key(|session| session.start);
        for session in open.sessions.iter_mut().filter(|session| !session.is_told) {
            let window = session.window();
            if session.end <= watermark {
                session.is_told = true;
                if session.n_records > 0 {
                    cx.make(window, Firing::OnTime, cx.aggregate.finish(&session.acc));
                }
            } else if session.n_records > 0
                && cx.trigger.next_early(window, Timestamp(open.armed - 1)) == Some(Timestamp(open.armed))
            {
                cx.make(window, Firing::Early, cx.aggregate.finish(&session.acc));
            }
        }
        let lateness = cx.lateness;
        open.sessions.retain(|session| session.end.saturating_add(lateness) > watermark);
        self.arm(open, cx.trigger, cx.watermark, cx.lateness);
    }
}

/// The open sessions of a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "A: Serialize", deserialize = "A: Deserialize<'de>"))]
pub struct OpenSessions<A> {
    /// When there is something to do at the earliest.
    armed: i64,
    sessions: Vec<OpenSession<A>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OpenSession<A> {
    start: i64,
    end: i64,
    n_records: u64,
    /// Whether it was told on time, and is kept for records that come late.
    is_told: bool,
    acc: A,
}

impl<A> OpenSession<A> {
    fn window(&self) -> Window {
        Window { start: Timestamp(self.start), end: Timestamp(self.end) }
    }
}

impl<A> Default for OpenSessions<A> {
    fn default() -> Self {
        Self { armed: i64::MAX, sessions: Vec::new() }
    }
}

impl<A> Scheduled for OpenSessions<A> {
    fn each_due(&self, tell: &mut dyn FnMut(Due)) {
        due_at(self.armed, tell);
    }
}

impl<A: Data> OpenWindows for OpenSessions<A> {
    fn armed(&self) -> Timestamp {
        Timestamp(self.armed)
    }

    fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}
