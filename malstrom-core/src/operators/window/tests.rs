use super::*;
use crate::exchange::stable_hash;
use crate::state::AnyState;
use crate::time::aggregates::sum;
use crate::time::windows::{EarlyEvery, Firing, OnTime, Session, Sliding, Tumbling};

type Shown = (i64, i64, Firing, u64);

#[derive(Default)]
struct Out {
    results: Vec<Shown>,
    late: Vec<u64>,
}

impl Emit<Either<Keyed<u32, WindowResult<u64>>, Keyed<u32, u64>>> for Out {
    fn emit(&mut self, record: Record<Either<Keyed<u32, WindowResult<u64>>, Keyed<u32, u64>>>) {
        match record.value {
            Either::Left(Keyed { value, .. }) => {
                assert_eq!(record.time, value.end.saturating_sub(1));
                self.results.push((value.start.0, value.end.0, value.firing, value.value));
            }
            Either::Right(Keyed { value, .. }) => self.late.push(value),
        }
    }
}

/// Runs records of one key, each its own time, and watermarks in between.
fn run<W: WindowKind>(kind: W, trigger: impl Trigger, lateness: i64, script: &[(char, i64)]) -> (Out, u64) {
    let of = sum(|n: &u64| *n);
    let mut window = Window::new("w", 4, kind, of, trigger, lateness);
    let mut out = Out::default();
    for (what, time) in script {
        let time = Timestamp(*time);
        if *what == 'w' {
            while !window.advance(time, &mut out) {}
        } else {
            let keyed = Keyed { hash: stable_hash(&7_u32), key: 7, value: time.0.unsigned_abs() };
            window.process(Record::at(time, keyed), &mut out);
        }
    }
    (out, window.state.keyed().iter().count() as u64)
}

use Firing::{Early, Late, OnTime as Told_};

#[test]
fn a_window_is_told_when_the_watermark_reaches_its_end_and_forgotten() {
    let script = [('r', 3), ('r', 12), ('r', 9), ('w', 9), ('w', 10), ('r', 11), ('w', 40)];
    let (out, n_keys) = run(Tumbling::of(10), OnTime, 0, &script);
    assert_eq!(out.results, [(0, 10, Told_, 12), (10, 20, Told_, 23)]);
    assert_eq!(n_keys, 0);
}

#[test]
fn times_before_zero_have_windows_too() {
    let (out, _) = run(Tumbling::of(10), OnTime, 0, &[('r', -1), ('r', -10), ('r', 0), ('w', 30)]);
    assert_eq!(out.results, [(-10, 0, Told_, 11), (0, 10, Told_, 0)]);
}

#[test]
fn a_record_behind_its_window_is_late_and_opens_nothing() {
    let (out, n_keys) = run(Tumbling::of(10), OnTime, 0, &[('r', 3), ('w', 10), ('r', 9), ('w', 50)]);
    assert_eq!((out.results.len(), out.late, n_keys), (1, vec![9], 0));
}

#[test]
fn a_record_without_a_time_is_late() {
    let (out, _) = run(Tumbling::of(10), OnTime, 0, &[('r', i64::MIN)]);
    assert_eq!(out.late.len(), 1);
}

#[test]
fn within_the_allowed_lateness_a_window_is_told_again_and_then_dropped() {
    let script = [('r', 3), ('w', 10), ('r', 4), ('w', 14), ('r', 5), ('w', 15), ('r', 6), ('w', 60)];
    let (out, n_keys) = run(Tumbling::of(10), OnTime, 5, &script);
    assert_eq!(out.results, [(0, 10, Told_, 3), (0, 10, Late, 7), (0, 10, Late, 12)]);
    assert_eq!((out.late, n_keys), (vec![6], 0));
}

#[test]
fn sliding_windows_share_panes() {
    let (out, n_keys) = run(Sliding::of(10, 4), OnTime, 0, &[('r', 1), ('r', 5), ('r', 9), ('w', 100)]);
    let expected =
        [(-8, 2, Told_, 1), (-4, 6, Told_, 6), (0, 10, Told_, 15), (4, 14, Told_, 14), (8, 18, Told_, 9)];
    assert_eq!((out.results, n_keys), (expected.to_vec(), 0));
}

