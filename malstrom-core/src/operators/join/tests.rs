use super::*;
use crate::exchange::stable_hash;
use crate::state::AnyState;

type Row = Either<i64, i64>;
type Values = (Option<i64>, Option<i64>);
type Pair = (i64, Option<i64>, Option<i64>);

/// Time, left and right of each result; and the times of late rows.
#[derive(Default)]
struct Out {
    made: Vec<Pair>,
    late: Vec<i64>,
}

impl Emit<JoinOut<u8, i64, i64, Values>> for Out {
    fn emit(&mut self, record: Record<JoinOut<u8, i64, i64, Values>>) {
        match record.value {
            Either::Left(Keyed { value: (left, right), .. }) => self.made.push((record.time.0, left, right)),
            Either::Right(_) => self.late.push(record.time.0),
        }
    }
}

fn full() -> FullOuter<impl FnMut(&u8, Option<&i64>, Option<&i64>) -> Values> {
    FullOuter(|_: &u8, left: Option<&i64>, right: Option<&i64>| (left.copied(), right.copied()))
}

fn inner() -> Inner<impl FnMut(&u8, &i64, &i64) -> Values> {
    Inner(|_: &u8, left: &i64, right: &i64| (Some(*left), Some(*right)))
}

/// Runs rows of one key, each its own time (`l` left, `r` right), and watermarks (`w`); what it made, and how many keys it
/// keeps.
fn run<F>(how: impl JoinHow<u8, i64, i64, F>, rows: F, script: &[(char, i64)]) -> (Vec<Pair>, Vec<i64>, u64)
where
    F: JoinRows<u8, i64, i64, Out = Values>,
{
    let mut join = how.operator("join", 4, rows);
    let mut out = Out::default();
    for (what, time) in script {
        let value: Row = match what {
            'l' => Either::Left(*time),
            'r' => Either::Right(*time),
            _ => {
                while !join.advance(Timestamp(*time), &mut out) {}
                continue;
            }
        };
        join.process(
            Record::at(Timestamp(*time), Keyed { hash: stable_hash(&7_u8), key: 7, value }),
            &mut out,
        );
    }
    let mut n_keys = 0;
    join.visit(&mut |state: &mut dyn AnyState| n_keys += state.n_keys());
    (out.made, out.late, n_keys)
}

fn pair(left: i64, right: i64) -> Pair {
    (left.max(right), Some(left), Some(right))
}

#[test]
fn both_ends_of_an_interval_belong_to_it() {
    let script = [('l', 10), ('r', 6), ('r', 7), ('r', 15), ('r', 16)];
    let (made, late, _) = run(Interval::new(-3..=5), inner(), &script);
    assert_eq!((made, late), (vec![pair(10, 7), pair(10, 15)], vec![]));
}

#[test]
fn an_interval_that_lies_ahead_or_behind_is_one() {
    let script = [('l', 10), ('r', 10), ('r', 12), ('r', 8)];
    assert_eq!(run(Interval::new(1..=2), inner(), &script).0, [pair(10, 12)]);
    assert_eq!(run(Interval::new(-2..=-1), inner(), &script).0, [pair(10, 8)]);
    let nothing = std::ops::RangeInclusive::new(2, 1);
    assert_eq!(run(Interval::new(nothing), inner(), &script).0, []);
}

#[test]
fn a_row_is_kept_as_long_as_a_partner_can_come_and_no_longer() {
    let kept = |watermark| run(Interval::new(-3..=5), inner(), &[('l', 10), ('w', watermark)]).2;
    assert_eq!((kept(15), kept(16)), (1, 0));
    let kept = |watermark| run(Interval::new(-3..=5), inner(), &[('r', 10), ('w', watermark)]).2;
    assert_eq!((kept(13), kept(14)), (1, 0));
    let last = run(Interval::new(-3..=5), inner(), &[('l', 10), ('w', 15), ('r', 15), ('w', 99)]);
    assert_eq!((last.0, last.2), (vec![pair(10, 15)], 0));
}

