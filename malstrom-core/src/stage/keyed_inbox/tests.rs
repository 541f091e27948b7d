use super::*;
use crate::element::Barrier;
use crate::exchange::{Lane, local_channel, stable_hash};
use crate::ids::RouteVersion;
use crate::limits::BATCH_RECORDS;
use crate::ports::Nanos;

const N_BINS: u32 = 64;

type Sender = Lane<Keyed<u32, u32>>;

/// An inbox with one local channel for each of `N` senders.
fn made<const N: usize>() -> (KeyedInbox<u32, u32>, [Sender; N]) {
    let mut inbox = KeyedInbox::new(EdgeId(0), N_BINS);
    let lanes = std::array::from_fn(|_| {
        let (sender, receiver) = local_channel();
        inbox.channels.add(receiver);
        Lane::new(sender)
    });
    (inbox, lanes)
}

fn bin(key: u32) -> Bin {
    bin_number(bin_of(stable_hash(&key), u64::from(N_BINS) - 1))
}

fn record(key: u32, value: u32) -> Record<Keyed<u32, u32>> {
    Record::new(Keyed { hash: stable_hash(&key), key, value })
}

/// Sends these records in one batch.
fn send(lane: &mut Sender, records: &[(u32, u32)]) {
    records.iter().for_each(|(key, value)| lane.push(record(*key, *value)));
    lane.flush();
}

/// What came out, in order.
#[derive(Default)]
struct Out {
    seen: Vec<Seen>,
    n_hints: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Record(u32, u32),
    Control(Control),
}

impl Emit<Keyed<u32, u32>> for Out {
    fn emit(&mut self, record: Record<Keyed<u32, u32>>) {
        self.seen.push(Seen::Record(record.value.key, record.value.value));
    }

    fn hint(&mut self, _: &Keyed<u32, u32>) {
        self.n_hints += 1;
    }
}

/// Pulls until there is nothing.
fn pull(inbox: &mut KeyedInbox<u32, u32>) -> Vec<Seen> {
    let mut out = Out::default();
    loop {
        match inbox.pull(&PullContext::at(Nanos(0)), &mut out).unwrap() {
            Pulled::Worked => {}
            Pulled::Control(control) => out.seen.push(Seen::Control(control)),
            Pulled::Dry(_) => return out.seen,
        }
    }
}

fn watermark(time: i64) -> Control {
    Control::Watermark(Timestamp(time))
}

const HERE: u32 = 1;
const AWAY: u32 = 2;
const AWAY_TOO: u32 = 3;

#[test]
fn the_keys_of_these_tests_have_bins_of_their_own() {
    assert!(bin(HERE) != bin(AWAY) && bin(HERE) != bin(AWAY_TOO) && bin(AWAY) != bin(AWAY_TOO));
}

#[test]
fn every_record_is_hinted_once() {
    let (mut inbox, [mut lane]) = made();
    send(&mut lane, &[(HERE, 0); 3 * LOOKAHEAD_RECORDS]);
    let mut out = Out::default();
    inbox.pull(&PullContext::at(Nanos(0)), &mut out).unwrap();
    assert_eq!((out.n_hints, out.seen.len()), (3 * LOOKAHEAD_RECORDS, 3 * LOOKAHEAD_RECORDS));
}

#[test]
fn rule_1_records_for_a_bin_on_its_way_are_kept_aside() {
    let (mut inbox, [mut lane]) = made();
    inbox.expect(&[bin(AWAY)]);
    send(&mut lane, &[(AWAY, 0), (HERE, 0), (AWAY, 1)]);
    assert_eq!(pull(&mut inbox), [Seen::Record(HERE, 0)]);
    assert_eq!(inbox.n_missing(), 1);
}

#[test]
fn rule_1_a_bin_that_came_before_its_cut_keeps_nothing_aside() {
    let (mut inbox, [mut lane]) = made();
    inbox.arrived(bin(AWAY));
    inbox.expect(&[bin(AWAY)]);
    assert_eq!(inbox.n_missing(), 0);
    send(&mut lane, &[(AWAY, 0)]);
    assert_eq!(pull(&mut inbox), [Seen::Record(AWAY, 0)]);
}

