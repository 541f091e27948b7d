use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::*;
use crate::exchange::{bin_of, stable_hash};
use crate::ids::{Bin, SnapshotId};
use crate::ports::SendFuture;
use crate::stage::Arrivals;
use crate::state::AnyState;

/// A stage's beginning that gives what a test lets come, one after the other.
#[derive(Default)]
struct Before {
    records: Vec<u64>,
    control: Option<Control>,
    has_early: bool,
}

impl Pipe for Before {
    type Item = Keyed<u64, u64>;

    fn pull(&mut self, _: &PullContext, out: &mut impl Emit<Self::Item>) -> Result<Pulled, StageError> {
        if let Some(control) = self.control.take() {
            return Ok(Pulled::Control(control));
        }
        if self.records.is_empty() {
            return Ok(Pulled::Dry(None));
        }
        for key in self.records.drain(..) {
            out.emit(Record::new(Keyed { hash: stable_hash(&key), key, value: key }));
        }
        Ok(Pulled::Worked)
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self
    }
}

impl Inlet for Before {
    fn arrivals(&mut self) -> Option<&mut dyn Arrivals> {
        Some(self)
    }
}

impl Arrivals for Before {
    fn expect(&mut self, _: &[Bin]) {}
    fn arrived(&mut self, _: Bin) {}
    fn n_missing(&self) -> usize {
        0
    }
    fn has_early(&self) -> bool {
        self.has_early
    }
    fn merged(&self) -> Timestamp {
        Timestamp::MIN
    }
    fn await_merged(&mut self) {}
    fn catch_up(&mut self, _: Timestamp) {}
}

/// Answers all that was asked when it is told to.
#[derive(Clone, Default)]
struct Service(Rc<RefCell<Vec<SendFuture<'static, ()>>>>);

impl Service {
    fn answer(&self) -> usize {
        let asked: Vec<_> = self.0.borrow_mut().drain(..).collect();
        let n_asked = asked.len();
        for mut future in asked {
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        n_asked
    }
}

impl Driver for Service {
    fn drive(&self, future: SendFuture<'static, ()>) -> Box<dyn std::any::Any> {
        self.0.borrow_mut().push(future);
        Box::new(())
    }
}

struct Out(Vec<u64>);

impl Emit<u64> for Out {
    fn emit(&mut self, record: Record<u64>) {
        self.0.push(record.value);
    }
}

const N_BINS: u32 = 4;

type Answer = Result<u64, Unanswered<u64, Infallible>>;

fn asking(service: &Service, drains: bool) -> impl Asks {
    let ask = |_, n: u64| async move { Ok::<_, Infallible>(n) };
    let give = |_, answer: Answer| answer.unwrap();
    let options = AsyncOptions::new().concurrency(2);
    let mut asking = Asking::new("ask", N_BINS, Before::default(), options, drains, ask, give);
    asking.driver = Some(Box::new(service.clone()));
    asking
}

/// The pipe under test, whatever the types of its closures.
trait Asks {
    /// Pulls once; what came of it and what was passed on.
    fn pulled(&mut self) -> (Pulled, Vec<u64>);
    fn before(&mut self) -> &mut Before;
    fn state(&mut self) -> &mut PendingState<u64, u64>;
}

impl<A, G, Fut> Asks for Asking<Before, u64, u64, u64, Infallible, A, G>
where
    A: FnMut(u64, u64) -> Fut + 'static,
    Fut: Future<Output = Result<u64, Infallible>> + Send + 'static,
    G: FnMut(u64, Answer) -> u64 + 'static,
{
    fn pulled(&mut self) -> (Pulled, Vec<u64>) {
        let mut out = Out(Vec::new());
        (self.pull(&PullContext::at(Nanos(0)), &mut out).unwrap(), out.0)
    }

    fn before(&mut self) -> &mut Before {
        &mut self.pipe
    }

    fn state(&mut self) -> &mut PendingState<u64, u64> {
        &mut self.state
    }
}

fn bin_of_key(key: u64) -> Bin {
    Bin(bin_of(stable_hash(&key), u64::from(N_BINS) - 1) as u16)
}

#[test]
fn a_bin_that_came_before_the_cut_is_asked_about_behind_it() {
    let service = Service::default();
    let mut elsewhere = PendingState::<u64, u64>::new("ask", N_BINS);
    elsewhere.push(stable_hash(&7_u64), &7, Timestamp(1), Timestamp(0), 7);
    let (_, moved) = elsewhere.take(bin_of_key(7)).unwrap();
    let mut asking = asking(&service, false);
    asking.before().has_early = true;
    asking.state().put(moved.bin, SnapshotId(0), &moved.bytes).unwrap();
    asking.pulled();
    assert_eq!(service.answer(), 0);
    asking.before().has_early = false;
    asking.pulled();
    assert_eq!(service.answer(), 1);
    assert_eq!(asking.pulled().1, [7]);
}

#[test]
fn what_is_answered_for_a_bin_that_leaves_is_not_passed_on() {
    let service = Service::default();
    let mut asking = asking(&service, false);
    asking.before().records = vec![7];
    asking.pulled();
    asking.state().leave(bin_of_key(7));
    assert_eq!((service.answer(), asking.pulled()), (1, (Pulled::Dry(None), vec![])));
    let (_, moved) = asking.state().take(bin_of_key(7)).unwrap();
    assert_eq!(moved.keys, 1);
}

#[test]
fn at_the_limit_nothing_is_taken_in() {
    let service = Service::default();
    let mut asking = asking(&service, false);
    asking.before().records = vec![1, 2, 3];
    asking.pulled();
    asking.before().records = vec![4];
    assert!(matches!(asking.pulled().0, Pulled::Dry(Some(_))), "it waits until a request is overdue");
    assert_eq!((service.answer(), asking.before().records.len()), (2, 1));
    assert_eq!(asking.pulled().1, [1, 2]);
}

#[test]
fn a_watermark_waits_for_the_answers_before_it_and_the_barrier_of_a_snapshot_does_not() {
    let service = Service::default();
    let mut asking = asking(&service, false);
    asking.before().records = vec![7];
    asking.pulled();
    asking.before().control = Some(Control::Watermark(Timestamp(5)));
    asking.pulled();
    asking.pulled();
    let barrier = Control::Barrier(Barrier::Snapshot(SnapshotId(1)));
    asking.before().control = Some(barrier);
    asking.pulled();
    assert_eq!(asking.pulled().0, Pulled::Control(barrier));
    service.answer();
    assert_eq!(asking.pulled().1, [7]);
    assert_eq!(asking.pulled().0, Pulled::Control(Control::Watermark(Timestamp(5))));
}

#[test]
fn without_a_key_the_barrier_waits_for_the_answers_before_it() {
    let service = Service::default();
    let mut asking = asking(&service, true);
    asking.before().records = vec![7];
    asking.pulled();
    let barrier = Control::Barrier(Barrier::Snapshot(SnapshotId(1)));
    asking.before().control = Some(barrier);
    asking.pulled();
    assert!(matches!(asking.pulled().0, Pulled::Dry(Some(_))));
    service.answer();
    assert_eq!((asking.pulled().1, asking.pulled().0), (vec![7], Pulled::Control(barrier)));
}
