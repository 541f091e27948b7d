use super::*;
use crate::element::Record;
use crate::limits::IDLE_AFTER;
use crate::time::{Timed, Watermarks};

/// A source whose partitions always emit one record and then say what their name says.
struct Says;

struct Saying(ReadStatus);

impl Source for Says {
    type Item = u32;
    type Reader = Saying;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(Vec::new())
    }

    fn open(&mut self, partition: &str, _: Option<u32>) -> Result<Saying, BoxError> {
        Ok(Saying(match partition {
            "more" => ReadStatus::More,
            "later" => ReadStatus::Wait(Some(Nanos(10))),
            _ => ReadStatus::Wait(None),
        }))
    }
}

impl Read for Saying {
    type Item = u32;
    type Position = u32;

    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<u32>) -> Result<ReadStatus, BoxError> {
        out.emit(Record::new(0));
        Ok(match self.0 {
            ReadStatus::Wait(Some(by)) => ReadStatus::Wait(Some(Nanos(cx.now.0 + by.0))),
            status => status,
        })
    }

    fn position(&self) -> u32 {
        0
    }
}

struct Out;

impl Emit<u32> for Out {
    fn emit(&mut self, _: Record<u32>) {}
}

fn opened(partitions: &[&str]) -> SourceInlet<Says> {
    let mut inlet = SourceInlet::new("says", Says);
    partitions.iter().for_each(|partition| inlet.open(partition, None).unwrap());
    inlet
}

fn pull(inlet: &mut SourceInlet<Says>, now: u64) -> Pulled {
    inlet.pull(&PullContext::at(Nanos(now)), &mut Out).unwrap()
}

#[test]
fn a_partition_that_waits_holds_up_no_other() {
    let mut inlet = opened(&["whenever", "more"]);
    assert_eq!(pull(&mut inlet, 0), Pulled::Worked);
}

#[test]
fn i7_a_source_that_is_quiet_for_a_while_is_idle_until_its_next_record() {
    let after = u64::try_from(IDLE_AFTER.as_nanos()).unwrap();
    let mut inlet = opened(&["later"]);
    assert_eq!(pull(&mut inlet, 0), Pulled::Worked);
    assert_eq!(pull(&mut inlet, 1), Pulled::Dry(Some(Nanos(10))));
    inlet.partitions[0].status = ReadStatus::Wait(Some(Nanos(2 * after)));
    assert_eq!(pull(&mut inlet, 10), Pulled::Dry(Some(Nanos(1 + after))));
    assert_eq!(pull(&mut inlet, 1 + after), Pulled::Control(Control::Idle));
    assert_eq!(pull(&mut inlet, 2 + after), Pulled::Dry(Some(Nanos(2 * after))), "it is told once");
    assert_eq!(pull(&mut inlet, 2 * after), Pulled::Worked);
    assert!(!inlet.is_idle);
}

#[test]
fn i7_a_source_with_nothing_to_read_is_idle_at_once() {
    let mut inlet = opened(&[]);
    assert_eq!(pull(&mut inlet, 0), Pulled::Control(Control::Idle));
    assert_eq!(pull(&mut inlet, 1), Pulled::Dry(None));
}

/// A source whose partitions are named by the time they promise, always have one more record at it, and stay there.
struct Stuck;

struct StuckAt(i64);

impl Source for Stuck {
    type Item = u32;
    type Reader = StuckAt;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(Vec::new())
    }

    fn open(&mut self, partition: &str, _: Option<u32>) -> Result<StuckAt, BoxError> {
        Ok(StuckAt(partition.parse()?))
    }
}

impl Read for StuckAt {
    type Item = u32;
    type Position = u32;

    fn read(&mut self, _: ReadContext, out: &mut impl Emit<u32>) -> Result<ReadStatus, BoxError> {
        out.emit(Record::at(Timestamp(self.0), 0));
        Ok(ReadStatus::Wait(None))
    }

    fn position(&self) -> u32 {
        0
    }

    fn watermark(&self) -> Option<Timestamp> {
        Some(Timestamp(self.0))
    }
}

fn stuck(partitions: &[&str]) -> SourceInlet<Stuck> {
    let mut inlet = SourceInlet::new("stuck", Stuck);
    partitions.iter().for_each(|partition| inlet.open(partition, None).unwrap());
    inlet
}

fn next(inlet: &mut SourceInlet<Stuck>) -> Pulled {
    inlet.pull(&PullContext::at(Nanos(0)), &mut Out).unwrap()
}

