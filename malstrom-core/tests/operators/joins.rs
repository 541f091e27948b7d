//! Joins in every mode of the operator tester.

use malstrom_core::element::{Either, Keyed};
use malstrom_core::stage::KeyedInbox;
use malstrom_core::stream::{KeyedSides, KeyedStream};
use malstrom_core::time::windows::{Session, Sliding, Tumbling};

use super::*;

type Two = Either<u64, u64>;

/// Even numbers to the left and odd ones to the right, by two keys, over one exchange.
fn sides(numbers: Source) -> KeyedStream<impl Pipe<Item = Keyed<u64, Two>>> {
    numbers.into_keyed(|n| (n / 2 % 2, if n % 2 == 0 { Either::Left(n) } else { Either::Right(n) }))
}

/// The same, each side over an exchange of its own.
fn two_streams(numbers: Source) -> KeyedSides<u64, u64, u64> {
    let [even, odd] = numbers.split(|n| (n % 2) as usize);
    (even.key_by(|n| n / 2 % 2), odd.key_by(|n| n / 2 % 2))
}

#[test]
fn connect() {
    check_any_order(|_, numbers| {
        let (even, odd) = two_streams(numbers);
        even.connect(odd).map_values(|_, n| n.left()).into_pairs()
    });
}

#[test]
fn state_behind_a_union_of_keyed_streams_moves_with_its_bin() {
    let report = check_any_order(|_, numbers| {
        let (even, odd) = two_streams(numbers);
        even.union(odd).fold_final("sum", || 0, |sum, n| *sum += n).into_pairs()
    });
    assert_eq!(report.n_outputs, 2);
}

#[test]
fn interval_join() {
    let report = check(|_, numbers| {
        let pairs = sides(numbers).joined().between(-3..=5).combine("pairs", |_, l, r| (*l, *r));
        pairs.into_pairs()
    });
    // Even numbers from 0 to 12, each with the odd one behind it and those 3 before and 5 behind it, of the same key.
    assert_eq!(report.n_outputs, 7 + 5 + 5);
}

#[test]
fn join_at_any_time() {
    let report = check(|_, numbers| {
        let joined = sides(numbers).joined().at_any_time();
        joined.combine("pairs", |_, l, r| (*l, *r)).into_pairs()
    });
    // Of 0 to 13 each key has as many even numbers as odd ones: four and four, three and three.
    assert_eq!(report.n_outputs, 4 * 4 + 3 * 3);
}

#[test]
fn interval_join_of_two_streams() {
    let report = check_any_order(|_, numbers| {
        let (even, odd) = two_streams(numbers);
        even.join(odd).between(-3..=5).combine("pairs", |_, l, r| (*l, *r)).into_pairs()
    });
    assert_eq!(report.n_outputs, 7 + 5 + 5);
}

#[test]
fn interval_joins_of_rows_that_may_be_alone() {
    let report = check_any_order(|_, numbers| {
        let [left, right, full] = numbers.filter(|n| n % 5 != 0 && n % 7 != 6).boxed().fan_out();
        let two = |n| (n / 2 % 2, if n % 2 == 0 { Either::Left(n) } else { Either::Right(n) });
        let left = left.into_keyed(two).joined().left_outer().between(0..=1);
        let right = right.into_keyed(two).joined().right_outer().between(-3..=1);
        let full = full.into_keyed(two).joined().full_outer().between(5..=5);
        let left = left.combine("left", |_, l, r| (Some(*l), r.copied()));
        let right = right.combine("right", |_, l, r| (l.copied(), Some(*r)));
        let full = full.combine("full", |_, l, r| (l.copied(), r.copied()));
        left.union(right).union(full).into_pairs()
    });
    assert!(report.n_outputs > 15, "{report:?}");
}

#[test]
fn a_join_without_bounds_is_told_to_the_end() {
    let report = check(|_, numbers| {
        let joined = sides(numbers).joined().left_outer();
        let sums = joined.between(i64::MIN..=-11).combine("sums", |_, l, r| (*l, r.copied()));
        sums.into_pairs()
    });
    // 12 comes 11 after 1, and the others are alone.
    assert_eq!(report.n_outputs, 7);
}

#[test]
fn window_joins() {
    for lateness in [0, 3] {
        let report = check(move |_, numbers| {
            let windows = sides(numbers).joined().window(Tumbling::of(6)).allowed_lateness(lateness);
            windows.combine("pairs", |_, l, r| (*l, *r)).into_pairs()
        });
        assert_eq!(report.n_outputs, (4 + 1) + (1 + 4) + 1);
    }
}

