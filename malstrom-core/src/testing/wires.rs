//! What joins the processes of a simulated job: links that lose, duplicate, damage, delay and reorder frames and are cut
//! one way or both ways, and between them the real [`Session`] at both ends.
//!
//! # Steps
//! 1. Each seed draws how many processes there are. What stays within one goes its direct way; everything else goes
//!    through a session of its own: one for each channel of an edge, for the mail from one worker to another, and for
//!    commands and reports between the coordinator and a worker.
//! 2. Frames go through their bytes. A frame is delivered to whoever is in the place it was addressed to by then.
//! 3. When a cut ends, both ends of every session on the link are told of a new connection.
//! 4. A session that says it is lost is reported to the coordinator as the loss of the worker at its other end.
//!
//! # Guarantees
//! In the calm phase nothing is lost and no link is cut.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::{Core, Event};
use super::rng::Rng;
use crate::codec;
use crate::exchange::{Decoder, Parcel};
use crate::ids::{EdgeId, Generation, WorkerId};
use crate::mark::{self, Mark};
use crate::ports::Nanos;
use crate::session::{Frame, Incarnation, Session, SessionConfig};
use crate::worker::messages::ToWorker;

/// How late a frame comes that comes once more, in microseconds.
const LATE_US_MAX: u64 = 500_000;
/// Messages besides records that wait for room in a session, after which its other end is taken for lost.
const MAIL_WAITING_MAX: usize = 1 << 14;

/// What a run's processes and links are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Network {
    /// Processes the workers sit in, in turn; 1 for no session at all.
    pub(super) n_processes: u32,
    /// Whether the coordinator has a process of its own; else it sits with the first worker.
    pub(super) is_coordinator_apart: bool,
    /// Out of a thousand frames so many are lost, come once more, are damaged, or reach another coordinator's job too.
    pub(super) lost_per_mille: u64,
    pub(super) twice_per_mille: u64,
    pub(super) damaged_per_mille: u64,
    pub(super) stray_per_mille: u64,
    /// Time without an acknowledgement after which a session is lost.
    pub(super) deadline: Duration,
}

/// What a plan that was written down before there were links has.
impl Default for Network {
    fn default() -> Self {
        Self::NONE
    }
}

impl Network {
    /// All in one process.
    pub(super) const NONE: Self = Self {
        n_processes: 1,
        is_coordinator_apart: false,
        lost_per_mille: 0,
        twice_per_mille: 0,
        damaged_per_mille: 0,
        stray_per_mille: 0,
        deadline: Duration::from_millis(500),
    };

    pub(super) fn draw(rng: &mut Rng) -> Self {
        if rng.per_mille(500) {
            return Self::NONE;
        }
        let mut rate = |rates: [u64; 4]| rates[rng.below(4) as usize];
        Self {
            lost_per_mille: rate([0, 5, 50, 200]),
            twice_per_mille: rate([0, 5, 50, 200]),
            damaged_per_mille: rate([0, 0, 2, 20]),
            stray_per_mille: rate([0, 0, 5, 50]),
            n_processes: rate([2, 2, 3, 8]) as u32,
            deadline: Duration::from_millis(rate([300, 500, 500, 1000])),
            is_coordinator_apart: rng.per_mille(600),
        }
    }

    /// The same processes, joined by links that bring everything once.
    pub(super) fn without_faults(self) -> Self {
        Self { lost_per_mille: 0, twice_per_mille: 0, damaged_per_mille: 0, stray_per_mille: 0, ..self }
    }

    /// Whether there is any link between processes.
    pub(super) fn has_links(&self) -> bool {
        self.n_processes > 1
    }
}

