//! The ports of a [`Rig`](super::Rig): queues from which nothing is taken before it is let go.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::super::rng::mix;
use crate::element::Grammar;
use crate::exchange::{AnyBatch, Decoder, Parcel, ParcelReceiver, ParcelSender};
use crate::ids::{EdgeId, WorkerId};
use crate::ports::{Driver, Nanos, SendFuture, StoreError, WorkerPort};
use crate::worker::messages::{Mail, Report, ToWorker};

/// A way that messages go, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// Parcels of an edge, from one worker to one.
    Channel(EdgeId, WorkerId, WorkerId),
    /// Commands to a worker.
    Command(WorkerId),
    /// Mail from one worker to another.
    Mail(WorkerId, WorkerId),
    /// What the store answers a worker.
    Store(WorkerId),
}

#[derive(Default)]
pub(super) struct Net {
    pub(super) capacity: usize,
    pub(super) refuses_every_other: bool,
    /// What is held back until somebody lets it go; the rest arrives at once.
    pub(super) holds: Option<fn(Link) -> bool>,
    channels: BTreeMap<Link, Channel>,
    held: BTreeMap<Link, VecDeque<ToWorker>>,
    inboxes: BTreeMap<WorkerId, VecDeque<ToWorker>>,
    pub(super) reports: VecDeque<Report>,
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    pub(super) violations: Vec<String>,
    /// Grows with everything a worker takes, sends or tries to.
    pub(super) n_acts: u64,
    /// What each worker has seen, as a hash: it tells all that can differ between two of its states.
    histories: BTreeMap<WorkerId, u64>,
    current: u64,
    /// Futures under way, by worker and number.
    futures: BTreeMap<(WorkerId, u64), SendFuture<'static, ()>>,
    n_futures: u64,
    pub(super) now: Nanos,
}

#[derive(Default)]
struct Channel {
    queue: VecDeque<Parcel>,
    n_arrived: usize,
    grammar: Grammar,
    n_tries: u64,
}

pub(super) type SharedNet = Rc<RefCell<Net>>;

impl Net {
    pub(super) fn new(capacity: usize, refuses_every_other: bool) -> Self {
        Self { capacity, refuses_every_other, ..Self::default() }
    }

    /// All workers are gone, and with them what was on its way.
    pub(super) fn clear(&mut self) {
        self.channels.clear();
        self.held.clear();
        self.inboxes.clear();
        self.reports.clear();
        self.histories.clear();
    }

    /// Links on which something is held back.
    pub(super) fn links(&self) -> Vec<Link> {
        let channels = self.channels.iter().filter(|(_, channel)| channel.n_arrived < channel.queue.len());
        let held = self.held.iter().filter(|(_, queue)| !queue.is_empty());
        channels.map(|(link, _)| *link).chain(held.map(|(link, _)| *link)).collect()
    }

    /// Lets the oldest message of a link go.
    pub(super) fn deliver(&mut self, link: Link) {
        if let Link::Channel(..) = link {
            if let Some(channel) = self.channels.get_mut(&link) {
                channel.n_arrived = channel.queue.len().min(channel.n_arrived + 1);
            }
        } else if let Some(message) = self.held.get_mut(&link).and_then(VecDeque::pop_front) {
            self.inboxes.entry(link.receiver()).or_default().push_back(message);
        }
    }

