use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::element::Record;
use crate::ids::{RouteVersion, SnapshotId};

/// The sending end of a channel without a bound, which also tells what has been read from it.
#[derive(Clone)]
struct Feed(Rc<RefCell<Fed>>);

struct Fed {
    unread: VecDeque<Message<Tag>>,
    /// `None` while the channel is idle.
    active: Option<Timestamp>,
    watermark: Timestamp,
    has_ended: bool,
    recycled: usize,
}

/// What a record of these tests carries: its channel, how many barriers were before it, and its number.
type Tag = (usize, usize, usize);

impl Feed {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(Fed {
            unread: VecDeque::new(),
            active: None,
            watermark: Timestamp::MIN,
            has_ended: false,
            recycled: 0,
        })))
    }

    fn record(&self, tag: Tag) {
        let mut batch = Box::<Batch<Tag>>::default();
        batch.push(Record::new(tag));
        self.0.borrow_mut().unread.push_back(Message::Batch(batch));
    }

    fn control(&self, control: Control) {
        self.0.borrow_mut().unread.push_back(Message::Control(control));
    }

    /// The model of what a route does: the channel is awake, and its promise is the least.
    fn promise_anew(&self) {
        let mut fed = self.0.borrow_mut();
        if !fed.has_ended {
            (fed.watermark, fed.active) = (Timestamp::MIN, Some(Timestamp::MIN));
        }
    }

    fn watermark(&self, time: i64) {
        self.control(Control::Watermark(Timestamp(time)));
    }
}

impl Receive<Tag> for Feed {
    fn try_recv(&mut self) -> Option<Message<Tag>> {
        let mut fed = self.0.borrow_mut();
        let message = fed.unread.pop_front()?;
        match message {
            Message::Batch(_) => fed.active = Some(fed.watermark),
            Message::Control(Control::Watermark(time)) => (fed.watermark, fed.active) = (time, Some(time)),
            Message::Control(Control::Idle) => fed.active = None,
            Message::Control(Control::End) => (fed.has_ended, fed.active) = (true, None),
            Message::Control(_) => {}
        }
        Some(message)
    }