#[test]
fn rule_2_what_was_kept_aside_comes_before_what_arrived_later() {
    let (mut inbox, [mut one, mut two]) = made();
    inbox.expect(&[bin(AWAY), bin(AWAY_TOO)]);
    send(&mut one, &[(AWAY, 0), (AWAY_TOO, 0)]);
    send(&mut two, &[(AWAY, 1)]);
    assert_eq!(pull(&mut inbox), []);
    send(&mut one, &[(AWAY, 2), (AWAY_TOO, 1)]);
    inbox.arrived(bin(AWAY));
    assert_eq!(pull(&mut inbox), [0, 1, 2].map(|n| Seen::Record(AWAY, n)));
    inbox.arrived(bin(AWAY_TOO));
    assert_eq!(pull(&mut inbox), [0, 1].map(|n| Seen::Record(AWAY_TOO, n)));
    assert_eq!((inbox.n_aside, inbox.n_missing()), (0, 0));
}

#[test]
fn rule_2_what_was_kept_aside_comes_before_the_next_barrier() {
    let (mut inbox, [mut lane]) = made();
    let next = Control::Barrier(Barrier::Route(RouteVersion(2)));
    inbox.expect(&[bin(AWAY)]);
    send(&mut lane, &[(AWAY, 0)]);
    assert_eq!(pull(&mut inbox), []);
    lane.control(next);
    inbox.arrived(bin(AWAY));
    assert_eq!(pull(&mut inbox), [Seen::Record(AWAY, 0), Seen::Control(next)]);
}

#[test]
fn rule_3_watermarks_wait_for_the_records_kept_aside_and_only_the_last_counts() {
    let (mut inbox, [mut lane]) = made();
    inbox.expect(&[bin(AWAY), bin(AWAY_TOO)]);
    send(&mut lane, &[(AWAY, 0)]);
    lane.control(watermark(4));
    lane.control(watermark(5));
    inbox.arrived(bin(AWAY_TOO));
    assert_eq!(pull(&mut inbox), [], "one bin that is missing is enough");
    inbox.arrived(bin(AWAY));
    assert_eq!(pull(&mut inbox), [Seen::Record(AWAY, 0), Seen::Control(watermark(5))]);
}

#[test]
fn rule_3_idleness_waits_as_watermarks_do() {
    let (mut inbox, [mut lane]) = made();
    inbox.expect(&[bin(AWAY)]);
    send(&mut lane, &[(AWAY, 0)]);
    lane.control(watermark(4));
    lane.control(Control::Idle);
    assert_eq!(pull(&mut inbox), [], "an idle stage would let others go on without the records kept aside");
    inbox.arrived(bin(AWAY));
    assert_eq!(
        pull(&mut inbox),
        [Seen::Record(AWAY, 0), Seen::Control(watermark(4)), Seen::Control(Control::Idle)]
    );
}

#[test]
fn rule_3_idleness_that_is_over_is_not_told() {
    let (mut inbox, [mut lane]) = made();
    inbox.expect(&[bin(AWAY)]);
    lane.control(watermark(4));
    lane.control(Control::Idle);
    send(&mut lane, &[(AWAY, 0)]);
    assert_eq!(pull(&mut inbox), []);
    inbox.arrived(bin(AWAY));
    assert_eq!(pull(&mut inbox), [Seen::Record(AWAY, 0), Seen::Control(watermark(4))]);
}

#[test]
fn rule_4_past_the_bound_nothing_is_read_until_a_bin_arrives() {
    let (mut inbox, [mut lane]) = made();
    inbox.expect(&[bin(AWAY), bin(AWAY_TOO)]);
    for _ in 0..ASIDE_RECORDS_MAX / BATCH_RECORDS {
        send(&mut lane, &[(AWAY, 0); BATCH_RECORDS]);
        assert_eq!(pull(&mut inbox), []);
    }
    assert_eq!(inbox.n_aside, ASIDE_RECORDS_MAX);
    send(&mut lane, &[(HERE, 0)]);
    assert_eq!(pull(&mut inbox), []);
    inbox.arrived(bin(AWAY));
    let seen = pull(&mut inbox);
    assert_eq!((seen.len(), seen.last()), (ASIDE_RECORDS_MAX + 1, Some(&Seen::Record(HERE, 0))));
    assert_eq!(inbox.n_missing(), 1);
}