    /// Drives the future of each worker that it has asked for last; whether there was one.
    pub(super) fn answer(net: &SharedNet) -> bool {
        let last: BTreeMap<WorkerId, u64> = net.borrow().futures.keys().copied().collect();
        for (worker, number) in &last {
            let Some(mut future) = net.borrow_mut().futures.remove(&(*worker, *number)) else { continue };
            if future.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
                net.borrow_mut().futures.insert((*worker, *number), future);
            }
        }
        !last.is_empty()
    }

    pub(super) fn send(&mut self, link: Link, message: ToWorker) {
        if self.is_held(link) {
            self.held.entry(link).or_default().push_back(message);
        } else {
            self.inboxes.entry(link.receiver()).or_default().push_back(message);
        }
    }

    /// A hash of what every worker has seen, and of what has arrived but is not taken yet.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hash = 1;
        for (worker, history) in &self.histories {
            hash = mix(hash ^ u64::from(worker.0)).wrapping_add(*history);
        }
        for (link, channel) in &self.channels {
            hash = mix(hash ^ link.code()).wrapping_add(channel.n_arrived as u64);
        }
        for (worker, inbox) in &self.inboxes {
            hash = mix(hash ^ u64::from(worker.0));
            for message in inbox {
                hash = mix(hash ^ kind_of(message));
            }
        }
        for (link, queue) in &self.held {
            hash = mix(hash ^ link.code()).wrapping_add(queue.len() as u64);
        }
        hash
    }

    /// Begins a step, of which [`keep`](Self::keep) tells whether it counts.
    pub(super) fn begin(&mut self) {
        self.current = 1;
    }

    pub(super) fn keep(&mut self, worker: WorkerId) {
        let current = self.current;
        let history = self.histories.entry(worker).or_default();
        *history = mix(*history ^ current);
    }

    fn saw(&mut self, what: u64) {
        self.current = mix(self.current ^ what);
    }

    fn is_held(&self, link: Link) -> bool {
        self.holds.is_some_and(|holds| holds(link))
    }
}

impl Link {
    fn receiver(self) -> WorkerId {
        match self {
            Self::Channel(_, _, to) | Self::Command(to) | Self::Mail(_, to) | Self::Store(to) => to,
        }
    }

    fn code(self) -> u64 {
        match self {
            Self::Channel(edge, from, to) => {
                mix(u64::from(edge.0) << 16 | u64::from(from.0) << 8 | u64::from(to.0))
            }
            Self::Command(to) => 1000 + u64::from(to.0),
            Self::Mail(from, to) => 2000 + (u64::from(from.0) << 8) + u64::from(to.0),
            Self::Store(to) => 3000 + u64::from(to.0),
        }
    }
}

/// Which link a message is from; which of its messages follows from those before.
fn kind_of(message: &ToWorker) -> u64 {
    match message {
        ToWorker::Command(_) => 11,
        ToWorker::Mail(_) => 12,
        ToWorker::Stored { .. } => 13,
        ToWorker::Read { .. } => 14,
    }
}

/// How one worker of a rig reaches the rest.
pub(super) struct RigPort {
    pub(super) me: WorkerId,
    pub(super) net: SharedNet,
}

impl WorkerPort for RigPort {
    fn receive(&mut self) -> Option<ToWorker> {
        let mut net = self.net.borrow_mut();
        let message = net.inboxes.get_mut(&self.me)?.pop_front()?;
        net.n_acts += 1;
        net.saw(kind_of(&message));
        Some(message)
    }

    fn report(&mut self, report: Report) {
        let mut net = self.net.borrow_mut();
        net.n_acts += 1;
        net.reports.push_back(report);
    }

    fn mail(&mut self, to: WorkerId, mail: Mail) {
        let mut net = self.net.borrow_mut();
        net.n_acts += 1;
        net.send(Link::Mail(self.me, to), ToWorker::Mail(mail));
    }

    fn put(&mut self, path: String, bytes: Vec<u8>) {
        let mut net = self.net.borrow_mut();
        net.n_acts += 1;
        net.objects.insert(path.clone(), bytes.clone());
        net.send(Link::Store(self.me), ToWorker::Stored { path, result: Ok(()), buffer: bytes });
    }

    fn get(&mut self, path: String, offset: u64, bytes: u64) {
        let mut net = self.net.borrow_mut();
        net.n_acts += 1;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let range = net.objects.get(&path).and_then(|object| object.get(from..));
        let upto =
            |rest: &[u8]| rest[..rest.len().min(usize::try_from(bytes).unwrap_or(usize::MAX))].to_vec();
        let result = range.map(upto).ok_or_else(|| StoreError::NotFound { path: path.clone() });
        net.send(Link::Store(self.me), ToWorker::Read { path, offset, result });
    }