    fn recycle(&mut self, _: Box<Batch<Tag>>) {
        self.0.borrow_mut().recycled += 1;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Record(Tag),
    Control(Control),
}

fn made<const N: usize>() -> (Channels<Tag>, [Feed; N]) {
    let feeds: [Feed; N] = std::array::from_fn(|_| Feed::new());
    let mut channels = Channels::new();
    feeds.iter().for_each(|feed| channels.add_newcomer(Box::new(feed.clone())));
    (channels, feeds)
}

fn poll(channels: &mut Channels<Tag>) -> Option<Seen> {
    match channels.poll() {
        Arrival::Nothing => None,
        Arrival::Control(control) => Some(Seen::Control(control)),
        Arrival::Batch(mut batch, from) => {
            let tag = batch.drain().next().unwrap().value;
            channels.recycle(batch, from);
            Some(Seen::Record(tag))
        }
    }
}

fn seen(channels: &mut Channels<Tag>) -> Vec<Seen> {
    std::iter::from_fn(|| poll(channels)).collect()
}

const CUT: Control = Control::Barrier(Barrier::Snapshot(SnapshotId(1)));
const SWITCH: Control = Control::Barrier(Barrier::Route(RouteVersion(1)));

fn watermark(time: i64) -> Seen {
    Seen::Control(Control::Watermark(Timestamp(time)))
}

#[test]
fn rule_1_a_channel_at_a_barrier_is_not_read_until_all_are() {
    let (mut channels, [a, b]) = made();
    a.control(CUT);
    a.record((0, 1, 0));
    b.record((1, 0, 0));
    assert_eq!(seen(&mut channels), [Seen::Record((1, 0, 0))]);
    b.control(CUT);
    b.record((1, 1, 1));
    assert_eq!(seen(&mut channels), [Seen::Control(CUT), Seen::Record((0, 1, 0)), Seen::Record((1, 1, 1))]);
}

#[test]
fn rule_1_two_barriers_in_a_row_are_two_cuts() {
    let (mut channels, [a, b]) = made();
    a.control(CUT);
    a.control(SWITCH);
    b.control(CUT);
    assert_eq!(seen(&mut channels), [Seen::Control(CUT)]);
    b.control(SWITCH);
    assert_eq!(seen(&mut channels), [Seen::Control(SWITCH)]);
}

#[test]
fn rule_2_the_least_watermark_counts() {
    let (mut channels, [a, b]) = made();
    a.record((0, 0, 0));
    b.record((1, 0, 0));
    a.watermark(7);
    assert_eq!(seen(&mut channels), [Seen::Record((0, 0, 0)), Seen::Record((1, 0, 0))]);
    b.watermark(5);
    assert_eq!(seen(&mut channels), [watermark(5)]);
    b.watermark(9);
    assert_eq!(seen(&mut channels), [watermark(7)]);
}

#[test]
fn rule_2_an_idle_channel_is_left_out_and_takes_nothing_back() {
    let (mut channels, [a, b]) = made();
    b.watermark(1);
    assert_eq!(seen(&mut channels), [watermark(1)]);
    a.watermark(7);
    b.control(Control::Idle);
    assert_eq!(seen(&mut channels), [watermark(7)]);
    b.watermark(3);
    assert_eq!(seen(&mut channels), []);
    a.watermark(8);
    assert_eq!(seen(&mut channels), [], "the merge waits for the channel that is behind");
    b.watermark(8);
    assert_eq!(seen(&mut channels), [watermark(8)]);
}

#[test]
fn rule_2_a_new_channel_holds_nothing_up_before_it_speaks() {
    let (mut channels, [a]) = made();
    channels.add_newcomer(Box::new(Feed::new()));
    a.watermark(4);
    assert_eq!(seen(&mut channels), [watermark(4)]);
}

#[test]
fn i6_a_first_channel_holds_the_others_watermarks_until_it_speaks() {
    let mut channels = Channels::new();
    let (a, b) = (Feed::new(), Feed::new());
    channels.add(Box::new(a.clone()));
    channels.add(Box::new(b.clone()));
    a.watermark(4);
    assert_eq!(seen(&mut channels), [], "what the other will bring may be older");
    b.watermark(2);
    assert_eq!(seen(&mut channels), [watermark(2)]);
    b.control(Control::Idle);
    assert_eq!(seen(&mut channels), [watermark(4)]);
}

#[test]
fn rule_2_idle_is_passed_on_once_when_all_are() {
    let (mut channels, [a, b]) = made();
    a.watermark(1);
    b.watermark(1);
    assert_eq!(seen(&mut channels), [watermark(1)]);
    a.control(Control::Idle);
    assert_eq!(seen(&mut channels), []);
    b.control(Control::Idle);
    b.control(Control::Idle);
    assert_eq!(seen(&mut channels), [Seen::Control(Control::Idle)]);
}

#[test]
fn rule_2_a_channel_that_wakes_behind_the_merge_ends_the_idleness() {
    let (mut channels, [a, b]) = made();
    a.watermark(10);
    a.control(Control::Idle);
    assert_eq!(seen(&mut channels), [watermark(10), Seen::Control(Control::Idle)]);
    b.watermark(5);
    assert_eq!(seen(&mut channels), [watermark(10)], "who reads this must wait for it again");
}

#[test]
fn rule_2_a_record_that_wakes_a_channel_ends_the_idleness_even_if_nothing_comes_of_it() {
    let (mut channels, [a, b]) = made();
    a.watermark(5);
    assert_eq!(seen(&mut channels), [watermark(5)]);
    b.record((1, 0, 0));
    assert_eq!(seen(&mut channels), [Seen::Record((1, 0, 0))]);
    a.watermark(7);
    assert_eq!(seen(&mut channels), []);
    b.watermark(6);
    assert_eq!(seen(&mut channels), [watermark(6)]);
    a.control(Control::Idle);
    b.control(Control::Idle);
    assert_eq!(seen(&mut channels), [watermark(7), Seen::Control(Control::Idle)]);
    a.record((0, 0, 0));
    assert_eq!(seen(&mut channels), [Seen::Record((0, 0, 0)), watermark(7)]);
}

#[test]
fn rule_2_when_all_are_idle_the_merge_does_not_depend_on_which_was_idle_first() {
    for order in [[0, 1], [1, 0]] {
        let (mut channels, ends): (_, [_; 2]) = made();
        ends[0].watermark(14);
        ends[1].watermark(12);
        let before = seen(&mut channels);
        order.iter().for_each(|at| ends[*at].control(Control::Idle));
        let told = [before, seen(&mut channels)].concat();
        assert_eq!(told.last_chunk(), Some(&[watermark(14), Seen::Control(Control::Idle)]), "{order:?}");
    }
}

#[test]
fn rule_2_the_end_of_time_waits_for_an_idle_channel_that_may_speak_at_the_end() {
    let (mut channels, [one, two]) = made();
    one.watermark(4);
    two.watermark(5);
    two.control(Control::Idle);
    assert_eq!(seen(&mut channels), [watermark(4)]);
    one.control(Control::Watermark(Timestamp::MAX));
    assert_eq!(seen(&mut channels), [watermark(5)]);
    two.record((1, 0, 0));
    two.control(Control::Watermark(Timestamp::MAX));
    assert_eq!(seen(&mut channels), [Seen::Record((1, 0, 0)), watermark(i64::MAX)]);
}

#[test]
fn rule_3_an_ended_channel_holds_up_no_watermark() {
    let (mut channels, [a, b]) = made();
    a.watermark(1);
    b.watermark(6);
    assert_eq!(seen(&mut channels), [watermark(1)]);
    a.control(Control::End);
    assert_eq!(seen(&mut channels), [watermark(6)]);
}

#[test]
fn rule_3_an_ended_channel_holds_up_no_barrier() {
    let (mut channels, [a, b]) = made();
    b.record((1, 0, 0));
    assert_eq!(seen(&mut channels), [Seen::Record((1, 0, 0))]);
    a.control(Control::End);
    b.control(CUT);
    b.record((1, 1, 1));
    assert_eq!(seen(&mut channels), [Seen::Control(CUT), Seen::Record((1, 1, 1))]);
}

#[test]
fn rule_3_a_channel_that_ends_while_others_wait_at_a_barrier_lets_them_go() {
    let (mut channels, [a, b]) = made();
    b.watermark(1);
    assert_eq!(seen(&mut channels), [watermark(1)]);
    a.watermark(2);
    assert_eq!(seen(&mut channels), []);
    a.control(CUT);
    b.control(Control::End);
    assert_eq!(seen(&mut channels), [watermark(2), Seen::Control(CUT)]);
}

#[test]
fn rule_3_event_time_does_not_end_while_an_idle_channel_may_wake() {
    for says_idle_first in [false, true] {
        let (mut channels, [over, idle]) = made();
        idle.watermark(5);
        over.watermark(5);
        if says_idle_first {
            idle.control(Control::Idle);
        }
        over.watermark(i64::MAX);
        over.control(Control::End);
        idle.control(Control::Idle);
        let told = seen(&mut channels);
        assert!(!told.contains(&watermark(i64::MAX)));
        assert_eq!(told.last(), Some(&Seen::Control(Control::Idle)));
        idle.record((1, 0, 0));
        idle.watermark(i64::MAX);
        idle.control(Control::End);
        let told = seen(&mut channels);
        let ends = [watermark(i64::MAX), Seen::Control(Control::End)];
        assert_eq!(told, [Seen::Record((1, 0, 0)), watermark(5), ends[0], ends[1]]);
    }
}

#[test]
fn rule_3_what_was_promised_before_the_end_of_event_time_counts_in_whatever_order_channels_are_idle() {
    for is_idle_first in [false, true] {
        let (mut channels, [over, idle]) = made();
        over.watermark(90);
        idle.watermark(5);
        let _ = seen(&mut channels);
        if is_idle_first {
            idle.control(Control::Idle);
            let _ = seen(&mut channels);
        }
        over.watermark(i64::MAX);
        let _ = seen(&mut channels);
        over.control(Control::Idle);
        idle.control(Control::Idle);
        let _ = seen(&mut channels);
        assert_eq!(channels.watermark(), Timestamp(90));
    }
}

#[test]
fn rule_4_the_end_waits_for_all() {
    let (mut channels, [a, b]) = made();
    a.record((0, 0, 0));
    a.control(Control::End);
    b.record((1, 0, 0));
    assert_eq!(seen(&mut channels), [Seen::Record((0, 0, 0)), Seen::Record((1, 0, 0))]);
    b.control(Control::End);
    assert_eq!(seen(&mut channels), [Seen::Control(Control::End)]);
}

#[test]
fn rule_4_suspension_waits_for_all() {
    let (mut channels, [a, b]) = made();
    a.control(Control::Suspend);
    b.record((1, 0, 0));
    assert_eq!(seen(&mut channels), [Seen::Record((1, 0, 0))]);
    b.control(Control::Suspend);
    assert_eq!(seen(&mut channels), [Seen::Control(Control::Suspend)]);
}

#[test]
fn rule_5_behind_a_route_the_merged_watermark_waits_for_every_channel_to_promise_anew() {
    let (mut channels, [a, b]) = made();
    a.watermark(3);
    assert_eq!(seen(&mut channels), [watermark(3)]);
    b.watermark(50);
    a.control(SWITCH);
    b.control(SWITCH);
    assert_eq!(seen(&mut channels), [Seen::Control(SWITCH)]);
    a.watermark(60);
    assert_eq!(seen(&mut channels), [], "the other may have got a partition that is behind");
    b.watermark(2);
    assert_eq!(seen(&mut channels), [], "nor does it take back what it had told");
    b.watermark(4);
    assert_eq!(seen(&mut channels), [watermark(4)]);
}

#[test]
fn rule_5_a_route_ends_idleness() {
    let (mut channels, [a, b]) = made();
    a.watermark(3);
    b.control(Control::Idle);
    a.control(Control::Idle);
    assert_eq!(seen(&mut channels), [watermark(3), Seen::Control(Control::Idle)]);
    a.control(SWITCH);
    b.control(SWITCH);
    a.watermark(9);
    assert_eq!(seen(&mut channels), [Seen::Control(SWITCH)], "an idle channel may have got a partition");
    b.control(Control::Idle);
    assert_eq!(seen(&mut channels), [watermark(9)]);
    a.control(Control::Idle);
    assert_eq!(seen(&mut channels), [Seen::Control(Control::Idle)]);
}

#[test]
fn rule_5_a_stage_that_relays_begins_anew() {
    let (mut channels, [a]) = made();
    a.watermark(50);
    a.control(SWITCH);
    assert_eq!(seen(&mut channels), [watermark(50), Seen::Control(SWITCH)]);
    channels.forget_watermark();
    a.watermark(10);
    assert_eq!(seen(&mut channels), [watermark(10)]);
}

#[test]
fn rule_5_a_snapshot_voids_no_promise() {
    let (mut channels, [a, b]) = made();
    a.watermark(3);
    assert_eq!(seen(&mut channels), [watermark(3)]);
    b.watermark(5);
    a.control(CUT);
    b.control(CUT);
    assert_eq!(seen(&mut channels), [Seen::Control(CUT)]);
    a.watermark(9);
    assert_eq!(seen(&mut channels), [watermark(5)]);
}

#[test]
fn channels_take_turns() {
    let (mut channels, [a, b, c]) = made();
    for (at, feed) in [&a, &b, &c].into_iter().enumerate() {
        feed.record((at, 0, 0));
        feed.record((at, 0, 1));
    }
    let order = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)].map(|(at, n)| Seen::Record((at, 0, n)));
    assert_eq!(seen(&mut channels), order);
}

