//! A stage that takes in no more than so many records a second.
//!
//! # Rules
//! 1. No record is held back: while nothing may pass, nothing is read. So nothing has to be stored, and those who send
//!    wait as they do for a slow operator.
//! 2. A source is asked for no more than may pass, and its control passes always. An inbox gives whole batches: what is
//!    too much is owed, and nothing is read, control included, until it is paid.
//! 3. What did not pass in time may be made up for within `RATE_BURST`, no more.

use super::{Counted, Inlet, Pipe, PullContext, Pulled, StageError};
use crate::element::Timestamp;
use crate::limits::RATE_BURST;
use crate::operators::{Emit, RateLimit};
use crate::ports::{Nanos, WorkerPort};
use crate::state::StateVisitor;

/// A pipe that gives so many records a second. See [`Stream::rate_limit`](crate::stream::Stream::rate_limit).
#[derive(Debug)]
pub struct Limited<P> {
    pipe: P,
    limit: RateLimit,
    allowance: Allowance,
}

/// What may pass.
#[derive(Debug)]
struct Allowance {
    nanos_per_record: f64,
    /// When all that has passed is paid for.
    paid_at: Nanos,
}

impl Allowance {
    /// How many records may pass now.
    fn n_records(&mut self, now: Nanos) -> usize {
        let earliest = Nanos(now.0.saturating_sub(RATE_BURST.as_nanos() as u64));
        self.paid_at = self.paid_at.max(earliest);
        if self.paid_at > now {
            return 0;
        }
        1 + (now.since(self.paid_at).as_nanos() as f64 / self.nanos_per_record) as usize
    }

    fn spend(&mut self, n_records: usize) {
        let nanos = (n_records as f64 * self.nanos_per_record) as u64;
        self.paid_at = Nanos(self.paid_at.0.saturating_add(nanos));
    }
}

impl<P> Limited<P> {
    pub(crate) fn new(pipe: P, limit: RateLimit) -> Self {
        let allowance = Allowance { nanos_per_record: limit.nanos_per_record(1), paid_at: Nanos(0) };
        Self { pipe, limit, allowance }
    }
}

impl<P: Pipe> Pipe for Limited<P> {
    type Item = P::Item;

    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<P::Item>) -> Result<Pulled, StageError> {
        let n_records_max = self.allowance.n_records(cx.now).min(cx.n_records_max);
        let mut counted = Counted::new(out);
        let pulled = self.pipe.pull(&PullContext { n_records_max, ..*cx }, &mut counted)?;
        self.allowance.spend(counted.n_records);
        Ok(match pulled {
            Pulled::Dry(_) if n_records_max == 0 => Pulled::Dry(Some(self.allowance.paid_at.max(cx.now))),
            pulled => pulled,
        })
    }

    fn watermark(&mut self, time: Timestamp, out: &mut impl Emit<P::Item>) -> bool {
        let mut counted = Counted::new(out);
        let is_done = self.pipe.watermark(time, &mut counted);
        self.allowance.spend(counted.n_records);
        is_done
    }

    fn tick(&mut self, now: Nanos, out: &mut impl Emit<P::Item>) -> Option<Nanos> {
        let mut counted = Counted::new(out);
        let wake_at = self.pipe.tick(now, &mut counted);
        self.allowance.spend(counted.n_records);
        wake_at
    }

    fn flush(&mut self, out: &mut impl Emit<P::Item>) {
        let mut counted = Counted::new(out);
        self.pipe.flush(&mut counted);
        self.allowance.spend(counted.n_records);
    }

    fn end(&mut self, out: &mut impl Emit<P::Item>) {
        self.pipe.end(out);
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self.pipe.inlet()
    }

    fn connect(&mut self, n_workers: u32, port: &mut dyn WorkerPort) {
        self.pipe.connect(n_workers, port);
        self.allowance.nanos_per_record = self.limit.nanos_per_record(n_workers);
    }

    fn promised(&mut self) -> Option<Timestamp> {
        self.pipe.promised()
    }

    fn visit(&mut self, visitor: &mut dyn StateVisitor) {
        self.pipe.visit(visitor);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Nanos {
        Nanos(1_000_000_000_000).after(Duration::from_millis(millis))
    }

    /// How many records pass in a second if all that may is taken every so often.
    fn n_in_a_second(rate: f64, every_ms: usize) -> usize {
        let mut allowance = Allowance { nanos_per_record: 1e9 / rate, paid_at: at(0) };
        let mut n_records = 0;
        for millis in (0..1000).step_by(every_ms) {
            let n = allowance.n_records(at(millis));
            allowance.spend(n);
            n_records += n;
        }
        n_records
    }

    #[test]
    fn as_many_pass_as_were_allowed() {
        assert_eq!(n_in_a_second(10.0, 1), 10);
        assert_eq!(n_in_a_second(1000.0, 1), 1000);
        assert!((9_900..=10_300).contains(&n_in_a_second(10_000.0, 7)));
    }

    #[test]
    fn what_was_left_is_made_up_for_within_a_burst_and_no_more() {
        let mut allowance = Allowance { nanos_per_record: 1e6, paid_at: at(0) };
        assert_eq!(allowance.n_records(at(60_000)), 1 + RATE_BURST.as_millis() as usize);
    }

    #[test]
    fn a_batch_that_was_too_much_is_owed() {
        let mut allowance = Allowance { nanos_per_record: 1e6, paid_at: at(0) };
        allowance.spend(1000);
        assert_eq!([0, 500, 999, 1000].map(|ms| allowance.n_records(at(ms))), [0, 0, 0, 1]);
    }
}
