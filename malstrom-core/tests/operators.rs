//! Every operator in every mode of the operator tester.

use std::collections::BTreeMap;
use std::time::Duration;

use malstrom_core::element::{Record, Timestamp};
use malstrom_core::operators::{
    AsyncOptions, Batches, Emit, KeyedOperator, Operator, RateLimit, TimedOperator, Timers, Unanswered,
    from_iter,
};
use malstrom_core::stage::{Pipe, SourceInlet};
use malstrom_core::stream::{Job, Stream};
use malstrom_core::testing::{Feed, Mode, OperatorTester, TesterReport};
use malstrom_core::time::aggregates::{count, sum, top_n};
use malstrom_core::time::windows::{
    Count, Firing, Global, Session, Sliding, Trigger, TriggerAction, TriggerContext, Tumbling, WindowResult,
};
use malstrom_core::time::{Due, Watermarks};

#[path = "operators/joins.rs"]
mod joins;
#[path = "operators/stateful.rs"]
mod stateful;

const N_RECORDS: u64 = 14;

type Source = Stream<SourceInlet<Feed<u64>>>;

/// Runs a fragment over a few numbers; that something was made shows that something was tested.
fn check<K, V, P>(fragment: impl Fn(&Job, Source) -> Stream<P> + 'static) -> TesterReport
where
    K: Ord + Clone + std::fmt::Debug + 'static,
    V: Ord + Clone + std::fmt::Debug + 'static,
    P: Pipe<Item = (K, V)>,
{
    told(OperatorTester::new(0..N_RECORDS).run(fragment))
}

fn check_any_order<K, V, P>(fragment: impl Fn(&Job, Source) -> Stream<P> + 'static) -> TesterReport
where
    K: Ord + Clone + std::fmt::Debug + 'static,
    V: Ord + Clone + std::fmt::Debug + 'static,
    P: Pipe<Item = (K, V)>,
{
    told(OperatorTester::new(0..N_RECORDS).in_any_order().run(fragment))
}

#[track_caller]
fn told(result: Result<TesterReport, malstrom_core::testing::TesterFailure>) -> TesterReport {
    let report = result.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.n_outputs > 0 && report.n_restores > 0 && report.n_moves > 0, "{report:?}");
    report
}

#[test]
fn map_filter_and_inspect() {
    let report = check(|_, numbers| {
        numbers.map(|n| n * 3).inspect(|n| assert_eq!(n % 3, 0)).filter(|n| n % 2 == 0).map(|n| (n % 4, n))
    });
    assert_eq!(report.n_outputs, 7);
}

#[test]
fn filter_map() {
    check(|_, numbers| numbers.filter_map(|n| (n % 3 != 0).then_some((n % 3, n))));
}

#[test]
fn flat_map() {
    let report = check(|_, numbers| numbers.flat_map(|n| (0..n % 4).map(move |i| (n, i))));
    assert_eq!(report.n_outputs, 19);
}

#[test]
fn flat_map_with() {
    check(|_, numbers| {
        numbers.flat_map_with(|n, emit: &mut dyn FnMut((u64, u64))| (0..n % 4).for_each(|i| emit((n, i))))
    });
}

#[test]
fn key_by_and_into_pairs() {
    check(|_, numbers| numbers.key_by(|n| n % 5).into_pairs());
}

#[test]
fn into_keyed_map_values_filter_and_inspect() {
    check(|_, numbers| {
        numbers
            .into_keyed(|n| (n % 5, n))
            .inspect(|keyed| assert_eq!(keyed.key, keyed.value % 5))
            .filter(|keyed| keyed.value != 3)
            .map_values(|key, n| n * 10 + key)
            .into_pairs()
    });
}

#[test]
fn fold() {
    check(|_, numbers| numbers.key_by(|n| n % 5).fold("sum", || 0, |sum, n| *sum += n).into_pairs());
}

#[test]
fn fold_final() {
    let report = check(|_, numbers| {
        numbers.key_by(|n| n % 5).fold_final("sum", || 0, |sum, n| *sum += n).into_pairs()
    });
    assert_eq!(report.n_outputs, 5);
}

#[test]
fn combined_before_the_exchange() {
    let report = check(|_, numbers| {
        let sums = numbers.combine_by(|n| (n % 5, n), sum(|n: &u64| *n));
        sums.fold_final("sum", || 0, |sum, more| *sum += more).into_pairs()
    });
    assert_eq!(report.n_outputs, 5);
}

#[test]
fn reduce() {
    check(|_, numbers| numbers.key_by(|n| n % 5).reduce("product", |a, b| *a = *a * 7 + b).into_pairs());
}

#[test]
fn map_with_state() {
    check(|_, numbers| {
        let keyed = numbers.key_by(|n| n % 5);
        keyed
            .map_with_state("seen", |_, seen: &mut Vec<u64>, n| {
                seen.push(n);
                seen.clone()
            })
            .into_pairs()
    });
}

#[test]
fn process_with_a_state_that_comes_and_goes() {
    check(|_, numbers| {
        let keyed = numbers.key_by(|n| n % 3);
        keyed
            .process("pairs", |_, first: &mut Option<u64>, n, made| match first.take() {
                None => *first = Some(n),
                Some(first) => made.push((first, n)),
            })
            .into_pairs()
    });
}

#[test]
fn process_with() {
    struct Largest;
    impl KeyedOperator<u64, u64> for Largest {
        type State = BTreeMap<u64, Timestamp>;
        type Out = (u64, Timestamp);
        fn process(
            &mut self,
            _: &u64,
            state: &mut Option<Self::State>,
            record: Record<u64>,
            out: &mut impl Emit<Self::Out>,
        ) {
            let seen = state.get_or_insert_default();
            seen.insert(record.value.wrapping_mul(7) % 10, record.time);
            if let Some((largest, time)) = seen.last_key_value() {
                out.emit(record.with((*largest, *time)));
            }
        }
    }
    check(|_, numbers| numbers.key_by(|n| n % 3).process_with("largest", Largest).into_pairs());
}

#[test]
fn an_operator_of_ones_own() {
    struct Twice;
    impl Operator<u64> for Twice {
        type Out = (u64, u64);
        fn process(&mut self, record: Record<u64>, out: &mut impl Emit<(u64, u64)>) {
            out.emit(record.with((record.value % 2, record.value)));
            out.emit(record.with((record.value % 2, record.value)));
        }
    }
    assert_eq!(check(|_, numbers| numbers.apply(Twice)).n_outputs, 28);
}

#[test]
fn boxed() {
    check(|_, numbers| {
        numbers.boxed().key_by(|n| n % 5).fold("sum", || 0, |sum, n| *sum += n).into_pairs().boxed()
    });
}

#[test]
fn split_and_union() {
    check(|_, numbers| {
        let [even, odd] = numbers.split(|n| (n % 2) as usize);
        let odd = odd.key_by(|n| *n % 6).reduce("sum", |a, b| *a += b).into_pairs();
        // Even and odd numbers have keys of their own, so the order of each goes one way.
        even.map(|n| (n % 6, n)).boxed().union(odd)
    });
}

#[test]
fn fan_out_and_union() {
    let report = check_any_order(|_, numbers| {
        let [all, sums, few] = numbers.fan_out();
        let sums = sums.key_by(|n| n % 3).fold("sum", || 0, |sum, n| *sum += n).into_pairs();
        all.map(|n| (n % 3, n)).union(sums).union(few.filter(|n| n % 7 == 0).map(|n| (n % 3, n)))
    });
    assert_eq!(report.n_outputs, 14 + 14 + 2);
}

#[test]
fn union_with_a_second_source() {
    check_any_order(|job, numbers| {
        let more = job.source("more", from_iter(|| 100..110_u64));
        let both = numbers.map(|_| 1).union(more.map(|_| 1));
        both.key_by(|_| 0).fold_final("count", || 0, |sum, n: i32| *sum += n).into_pairs()
    });
}

#[test]
fn two_exchanges() {
    check(|_, numbers| {
        let sums = numbers.key_by(|n| n % 5).fold("sum", || 0_u64, |sum, n| *sum += n).into_pairs();
        sums.key_by(|(key, _)| *key % 5)
            .fold("last sums", BTreeMap::new, |all, (key, sum)| {
                all.insert(key, sum);
            })
            .into_pairs()
    });
}

#[test]
fn records_that_come_late_keep_their_times() {
    let times = [5, 3, 9, 1, 9, 2, 12, 11];
    let records = times.map(|time| Record::at(Timestamp(time), time.unsigned_abs()));
    let tester = OperatorTester::with_times(records);
    told(tester.run(|_, numbers| numbers.key_by(|n| n % 2).fold("n", || 0_u64, |n, _| *n += 1).into_pairs()));
}

#[test]
fn state_outside_of_the_engine_is_found_out() {
    let result = OperatorTester::new(0..N_RECORDS).run(|_, numbers| {
        let mut n = 0;
        numbers.map(move |number| {
            n += 1;
            (number % 2, n)
        })
    });
    let failure = result.unwrap_err().to_string();
    assert!(failure.contains(&format!("{:?}", Mode::Restore)) && failure.contains("differs"), "{failure}");
}

#[test]
fn a_static_is_found_out_by_what_a_crash_leaves_in_it() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static MAX: AtomicU64 = AtomicU64::new(0);
    let result = OperatorTester::new(0..N_RECORDS)
        .run(|_, numbers| numbers.map(|number| (0_u64, number < MAX.fetch_max(number, Ordering::Relaxed))));
    assert!(result.is_err());
}

