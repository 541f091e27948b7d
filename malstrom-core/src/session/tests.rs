use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;

const CONFIG: SessionConfig = SessionConfig {
    window_frames: 4,
    retry_min: Duration::from_millis(10),
    retry_max: Duration::from_millis(80),
    deadline: Duration::from_millis(1000),
};

fn end(generation: u64, incarnation: u64) -> Session {
    let incarnation = Incarnation(NonZeroU64::new(incarnation).unwrap());
    Session::new(Generation(generation), incarnation, CONFIG)
}

fn payload(number: u32) -> Arc<[u8]> {
    number.to_le_bytes()[..].into()
}

/// Two ends and all that is on its way between them.
struct Link {
    now: Nanos,
    ends: [Session; 2],
    frames: Vec<(usize, Frame)>,
    sent: [Vec<Arc<[u8]>>; 2],
    taken: [Vec<Arc<[u8]>>; 2],
}

impl Link {
    fn new() -> Self {
        let (sent, taken) = Default::default();
        Self { now: Nanos(0), ends: [end(1, 1), end(1, 2)], frames: Vec::new(), sent, taken }
    }

    fn send(&mut self, from: usize) -> bool {
        let payload = payload(self.sent[from].len() as u32);
        let is_sent = self.ends[from].send(&payload, self.now).is_ok();
        if is_sent {
            self.sent[from].push(payload);
        }
        self.transmit();
        is_sent
    }

    fn transmit(&mut self) {
        for from in 0..2 {
            while let Some(frame) = self.ends[from].transmit(self.now) {
                self.frames.push((1 - from, frame));
            }
        }
    }

    fn deliver(&mut self, at: usize) {
        let (to, frame) = self.frames.remove(at);
        self.ends[to].receive(frame, self.now);
        self.transmit();
    }

    fn duplicate(&mut self, at: usize) {
        self.frames.push(self.frames[at].clone());
        self.deliver(at);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.ends.iter_mut().for_each(|end| end.tick(self.now));
        self.transmit();
    }

    fn take(&mut self, at: usize) {
        let taken = self.ends[at].take();
        self.taken[at].extend(taken);
        self.transmit();
    }

    fn reconnect(&mut self) {
        self.ends.iter_mut().for_each(|end| end.reconnected(self.now));
        self.transmit();
    }

    /// The link loses nothing any more and everybody takes what comes.
    fn settle(&mut self) {
        for _ in 0..200 {
            while !self.frames.is_empty() {
                self.deliver(0);
            }
            // As many as a window holds, so that room is told of again and again.
            (0..CONFIG.window_frames).for_each(|_| (0..2).for_each(|at| self.take(at)));
            self.pass(Duration::from_millis(10));
        }
    }