    fn channel_to(&mut self, edge: EdgeId, to: WorkerId) -> Box<dyn ParcelSender> {
        let link = Link::Channel(edge, self.me, to);
        self.net.borrow_mut().channels.entry(link).or_default();
        Box::new(Sender { link, net: self.net.clone() })
    }

    fn channel_from(&mut self, edge: EdgeId, from: WorkerId, decoder: Decoder) -> Box<dyn ParcelReceiver> {
        let link = Link::Channel(edge, from, self.me);
        self.net.borrow_mut().channels.entry(link).or_default();
        Box::new(Receiver { link, net: self.net.clone(), decoder })
    }

    fn driver(&mut self) -> Box<dyn Driver> {
        Box::new(RigDriver { me: self.me, net: self.net.clone() })
    }

    fn now(&self) -> Nanos {
        self.net.borrow().now
    }
}

struct RigDriver {
    me: WorkerId,
    net: SharedNet,
}

impl Driver for RigDriver {
    fn drive(&self, future: SendFuture<'static, ()>) -> Box<dyn Any> {
        let mut net = self.net.borrow_mut();
        net.n_acts += 1;
        net.n_futures += 1;
        let number = net.n_futures;
        net.futures.insert((self.me, number), future);
        Box::new(Wanted { future: (self.me, number), net: self.net.clone() })
    }
}

struct Wanted {
    future: (WorkerId, u64),
    net: SharedNet,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let future = self.net.borrow_mut().futures.remove(&self.future);
        drop(future);
    }
}

struct Sender {
    link: Link,
    net: SharedNet,
}

impl ParcelSender for Sender {
    fn try_send(&mut self, parcel: Parcel) -> Result<(), Parcel> {
        let net = &mut *self.net.borrow_mut();
        let is_held = net.is_held(self.link);
        net.n_acts += 1;
        let Some(channel) = net.channels.get_mut(&self.link) else { return Ok(()) };
        channel.n_tries += 1;
        let is_refused = net.refuses_every_other && channel.n_tries % 2 == 1;
        if is_refused || channel.queue.len() >= net.capacity {
            net.saw(self.link.code() ^ 1);
            return Err(parcel);
        }
        let checked = match &parcel {
            Parcel::Batch(_) => channel.grammar.record(),
            Parcel::Control(control) => channel.grammar.control(*control),
        };
        if let Err(error) = checked {
            net.violations.push(format!("{:?}: {error}", self.link));
        }
        channel.queue.push_back(parcel);
        channel.n_arrived += usize::from(!is_held);
        net.saw(self.link.code() ^ 2);
        Ok(())
    }

    fn recycled(&mut self) -> Option<Box<dyn AnyBatch>> {
        None
    }
}

struct Receiver {
    link: Link,
    net: SharedNet,
    decoder: Decoder,
}

impl ParcelReceiver for Receiver {
    fn try_recv(&mut self) -> Option<Parcel> {
        let net = &mut *self.net.borrow_mut();
        let channel = net.channels.get_mut(&self.link).filter(|channel| channel.n_arrived > 0)?;
        channel.n_arrived -= 1;
        let parcel = channel.queue.pop_front()?;
        net.n_acts += 1;
        net.saw(self.link.code() ^ 3);
        let Parcel::Batch(batch) = parcel else { return Some(parcel) };
        // Every batch crosses as bytes, as it does between processes.
        let mut bytes = Vec::new();
        let encoded = batch.encode(&mut bytes).and_then(|()| (self.decoder)(&bytes));
        match encoded {
            Ok(decoded) => Some(Parcel::Batch(decoded)),
            Err(error) => {
                net.violations
                    .push(format!("{:?}: a batch does not survive its encoding: {error}", self.link));
                Some(Parcel::Batch(batch))
            }
        }
    }

    fn recycle(&mut self, _: Box<dyn AnyBatch>) {}
}