/// Passes each number on some time later, in a timer of its own.
struct Later;

impl TimedOperator<u64, u64> for Later {
    type State = BTreeMap<i64, u64>;
    type Out = u64;

    fn process(
        &mut self,
        _: &u64,
        held: &mut Option<BTreeMap<i64, u64>>,
        record: Record<u64>,
        timers: &mut Timers<'_>,
        _: &mut impl Emit<u64>,
    ) {
        let at = record.time.saturating_add(3 + record.value as i64 % 2 * 4);
        timers.set_at(at);
        if record.value.is_multiple_of(7) {
            assert!(timers.cancel_at(at));
        }
        *held.get_or_insert_default().entry(at.0).or_default() += record.value;
    }

    fn on_timer(
        &mut self,
        _: &u64,
        held: &mut Option<BTreeMap<i64, u64>>,
        due: Due,
        timers: &mut Timers<'_>,
        out: &mut impl Emit<u64>,
    ) {
        let Due::Event(time) = due else { return };
        let sum = held.get_or_insert_default().remove(&time.0).unwrap_or(0);
        // A timer set by a timer.
        if sum == 8 {
            timers.set_at(time.saturating_add(2));
        }
        out.emit(Record::at(time, sum));
    }
}

#[test]
fn process_timed() {
    let report = check(|_, numbers| numbers.key_by(|n| n % 3).process_timed("later", Later).into_pairs());
    assert_eq!(report.n_outputs, 14 - 2 + 1);
}

