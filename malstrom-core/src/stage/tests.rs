use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::element::Record;
use crate::exchange::{Lane, Message, Receive, local_channel};
use crate::ids::RouteVersion;
use crate::operators::{Emit, Operator};

type End = Box<dyn Receive<u32>>;

const ROUTE: Barrier = Barrier::Route(RouteVersion(1));

/// Emits each time it is told, as a record.
struct Times;

impl Operator<u32> for Times {
    type Out = u32;

    fn process(&mut self, record: Record<u32>, out: &mut impl Emit<u32>) {
        out.emit(record);
    }

    fn on_watermark(&mut self, time: Timestamp, out: &mut impl Emit<u32>) {
        out.emit(Record::new(u32::try_from(time.0).unwrap()));
    }
}

/// A stage between two others of the same worker, and the ends of these.
fn relay() -> (Lane<u32>, impl AnyStage, End) {
    let (before, from) = local_channel();
    let (to, behind) = local_channel();
    let pipe = Then::new(Inbox::new([from]), Times);
    (Lane::new(before), Stage::new(pipe, Single(Lane::new(to)), Location::caller()), behind)
}

fn turn(stage: &mut impl AnyStage) -> Turn {
    stage.turn(&PullContext::at(Nanos(0))).unwrap()
}

fn received(end: &mut End) -> (Vec<u32>, Vec<Control>) {
    let (mut values, mut controls) = (Vec::new(), Vec::new());
    while let Some(message) = end.try_recv() {
        match message {
            Message::Batch(mut batch) => values.extend(batch.drain().map(|record| record.value)),
            Message::Control(control) => controls.push(control),
        }
    }
    (values, controls)
}

fn watermark(time: i64) -> Control {
    Control::Watermark(Timestamp(time))
}

#[test]
fn i6_a_stage_behind_a_source_passes_a_lower_promise_on_but_its_operators_never_go_back_in_time() {
    let (mut before, mut stage, mut behind) = relay();
    before.control(watermark(50));
    before.control(Control::Barrier(ROUTE));
    assert_eq!([turn(&mut stage), turn(&mut stage)], [Turn::Busy, Turn::Cut(ROUTE)]);
    stage.forward(ROUTE).unwrap();
    assert_eq!(received(&mut behind), (vec![50], vec![watermark(50), Control::Barrier(ROUTE)]));
    for time in [10, 50, 60] {
        before.control(watermark(time));
        assert_eq!(turn(&mut stage), Turn::Busy);
    }
    assert_eq!(received(&mut behind), (vec![60], [10, 50, 60].map(watermark).to_vec()));
}

#[test]
fn i6_a_stage_behind_others_of_its_worker_promises_nothing_at_a_route_before_they_do() {
    let (mut before, mut stage, mut behind) = relay();
    before.control(watermark(50));
    before.control(Control::Barrier(ROUTE));
    assert_eq!([turn(&mut stage), turn(&mut stage)], [Turn::Busy, Turn::Cut(ROUTE)]);
    stage.forward(ROUTE).unwrap();
    assert_eq!(turn(&mut stage), Turn::Quiet(None));
    assert_eq!(received(&mut behind).1, [watermark(50), Control::Barrier(ROUTE)]);
}

/// Emits one record at a time for each unit of a watermark, and counts its calls.
struct Slowly(i64);

impl Operator<u32> for Slowly {
    type Out = u32;

    fn process(&mut self, record: Record<u32>, out: &mut impl Emit<u32>) {
        out.emit(record);
    }

    fn advance(&mut self, time: Timestamp, out: &mut impl Emit<u32>) -> bool {
        if self.0 < time.0.min(3) {
            self.0 += 1;
            out.emit(Record::new(100 + self.0 as u32));
        }
        self.0 >= time.0.min(3)
    }
}

#[test]
fn i8_no_cut_falls_between_a_watermark_and_what_it_lets_fire() {
    let (before, from) = local_channel();
    let (to, mut behind) = local_channel();
    let mut before = Lane::new(before);
    let pipe = Then::new(Then::new(Inbox::new([from]), Times), Slowly(0));
    let mut stage = Stage::new(pipe, Single(Lane::new(to)), Location::caller());
    before.control(watermark(3));
    before.control(Control::Barrier(ROUTE));
    let turns: Vec<Turn> = (0..4).map(|_| turn(&mut stage)).collect();
    assert_eq!(turns, [Turn::Busy, Turn::Busy, Turn::Busy, Turn::Cut(ROUTE)]);
    // The operator before is told once.
    assert_eq!(received(&mut behind), (vec![3, 101, 102, 103], vec![watermark(3)]));
}