#[test]
fn a_batch_returns_to_its_own_channel() {
    let (mut channels, [a, b]) = made();
    b.record((1, 0, 0));
    b.record((1, 0, 1));
    seen(&mut channels);
    assert_eq!((a.0.borrow().recycled, b.0.borrow().recycled), (0, 2));
}

#[test]
fn channels_that_are_dropped_hold_nothing_up() {
    let (mut channels, [a, b]) = made();
    a.record((0, 0, 0));
    b.record((1, 0, 0));
    a.watermark(4);
    assert_eq!(seen(&mut channels).len(), 2);
    channels.truncate(1);
    assert_eq!(channels.len(), 1);
    a.control(CUT);
    a.watermark(5);
    assert_eq!(seen(&mut channels), [watermark(4), Seen::Control(CUT), watermark(5)]);
}

/// What one channel will say, cut into parts by barriers.
#[derive(Clone, Debug)]
struct Script {
    parts: Vec<Vec<Say>>,
    ends: bool,
}

#[derive(Clone, Copy, Debug)]
enum Say {
    Record,
    /// The watermark grows by this.
    Watermark(i64),
    Idle,
}

const N_BARRIERS: usize = 3;

fn barrier(n: usize) -> Control {
    Control::Barrier(match n % 2 {
        0 => Barrier::Snapshot(SnapshotId(n as u64 + 1)),
        _ => Barrier::Route(RouteVersion(n as u64)),
    })
}