#[test]
fn timers_in_reassigned_time() {
    let report = check(|_, numbers| {
        numbers
            .reassign_timestamps("own time", |n| Timestamp(4 * n.cast_signed()), Watermarks::ascending())
            .key_by(|n| n % 3)
            .process_timed("later", Later)
            .into_pairs()
    });
    assert_eq!(report.n_outputs, 14 - 2 + 1);
}

fn shown<T>(_: &u64, window: WindowResult<T>) -> (i64, i64, Firing, T) {
    (window.start.0, window.end.0, window.firing, window.value)
}

#[test]
fn tumbling_windows() {
    let report = check(|_, numbers| {
        let windows = numbers.key_by(|n| n % 3).window(Tumbling::of(4));
        windows.aggregate("sums", sum(|n: &u64| *n)).map_values(shown).into_pairs()
    });
    assert_eq!(report.n_outputs, 3 * 3 + 2);
}

#[test]
fn tumbling_windows_with_an_offset_told_early() {
    check(|_, numbers| {
        let windows = numbers.key_by(|n| n % 2).window(Tumbling::of(6).offset(Timestamp(-1)));
        windows
            .early_every_records(2)
            .aggregate("tops", top_n(2, |n: &u64| *n))
            .map_values(shown)
            .into_pairs()
    });
}