    fn assert_a_prefix(&self) {
        for at in 0..2 {
            let (sent, taken) = (&self.sent[1 - at], &self.taken[at]);
            assert!(sent.starts_with(taken), "{taken:?} was taken of {sent:?}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Take(usize),
    Deliver(prop::sample::Index),
    Duplicate(prop::sample::Index),
    Drop(prop::sample::Index),
    DropAll,
    Pass(u64),
    Reconnect,
    /// A frame of another generation, or of an end that was there before, with everything else as it could be.
    Stale(usize, u64, bool, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use prop::sample::Index;
    let step = prop_oneof![
        6 => (0..2_usize).prop_map(Step::Send),
        4 => (0..2_usize).prop_map(Step::Take),
        8 => any::<Index>().prop_map(Step::Deliver),
        2 => any::<Index>().prop_map(Step::Duplicate),
        2 => any::<Index>().prop_map(Step::Drop),
        1 => Just(Step::DropAll),
        3 => (0..40_u64).prop_map(Step::Pass),
        1 => Just(Step::Reconnect),
        1 => (0..2_usize, 0..3_u64, any::<bool>(), 0..8_u64)
            .prop_map(|(to, generation, is_data, seq)| Step::Stale(to, generation, is_data, seq)),
    ];
    prop::collection::vec(step, 0..120)
}

fn stale_frame(to: usize, generation: u64, is_data: bool, seq: u64) -> Frame {
    let me = |at: usize| Incarnation(NonZeroU64::new(at as u64 + 1).unwrap());
    let is_now = generation == 1;
    Frame {
        generation: Generation(generation),
        from: me(1 - to),
        // In the right generation it was meant for who was there before.
        to: Some(if is_now { Incarnation(NonZeroU64::new(99).unwrap()) } else { me(to) }),
        acknowledged: seq,
        until: 100,
        content: match is_data {
            true => Content::Data { seq, payload: payload(u32::MAX) },
            false => Content::Question,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The model is a queue that loses nothing: what was taken is always a prefix of what was sent, and all of it in
    /// the end, if the session has not said that it is lost.
    #[test]
    fn p1_whatever_the_link_does_payloads_come_once_and_in_order(steps in steps()) {
        let mut link = Link::new();
        for step in steps {
            let n = link.frames.len();
            match step {
                Step::Send(from) => {
                    link.send(from);
                }
                Step::Take(at) => link.take(at),
                Step::Pass(ms) => link.pass(Duration::from_millis(ms)),
                Step::Reconnect => link.reconnect(),
                Step::DropAll => link.frames.clear(),
                Step::Stale(to, generation, is_data, seq) => {
                    let now = link.now;
                    link.ends[to].receive(stale_frame(to, generation, is_data, seq), now);
                }
                _ if n == 0 => {}
                Step::Deliver(at) => link.deliver(at.index(n)),
                Step::Duplicate(at) => link.duplicate(at.index(n)),
                Step::Drop(at) => drop(link.frames.remove(at.index(n))),
            }
            link.assert_a_prefix();
            for end in &link.ends {
                prop_assert!(end.outgoing.kept.len() <= CONFIG.window_frames);
                prop_assert!(end.incoming.ready.len() + end.incoming.ahead.len() <= CONFIG.window_frames);
                prop_assert_eq!(end.counts.n_absurd, 0);
            }
        }
        link.settle();
        link.assert_a_prefix();
        if link.ends.iter().all(|end| end.lost().is_none()) {
            prop_assert_eq!(link.taken[0].len(), link.sent[1].len());
            prop_assert_eq!(link.taken[1].len(), link.sent[0].len());
            prop_assert_eq!(link.ends.iter().find_map(Session::tick_at), None, "nothing is left to be done");
        }
    }
}

#[test]
fn nobody_is_lost_on_a_link_that_works_however_late_payloads_are_taken() {
    let mut link = Link::new();
    while link.send(0) {}
    for _ in 0..1000 {
        while !link.frames.is_empty() {
            link.deliver(0);
        }
        link.pass(Duration::from_millis(10));
        link.send(0);
    }
    assert_eq!(link.ends[0].lost(), None);
    assert_eq!(link.sent[0].len(), 2 * CONFIG.window_frames, "so much is kept, and no more");
    link.settle();
    assert_eq!(link.taken[1], link.sent[0]);
}

#[test]
fn p5_who_is_cut_off_is_lost_by_the_deadline() {
    for is_known in [false, true] {
        let mut link = Link::new();
        link.send(0);
        if is_known {
            link.settle();
            link.send(0);
        }
        let begun = link.now;
        while link.ends[0].lost().is_none() {
            link.frames.clear();
            let due = link.ends[0].tick_at().expect("something is always due");
            link.pass(due.since(link.now));
        }
        assert_eq!(link.now.since(begun), CONFIG.deadline);
        assert_eq!(
            link.ends[0].send(&payload(0), link.now),
            Err(Refused::Lost(Lost::Deadline { within: CONFIG.deadline }))
        );
    }
}

#[test]
fn p5_who_is_cut_off_one_way_is_lost_though_it_is_heard() {
    let mut link = Link::new();
    link.send(0);
    link.send(1);
    link.settle();
    link.send(0);
    while link.ends[0].lost().is_none() {
        link.frames.retain(|(to, _)| *to == 0);
        while !link.frames.is_empty() {
            link.deliver(0);
        }
        link.send(1);
        link.pass(Duration::from_millis(5));
        assert!(link.now < Nanos(0).after(Duration::from_secs(10)), "it ends");
    }
}

#[test]
fn a_new_connection_resumes_from_what_was_acknowledged() {
    let mut link = Link::new();
    link.send(0);
    link.settle();
    (0..3).for_each(|_| assert!(link.send(0)));
    // The first comes, but not its acknowledgement; the others are lost with the connection.
    link.deliver(0);
    link.frames.clear();
    link.reconnect();
    let again = link.ends[0].counts.n_retransmitted;
    while !link.frames.is_empty() {
        link.deliver(0);
    }
    assert_eq!(link.ends[0].counts.n_retransmitted - again, 2);
    assert_eq!(link.ends[1].counts.n_duplicates, 0);
}

#[test]
fn i12_nothing_of_another_generation_is_heard() {
    let mut link = Link::new();
    link.send(0);
    link.settle();
    for generation in [0, 2] {
        link.ends[1].receive(stale_frame(1, generation, true, 1), link.now);
    }
    assert_eq!(link.ends[1].counts.n_stale_generations, 2);
    assert_eq!(link.ends[1].take(), None);
}

#[test]
fn a_restarted_end_is_not_mixed_up_with_the_one_before() {
    let mut link = Link::new();
    link.send(0);
    link.settle();
    let old = link.ends[1].frame(Content::Question);
    // Who comes in the other's place knows nothing of what was sent, so the session cannot go on.
    link.ends[1] = end(1, 3);
    link.ends[1].send(&payload(0), link.now).unwrap();
    link.transmit();
    link.deliver(0);
    assert_eq!(link.ends[0].lost(), Some(&Lost::Restarted));
    // Who was there before is not heard by a new end that knows the newer one.
    link.ends[0] = end(1, 4);
    link.settle();
    link.send(0);
    link.settle();
    link.ends[0].receive(old, link.now);
    assert_eq!(link.ends[0].lost(), None);
    assert!(link.ends[0].counts.n_stale_sessions > 0);
}

#[test]
fn a_payload_that_no_frame_can_hold_is_refused() {
    let payload: Arc<[u8]> = vec![0; PAYLOAD_BYTES_MAX + 1].into();
    assert!(matches!(end(1, 1).send(&payload, Nanos(0)), Err(Refused::TooLong { .. })));
}
