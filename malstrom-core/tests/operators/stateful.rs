//! Operators with named states, and what is remembered for a time.

use malstrom_core::element::Either;
use malstrom_core::operators::{List, MapState, OfKey, StatefulOperator, Value};
use malstrom_core::stream::Dataflow;
use malstrom_core::time::Ttl;

use super::*;

/// Uses every kind of state, forgets some of it in event time, sets timers, and has a side output.
struct Everything;

impl StatefulOperator<u64, u64> for Everything {
    type States = (Value<u64>, List<u64>, MapState<u64, u64>, Value<u64>);
    type Out = Either<Vec<u64>, String>;

    fn states(&self) -> Self::States {
        let last = Value::named("last").ttl(Ttl::event_time(4));
        let recent = List::named("recent").ttl(Ttl::event_time(7));
        (Value::named("sum"), recent, MapState::named("by digit"), last)
    }

    fn process(
        &mut self,
        _: &u64,
        (mut sum, mut recent, mut digits, mut last): OfKey<'_, u64, Self::States>,
        record: Record<u64>,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<Self::Out>,
    ) {
        let n = record.value;
        let total = sum.update(
            || 0,
            |sum| {
                *sum += n;
                *sum
            },
        );
        recent.push(n);
        let n_of_digit = digits.update(
            n % 2,
            || 0,
            |count| {
                *count += 1;
                *count
            },
        );
        if n_of_digit > 2 {
            assert_eq!(digits.remove(&(n % 2)), Some(n_of_digit));
        }
        let before = last.get().copied().unwrap_or(100);
        last.set(n);
        timers.set_at(record.time.saturating_add(5));
        let mut seen = vec![n, total, before];
        seen.extend(recent.iter());
        seen.extend(digits.iter().flat_map(|(digit, count)| [digit, count]));
        out.emit(Record::at(record.time, Either::Left(seen)));
    }

    fn on_timer(
        &mut self,
        _: &u64,
        (mut sum, recent, _, mut last): OfKey<'_, u64, Self::States>,
        due: Due,
        _: &mut Timers<'_>,
        out: &mut impl Emit<Self::Out>,
    ) {
        let Due::Event(time) = due else { return };
        let taken = (time.0 % 2 == 0).then(|| sum.take());
        let text = format!("{taken:?} {:?} {:?}", recent.iter().collect::<Vec<_>>(), last.take());
        out.emit(Record::at(time, Either::Right(text)));
    }
}

#[test]
fn named_states_timers_and_a_side_output() {
    let report = check_any_order(|_, numbers| {
        let (seen, told) = numbers.key_by(|n| n % 3).process_stateful("everything", Everything).fork();
        seen.map_values(|_, seen| format!("{seen:?}")).union(told).into_pairs()
    });
    assert_eq!(report.n_outputs, 14 + 14);
}

#[test]
fn named_states_are_seen_in_the_order_of_records_and_timers() {
    check(|_, numbers| {
        let all = numbers.key_by(|n| n % 3).process_stateful("everything", Everything);
        all.map_values(|_, out| match out {
            Either::Left(seen) => format!("{seen:?}"),
            Either::Right(told) => told,
        })
        .into_pairs()
    });
}

#[test]
fn each_state_has_a_name_in_snapshots() {
    let dataflow = Dataflow::build(4, |job| {
        let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
        keyed.process_stateful("all", Everything).into_pairs().for_each("out", |_| {});
    });
    let names: Vec<String> = dataflow.unwrap().description().operators.keys().cloned().collect();
    assert_eq!(names, ["numbers", "all/sum", "all/recent", "all/by digit", "all/last", "all", "out"]);
}

#[test]
fn of_records_within_a_time_the_first_comes_through() {
    let report =
        check(|_, numbers| numbers.key_by(|n| n % 2).deduplicate("first", Ttl::event_time(5)).into_pairs());
    // 0, 6 and 12, and 1, 7 and 13.
    assert_eq!(report.n_outputs, 6);
}

#[test]
fn of_records_that_say_the_same_the_first_comes_through() {
    let report = check(|_, numbers| {
        let numbers = numbers.key_by(|n| n % 2);
        numbers.deduplicate_by("digit", Ttl::event_time(8), |n| n % 4).into_pairs()
    });
    // 0 to 3, and 8 to 11 when they are forgotten.
    assert_eq!(report.n_outputs, 8);
}

#[test]
fn of_records_that_are_late_none_comes_through_and_all_are_told_apart() {
    let split = |is_late: bool| {
        check_any_order(move |_, numbers| {
            // The first watermark has come before the first late one.
            let numbers = numbers.filter(|n| *n != 2).apply(Delayed(6)).key_by(|n| n % 2);
            let (firsts, late) = numbers.deduplicate_with_late("first", Ttl::event_time(2), |n| *n);
            let late = late.into_pairs().map(|pair| (true, pair));
            let told = firsts.into_pairs().map(|pair| (false, pair)).union(late);
            told.filter(move |(of, _)| *of == is_late).map(|(_, pair)| pair)
        })
    };
    assert_eq!([split(false), split(true)].map(|report| report.n_outputs), [10, 3]);
}