#[test]
fn sliding_windows() {
    let report = check(|_, numbers| {
        let windows = numbers.key_by(|n| n % 3).window(Sliding::of(6, 4));
        windows.aggregate("sums", sum(|n: &u64| *n)).map_values(shown).into_pairs()
    });
    assert!(report.n_outputs >= 12);
}

#[test]
fn sliding_windows_with_gaps_between_them() {
    check(|_, numbers| {
        let windows = numbers.key_by(|n| n % 3).window(Sliding::of(2, 5));
        windows.aggregate("counts", count()).map_values(shown).into_pairs()
    });
}

#[test]
fn sessions() {
    let times = [0, 1, 2, 6, 7, 11, 20, 21, 22, 23, 30, 34];
    let records = times.map(|time| Record::at(Timestamp(time), time.unsigned_abs()));
    let report = told(OperatorTester::with_times(records).run(|_, numbers| {
        let windows = numbers.key_by(|n| n % 2).window(Session::with_gap(4));
        windows.aggregate("sums", sum(|n: &u64| *n)).map_values(shown).into_pairs()
    }));
    assert_eq!(report.n_outputs, 9);
}

#[test]
fn sessions_that_a_record_joins() {
    // The sessions of 0 and of 6 are one when 3 comes.
    let times = [0, 6, 3, 20, 14, 17];
    let records = times.map(|time| Record::at(Timestamp(time), time.unsigned_abs()));
    let report = told(OperatorTester::with_times(records).run(|_, numbers| {
        let windows = numbers.key_by(|_| 0_u64).window(Session::with_gap(4));
        windows.aggregate("sums", sum(|n: &u64| *n)).map_values(shown).into_pairs()
    }));
    assert_eq!(report.n_outputs, 2);
}

#[test]
fn a_global_window_that_is_purged() {
    struct Pairs;
    impl Trigger for Pairs {
        fn on_record(&self, cx: &TriggerContext) -> TriggerAction {
            if cx.n_records == 2 { TriggerAction::FireAndPurge } else { TriggerAction::Wait }
        }
    }
    let report = check(|_, numbers| {
        let windows = numbers.key_by(|n| n % 3).window(Global).trigger(Pairs);
        windows.aggregate("sums", sum(|n: &u64| *n)).map_values(shown).into_pairs()
    });
    assert_eq!(report.n_outputs, 3 + 2 + 2 + 1);
}

#[test]
fn count_windows() {
    let report = check(|_, numbers| {
        let windows = numbers.key_by(|n| n % 3).window(Count::of(2));
        windows.aggregate("means", sum(|n: &u64| *n)).map_values(shown).into_pairs()
    });
    assert_eq!(report.n_outputs, 2 + 2 + 2);
}

#[test]
fn windows_combined_before_the_exchange() {
    let report = check(|_, numbers| {
        let windows = numbers.window_by(|n| n % 3, Sliding::of(6, 3));
        windows.aggregate("sums", sum(|n: &u64| *n)).map_values(shown).into_pairs()
    });
    assert_eq!(report.n_outputs, 3 * 5 + 2);
}

