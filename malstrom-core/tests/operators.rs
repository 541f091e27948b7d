//! Every operator in every mode of the operator tester.

use std::collections::BTreeMap;

use malstrom_core::element::{Record, Timestamp};
use malstrom_core::operators::{Emit, KeyedOperator, Operator, from_iter};
use malstrom_core::stage::{Pipe, SourceInlet};
use malstrom_core::stream::{Job, Stream};
use malstrom_core::testing::{Feed, Mode, OperatorTester, TesterReport};

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
