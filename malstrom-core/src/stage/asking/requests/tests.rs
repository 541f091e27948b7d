use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::*;
use crate::ports::SendFuture;

/// Keeps futures until they are driven by hand, in any order. Those that nobody waits for are gone.
#[derive(Clone, Default)]
struct ByHand(Rc<RefCell<Vec<Option<SendFuture<'static, ()>>>>>);

impl ByHand {
    fn drive_one(&self, at: usize) {
        if let Some(mut future) = self.0.borrow_mut()[at].take() {
            let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl Driver for ByHand {
    fn drive(&self, future: SendFuture<'static, ()>) -> Box<dyn Any> {
        self.0.borrow_mut().push(Some(future));
        Box::new(())
    }
}

type Settled = (u64, u32, Result<&'static str, AsyncError<&'static str>>);
type Tried = Requests<u64, &'static str, &'static str>;

fn options() -> AsyncOptions {
    let rest = Duration::from_millis(10);
    AsyncOptions::new().concurrency(2).timeout(Duration::from_millis(100)).retries(1).backoff(rest, rest)
}

fn at(millis: u64) -> Nanos {
    Nanos(0).after(Duration::from_millis(millis))
}

fn of(options: AsyncOptions, keys: &[u64]) -> Tried {
    let mut requests = Requests::new(options);
    for (number, key) in keys.iter().enumerate() {
        let place = Place { hash: *key, key: *key, number: number as u64 };
        requests.add(place, Timestamp::MIN);
    }
    requests
}

/// Asks all that may be asked; each answers with this.
fn ask(requests: &mut Tried, millis: u64, result: Result<&'static str, &'static str>, driver: &ByHand) {
    while let Some((id, _)) = requests.next_to_ask(at(millis)) {
        requests.ask(id, at(millis), async move { result }, driver);
    }
}

/// Numbers and results of what is done by then.
fn settled(requests: &mut Tried, millis: u64) -> Vec<Settled> {
    let done = requests.settle(at(millis)).unwrap();
    done.into_iter().map(|done| (done.place.number, done.n_attempts, done.result)).collect()
}

#[test]
fn at_the_limit_the_others_wait_to_be_asked() {
    let (mut requests, driver) = (of(options().unordered(), &[7, 7, 7]), ByHand::default());
    ask(&mut requests, 0, Ok("yes"), &driver);
    assert_eq!((driver.0.borrow().len(), requests.is_full()), (2, true));
    driver.drive_one(1);
    assert_eq!(settled(&mut requests, 1), [(1, 1, Ok("yes"))]);
    ask(&mut requests, 1, Ok("yes"), &driver);
    assert_eq!(driver.0.borrow().len(), 3);
}

#[test]
fn in_order_an_answer_waits_for_those_before_it_of_its_key_alone() {
    let (mut requests, driver) = (of(options().concurrency(3), &[7, 7, 8]), ByHand::default());
    ask(&mut requests, 0, Ok("yes"), &driver);
    driver.drive_one(1);
    assert_eq!(settled(&mut requests, 1), []);
    driver.drive_one(2);
    assert_eq!(settled(&mut requests, 2), [(2, 1, Ok("yes"))]);
    driver.drive_one(0);
    assert_eq!(settled(&mut requests, 3), [(0, 1, Ok("yes")), (1, 1, Ok("yes"))]);
    assert!(requests.is_empty() && requests.wake_at().is_none());
}

#[test]
fn what_fails_is_asked_again_behind_a_rest_and_then_given_up() {
    let (mut requests, driver) = (of(options(), &[7]), ByHand::default());
    ask(&mut requests, 0, Err("no"), &driver);
    driver.drive_one(0);
    assert_eq!((settled(&mut requests, 5), requests.wake_at()), (vec![], Some(at(15))));
    ask(&mut requests, 14, Err("no"), &driver);
    assert_eq!(driver.0.borrow().len(), 1);
    ask(&mut requests, 15, Err("never"), &driver);
    driver.drive_one(1);
    assert_eq!(settled(&mut requests, 16), [(0, 2, Err(AsyncError::Failed("never")))]);
}

#[test]
fn an_answer_to_an_attempt_that_was_given_up_does_not_count() {
    let (mut requests, driver) = (of(options(), &[7]), ByHand::default());
    ask(&mut requests, 0, Ok("late"), &driver);
    assert_eq!((settled(&mut requests, 100), requests.wake_at()), (vec![], Some(at(110))));
    driver.drive_one(0);
    assert_eq!(settled(&mut requests, 105), []);
    ask(&mut requests, 110, Ok("in time"), &driver);
    driver.drive_one(1);
    assert_eq!(settled(&mut requests, 111), [(0, 2, Ok("in time"))]);
}

#[test]
fn without_an_answer_it_is_given_up_when_its_attempts_are() {
    let (mut requests, driver) = (of(options(), &[7]), ByHand::default());
    ask(&mut requests, 0, Ok("never"), &driver);
    assert_eq!(settled(&mut requests, 100), []);
    ask(&mut requests, 110, Ok("never"), &driver);
    assert_eq!(settled(&mut requests, 210), [(0, 2, Err(AsyncError::TimedOut))]);
}

#[test]
fn a_future_that_vanishes_is_an_error_unless_nobody_waits_for_it() {
    let (mut requests, driver) = (of(options(), &[7, 8]), ByHand::default());
    ask(&mut requests, 0, Ok("yes"), &driver);
    requests.drop_those(|place| place.key == 7, |_| {});
    driver.0.borrow_mut()[0] = None;
    assert_eq!(settled(&mut requests, 1), []);
    driver.0.borrow_mut()[1] = None;
    assert!(requests.settle(at(1)).is_err());
}