#[test]
fn windows_without_a_key() {
    let report = check(|_, numbers| {
        let windows = numbers.window_all(Tumbling::of(5));
        let sums = windows.aggregate("sums", sum(|n: &u64| *n));
        sums.into_pairs().map(|((), window)| (0, shown(&0, window)))
    });
    assert_eq!(report.n_outputs, 3);
}

/// Puts back the time of every third record.
struct Delayed(i64);

impl Operator<u64> for Delayed {
    type Out = u64;

    fn process(&mut self, record: Record<u64>, out: &mut impl Emit<u64>) {
        let by = if record.value % 3 == 2 { self.0 } else { 0 };
        out.emit(Record::at(record.time.saturating_sub(by), record.value));
    }
}

#[test]
fn records_that_are_late_go_to_their_own_stream() {
    let report = check_any_order(|_, numbers| {
        let windows = numbers.apply(Delayed(6)).key_by(|n| n % 2).window(Tumbling::of(4));
        let (sums, late) = windows.aggregate_with_late("sums", sum(|n: &u64| *n));
        let late = late.map(|(key, n)| (key, (0, 0, Firing::Late, n)));
        sums.map(|(key, window)| (key, shown(&key, window))).boxed().union(late)
    });
    // Of 2, 5, 8, 11 all come behind their windows.
    assert_eq!(report.n_outputs, 2 * 4 + 4);
}

#[test]
fn records_within_the_allowed_lateness_are_added_and_told_again() {
    let report = check(|_, numbers| {
        let windows = numbers.apply(Delayed(6)).key_by(|n| n % 2).window(Tumbling::of(4));
        windows.allowed_lateness(50).aggregate("sums", sum(|n: &u64| *n)).map_values(shown).into_pairs()
    });
    assert!(report.n_outputs > 2 * 4, "{report:?}");
}

/// A service that answers odd numbers and refuses even ones.
async fn service(n: u64) -> Result<u64, u64> {
    if n % 2 == 1 { Ok(100 * n) } else { Err(n) }
}

fn answer(answer: Result<u64, Unanswered<u64, u64>>) -> (u64, u64) {
    match answer {
        Ok(n) => (n / 100 % 3, n),
        Err(Unanswered { value, n_attempts, .. }) => (value % 3, 10 * value + u64::from(n_attempts)),
    }
}

#[test]
fn map_async() {
    let report = check(|_, numbers| {
        let options = AsyncOptions::new().concurrency(3).retries(1).backoff(Duration::ZERO, Duration::ZERO);
        numbers.map_async("ask", options, service).map(answer)
    });
    assert_eq!(report.n_outputs, 14);
}

#[test]
fn map_async_unordered() {
    check_any_order(|_, numbers| {
        let options = AsyncOptions::new().concurrency(3).unordered();
        numbers.map_async("ask", options, service).map(answer)
    });
}

#[test]
fn map_async_by_key() {
    let report = check(|_, numbers| {
        let options = AsyncOptions::new().concurrency(4).retries(1).backoff(Duration::ZERO, Duration::ZERO);
        let counted = numbers.key_by(|n| n % 3).map_with_state("n", |_, n: &mut u64, number| {
            *n += 1;
            number
        });
        counted.map_async("ask", options, |_, n| service(n)).map(|(key, n)| (key, answer(n).1))
    });
    assert_eq!(report.n_outputs, 14);
}

#[test]
fn map_async_by_key_unordered() {
    check_any_order(|_, numbers| {
        let options = AsyncOptions::new().unordered();
        numbers.key_by(|n| n % 3).map_async("ask", options, |_, n| service(n)).map(|(_, n)| answer(n))
    });
}

#[test]
fn map_async_with_failed() {
    let report = check_any_order(|_, numbers| {
        let (answers, failed) =
            numbers.key_by(|n| n % 3).map_async_with_failed("ask", AsyncOptions::new(), |_, n| service(n));
        answers.union(failed.map(|(key, failed)| (key, failed.value)))
    });
    assert_eq!(report.n_outputs, 14);
}

