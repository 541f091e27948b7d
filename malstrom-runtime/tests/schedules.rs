//! Interleavings of the real hand-over protocol of `src/threads/handover.rs` and `bell.rs`, chosen by shuttle: what is lost, late or in
//! another order, and who rests for ever. The protocol is compiled here with primitives that shuttle sees.
//!
//! # Caveats
//! Shuttle interleaves whole operations in one order for all threads, so a missing fence or a weak ordering does not
//! show here, and the ring itself is a model: that it works is `rtrb`'s business. A rest here has no end of its own, so
//! that a lost wake-up is a deadlock and not just a delay.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::AtomicU32;
use shuttle::thread;

#[path = "../src/threads/bell.rs"]
mod bell;
#[path = "../src/threads/handover.rs"]
mod handover;
#[path = "schedules/primitives.rs"]
mod primitives;
#[path = "schedules/wake.rs"]
mod wake;

use bell::{Bell, Lately, Rest};
use handover::{Giver, Taker, queue, step_until_stopped, stop};
use primitives::{Arc, AtomicBool, Ordering};
use wake::Wake;

/// Schedules of each scenario under each of the two schedulers.
const SCHEDULES: usize = 20_000;
/// Preemptions in a schedule of the second scheduler (Burckhardt et al., "A randomized scheduler with probabilistic
/// guarantees of finding bugs").
const PREEMPTIONS: usize = 3;
/// What is handed over in one schedule.
const ITEMS: u32 = 4;
/// A rest begins with two looks while looking pays. How long it may last after that does not matter here.
const REST: Rest = Rest { max: Duration::MAX, look_max: Duration::from_micros(2) };

thread_local! {
    /// What is broken on purpose; all of a schedule runs on one thread.
    static BROKEN: Cell<Option<Broken>> = const { Cell::new(None) };
}

/// A way in which the protocol can be broken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// A sender that found no room gives up without the second look of rule 1.
    NoSecondLook,
    /// Nobody is woken when something is new.
    NoWake,
    /// A sleep does not end by a wake-up that came between the last look and it.
    WakeForgotten,
}

fn is_broken(broken: Broken) -> bool {
    BROKEN.get() == Some(broken)
}

/// Runs a scenario under many schedules.
fn explore(scenario: fn()) {
    fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
        shuttle::Runner::new(scheduler, shuttle::Config::default()).run(scenario);
    }
    run(RandomScheduler::new(SCHEDULES), scenario);
    run(PctScheduler::new(PREEMPTIONS, SCHEDULES), scenario);
}

/// Runs a scenario with something broken until that shows.
fn explore_broken(broken: Broken, scenario: fn()) {
    BROKEN.set(Some(broken));
    explore(scenario);
}

/// One thread hands items to another through a queue with room for `room`.
fn hand_over(room: usize) {
    let parent = Arc::new(Bell::of(thread::current()));
    let (send_taker, taker) = shuttle::sync::mpsc::channel::<(Taker<u32>, Arc<Bell>)>();
    let child = thread::spawn(move || {
        let (mut taker, bell) = taker.recv().unwrap();
        let mut lately = Lately::new();
        let mut next = 0;
        while next < ITEMS {
            match taker.try_recv() {
                Some(item) => {
                    assert_eq!(item, next, "lost, or out of order");
                    next += 1;
                }
                None => bell.rest(REST, &mut lately),
            }
        }
        assert_eq!(taker.try_recv(), None, "doubled");
    });
    let bell = Arc::new(Bell::of(child.thread().clone()));
    let (mut giver, taker) = queue(room, Wake::of(parent.clone()), Wake::of(bell.clone()));
    send_taker.send((taker, bell)).unwrap();
    for item in 0..ITEMS {
        send(&mut giver, item, &parent);
    }
    child.join().unwrap();
}

fn send(giver: &mut Giver<u32>, item: u32, bell: &Bell) {
    let mut lately = Lately::new();
    while giver.try_send(item).is_err() {
        bell.rest(REST, &mut lately);
    }
}

fn full_at_once() {
    hand_over(1);
}

fn sometimes_full() {
    hand_over(2);
}

/// A worker that takes from a queue as long as it is not stopped; whoever stops it waits until it has gone.
fn stopped_while_it_takes() {
    let flag = Arc::new(AtomicBool::new(false));
    let taken = Arc::new(AtomicU32::new(0));
    let parent = Arc::new(Bell::of(thread::current()));
    let (send_taker, taker) = shuttle::sync::mpsc::channel::<(Taker<u32>, Arc<Bell>)>();
    let child = {
        let (flag, taken) = (flag.clone(), taken.clone());
        thread::spawn(move || {
            let (mut taker, bell) = taker.recv().unwrap();
            let stepped = step_until_stopped::<Infallible>(&flag, &bell, || match taker.try_recv() {
                Some(item) => {
                    assert_eq!(taken.fetch_add(1, Ordering::SeqCst), item, "lost, or out of order");
                    Ok(None)
                }
                None => Ok(Some(REST)),
            });
            stepped.unwrap();
        })
    };
    let bell = Arc::new(Bell::of(child.thread().clone()));
    let worker = Wake::of(bell.clone());
    let (mut giver, taker) = queue(1, Wake::of(parent.clone()), worker.clone());
    send_taker.send((taker, bell)).unwrap();
    // The first is sure to be taken, the last only if the worker is faster than the stop.
    send(&mut giver, 0, &parent);
    send(&mut giver, 1, &parent);
    stop(&flag, &worker);
    child.join().unwrap();
    assert!(taken.load(Ordering::SeqCst) >= 1);
    // Nobody is there any more, which must not hold up the sender.
    send(&mut giver, 2, &parent);
    send(&mut giver, 3, &parent);
}

#[test]
fn looking_ends_when_most_rests_are_long_and_begins_again_when_most_are_short() {
    let (mut lately, long) = (Lately::new(), REST.look_max + Duration::from_nanos(1));
    for _ in 0..4 {
        assert_eq!(lately.look(REST), REST.look_max);
        lately.learn(REST, long);
    }
    assert_eq!(lately.look(REST), REST.look_max, "half of them were short");
    lately.learn(REST, long);
    for _ in 0..4 {
        assert_eq!(lately.look(REST), Duration::ZERO);
        lately.learn(REST, REST.look_max);
    }
    assert_eq!(lately.look(REST), REST.look_max);
    let timer = Rest { max: Duration::from_micros(1), ..REST };
    assert_eq!(lately.look(timer), timer.max, "a timer is due before looking would end");
}

#[test]
fn rule_1_nothing_is_lost_and_nobody_rests_for_ever_when_each_item_fills_the_queue() {
    explore(full_at_once);
}

#[test]
fn rule_1_nothing_is_lost_and_nobody_rests_for_ever_when_the_queue_is_sometimes_full() {
    explore(sometimes_full);
}

#[test]
fn a_worker_that_rests_or_is_about_to_is_stopped() {
    explore(stopped_while_it_takes);
}

#[test]
#[should_panic(expected = "deadlock")]
fn rule_1_without_the_second_look_the_sender_rests_for_ever() {
    explore_broken(Broken::NoSecondLook, sometimes_full);
}

#[test]
#[should_panic(expected = "deadlock")]
fn rule_2_without_waking_the_other_rests_for_ever() {
    explore_broken(Broken::NoWake, sometimes_full);
}

#[test]
#[should_panic(expected = "deadlock")]
fn rule_3_without_the_memory_of_a_wake_up_a_worker_is_not_stopped() {
    explore_broken(Broken::WakeForgotten, stopped_while_it_takes);
}