#[test]
fn the_end_waits_until_the_last_watermark_is_told() {
    let (before, from) = local_channel();
    let (to, mut behind) = local_channel();
    let mut before = Lane::new(before);
    let mut stage =
        Stage::new(Then::new(Inbox::new([from]), Slowly(0)), Single(Lane::new(to)), Location::caller());
    before.control(Control::End);
    let turns: Vec<Turn> = (0..4).map(|_| turn(&mut stage)).collect();
    assert_eq!(turns, [Turn::Busy, Turn::Busy, Turn::Busy, Turn::Quiet(None)]);
    assert!(stage.is_done());
    assert_eq!(received(&mut behind), (vec![101, 102, 103], vec![watermark(i64::MAX), Control::End]));
}

/// Makes as many of each record it is asked for as it is told, and notes for how many it was asked.
struct Expanding {
    n_of_each: Rc<Cell<usize>>,
    n_asked: Rc<Cell<usize>>,
}

impl Pipe for Expanding {
    type Item = u32;

    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<u32>) -> Result<Pulled, StageError> {
        self.n_asked.set(cx.n_records_max);
        (0..cx.n_records_max * self.n_of_each.get()).for_each(|_| out.emit(Record::new(0)));
        Ok(Pulled::Worked)
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self
    }
}

impl Inlet for Expanding {}

#[test]
fn a_source_is_asked_for_as_many_records_as_make_about_a_batch() {
    let (n_of_each, n_asked) = (Rc::new(Cell::new(10)), Rc::new(Cell::new(0)));
    let (to, mut behind) = local_channel();
    let pipe = Expanding { n_of_each: n_of_each.clone(), n_asked: n_asked.clone() };
    let mut stage = Stage::new(pipe, Single(Lane::new(to)), Location::caller());
    let mut asked_at_last = |n: usize| {
        n_of_each.set(n);
        for _ in 0..20 {
            while turn(&mut stage) == Turn::Blocked {
                received(&mut behind);
            }
            received(&mut behind);
        }
        n_asked.get()
    };
    assert_eq!(asked_at_last(1), SOURCE_READ_RECORDS);
    assert_eq!(asked_at_last(10), SOURCE_READ_RECORDS / 8);
    assert_eq!(asked_at_last(1000), SOURCE_READ_RECORDS_MIN);
    assert_eq!(asked_at_last(0), SOURCE_READ_RECORDS);
}

/// Makes one record a pull while it is told to, and is dry else.
struct Trickle(Rc<Cell<bool>>);

impl Pipe for Trickle {
    type Item = u32;

    fn pull(&mut self, _: &PullContext, out: &mut impl Emit<u32>) -> Result<Pulled, StageError> {
        if !self.0.get() {
            return Ok(Pulled::Dry(None));
        }
        out.emit(Record::new(7));
        Ok(Pulled::Worked)
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self
    }
}

impl Inlet for Trickle {}

#[test]
fn a_busy_stage_passes_on_what_is_not_full_every_two_milliseconds_and_one_that_runs_dry_at_once() {
    let is_busy = Rc::new(Cell::new(true));
    let (to, mut behind) = local_channel();
    let mut stage = Stage::new(Trickle(is_busy.clone()), Single(Lane::new(to)), Location::caller());
    let mut received_at = |at: Duration| {
        stage.turn(&PullContext::at(Nanos(0).after(FLUSH_EVERY + at))).unwrap();
        received(&mut behind).0.len()
    };
    let short = Duration::from_micros(1);
    assert_eq!(received_at(Duration::ZERO), 1, "it has never flushed");
    assert_eq!([short, FLUSH_EVERY / 2, FLUSH_EVERY - short].map(&mut received_at), [0; 3]);
    assert_eq!(received_at(FLUSH_EVERY), 4);
    assert_eq!(received_at(FLUSH_EVERY + short), 0);
    is_busy.set(false);
    assert_eq!(received_at(FLUSH_EVERY + 2 * short), 1);
}