#[test]
fn what_was_answered_is_windowed_as_if_it_had_not_been_asked() {
    let report = check(|_, numbers| {
        let asked = numbers.key_by(|n| n % 3).map_async("ask", AsyncOptions::new(), |_, n| service(n));
        let windows = asked.map(|(_, n)| answer(n)).into_keyed(|pair| pair).window(Tumbling::of(4));
        windows.aggregate("sums", sum(|n: &u64| *n)).map_values(shown).into_pairs()
    });
    assert_eq!(report.n_outputs, 3 * 3 + 2);
}

#[test]
fn what_is_made_at_the_end_is_asked_about_before_the_stream_ends() {
    let report = check(|_, numbers| {
        let sums = numbers.key_by(|n| n % 5).fold_final("sum", || 0, |sum, n| *sum += n);
        sums.map_async("ask", AsyncOptions::new(), |_, n| service(n)).map(|(key, n)| (key, answer(n).1))
    });
    assert_eq!(report.n_outputs, 5);
}

#[test]
fn one_request_behind_another() {
    check_any_order(|_, numbers| {
        let options = AsyncOptions::new().concurrency(2);
        let once = numbers.key_by(|n| n % 4).map_async("once", options, |_, n| service(n));
        once.map(|(_, n)| answer(n).1).map_async("twice", options, service).map(answer)
    });
}

#[test]
fn rate_limit() {
    check(|_, numbers| {
        let slow = numbers.rate_limit(RateLimit::per_worker(0.5)).key_by(|n| n % 3);
        slow.reduce("sum", |a, b| *a += b).into_pairs().rate_limit(RateLimit::per_job(100.0))
    });
}

#[test]
fn rebalance() {
    let report = check_any_order(|_, numbers| numbers.rebalance().map(|n| (n % 3, n)));
    assert_eq!(report.n_outputs, 14);
}

#[test]
fn batch_by_key() {
    let report = check(|_, numbers| numbers.key_by(|n| n % 3).batch("batches", Batches::of(2)).into_pairs());
    assert_eq!(report.n_outputs, 3 + 3 + 2);
}

#[test]
fn batch_by_key_in_time() {
    check_any_order(|_, numbers| {
        let batches = Batches::of(100).within(Duration::from_secs(3));
        let keyed = numbers.key_by(|n| n % 3).batch("batches", batches).into_pairs();
        // In which batch a number is depends on time.
        keyed.flat_map(|(key, batch)| batch.into_iter().map(move |n| (key, n))).apply(Untimed)
    });
}

#[test]
fn batch_without_a_key() {
    check(|_, numbers| {
        let batches = numbers.batch(Batches::of(3).within(Duration::from_secs(3)));
        // Snapshots and rescales cut batches short, so their lengths and times differ.
        batches.flat_map(|batch: Vec<u64>| batch).map(|n| (n % 3, n)).apply(Untimed)
    });
}

/// Takes the time off records.
struct Untimed;

impl Operator<(u64, u64)> for Untimed {
    type Out = (u64, u64);

    fn process(&mut self, record: Record<(u64, u64)>, out: &mut impl Emit<(u64, u64)>) {
        out.emit(Record::new(record.value));
    }
}

#[test]
fn map_with_broadcast() {
    let report = check_any_order(|job, numbers| {
        let rules = job.source("rules", from_iter(|| 0..20_u64));
        // The rules that a worker has are always the first ones, each of them once.
        let add = |rules: &mut Vec<u64>, rule| rules.push(rule);
        let are_whole = |rules: &Vec<u64>| rules.iter().copied().eq(0..rules.len() as u64);
        let looked =
            numbers.map_with_broadcast("rules so far", rules, add, move |rules, n| (n, are_whole(rules)));
        looked.map(|(n, are_whole)| (n % 3, (n, are_whole)))
    });
    assert_eq!(report.n_outputs, 14);
}