#[test]
fn sliding_windows_equal_those_of_a_plain_loop() {
    for (size, step) in [(10, 3), (7, 7), (12, 4), (3, 5), (1, 1), (9, 6)] {
        let times: Vec<i64> = (0..60).map(|n| (n * 37) % 90 - 20).collect();
        let mut script: Vec<_> = times.iter().map(|time| ('r', *time)).collect();
        (-40..140).step_by(7).for_each(|time| script.push(('w', time)));
        let (out, _) = run(Sliding::of(size, step), OnTime, 0, &script);
        let mut expected = Vec::new();
        for start in (-60..120).filter(|start| start % step == 0) {
            let within: Vec<i64> =
                times.iter().copied().filter(|time| (start..start + size).contains(time)).collect();
            if !within.is_empty() {
                expected.push((start, start + size, Told_, within.iter().map(|n| n.unsigned_abs()).sum()));
            }
        }
        assert_eq!(out.results, expected, "size {size} step {step}");
    }
}

#[test]
fn sessions_merge_and_end_after_the_gap() {
    let script = [('r', 0), ('r', 12), ('w', 2), ('r', 7), ('w', 21), ('r', 30), ('w', 22), ('w', 90)];
    let (out, n_keys) = run(Session::with_gap(10), OnTime, 0, &script);
    assert_eq!((out.results, n_keys), (vec![(0, 22, Told_, 19), (30, 40, Told_, 30)], 0));
}

#[test]
fn a_late_record_joins_a_session_that_is_kept() {
    let script = [('r', 0), ('w', 12), ('r', 5), ('w', 13), ('w', 60)];
    let (out, n_keys) = run(Session::with_gap(10), OnTime, 20, &script);
    assert_eq!((out.results, n_keys), (vec![(0, 10, Told_, 0), (0, 15, Told_, 5)], 0));
}

#[test]
fn early_results_come_every_so_long() {
    let script = [('r', 1), ('w', 4), ('r', 6), ('w', 8), ('w', 12), ('w', 20)];
    let (out, _) = run(Tumbling::of(20), EarlyEvery::new(4), 0, &script);
    let expected = [(0, 20, Early, 1), (0, 20, Early, 7), (0, 20, Early, 7), (0, 20, Told_, 7)];
    assert_eq!(out.results, expected);
}

/// The same script, in whose middle (`'m'`) the key moves to another worker, which knows of no event time, or of this much.
fn run_moved<W: WindowKind>(kind: W, lateness: i64, script: &[(char, i64)]) -> Vec<Shown> {
    let made = || Window::new("w", 4, kind.clone(), sum(|n: &u64| *n), OnTime, lateness);
    let (mut window, mut out) = (made(), Out::default());
    for (what, time) in script {
        let time = Timestamp(*time);
        match what {
            'w' => while !window.advance(time, &mut out) {},
            'm' => {
                let mut other = made();
                while !other.advance(time, &mut out) {}
                for bin in (0..4).map(crate::ids::Bin) {
                    let (changed_at, encoded) = window.state.take(bin).unwrap();
                    if encoded.keys > 0 {
                        other.state.put(bin, changed_at, &encoded.bytes).unwrap();
                    }
                }
                window = other;
            }
            _ => {
                let keyed = Keyed { hash: stable_hash(&7_u32), key: 7, value: time.0.unsigned_abs() };
                window.process(Record::at(time, keyed), &mut out);
            }
        }
    }
    assert!(out.late.is_empty());
    out.results
}

#[test]
fn what_is_added_where_less_event_time_is_known_is_told_even_if_its_window_was() {
    let script = [('r', 3), ('w', 10), ('m', i64::MIN), ('r', 4), ('w', 12), ('w', 60)];
    let told = run_moved(Tumbling::of(10), 20, &script);
    assert_eq!(told.last(), Some(&(0, 10, Told_, 7)), "the last that is told has all");
}

#[test]
fn a_session_that_is_over_where_more_event_time_is_known_is_told_once() {
    let script = [('r', 3), ('w', 5), ('m', 50), ('r', 8), ('w', 60)];
    assert_eq!(run_moved(Session::with_gap(10), 0, &script), [(3, 18, Told_, 11)]);
}
