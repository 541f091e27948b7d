//! Jobs with named states, with a time to live, and with side outputs.

use malstrom_core::element::{Either, Record};
use malstrom_core::operators::{Emit, List, MapState, OfKey, StatefulOperator, Timers, Value};
use malstrom_core::stream::Job;
use malstrom_core::testing::{Item, Output, SimContext};
use malstrom_core::time::{Due, Ttl};

use super::timed::HasTime;

/// Keeps a value, a list and a map for each key and partition; some of it is forgotten. Tells all of it beside, when a
/// timer says so.
struct Keeper;

impl StatefulOperator<(u64, u32), Item> for Keeper {
    type States = (Value<u64>, List<(i64, u64)>, MapState<u64, u64>, Value<u64>);
    type Out = Either<Output, Output>;

    fn states(&self) -> Self::States {
        // Odd, so that it ends between two times.
        let recent = List::named("recent").ttl(Ttl::event_time(21));
        let digits = MapState::named("digits").ttl(Ttl::event_time(43));
        let touched = Value::named("touched").ttl(Ttl::clock(std::time::Duration::from_millis(40)));
        (Value::named("sum"), recent, digits, touched)
    }

    fn process(
        &mut self,
        key: &(u64, u32),
        (mut sum, mut recent, mut digits, mut touched): OfKey<'_, (u64, u32), Self::States>,
        Record { time, value: item }: Record<Item>,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<Self::Out>,
    ) {
        // What is forgotten by the clock follows from no record, and so must not be shown.
        touched.set(item.number);
        let mut value = sum.update(
            || 0,
            |sum| {
                *sum = sum.wrapping_add(item.number);
                *sum
            },
        );
        recent.push((time.0, item.number));
        for (_, number) in recent.iter() {
            value = value.wrapping_mul(31).wrapping_add(*number);
        }
        value = value.wrapping_add(digits.insert(item.number % 4, item.number).unwrap_or(5));
        if item.number.is_multiple_of(3) {
            timers.set_at(time.saturating_add(17));
        }
        out.emit(Record::at(
            time,
            Either::Left(Output { key: key.0, partition: key.1, seq: item.seq, value }),
        ));
    }

    fn on_timer(
        &mut self,
        key: &(u64, u32),
        (_, recent, _, _): OfKey<'_, (u64, u32), Self::States>,
        due: Due,
        _: &mut Timers<'_>,
        out: &mut impl Emit<Self::Out>,
    ) {
        let Due::Event(time) = due else { return };
        // Later records may have come or not; earlier ones have.
        let mut value = 3_u64;
        for (_, number) in recent.iter().filter(|(at, _)| *at < time.0) {
            value = value.wrapping_mul(37).wrapping_add(*number);
        }
        let output = Output { key: key.0, partition: key.1, seq: time.0.unsigned_abs(), value };
        out.emit(Record::at(time, Either::Right(output)));
    }
}

pub(super) fn named_states(job: &Job, sim: &SimContext) {
    let items = job.source("in", sim.steady_source("in")).apply(HasTime);
    let (seen, told) =
        items.key_by(|item| (item.key, item.partition)).process_stateful("keeper", Keeper).fork();
    seen.into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("seen", sim.sink("seen"));
    told.into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("told", sim.sink("told"));
}

pub(super) fn deduplicated(job: &Job, sim: &SimContext) {
    job.source("in", sim.steady_source("in"))
        .apply(HasTime)
        .key_by(|item| (item.key % 3, item.partition))
        .deduplicate_by("first", Ttl::event_time(35), |item| item.number % 5)
        .map_with_state("n", |key, n: &mut u64, item: Item| {
            *n += 1;
            Output { key: key.0, partition: key.1, seq: item.seq, value: *n ^ item.number }
        })
        .into_pairs()
        .map(|(_, output)| output)
        .apply(sim.watch_late())
        .transactional_sink("out", sim.sink("out"));
}