#[test]
fn window_joins_of_rows_that_may_be_alone() {
    let report = check_any_order(|_, numbers| {
        let [full, left] = numbers.filter(|n| n % 4 != 3 || *n == 3).fan_out();
        let two = |n| (n / 2 % 2, if n % 2 == 0 { Either::Left(n) } else { Either::Right(n) });
        let full = full.into_keyed(two).joined().full_outer().window(Sliding::of(6, 4));
        let full = full.combine("full", |_, l, r| (l.copied(), r.copied()));
        let left = left.into_keyed(two).joined().left_outer().window(Session::with_gap(4));
        full.union(left.combine("left", |_, l, r| (Some(*l), r.copied()))).into_pairs()
    });
    assert!(report.n_outputs > 10, "{report:?}");
}

#[test]
fn as_of_join() {
    let report = check(|_, numbers| {
        let versions = sides(numbers).joined().left_outer().as_of();
        versions.combine("in force", |_, l, r| (*l, r.copied())).into_pairs()
    });
    assert_eq!(report.n_outputs, 7);
}

#[test]
fn as_of_join_of_two_streams() {
    let report = check(|_, numbers| {
        let (even, odd) = two_streams(numbers);
        even.join(odd).as_of().combine("in force", |_, l, r| (*l, *r)).into_pairs()
    });
    // 0 and 2 come before any version of their keys.
    assert_eq!(report.n_outputs, 5);
}

#[test]
fn join_with_the_latest_of_a_table() {
    let report = check(|_, numbers| {
        let table = sides(numbers).joined().left_outer().latest();
        table.combine("latest", |_, l, r| (*l, r.copied())).into_pairs()
    });
    assert_eq!(report.n_outputs, 7);
}

/// Joins rows of which every third comes late, and counts what came of it and what was late.
fn late<P, Q>(
    join: impl Fn(KeyedStream<KeyedInbox<u64, Two>>) -> (KeyedStream<P>, KeyedStream<Q>) + 'static,
) -> TesterReport
where
    P: Pipe<Item = Keyed<u64, u64>>,
    Q: Pipe<Item = Keyed<u64, Two>>,
{
    check_any_order(move |_, numbers| {
        let two = |n| (n / 2 % 2, if n % 2 == 0 { Either::Left(n) } else { Either::Right(n) });
        // The first watermark has come before the first of them.
        let numbers = numbers.filter(|n| *n != 2).apply(Delayed(6));
        let (made, late) = join(numbers.into_keyed(two));
        let late = late.map_values(|_, n| 100 + n.left().unwrap_or(100));
        made.union(late).into_pairs()
    })
}

#[test]
fn rows_that_are_late_go_to_their_own_stream() {
    let n_late = 3;
    let pairs = late(|two| two.joined().between(1..=1).combine_with_late("pairs", |_, l, r| l + r));
    // 0 and 1, 6 and 7, 12 and 13: the others lack one that is late.
    assert_eq!(pairs.n_outputs, n_late + 3);
    let windows =
        late(|two| two.joined().window(Tumbling::of(4)).combine_with_late("windows", |_, l, r| l + r));
    assert_eq!(windows.n_outputs, n_late + 3);
    // Versions that are late are put in force where none was; what comes too late in any case is 8.
    let versions = late(|two| two.joined().as_of().combine_with_late("versions", |_, l, r| l + r));
    assert!(versions.n_outputs > 1, "{versions:?}");
}

#[test]
fn side_outputs_are_routed_on_independently() {
    let report = check_any_order(|_, numbers| {
        let (few, many) = numbers.partition_map(|n| match n {
            0..4 => Either::Left(n),
            _ => Either::Right(n.to_string()),
        });
        let many = many.key_by(|text| text.len() as u64).fold("n", || 0_u64, |n, _| *n += 1);
        few.map(|n| (n, n)).boxed().union(many.into_pairs())
    });
    assert_eq!(report.n_outputs, 14);
}

#[test]
fn both_sides_of_a_keyed_fork_keep_state_of_the_same_key() {
    let report = check_any_order(|_, numbers| {
        let either =
            |n: u64| if n.is_multiple_of(3) { Either::Right(n.to_string()) } else { Either::Left(n) };
        let (numbers, texts) = numbers.key_by(|n| n % 4).map_values(move |_, n| either(n)).fork();
        let sums = numbers.fold("sum", || 0, |sum, n| *sum += n).map_values(|_, sum| sum.to_string());
        let texts = texts.reduce("text", |all, text| all.push_str(&text));
        sums.union(texts).into_pairs()
    });
    assert_eq!(report.n_outputs, 14);
}