fn promise(time: i64) -> Pulled {
    Pulled::Control(Control::Watermark(Timestamp(time)))
}

#[test]
fn rule_1_the_promise_is_the_least_and_is_told_once() {
    let mut inlet = stuck(&["5", "3"]);
    assert_eq!(
        [next(&mut inlet), next(&mut inlet), next(&mut inlet)],
        [Pulled::Worked, promise(3), Pulled::Worked]
    );
    assert_eq!(next(&mut inlet), Pulled::Worked);
}

#[test]
fn rule_2_behind_a_route_the_promise_is_made_anew_and_may_be_lower() {
    let mut inlet = stuck(&["50"]);
    assert_eq!([next(&mut inlet), next(&mut inlet)], [Pulled::Worked, promise(50)]);
    assert_eq!(inlet.rerouted(), None, "not before all partitions are known");
    inlet.expect("10");
    inlet.open("10", None).unwrap();
    assert_eq!(next(&mut inlet), promise(10));
    inlet.rerouted();
    inlet.close("10").unwrap();
    assert_eq!(next(&mut inlet), promise(50));
}

#[test]
fn rule_3_nothing_is_promised_before_what_is_expected_is_open_but_records_flow() {
    let mut inlet = stuck(&["50"]);
    assert_eq!([next(&mut inlet), next(&mut inlet)], [Pulled::Worked, promise(50)]);
    inlet.rerouted();
    inlet.expect("10");
    inlet.expect("20");
    assert_eq!([next(&mut inlet), next(&mut inlet)], [Pulled::Worked; 2]);
    inlet.open("20", None).unwrap();
    assert_eq!([next(&mut inlet), next(&mut inlet)], [Pulled::Worked; 2]);
    inlet.open("10", None).unwrap();
    assert_eq!(next(&mut inlet), promise(10));
}

#[test]
fn rule_3_a_source_that_waits_for_its_first_partition_is_not_idle() {
    let mut inlet = stuck(&[]);
    assert_eq!(next(&mut inlet), Pulled::Control(Control::Idle));
    inlet.rerouted();
    inlet.expect("10");
    assert_eq!([next(&mut inlet), next(&mut inlet)], [Pulled::Dry(None); 2]);
    inlet.open("10", None).unwrap();
    assert_eq!(next(&mut inlet), promise(10));
}

#[test]
fn i7_a_source_without_partitions_is_idle_again_behind_a_route() {
    let mut inlet = stuck(&[]);
    assert_eq!(next(&mut inlet), Pulled::Control(Control::Idle));
    inlet.rerouted();
    assert_eq!(next(&mut inlet), Pulled::Control(Control::Idle));
    assert_eq!(next(&mut inlet), Pulled::Dry(None));
}

#[test]
fn i6_a_source_that_wakes_says_so_even_if_its_promise_has_not_grown() {
    let mut inlet = stuck(&["5"]);
    assert_eq!([next(&mut inlet), next(&mut inlet)], [Pulled::Worked, promise(5)]);
    inlet.is_idle = true;
    assert_eq!([next(&mut inlet), next(&mut inlet)], [Pulled::Worked, promise(5)]);
}

#[test]
fn i7_a_partition_that_is_quiet_for_a_while_holds_up_the_others_no_longer() {
    let mut inlet = stuck(&["3", "8"]);
    let mut told = Vec::new();
    let after = u64::try_from(IDLE_AFTER.as_nanos()).unwrap();
    for turn in 0..40 {
        let now = turn * (after / 10);
        // Nothing comes from the first any more.
        inlet.partitions[0].status = ReadStatus::Wait(Some(Nanos(1 << 60)));
        let pulled = inlet.pull(&PullContext::at(Nanos(now)), &mut Out).unwrap();
        if let Pulled::Control(Control::Watermark(time)) = pulled {
            told.push((time.0, now > after));
        }
    }
    assert_eq!(told, [(3, false), (8, true)]);
}

#[test]
fn i6_a_partition_that_is_never_idle_holds_up_the_others_for_good() {
    let mut inlet = stuck(&["3", "8"]).idle_after(None);
    let mut told = Vec::new();
    let after = u64::try_from(IDLE_AFTER.as_nanos()).unwrap();
    for turn in 0..40 {
        inlet.partitions[0].status = ReadStatus::Wait(Some(Nanos(1 << 60)));
        let pulled = inlet.pull(&PullContext::at(Nanos(turn * after)), &mut Out).unwrap();
        assert!(pulled != Pulled::Control(Control::Idle));
        if let Pulled::Control(Control::Watermark(time)) = pulled {
            told.push(time.0);
        }
    }
    assert_eq!(told, [3]);
}

