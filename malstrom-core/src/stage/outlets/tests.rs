use super::*;
use crate::exchange::{Message, Receive, local_channel};
use crate::limits::CHANNEL_MESSAGES_MAX;

type End = Box<dyn Receive<u32>>;

fn lanes<const N: usize>() -> (Vec<Lane<u32>>, [End; N]) {
    let mut lanes = Vec::new();
    let ends = std::array::from_fn(|_| {
        let (sender, receiver) = local_channel();
        lanes.push(Lane::new(sender));
        receiver
    });
    (lanes, ends)
}

/// All that has arrived at an end: records by value, and how much control.
fn received(end: &mut End) -> (Vec<u32>, usize) {
    let (mut values, mut n_controls) = (Vec::new(), 0);
    while let Some(message) = end.try_recv() {
        match message {
            Message::Batch(mut batch) => values.extend(batch.drain().map(|r| r.value)),
            Message::Control(_) => n_controls += 1,
        }
    }
    (values, n_controls)
}

#[test]
fn fan_out_gives_every_output_everything() {
    let (lanes, mut ends) = lanes::<3>();
    let mut outlet = FanOut(lanes);
    outlet.emit(Record::new(1));
    outlet.emit(Record::new(2));
    outlet.control(Control::Idle).unwrap();
    for end in &mut ends {
        assert_eq!(received(end), (vec![1, 2], 1));
    }
}

#[test]
fn fan_out_to_nobody_drops_records() {
    let mut outlet = FanOut(Vec::new());
    outlet.emit(Record::new(1));
    outlet.flush().unwrap();
    assert!(outlet.drain());
}

#[test]
fn split_gives_each_record_to_one_output_and_control_to_all() {
    let (lanes, mut ends) = lanes::<2>();
    let mut outlet = Split { lanes, choose: |n: &u32| (n % 2) as usize, astray: None };
    (0..5).for_each(|n| outlet.emit(Record::new(n)));
    outlet.control(Control::Idle).unwrap();
    outlet.check().unwrap();
    assert_eq!(received(&mut ends[0]), (vec![0, 2, 4], 1));
    assert_eq!(received(&mut ends[1]), (vec![1, 3], 1));
}

#[test]
fn split_to_a_number_without_output_is_an_error_that_names_it() {
    let (lanes, _ends) = lanes::<2>();
    let mut outlet = Split { lanes, choose: |n: &u32| *n as usize, astray: None };
    [1, 7, 9].into_iter().for_each(|n| outlet.emit(Record::new(n)));
    let error = outlet.check().unwrap_err().to_string();
    assert!(error.contains("output 7") && error.contains("0 to 1"), "{error}");
    outlet.check().unwrap();
}

#[test]
fn a_full_output_does_not_hold_up_the_others() {
    let (lanes, mut ends) = lanes::<2>();
    let mut outlet = Split { lanes, choose: |n: &u32| *n as usize, astray: None };
    for _ in 0..=CHANNEL_MESSAGES_MAX {
        outlet.emit(Record::new(0));
        outlet.flush().unwrap();
    }
    outlet.emit(Record::new(1));
    outlet.flush().unwrap();
    assert!(!outlet.drain());
    assert_eq!(received(&mut ends[1]).0, [1]);
    assert_eq!(received(&mut ends[0]).0.len(), CHANNEL_MESSAGES_MAX);
    assert!(outlet.drain());
    assert_eq!(received(&mut ends[0]).0, [0]);
}

#[test]
fn control_comes_behind_every_record_emitted_before() {
    let (mut lanes, [mut end]) = lanes::<1>();
    let mut outlet = Single(lanes.remove(0));
    outlet.emit(Record::new(1));
    outlet.control(Control::End).unwrap();
    assert!(matches!(end.try_recv(), Some(Message::Batch(batch)) if batch.values() == [1]));
    assert!(matches!(end.try_recv(), Some(Message::Control(Control::End))));
}
