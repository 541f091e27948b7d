//! Jobs that join. Their sources do not pause, as those of the other jobs that go by event time.

use malstrom_core::element::Either;
use malstrom_core::stream::Job;
use malstrom_core::testing::{Item, Output, SimContext};
use malstrom_core::time::windows::{Session, Tumbling};

use super::timed::HasTime;

/// What became of two rows, or of one that is alone. Each pair is a key of its own: in which order pairs are told depends
/// on which side is read first.
fn output(left: Option<&Item>, right: Option<&Item>) -> Output {
    let number = |item: Option<&Item>| {
        item.map_or(7, |item| {
            (u64::from(item.partition) << 32 | item.seq).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        })
    };
    let key = number(left).rotate_left(17) ^ number(right);
    let value = left.map_or(0, |item| item.number) ^ right.map_or(1, |item| item.number).rotate_left(1);
    Output { key, partition: 0, seq: 0, value }
}

pub(super) fn intervals(job: &Job, sim: &SimContext) {
    let left = job.source("left", sim.steady_source("left")).apply(HasTime).key_by(|item| item.key % 19);
    let right = job.source("right", sim.steady_source("right")).apply(HasTime).key_by(|item| item.key % 19);
    left.join(right)
        .full_outer()
        .between(-12..=20)
        .combine("pairs", |_, left, right| output(left, right))
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}

pub(super) fn windows(job: &Job, sim: &SimContext) {
    let [left, left_again] = job.source("left", sim.steady_source("left")).apply(HasTime).fan_out();
    let [right, right_again] = job.source("right", sim.steady_source("right")).apply(HasTime).fan_out();
    let tumbling = left.key_by(|item| item.key).join(right.key_by(|item| item.key));
    tumbling
        .left_outer()
        .window(Tumbling::of(24))
        .combine("tumbling", |_, left, right| output(Some(left), right))
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("tumbling out", sim.sink("tumbling out"));
    let sessions = left_again.key_by(|item| item.key).join(right_again.key_by(|item| item.key));
    sessions
        .window(Session::with_gap(5))
        .combine("sessions", |_, left, right| output(Some(left), Some(right)))
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("sessions out", sim.sink("sessions out"));
}

pub(super) fn versions(job: &Job, sim: &SimContext) {
    let rows = job.source("rows", sim.steady_source("rows")).apply(HasTime);
    let [rows, both] = rows.fan_out();
    let table = job.source("table", sim.steady_source("table")).apply(HasTime);
    // Of two versions of one time the last to come counts, so they come from one partition.
    let table = table.filter(|item| item.partition % 100 == 0);
    rows.key_by(|item| item.key % 5)
        .join(table.key_by(|item| item.key % 5))
        .left_outer()
        .as_of()
        .combine("in force", |_, row, version| output(Some(row), version))
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("in force out", sim.sink("in force out"));
    both.into_keyed(|item| {
        let key = (item.key, item.partition);
        (key, if item.number.is_multiple_of(3) { Either::Right(item) } else { Either::Left(item) })
    })
    .joined()
    .left_outer()
    .latest()
    .combine("latest", |_, row: &Item, latest: Option<&Item>| output(Some(row), latest))
    .into_pairs()
    .map(|(_, output)| output)
    .transactional_sink("latest out", sim.sink("latest out"));
}

/// No row is late, so the sources of the inner join do pause. The outer one tells who is alone when event time ends: a
/// partition that is found behind that has partners to whom it is not told, so its sources are steady.
pub(super) fn at_any_time(job: &Job, sim: &SimContext) {
    let key = |item: &Item| (item.key, item.seq % 8);
    let left = job.source("left", sim.source("left")).apply(HasTime).key_by(key);
    let right = job.source("right", sim.source("right")).apply(HasTime).key_by(key);
    left.join(right)
        .at_any_time()
        .combine("pairs", |_, left, right| output(Some(left), Some(right)))
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch())
        .transactional_sink("pairs out", sim.sink("pairs out"));
    let left = job.source("steady left", sim.steady_source("steady left")).apply(HasTime).key_by(key);
    let right = job.source("steady right", sim.steady_source("steady right")).apply(HasTime).key_by(key);
    left.join(right)
        .full_outer()
        .at_any_time()
        .combine("all", |_, left, right| output(left, right))
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch())
        .transactional_sink("all out", sim.sink("all out"));
}
