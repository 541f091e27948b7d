use std::time::Duration;

use super::*;
use crate::exchange::stable_hash;
use crate::ids::{Bin, SnapshotId};
use crate::limits::TIMERS_FIRED_SLICE;
use crate::state::AnyState;

struct Out(Vec<(i64, u32)>);

impl Emit<Keyed<u32, u32>> for Out {
    fn emit(&mut self, record: Record<Keyed<u32, u32>>) {
        self.0.push((record.time.0, record.value.value));
    }
}

/// Each record sets a timer at its own time, and one by the clock after as many milliseconds as its value says.
struct Alarm;

impl TimedOperator<u32, u32> for Alarm {
    type State = ();
    type Out = u32;

    fn process(
        &mut self,
        _: &u32,
        _: &mut Option<()>,
        record: Record<u32>,
        timers: &mut Timers<'_>,
        _: &mut impl Emit<u32>,
    ) {
        timers.set_at(record.time);
        if record.value > 0 {
            timers.set_after(Duration::from_millis(record.value.into()));
        }
    }

    fn on_timer(
        &mut self,
        key: &u32,
        _: &mut Option<()>,
        due: Due,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<u32>,
    ) {
        match due {
            Due::Event(time) => {
                timers.set_at(time.saturating_add(1000));
                out.emit(Record::at(time, *key));
            }
            Due::Clock(_) => out.emit(Record::new(*key)),
        }
    }
}

type Alarms = ProcessTimed<u32, (), Alarm>;

fn alarms() -> Alarms {
    ProcessTimed::new("alarms", 1, Alarm)
}

fn set(alarms: &mut Alarms, key: u32, time: i64, millis: u32) {
    let keyed = Keyed { hash: stable_hash(&key), key, value: millis };
    alarms.process(Record::at(Timestamp(time), keyed), &mut Out(Vec::new()));
}

fn told(alarms: &mut Alarms, time: Timestamp) -> Vec<(i64, u32)> {
    let mut out = Out(Vec::new());
    for _ in 0..10_000 {
        if alarms.advance(time, &mut out) {
            return out.0;
        }
    }
    panic!("it does not end");
}

#[test]
fn timers_fire_in_the_order_of_their_times_and_each_once() {
    let mut alarms = alarms();
    for (key, time) in [(1, 30), (2, 10), (1, 30), (1, 20), (3, 31)] {
        set(&mut alarms, key, time, 0);
    }
    assert_eq!(told(&mut alarms, Timestamp(30)), [(10, 2), (20, 1), (30, 1)]);
    assert_eq!(told(&mut alarms, Timestamp(30)), []);
}

#[test]
fn a_storm_of_timers_is_told_a_slice_at_a_time() {
    let mut alarms = alarms();
    (0..5000).for_each(|key| set(&mut alarms, key, 7, 0));
    let mut out = Out(Vec::new());
    let mut n_slices = 1;
    while !alarms.advance(Timestamp(10), &mut out) {
        assert!(out.0.len() <= n_slices * TIMERS_FIRED_SLICE);
        n_slices += 1;
    }
    assert_eq!(out.0.len(), 5000);
    assert!(n_slices > 5000 / TIMERS_FIRED_SLICE);
}

#[test]
fn at_the_end_of_time_each_timer_fires_once_and_none_that_is_set_then() {
    let mut alarms = alarms();
    set(&mut alarms, 1, 5, 0);
    assert_eq!(told(&mut alarms, Timestamp::MAX), [(5, 1)]);
}

#[test]
fn i13_timers_survive_with_their_bin_and_fire_where_it_goes() {
    let (mut before, mut after) = (alarms(), alarms());
    before.on_time(Nanos(0), &mut Out(Vec::new()));
    set(&mut before, 1, 50, 3);
    set(&mut before, 2, 60, 0);
    let (changed_at, encoded) = before.state.take(Bin(0)).unwrap();
    after.state.put(Bin(0), changed_at, &encoded.bytes).unwrap();
    after.state.restored(SnapshotId(1));
    assert_eq!(told(&mut before, Timestamp(100)), []);
    assert_eq!(told(&mut after, Timestamp(55)), [(50, 1)]);
    let mut out = Out(Vec::new());
    assert_eq!(after.on_time(Nanos(2_999_999), &mut out), Some(Nanos(3_000_000)));
    assert_eq!(after.on_time(Nanos(3_000_000), &mut out), None);
    assert_eq!(out.0, [(i64::MIN, 1)]);
}

#[test]
fn i3_what_a_bin_has_due_waits_while_the_bin_waits_to_leave() {
    let (mut from, mut to) = (alarms(), alarms());
    set(&mut from, 1, 50, 0);
    from.state.leave(Bin(0));
    assert_eq!(told(&mut from, Timestamp(60)), []);
    let (changed_at, encoded) = from.state.take(Bin(0)).unwrap();
    to.state.put(Bin(0), changed_at, &encoded.bytes).unwrap();
    assert_eq!(told(&mut to, Timestamp(60)), [(50, 1)]);
}

#[test]
fn a_key_without_state_and_timers_is_forgotten() {
    let mut alarms = alarms();
    set(&mut alarms, 1, 5, 0);
    assert_eq!(alarms.state.n_keys(), 1);
    told(&mut alarms, Timestamp::MAX);
    assert_eq!(alarms.state.n_keys(), 0);
}
