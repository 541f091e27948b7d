//! What a stage may say of event time while some of its records are held back.
//!
//! # Rules
//! 1. A watermark waits for every record that came before it; so whoever reads on finds a record as late as it was.
//! 2. Idleness waits until no record is held.
//! 3. Behind the barrier of a route it is promised anew, once all that comes with the route is here: what comes may
//!    have been held since before what was promised here.

use std::collections::BTreeMap;

use crate::element::{Control, Timestamp};
use crate::mutant::{self, Mutant};

/// Lets watermarks pass when no record is held that came before them.
#[derive(Debug)]
pub(super) struct Gate {
    /// The watermark that came last.
    incoming: Timestamp,
    /// The watermark that was passed on last, since the last route.
    told: Timestamp,
    /// For each record that is held, the watermark behind which it came: how many there are.
    held: BTreeMap<Timestamp, usize>,
    idle: Idle,
    /// Whether the watermark is to be told though it has not grown, because the stage is not idle any more.
    is_awake: bool,
    /// Whether a route has made the promise void, and it is to be made anew.
    is_promise_due: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Idle {
    No,
    Held,
    Told,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            incoming: Timestamp::MIN,
            told: Timestamp::MIN,
            held: BTreeMap::new(),
            idle: Idle::No,
            is_awake: false,
            is_promise_due: false,
        }
    }

    /// A record is held from now on. The watermark it came behind, by which it is let go.
    pub(super) fn hold(&mut self) -> Timestamp {
        self.hold_behind(self.incoming);
        if self.idle == Idle::Held {
            self.idle = Idle::No;
        }
        self.incoming
    }

    /// A record is held from now on that came behind this watermark, elsewhere or before a restore.
    pub(super) fn hold_behind(&mut self, watermark: Timestamp) {
        *self.held.entry(watermark).or_default() += 1;
    }

    /// A record that came behind this watermark is held no longer.
    pub(super) fn let_go(&mut self, watermark: Timestamp) {
        if let Some(n) = self.held.get_mut(&watermark) {
            *n -= 1;
            if *n == 0 {
                self.held.remove(&watermark);
            }
        }
    }

    /// A watermark came.
    pub(super) fn watermark(&mut self, time: Timestamp) {
        self.incoming = time;
        self.is_awake |= self.idle == Idle::Told;
        self.idle = Idle::No;
    }

    /// Idleness came.
    pub(super) fn idle(&mut self) {
        if self.idle == Idle::No {
            self.idle = Idle::Held;
        }
    }

    /// The barrier of a route was passed on, and what came before is promised up to here, or void.
    pub(super) fn rerouted(&mut self, promised: Option<Timestamp>) {
        self.incoming = promised.unwrap_or(Timestamp::MIN);
        self.told = Timestamp::MIN;
        self.idle = Idle::No;
        self.is_awake = false;
        self.is_promise_due = true;
    }

    /// What may be told now. `is_complete` says whether all that comes with a route is here.
    pub(super) fn next(&mut self, is_complete: bool) -> Option<Control> {
        if self.is_promise_due && !is_complete {
            return None;
        }
        self.is_promise_due = false;
        let held = self.held.keys().next().filter(|_| !mutant::is(Mutant::PendingOvertaken));
        let time = held.map_or(self.incoming, |held| self.incoming.min(*held));
        let is_due = time > self.told || (self.is_awake && self.told > Timestamp::MIN);
        if is_due {
            self.is_awake = false;
            self.told = self.told.max(time);
            return Some(Control::Watermark(self.told));
        }
        if self.idle == Idle::Held && held.is_none() {
            self.idle = Idle::Told;
            return Some(Control::Idle);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: i64) -> Option<Control> {
        Some(Control::Watermark(Timestamp(time)))
    }

    #[test]
    fn a_watermark_waits_for_every_record_that_came_before_it() {
        let mut gate = Gate::new();
        gate.watermark(Timestamp(5));
        assert_eq!((gate.next(true), gate.next(true)), (at(5), None));
        let (first, _) = (gate.hold(), gate.watermark(Timestamp(7)));
        let (second, _) = (gate.hold(), gate.watermark(Timestamp(9)));
        assert_eq!(gate.next(true), None);
        gate.let_go(first);
        assert_eq!((gate.next(true), gate.next(true)), (at(7), None));
        gate.let_go(second);
        assert_eq!(gate.next(true), at(9));
    }

    #[test]
    fn idleness_waits_for_all_records_and_ends_with_a_watermark() {
        let mut gate = Gate::new();
        gate.watermark(Timestamp(5));
        let held = gate.hold();
        gate.idle();
        assert_eq!((gate.next(true), gate.next(true)), (at(5), None));
        gate.let_go(held);
        assert_eq!((gate.next(true), gate.next(true)), (Some(Control::Idle), None));
        gate.watermark(Timestamp(5));
        assert_eq!((gate.next(true), gate.next(true)), (at(5), None));
    }

    #[test]
    fn behind_a_route_it_promises_when_all_is_here_and_no_more_than_what_came_allows() {
        let mut gate = Gate::new();
        gate.watermark(Timestamp(9));
        assert_eq!(gate.next(true), at(9));
        gate.rerouted(Some(Timestamp(9)));
        assert_eq!(gate.next(false), None);
        gate.hold_behind(Timestamp(4));
        assert_eq!((gate.next(true), gate.next(true)), (at(4), None));
        gate.let_go(Timestamp(4));
        assert_eq!(gate.next(true), at(9));
    }
}
