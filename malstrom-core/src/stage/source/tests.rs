use super::*;
use crate::element::Record;

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
    inlet.pull(&PullContext { now: Nanos(now) }, &mut Out).unwrap()
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