#[test]
fn rule_5_behind_a_route_the_merged_watermark_holds_although_a_sender_takes_its_promise_back() {
    let (mut inbox, [mut one, mut two]) = made();
    let route = Control::Barrier(Barrier::Route(RouteVersion(1)));
    one.control(watermark(4));
    two.control(watermark(7));
    assert_eq!(pull(&mut inbox), [Seen::Control(watermark(4))]);
    one.control(route);
    two.control(route);
    assert_eq!(pull(&mut inbox), [Seen::Control(route)]);
    assert_eq!(inbox.rerouted(), Some(Timestamp(4)));
    // The first has lost the partition at 4, which the second has got.
    one.control(Control::Idle);
    assert_eq!(pull(&mut inbox), []);
    two.control(watermark(4));
    send(&mut two, &[(HERE, 0)]);
    two.control(watermark(5));
    assert_eq!(pull(&mut inbox), [Seen::Record(HERE, 0), Seen::Control(watermark(5))]);
}

#[test]
fn rule_5_before_any_watermark_a_route_announces_none() {
    let (mut inbox, [_one]) = made();
    assert_eq!(inbox.rerouted(), None);
}

#[test]
fn rule_3_a_stage_that_was_idle_when_a_bin_set_out_is_idle_again_only_when_it_is_there() {
    let (mut inbox, [mut lane]) = made();
    let route = Control::Barrier(Barrier::Route(RouteVersion(1)));
    lane.control(watermark(4));
    lane.control(Control::Idle);
    lane.control(route);
    assert_eq!(pull(&mut inbox), [watermark(4), Control::Idle, route].map(Seen::Control));
    assert_eq!(inbox.rerouted(), Some(Timestamp(4)), "which ends the idleness of whoever reads this stage");
    inbox.expect(&[bin(AWAY)]);
    lane.control(watermark(4));
    send(&mut lane, &[(AWAY, 0)]);
    lane.control(Control::Idle);
    assert_eq!(pull(&mut inbox), []);
    inbox.arrived(bin(AWAY));
    assert_eq!(pull(&mut inbox), [Seen::Record(AWAY, 0), Seen::Control(Control::Idle)]);
}

#[test]
fn rule_5_a_newcomer_comes_as_far_as_the_others_had_and_takes_nothing_back() {
    let (mut inbox, [mut one, mut two]) = made();
    let route = Control::Barrier(Barrier::Route(RouteVersion(1)));
    inbox.await_merged();
    one.control(watermark(70));
    for lane in [&mut one, &mut two] {
        lane.control(Control::Idle);
        lane.control(route);
    }
    assert_eq!(pull(&mut inbox), [Seen::Control(route)], "nothing is merged before the first route");
    assert_eq!(inbox.rerouted(), None);
    inbox.expect(&[bin(AWAY)]);
    one.control(watermark(20));
    one.control(Control::Idle);
    two.control(Control::Idle);
    send(&mut two, &[(AWAY, 1)]);
    two.control(Control::Idle);
    inbox.arrived(bin(AWAY));
    assert_eq!(inbox.n_missing(), 1, "it does not know yet how far they had come");
    assert_eq!(pull(&mut inbox), [], "so it works on nothing");
    inbox.catch_up(Timestamp(90));
    assert_eq!((inbox.n_missing(), inbox.merged()), (0, Timestamp(20)));
    let told = [Seen::Control(watermark(90)), Seen::Record(AWAY, 1), Seen::Control(Control::Idle)];
    assert_eq!(pull(&mut inbox), told, "before any record");
    two.control(watermark(50));
    assert!(!pull(&mut inbox).contains(&Seen::Control(watermark(50))));
    one.control(watermark(95));
    two.control(watermark(99));
    assert_eq!(pull(&mut inbox).last(), Some(&Seen::Control(watermark(95))));
}