fn script() -> impl Strategy<Value = Script> {
    let say = prop_oneof![
        3 => Just(Say::Record),
        2 => (0..5_i64).prop_map(Say::Watermark),
        1 => Just(Say::Idle)
    ];
    let part = prop::collection::vec(say, 0..5);
    // A script with fewer parts ends before barriers that the others still send.
    (prop::collection::vec(part, 1..=N_BARRIERS + 1), any::<bool>())
        .prop_map(|(parts, ends)| Script { ends: ends || parts.len() <= N_BARRIERS, parts })
}

fn messages(channel: usize, script: &Script) -> VecDeque<Message<Tag>> {
    let said = Feed::new();
    let (mut number, mut time) = (0, 0);
    for (part, says) in script.parts.iter().enumerate() {
        if part > 0 {
            said.control(barrier(part - 1));
            if let Control::Barrier(Barrier::Route(_)) = barrier(part - 1) {
                // Behind a route a promise may be lower than before.
                time = 0;
            }
        }
        for say in says {
            match say {
                Say::Record => {
                    said.record((channel, part, number));
                    number += 1;
                }
                Say::Watermark(by) => {
                    time += by;
                    said.watermark(time);
                }
                Say::Idle => said.control(Control::Idle),
            }
        }
    }
    if script.ends {
        said.control(Control::End);
    }
    std::mem::take(&mut said.0.borrow_mut().unread)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The rules against a model, whatever the order in which channels deliver and the stage reads.
    #[test]
    fn alignment_keeps_its_rules_in_every_interleaving(
        scripts in prop::collection::vec(script(), 1..5),
        steps in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..120),
    ) {
        let feeds: Vec<Feed> = scripts.iter().map(|_| Feed::new()).collect();
        let mut undelivered: Vec<_> = scripts.iter().enumerate().map(|(at, s)| messages(at, s)).collect();
        let mut channels = Channels::new();
        for feed in &feeds {
            feed.promise_anew();
            channels.add(Box::new(feed.clone()));
        }
        let mut n_barriers = 0;
        let mut numbers = vec![0; scripts.len()];
        let mut merged = Timestamp::MIN;
        let mut has_ended = false;
        let mut look = |seen: Seen| {
            prop_assert!(!has_ended, "nothing follows the end");
            match seen {
                Seen::Record((channel, part, number)) => {
                    prop_assert_eq!(part, n_barriers, "a record is on its own side of every barrier");
                    prop_assert_eq!(number, numbers[channel], "records of one channel keep their order");
                    numbers[channel] += 1;
                }
                Seen::Control(Control::Watermark(time)) => {
                    prop_assert!(time >= merged, "watermarks do not regress");
                    for feed in &feeds {
                        let fed = feed.0.borrow();
                        prop_assert!(fed.active.is_none_or(|promised| promised >= time || merged == time));
                    }
                    merged = time;
                }
                Seen::Control(Control::Barrier(seen)) => {
                    prop_assert_eq!(Control::Barrier(seen), barrier(n_barriers));
                    n_barriers += 1;
                    if let Barrier::Route(_) = seen {
                        feeds.iter().for_each(Feed::promise_anew);
                    }
                }
                Seen::Control(Control::End) => has_ended = true,
                Seen::Control(Control::Idle | Control::Suspend) => {}
            }
            Ok(())
        };
        for (channel, is_delivery) in steps {
            if is_delivery {
                let channel = channel.index(feeds.len());
                feeds[channel].0.borrow_mut().unread.extend(undelivered[channel].pop_front());
            } else if let Some(seen) = poll(&mut channels) {
                look(seen)?;
            }
        }
        for (feed, rest) in feeds.iter().zip(&mut undelivered) {
            feed.0.borrow_mut().unread.append(rest);
        }
        while let Some(seen) = poll(&mut channels) {
            look(seen)?;
        }
        let n_parts = scripts.iter().map(|script| script.parts.len()).max().unwrap_or(1);
        let all_end = scripts.iter().all(|script| script.ends);
        prop_assert_eq!(has_ended, all_end);
        prop_assert!(feeds.iter().all(|feed| feed.0.borrow().unread.is_empty()), "nothing is held up for ever");
        prop_assert_eq!(n_barriers, n_parts - 1);
        let least = feeds.iter().filter_map(|feed| feed.0.borrow().active).min();
        prop_assert!(least.is_none_or(|least| merged >= least), "no watermark is held up for ever");
    }
}