#[test]
fn a_row_that_is_alone_is_told_once_the_watermark_proves_it_at_the_last_time_it_could_have_had_a_partner() {
    let interval = Interval::new(-3..=5);
    assert_eq!(run(interval, full(), &[('l', 10), ('w', 15)]).0, []);
    assert_eq!(run(interval, full(), &[('l', 10), ('w', 16)]).0, [(15, Some(10), None)]);
    assert_eq!(run(interval, full(), &[('r', 10), ('w', 14)]).0, [(13, None, Some(10))]);
    let script = [('l', 10), ('r', 12), ('w', 99)];
    assert_eq!(run(interval, full(), &script).0, [pair(10, 12)]);
}

#[test]
fn without_a_bound_a_row_waits_for_the_end() {
    let interval = Interval::new(i64::MIN..=i64::MAX);
    let (made, _, n_keys) = run(interval, full(), &[('l', 1), ('w', i64::MAX - 1), ('w', i64::MAX)]);
    assert_eq!((made.len(), n_keys), (1, 0));
}

#[test]
fn at_any_time_no_row_is_late_and_all_are_kept() {
    let script = [('l', 5), ('w', 100), ('r', 7), ('w', 1000), ('l', 1), ('w', i64::MAX)];
    let (made, late, n_keys) = run(Interval::UNBOUNDED, inner(), &script);
    assert_eq!((made, late, n_keys), (vec![pair(5, 7), pair(1, 7)], vec![], 1));
    let alone = run(Interval::UNBOUNDED, full(), &[('l', 5), ('w', 100), ('w', i64::MAX)]);
    assert_eq!(alone.0, [(i64::MAX - 1, Some(5), None)]);
}

#[test]
fn at_any_time_rows_are_kept_behind_the_end_of_event_time_too() {
    let script = [('l', 5), ('w', i64::MAX), ('r', 7), ('l', 1)];
    assert_eq!(run(Interval::UNBOUNDED, inner(), &script).0, [pair(5, 7), pair(1, 7)]);
}

#[test]
fn a_row_behind_the_watermark_is_late_and_makes_nothing() {
    let script = [('l', 10), ('w', 12), ('r', 11), ('r', 12)];
    let (made, late, _) = run(Interval::new(-3..=5), inner(), &script);
    assert_eq!((made, late), (vec![pair(10, 12)], vec![11]));
}

#[test]
fn a_row_belongs_to_the_version_in_force_at_its_time() {
    let script = [('l', 4), ('r', 5), ('l', 5), ('r', 8), ('l', 7), ('w', 6), ('w', 9)];
    let (made, _, _) =
        run(AsOf, LeftOuter(|_: &u8, l: &i64, r: Option<&i64>| (Some(*l), r.copied())), &script);
    assert_eq!(made, [(4, Some(4), None), (5, Some(5), Some(5)), (7, Some(7), Some(5))]);
}

#[test]
fn a_row_waits_for_versions_of_its_own_time() {
    let (made, _, _) = run(AsOf, inner(), &[('l', 5), ('w', 5), ('r', 5), ('w', 6)]);
    assert_eq!(made, [pair(5, 5)]);
}

#[test]
fn a_late_version_is_put_in_force_unless_a_newer_one_is() {
    let script = [('w', 10), ('r', 5), ('r', 3), ('l', 9), ('l', 12), ('w', 20)];
    let (made, late, n_keys) = run(AsOf, inner(), &script);
    assert_eq!((made, late, n_keys), (vec![(12, Some(12), Some(5))], vec![3, 9], 1));
}

#[test]
fn the_latest_of_a_table_is_the_one_with_the_greatest_time() {
    let (made, _, _) = run(Latest, inner(), &[('l', 1), ('r', 5), ('r', 3), ('l', 2)]);
    assert_eq!(made, [(2, Some(2), Some(5))]);
}

#[test]
fn rows_of_a_window_are_told_in_pairs_at_its_last_time() {
    let how = || SameWindow { kind: crate::time::windows::Tumbling::of(10), lateness: 0 };
    let script = [('l', 1), ('r', 2), ('r', 9), ('l', 12), ('w', 10), ('r', 3), ('w', 20)];
    let (made, late, n_keys) = run(how(), full(), &script);
    assert_eq!(made, [(9, Some(1), Some(2)), (9, Some(1), Some(9)), (19, Some(12), None)]);
    assert_eq!((late, n_keys), (vec![3], 0));
}