/// What a session carries. The first of two workers is the one that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// The channel of an edge.
    Data(EdgeId, WorkerId, WorkerId),
    /// State on its way.
    Mail(WorkerId, WorkerId),
    /// Commands one way, reports the other; the coordinator is the first end.
    Post(WorkerId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    First,
    Second,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Where a frame is addressed to: the coordinator the job belongs to, and one end of what it carries.
pub(super) type Place = (usize, Lane, Side);

/// All sessions and the links between them.
pub(super) struct Wires {
    network: Network,
    capacity: usize,
    message_us_max: u64,
    ends: Vec<End>,
    bound: BTreeMap<Place, usize>,
    /// How often an end was opened in a place within a generation.
    opened: BTreeMap<(Place, Generation), u64>,
    /// Who is at a worker's number: its actor and its generation.
    workers: BTreeMap<(usize, WorkerId), (usize, Generation)>,
    /// Until when nothing comes from one process to another.
    cuts: BTreeMap<(u32, u32), u64>,
}

struct End {
    place: Place,
    generation: Generation,
    /// The worker that has this end; at the coordinator's, the worker at the other.
    actor: usize,
    session: Session,
    /// What the session has no room for yet. Only channels can be refused.
    waiting: VecDeque<Arc<[u8]>>,
    is_refused: bool,
    is_closed: bool,
    is_lost: bool,
    tick_at: Option<u64>,
}

impl Wires {
    pub(super) fn new(network: Network, capacity: usize, message_us_max: u64) -> Self {
        Self {
            network,
            capacity,
            message_us_max,
            ends: Vec::new(),
            bound: BTreeMap::new(),
            opened: BTreeMap::new(),
            workers: BTreeMap::new(),
            cuts: BTreeMap::new(),
        }
    }

    /// Whether what this lane carries leaves its process.
    pub(super) fn carries(&self, lane: Lane) -> bool {
        self.process(lane, Side::First) != self.process(lane, Side::Second)
    }

    /// A worker has come up: it and its coordinator can speak.
    pub(super) fn worker_up(&mut self, of: usize, worker: WorkerId, actor: usize, generation: Generation) {
        self.workers.insert((of, worker), (actor, generation));
        if self.carries(Lane::Post(worker)) {
            self.open((of, Lane::Post(worker), Side::First), generation, actor);
            self.open((of, Lane::Post(worker), Side::Second), generation, actor);
        }
    }

    /// A worker is gone. If it was stopped, nobody waits for it any more; if it crashed, the others have to find out.
    pub(super) fn worker_gone(&mut self, of: usize, worker: WorkerId, actor: usize, is_stopped: bool) {
        if self.workers.get(&(of, worker)).is_some_and(|(current, _)| *current == actor) {
            self.workers.remove(&(of, worker));
        }
        let is_its = |end: &End| match end.place.1 {
            Lane::Post(_) => end.actor == actor && (is_stopped || end.place.2 == Side::Second),
            Lane::Data(_, from, to) | Lane::Mail(from, to) => {
                end.actor == actor || is_stopped && end.place.0 == of && (from == worker || to == worker)
            }
        };
        let closed: Vec<usize> = (0..self.ends.len()).filter(|at| is_its(&self.ends[*at])).collect();
        closed.into_iter().for_each(|at| self.close(at));
    }

    /// Opens an end in place of whoever was there before.
    pub(super) fn open(&mut self, place: Place, generation: Generation, actor: usize) -> usize {
        if let Some(before) = self.bound.get(&place) {
            self.close(*before);
        }
        let n_opened = self.opened.entry((place, generation)).or_default();
        *n_opened += 1;
        let me = Incarnation(NonZeroU64::MIN.saturating_add(*n_opened));
        let config = SessionConfig {
            window_frames: match place.1 {
                Lane::Data(..) => self.capacity,
                Lane::Mail(..) | Lane::Post(_) => SessionConfig::default().window_frames,
            },
            retry_min: Duration::from_millis(10),
            retry_max: Duration::from_millis(100),
            deadline: self.network.deadline,
        };
        self.ends.push(End {
            place,
            generation,
            actor,
            session: Session::new(generation, me, config),
            waiting: VecDeque::new(),
            is_refused: false,
            is_closed: false,
            is_lost: false,
            tick_at: None,
        });
        self.bound.insert(place, self.ends.len() - 1);
        self.ends.len() - 1
    }

    /// Drops an end; frames for its place go to whoever comes there next.
    pub(super) fn close(&mut self, at: usize) {
        let end = &mut self.ends[at];
        end.is_closed = true;
        end.waiting.clear();
        if self.bound.get(&end.place) == Some(&at) {
            self.bound.remove(&end.place);
        }
    }

    /// Sends a parcel, or gives it back if there is no room.
    pub(super) fn send(&mut self, at: usize, parcel: Parcel, core: &mut Core) -> Result<(), Parcel> {
        let end = &mut self.ends[at];
        if end.is_closed || end.session.lost().is_some() {
            return Ok(());
        }
        if end.session.is_full() {
            mark::hit(Mark::SessionFull);
            end.is_refused = true;
            return Err(parcel);
        }
        let mut bytes = Vec::new();
        parcel.encode(&mut bytes).expect("a parcel can be encoded");
        end.session.send(&bytes.into(), core.nanos()).expect("there is room for it");
        self.pump(at, core);
        Ok(())
    }

    /// The next parcel that has come.
    pub(super) fn take(&mut self, at: usize, decoder: Decoder, core: &mut Core) -> Option<Parcel> {
        if self.ends[at].is_closed {
            return None;
        }
        let bytes = self.ends[at].session.take()?;
        self.pump(at, core);
        Some(Parcel::decode(&bytes, decoder).expect("a parcel can be decoded"))
    }

    /// Sends what cannot be refused.
    pub(super) fn post<T: Serialize>(&mut self, place: Place, message: &T, core: &mut Core) {
        let at = match (self.bound.get(&place), place) {
            (Some(at), _) => *at,
            (None, (of, Lane::Mail(from, _), Side::First)) => {
                let Some(&(actor, generation)) = self.workers.get(&(of, from)) else { return };
                self.open(place, generation, actor)
            }
            (None, _) => return,
        };
        let bytes = codec::encode(message).expect("a message can be encoded");
        let end = &mut self.ends[at];
        end.waiting.push_back(bytes.into());
        assert!(
            end.waiting.len() <= MAIL_WAITING_MAX,
            "what workers say to one another is bounded by a step"
        );
        self.pump(at, core);
    }

    /// Bytes have come to a place.
    pub(super) fn arrived(&mut self, place: Place, bytes: &[u8], core: &mut Core) {
        let Ok(Some(frame)) = Frame::decode(&mut &bytes[..]) else {
            core.counts.add("network: damaged frame dropped");
            return;
        };
        let at = match (self.bound.get(&place), place) {
            (Some(at), _) => *at,
            (None, (of, Lane::Mail(_, to), Side::Second)) => {
                let Some(&(actor, generation)) = self.workers.get(&(of, to)) else { return };
                self.open(place, generation, actor)
            }
            (None, _) => return,
        };
        let end = &mut self.ends[at];
        end.session.receive(frame, core.nanos());
        if end.session.has_arrivals() && matches!(place.1, Lane::Data(..)) {
            core.at(core.now, Event::Nudge(end.actor));
        }
        self.pump(at, core);
    }

    /// A session may have something to do.
    pub(super) fn tick(&mut self, at: usize, core: &mut Core) {
        let end = &mut self.ends[at];
        if end.tick_at.is_some_and(|due| due <= core.now) {
            end.tick_at = None;
        }
        if !end.is_closed {
            end.session.tick(core.nanos());
            self.pump(at, core);
        }
    }

    /// Cuts a link that is in use; whether there is one.
    pub(super) fn cut(&mut self, choice: u64, is_both_ways: bool, time: Duration, core: &mut Core) -> bool {
        let open = self.ends.iter().filter(|end| !end.is_closed).map(|end| (end.place.1, end.place.2));
        let links: BTreeSet<(u32, u32)> =
            open.map(|(lane, side)| (self.process(lane, side), self.process(lane, side.other()))).collect();
        let Some(&(from, to)) = links.iter().nth(Rng::new(choice).below(links.len() as u64) as usize) else {
            return false;
        };
        let until = core.nanos().after(time).0;
        let ways = if is_both_ways { vec![(from, to), (to, from)] } else { vec![(from, to)] };
        for way in ways {
            let cut = self.cuts.entry(way).or_default();
            *cut = until.max(*cut);
        }
        core.note(format!("the link from process {from} to {to} is cut until {:.3} ms", until as f64 / 1e6));
        core.at(until, Event::Healed(from, to));
        true
    }

    /// Whether a worker cannot be told anything now, or cannot say anything.
    pub(super) fn is_cut_off(&self, worker: WorkerId, core: &Core) -> bool {
        let lane = Lane::Post(worker);
        let (one, other) = (self.process(lane, Side::First), self.process(lane, Side::Second));
        let is_cut = |way| self.cuts.get(&way).is_some_and(|until| *until > core.now);
        one != other && (is_cut((one, other)) || is_cut((other, one)))
    }

    /// The link between two processes is whole again, unless it has been cut once more.
    pub(super) fn healed(&mut self, one: u32, other: u32, core: &mut Core) {
        let is_cut =
            |cuts: &BTreeMap<(u32, u32), u64>, way| cuts.get(&way).is_some_and(|until| *until > core.now);
        if is_cut(&self.cuts, (one, other)) || is_cut(&self.cuts, (other, one)) {
            return;
        }
        self.cuts.remove(&(one, other));
        self.cuts.remove(&(other, one));
        for at in 0..self.ends.len() {
            let (_, lane, side) = self.ends[at].place;
            let link = (self.process(lane, side), self.process(lane, side.other()));
            if !self.ends[at].is_closed && (link == (one, other) || link == (other, one)) {
                self.ends[at].session.reconnected(core.nanos());
                self.pump(at, core);
            }
        }
    }

    /// Links neither lose nor are cut from now on.
    pub(super) fn calm(&mut self, core: &mut Core) {
        self.message_us_max = self.message_us_max.min(200);
        let cut: Vec<(u32, u32)> = std::mem::take(&mut self.cuts).into_keys().collect();
        cut.into_iter().for_each(|(from, to)| self.healed(from, to, core));
    }

    fn process(&self, lane: Lane, side: Side) -> u32 {
        let of_worker = |worker: WorkerId| worker.0 % self.network.n_processes;
        match (lane, side) {
            (Lane::Data(_, worker, _) | Lane::Mail(worker, _), Side::First)
            | (Lane::Data(_, _, worker) | Lane::Mail(_, worker) | Lane::Post(worker), Side::Second) => {
                of_worker(worker)
            }
            (Lane::Post(_), Side::First) if self.network.is_coordinator_apart => self.network.n_processes,
            (Lane::Post(_), Side::First) => 0,
        }
    }

    /// Carries out whatever a session wants done.
    fn pump(&mut self, at: usize, core: &mut Core) {
        let now = core.nanos();
        self.deliver(at, core);
        let end = &mut self.ends[at];
        while let Some(message) = end.waiting.front() {
            if end.session.send(message, now).is_err() {
                break;
            }
            end.waiting.pop_front();
        }
        let n_before = end.session.counts().n_retransmitted;
        while let Some(frame) = self.ends[at].session.transmit(now) {
            self.put_on_wire(at, &frame, core);
        }
        let end = &mut self.ends[at];
        for _ in n_before..end.session.counts().n_retransmitted {
            core.counts.add("session: payload sent again");
        }
        if end.is_refused && !end.session.is_full() {
            end.is_refused = false;
            core.at(now.0, Event::Nudge(end.actor));
        }
        if let (Some(why), false) = (end.session.lost(), end.is_lost) {
            let reason = format!("{:?}: {why}", end.place.1);
            core.counts.add("session: lost");
            end.is_lost = true;
            end.waiting.clear();
            let (of, generation) = (end.place.0, end.generation);
            let worker = match (end.place.1, end.place.2) {
                (Lane::Data(_, _, worker) | Lane::Mail(_, worker) | Lane::Post(worker), Side::First)
                | (Lane::Data(_, worker, _) | Lane::Mail(worker, _) | Lane::Post(worker), Side::Second) => {
                    worker
                }
            };
            core.note(format!("coordinator {of} {generation} {worker} is cut off: {reason}"));
            core.after(Duration::from_micros(1), Event::Lost { of, generation, worker, reason });
        }
        if let Some(Nanos(due)) = end.session.tick_at()
            && end.tick_at.is_none_or(|earlier| due < earlier)
        {
            end.tick_at = Some(due);
            core.at(due, Event::SessionTick(at));
        }
    }

    /// Mail goes on at once; what comes by a channel waits until its worker takes it.
    fn deliver(&mut self, at: usize, core: &mut Core) {
        let end = &mut self.ends[at];
        let ((of, lane, side), now, actor) = (end.place, core.now, end.actor);
        if let Lane::Data(..) = lane {
            return;
        }
        while let Some(bytes) = end.session.take() {
            let event = match (lane, side) {
                (Lane::Post(_), Side::First) => Event::Report { of, actor, report: decoded(&bytes) },
                (Lane::Post(_), Side::Second) => Event::Deliver(actor, ToWorker::Command(decoded(&bytes))),
                _ => Event::Deliver(actor, ToWorker::Mail(decoded(&bytes))),
            };
            core.at(now, event);
        }
    }

    fn put_on_wire(&mut self, at: usize, frame: &Frame, core: &mut Core) {
        let (of, lane, side) = self.ends[at].place;
        let to = (of, lane, side.other());
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let link = (self.process(lane, side), self.process(lane, side.other()));
        if self.cuts.get(&link).is_some_and(|until| *until > core.now) {
            return core.counts.add("network: frame lost to a cut");
        }
        let delay = core.rng.micros(1, self.message_us_max);
        if core.is_calm {
            return core.after(delay, Event::Frame(to, bytes));
        }
        if core.rng.per_mille(self.network.twice_per_mille) {
            core.counts.add("network: frame duplicated");
            let late = core.rng.micros(1, LATE_US_MAX);
            core.after(late, Event::Frame(to, bytes.clone()));
        }
        if core.rng.per_mille(self.network.stray_per_mille) {
            core.counts.add("network: frame delivered to another coordinator's job as well");
            let late = core.rng.micros(1, LATE_US_MAX);
            let others: BTreeSet<usize> =
                self.workers.keys().map(|(of, _)| *of).filter(|it| *it != of).collect();
            others.into_iter().for_each(|of| core.after(late, Event::Frame((of, lane, to.2), bytes.clone())));
        }
        if core.rng.per_mille(self.network.lost_per_mille) {
            return core.counts.add("network: frame lost");
        }
        if core.rng.per_mille(self.network.damaged_per_mille) {
            core.counts.add("network: frame damaged");
            let bit = core.rng.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        core.after(delay, Event::Frame(to, bytes));
    }
}

fn decoded<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> T {
    codec::decode(bytes).expect("a message can be decoded")
}