#[test]
fn how_long_a_source_may_be_quiet_outlives_that_its_records_are_given_times() {
    let after = Some(Duration::from_secs(5));
    let inlet = SourceInlet::new("stuck", Stuck).idle_after(after);
    let timed = inlet
        .map_source(|source| Timed::new(source, |n: &u32| Timestamp(i64::from(*n)), Watermarks::ascending()));
    assert_eq!(timed.idle_after, after);
}

/// A source whose partitions are named by a time, promise it, and turn out to be at their end.
struct Over;

struct OverAt(i64);

impl Source for Over {
    type Item = u32;
    type Reader = OverAt;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(Vec::new())
    }

    fn open(&mut self, partition: &str, _: Option<u32>) -> Result<OverAt, BoxError> {
        Ok(OverAt(partition.parse()?))
    }
}

impl Read for OverAt {
    type Item = u32;
    type Position = u32;

    fn read(&mut self, _: ReadContext, _: &mut impl Emit<u32>) -> Result<ReadStatus, BoxError> {
        Ok(ReadStatus::Ended)
    }

    fn position(&self) -> u32 {
        0
    }

    fn watermark(&self) -> Option<Timestamp> {
        Some(Timestamp(self.0))
    }
}

#[test]
fn i7_what_was_promised_in_a_round_is_told_before_idleness() {
    let mut inlet = SourceInlet::new("over", Over);
    ["70", "32"].iter().for_each(|partition| inlet.open(partition, None).unwrap());
    let cx = PullContext::at(Nanos(0));
    let said: Vec<Pulled> = (0..4).map(|_| inlet.pull(&cx, &mut Out).unwrap()).collect();
    let promised = |time| Pulled::Control(Control::Watermark(Timestamp(time)));
    assert_eq!(said, [promised(32), promised(70), Pulled::Control(Control::Idle), Pulled::Dry(None)]);
}

#[test]
fn i6_a_source_that_has_ended_says_behind_a_route_how_far_it_had_come() {
    let mut inlet = SourceInlet::new("over", Over);
    ["70", "32"].iter().for_each(|partition| inlet.open(partition, None).unwrap());
    let cx = PullContext::at(Nanos(0));
    let idle = Pulled::Control(Control::Idle);
    while inlet.pull(&cx, &mut Out).unwrap() != idle {}
    inlet.rerouted();
    let promised = Pulled::Control(Control::Watermark(Timestamp(70)));
    let again: Vec<Pulled> = (0..2).map(|_| inlet.pull(&cx, &mut Out).unwrap()).collect();
    assert_eq!(again, [promised, idle]);
}

#[test]
fn i7_a_source_that_is_quiet_says_the_greatest_promise_behind_a_route_too() {
    let mut inlet = stuck(&["70", "32"]);
    let wait = |inlet: &mut SourceInlet<Stuck>, at: usize| {
        inlet.partitions[at].status = ReadStatus::Wait(Some(Nanos(1 << 60)));
    };
    let after = u64::try_from(IDLE_AFTER.as_nanos()).unwrap();
    let at = |inlet: &mut SourceInlet<Stuck>, now: u64| {
        inlet.pull(&PullContext::at(Nanos(now)), &mut Out).unwrap()
    };
    let idle = Pulled::Control(Control::Idle);
    let mut told = Vec::new();
    // The first is quiet before the second.
    for turn in 0..40 {
        wait(&mut inlet, 0);
        if turn > 20 {
            wait(&mut inlet, 1);
        }
        told.push(at(&mut inlet, turn * after / 10));
    }
    assert!(told.contains(&promise(70)) && told.contains(&idle));
    inlet.rerouted();
    let again: Vec<Pulled> = (0..2).map(|_| at(&mut inlet, 5 * after)).collect();
    assert_eq!(again, [promise(70), idle]);
}

#[test]
fn i7_event_time_does_not_end_while_an_idle_partition_may_wake() {
    let mut inlet = SourceInlet::new("stuck", Stuck);
    ["5", &i64::MAX.to_string()].iter().for_each(|partition| inlet.open(partition, None).unwrap());
    assert_eq!(inlet.merged_watermark(), Some(Timestamp(5)));
    inlet.partitions[0].is_idle = true;
    assert_eq!(inlet.merged_watermark(), None);
    inlet.partitions[0].status = ReadStatus::Ended;
    assert_eq!(inlet.merged_watermark(), Some(Timestamp::MAX));
}
