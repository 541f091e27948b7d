//! What carries messages: bounded channels, and links for commands, reports and mail. Each message takes a time of its
//! own; what goes the same way keeps its order.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::{Event, Shared};
use super::service::{Futures, SimDriver};
use super::store::{Ask, Caller};
use super::wires::{Lane, Network, Side, Wires};
use crate::codec;
use crate::coordinator::JobEvent;
use crate::exchange::{AnyBatch, Decoder, Parcel, ParcelReceiver, ParcelSender};
use crate::ids::{EdgeId, Generation, WorkerId};
use crate::limits::{BATCH_RECORDS, ENCODE_SLICE_BYTES, OBJECT_BYTES_MIN};
use crate::ports::{Driver, Host, LocalFuture, Nanos, WorkerPort};
use crate::worker::messages::{Command, Mail, Report, ToWorker};

use super::clock::Gate;
use std::sync::Arc;

/// Bytes of an object where slices are small.
const SMALL_OBJECT_BYTES: usize = 400;
/// Time after the last fault in which its effects may still be felt.
const SETTLED_AFTER: Duration = Duration::from_secs(8);
const LINK_COMMAND: u8 = 0;
const LINK_REPORT: u8 = 1;
const LINK_MAIL: u8 = 2;

/// All channels and inboxes.
pub(super) struct Net {
    channels: Vec<Channel>,
    /// The channel of an edge between two workers, by the coordinator they belong to.
    open: BTreeMap<(usize, EdgeId, WorkerId, WorkerId), usize>,
    pub(super) inboxes: BTreeMap<usize, VecDeque<ToWorker>>,
    /// Which actor is a coordinator's worker now.
    pub(super) current: BTreeMap<(usize, WorkerId), usize>,
    /// Which start of a worker counts: a worker that was stopped before it came up does not come up.
    pub(super) starts: BTreeMap<(usize, WorkerId), u64>,
    n_starts: u64,
    capacity: usize,
    pub(super) batch_records: usize,
    pub(super) slice_bytes: usize,
    by_bytes: bool,
    message_us_max: u64,
    /// Messages out of a thousand that come a second time, to somebody else.
    pub(super) stray_per_mille: u64,
    /// What leaves a process.
    pub(super) wires: Wires,
    /// Workers that could not be stopped: they go on, and reach nobody but the store and what their sinks write to.
    given_up: BTreeSet<usize>,
    pub(super) futures: Futures,
}

struct Channel {
    queue: VecDeque<(u64, Parcel)>,
    last: u64,
    sender: usize,
    receiver: Option<usize>,
    is_refused: bool,
    is_gone: bool,
    emptied: Vec<Box<dyn AnyBatch>>,
    key: (usize, EdgeId, WorkerId, WorkerId),
}

pub(super) type SharedNet = Rc<RefCell<Net>>;

impl Net {
    pub(super) fn new(network: Network, capacity: usize, by_bytes: bool, message_us_max: u64) -> Self {
        Self {
            channels: Vec::new(),
            open: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            current: BTreeMap::new(),
            starts: BTreeMap::new(),
            n_starts: 0,
            capacity,
            batch_records: BATCH_RECORDS,
            slice_bytes: ENCODE_SLICE_BYTES,
            by_bytes,
            message_us_max,
            stray_per_mille: 0,
            wires: Wires::new(network, capacity, message_us_max),
            given_up: BTreeSet::new(),
            futures: Futures::default(),
        }
    }

    /// Like [`remove_actor`](Self::remove_actor), of a worker that cannot be reached: it works on with what it has.
    pub(super) fn give_up(&mut self, of: usize, worker: WorkerId, actor: usize) -> Vec<usize> {
        let inbox = self.inboxes.remove(&actor).unwrap_or_default();
        let unblocked = self.remove_actor(of, worker, actor);
        self.wires.worker_gone(of, worker, actor, true);
        self.inboxes.insert(actor, inbox);
        self.given_up.insert(actor);
        unblocked
    }

    /// Messages are fast from now on.
    pub(super) fn calm(&mut self) {
        self.message_us_max = self.message_us_max.min(200);
    }

    /// Who is to be woken when a parcel arrives in a channel.
    pub(super) fn receiver(&self, channel: usize) -> Option<usize> {
        self.channels[channel].receiver
    }

    /// A worker is gone: its channels take all and keep nothing, and are made anew if a worker of its number comes.
    pub(super) fn remove_actor(&mut self, of: usize, worker: WorkerId, actor: usize) -> Vec<usize> {
        self.inboxes.remove(&actor);
        if self.current.get(&(of, worker)) == Some(&actor) {
            self.current.remove(&(of, worker));
        }
        self.open.retain(|(by, _, from, to), _| *by != of || (*from != worker && *to != worker));
        let mut unblocked = Vec::new();
        for channel in &mut self.channels {
            if channel.key.0 == of && channel.key.3 == worker && !channel.is_gone {
                channel.is_gone = true;
                channel.queue.clear();
                if channel.is_refused {
                    unblocked.push(channel.sender);
                }
            }
        }
        unblocked
    }

    fn channel(&mut self, key: (usize, EdgeId, WorkerId, WorkerId)) -> usize {
        if let Some(channel) = self.open.get(&key) {
            return *channel;
        }
        self.channels.push(Channel {
            queue: VecDeque::new(),
            last: 0,
            sender: usize::MAX,
            receiver: None,
            is_refused: false,
            is_gone: false,
            emptied: Vec::new(),
            key,
        });
        self.open.insert(key, self.channels.len() - 1);
        self.channels.len() - 1
    }

    fn through_bytes<T: Serialize + DeserializeOwned>(&self, value: T) -> T {
        if !self.by_bytes {
            return value;
        }
        let bytes = codec::encode(&value).expect("a message can be encoded");
        codec::decode(&bytes).expect("a message can be decoded")
    }
}

/// How one simulated worker reaches the rest.
pub(super) struct SimPort {
    pub(super) of: usize,
    pub(super) actor: usize,
    pub(super) me: WorkerId,
    pub(super) generation: Generation,
    pub(super) net: SharedNet,
    pub(super) core: Shared,
}

impl WorkerPort for SimPort {
    fn receive(&mut self) -> Option<ToWorker> {
        self.net.borrow_mut().inboxes.get_mut(&self.actor)?.pop_front()
    }

    fn report(&mut self, report: Report) {
        let mut net = self.net.borrow_mut();
        if net.given_up.contains(&self.actor) {
            return;
        }
        let report = net.through_bytes(report);
        let mut core = self.core.lock();
        if !core.is_calm && core.rng.per_mille(net.stray_per_mille) {
            core.counts.add("message: report delivered again to every coordinator");
            let late = core.rng.micros(1000, 500_000);
            core.after(late, Event::StrayReport(report.clone()));
        }
        let lane = Lane::Post(self.me);
        if net.wires.carries(lane) {
            return net.wires.post((self.of, lane, Side::Second), &report, &mut core);
        }
        let delay = core.rng.micros(1, net.message_us_max);
        let event = Event::Report { of: self.of, actor: self.actor, report };
        core.on_link((LINK_REPORT, self.actor, self.of), delay, event);
    }

    fn mail(&mut self, to: WorkerId, mail: Mail) {
        let mut net = self.net.borrow_mut();
        let lane = Lane::Mail(self.me, to);
        if net.given_up.contains(&self.actor) {
            return;
        }
        if net.wires.carries(lane) {
            return net.wires.post((self.of, lane, Side::First), &mail, &mut self.core.lock());
        }
        let Some(&to) = net.current.get(&(self.of, to)) else { return };
        let mail = net.through_bytes(mail);
        let mut core = self.core.lock();
        let delay = core.rng.micros(1, net.message_us_max);
        core.on_link((LINK_MAIL, self.actor, to), delay, Event::Deliver(to, ToWorker::Mail(mail)));
    }

    fn shares_memory_with(&self, to: WorkerId) -> bool {
        let net = self.net.borrow();
        !net.by_bytes && !net.wires.carries(Lane::Mail(self.me, to))
    }

    fn put(&mut self, path: String, bytes: Vec<u8>) {
        self.core.call(Ask::Put(path, bytes), Caller::Worker { actor: self.actor });
    }

    fn get(&mut self, path: String, offset: u64, bytes: u64) {
        self.core.call(Ask::GetRange(path, offset, bytes), Caller::Worker { actor: self.actor });
    }

    fn channel_to(&mut self, edge: EdgeId, to: WorkerId) -> Box<dyn ParcelSender> {
        let mut net = self.net.borrow_mut();
        let lane = Lane::Data(edge, self.me, to);
        if net.given_up.contains(&self.actor) {
            return Box::new(Nowhere);
        }
        if net.wires.carries(lane) {
            let end = net.wires.open((self.of, lane, Side::First), self.generation, self.actor);
            return Box::new(WireSender(WireEnd { end, net: self.net.clone(), core: self.core.clone() }));
        }
        let channel = net.channel((self.of, edge, self.me, to));
        if net.channels[channel].sender != usize::MAX {
            self.core.lock().violation(format!("the channel {edge} {} to {to} was opened twice", self.me));
        }
        net.channels[channel].sender = self.actor;
        drop(net);
        Box::new(Sender { channel, net: self.net.clone(), core: self.core.clone() })
    }

    fn channel_from(&mut self, edge: EdgeId, from: WorkerId, decoder: Decoder) -> Box<dyn ParcelReceiver> {
        let mut net = self.net.borrow_mut();
        let lane = Lane::Data(edge, from, self.me);
        if net.given_up.contains(&self.actor) {
            return Box::new(Nowhere);
        }
        if net.wires.carries(lane) {
            let end = net.wires.open((self.of, lane, Side::Second), self.generation, self.actor);
            let end = WireEnd { end, net: self.net.clone(), core: self.core.clone() };
            return Box::new(WireReceiver(end, decoder));
        }
        let channel = net.channel((self.of, edge, from, self.me));
        if net.channels[channel].receiver.is_some() {
            self.core.lock().violation(format!("the channel {edge} {from} to {} was opened twice", self.me));
        }
        net.channels[channel].receiver = Some(self.actor);
        drop(net);
        Box::new(Receiver { channel, net: self.net.clone(), core: self.core.clone(), decoder })
    }

    fn now(&self) -> Nanos {
        self.core.lock().nanos()
    }

    fn driver(&mut self) -> Box<dyn Driver> {
        let futures = self.net.borrow().futures.clone();
        Box::new(SimDriver { actor: self.actor, futures, core: self.core.clone() })
    }

    fn slice_bytes(&self) -> usize {
        self.net.borrow().slice_bytes
    }

    fn objects_storing_max(&self) -> usize {
        1
    }

    /// Where slices are small, objects are as well: a few bins of such a job.
    fn object_bytes_min(&self) -> usize {
        match self.net.borrow().slice_bytes {
            ENCODE_SLICE_BYTES => OBJECT_BYTES_MIN,
            slice_bytes => slice_bytes.max(SMALL_OBJECT_BYTES),
        }
    }
}

struct Sender {
    channel: usize,
    net: SharedNet,
    core: Shared,
}

impl ParcelSender for Sender {
    fn try_send(&mut self, parcel: Parcel) -> Result<(), Parcel> {
        let mut net = self.net.borrow_mut();
        let (capacity, delay_max) = (net.capacity, net.message_us_max);
        let channel = &mut net.channels[self.channel];
        if channel.is_gone {
            return Ok(());
        }
        if channel.queue.len() >= capacity {
            channel.is_refused = true;
            return Err(parcel);
        }
        let mut core = self.core.lock();
        let delay = core.rng.micros(1, delay_max);
        channel.last = core.nanos().after(delay).0.max(channel.last + 1);
        channel.queue.push_back((channel.last, parcel));
        let due = channel.last;
        core.at(due, Event::Parcel(self.channel));
        Ok(())
    }

    fn recycled(&mut self) -> Option<Box<dyn AnyBatch>> {
        self.net.borrow_mut().channels[self.channel].emptied.pop()
    }

    fn batch_records(&self) -> usize {
        self.net.borrow().batch_records
    }
}

struct Receiver {
    channel: usize,
    net: SharedNet,
    core: Shared,
    decoder: Decoder,
}

impl ParcelReceiver for Receiver {
    fn try_recv(&mut self) -> Option<Parcel> {
        let mut net = self.net.borrow_mut();
        let by_bytes = net.by_bytes;
        let channel = &mut net.channels[self.channel];
        let mut core = self.core.lock();
        let (due, _) = channel.queue.front()?;
        if *due > core.now {
            return None;
        }
        let (_, parcel) = channel.queue.pop_front()?;
        if std::mem::take(&mut channel.is_refused) {
            let sender = channel.sender;
            core.after(Duration::from_micros(1), Event::Nudge(sender));
        }
        Some(match parcel {
            Parcel::Batch(batch) if by_bytes => {
                let mut bytes = Vec::new();
                batch.encode(&mut bytes).expect("a batch can be encoded");
                Parcel::Batch((self.decoder)(&bytes).expect("a batch can be decoded"))
            }
            parcel => parcel,
        })
    }

    fn recycle(&mut self, batch: Box<dyn AnyBatch>) {
        self.net.borrow_mut().channels[self.channel].emptied.push(batch);
    }
}

/// One end of a channel to another process. It is closed when its worker drops it.
struct WireEnd {
    end: usize,
    net: SharedNet,
    core: Shared,
}

impl Drop for WireEnd {
    fn drop(&mut self) {
        // A panic may have left it borrowed; the run is over then.
        if let Ok(mut net) = self.net.try_borrow_mut() {
            net.wires.close(self.end);
        }
    }
}

/// What a worker opens that has been given up.
struct Nowhere;

impl ParcelSender for Nowhere {
    fn try_send(&mut self, _: Parcel) -> Result<(), Parcel> {
        Ok(())
    }

    fn recycled(&mut self) -> Option<Box<dyn AnyBatch>> {
        None
    }
}

impl ParcelReceiver for Nowhere {
    fn try_recv(&mut self) -> Option<Parcel> {
        None
    }

    fn recycle(&mut self, _: Box<dyn AnyBatch>) {}
}

struct WireSender(WireEnd);

impl ParcelSender for WireSender {
    fn try_send(&mut self, parcel: Parcel) -> Result<(), Parcel> {
        self.0.net.borrow_mut().wires.send(self.0.end, parcel, &mut self.0.core.lock())
    }

    fn recycled(&mut self) -> Option<Box<dyn AnyBatch>> {
        None
    }
}

struct WireReceiver(WireEnd, Decoder);

impl ParcelReceiver for WireReceiver {
    fn try_recv(&mut self) -> Option<Parcel> {
        self.0.net.borrow_mut().wires.take(self.0.end, self.1, &mut self.0.core.lock())
    }

    fn recycle(&mut self, _: Box<dyn AnyBatch>) {}
}

/// How one simulated coordinator reaches the rest.
pub(super) struct SimHost {
    pub(super) of: usize,
    pub(super) net: SharedNet,
    pub(super) core: Shared,
}

impl Host for SimHost {
    fn start_worker(&self, generation: Generation, worker: WorkerId, n_bins: u32) {
        let mut net = self.net.borrow_mut();
        net.n_starts += 1;
        let start = net.n_starts;
        net.starts.insert((self.of, worker), start);
        let mut core = self.core.lock();
        core.check_start(self.of, generation);
        let delay = core.rng.micros(10, 5000);
        core.after(delay, Event::Start { of: self.of, generation, worker, n_bins, start });
    }

    fn stop_worker(&self, worker: WorkerId) -> LocalFuture<'_, ()> {
        let mut net = self.net.borrow_mut();
        net.starts.remove(&(self.of, worker));
        let actor = net.current.get(&(self.of, worker)).copied();
        let done = Arc::new(Gate::default());
        let mut core = self.core.lock();
        let delay = core.rng.micros(10, 5000);
        core.after(delay, Event::Stop { actor, done: done.clone() });
        Box::pin(std::future::poll_fn(move |cx| match done.is_open(cx.waker()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }))
    }

    fn send(&self, worker: WorkerId, command: Command) {
        self.core.lock().check_order(self.of, &command);
        let mut net = self.net.borrow_mut();
        let Some(&to) = net.current.get(&(self.of, worker)) else { return };
        let command = net.through_bytes(command);
        let mut core = self.core.lock();
        if !core.is_calm && core.rng.per_mille(net.stray_per_mille) {
            core.counts.add("message: command delivered again to a worker of that number");
            let late = core.rng.micros(1000, 500_000);
            // Its own generation would carry it out twice: a link repairs that, but not what comes from another one.
            core.after(late, Event::StrayCommand(worker, command.clone()));
        }
        let lane = Lane::Post(worker);
        if net.wires.carries(lane) {
            return net.wires.post((self.of, lane, Side::First), &command, &mut core);
        }
        let delay = core.rng.micros(1, net.message_us_max);
        core.on_link((LINK_COMMAND, self.of, to), delay, Event::Deliver(to, ToWorker::Command(command)));
    }

    fn sleep(&self, time: Duration) -> LocalFuture<'static, ()> {
        let core = self.core.clone();
        let due = core.lock().nanos().after(time);
        let mut is_set = false;
        Box::pin(std::future::poll_fn(move |cx| {
            let mut core = core.lock();
            if core.nanos() >= due {
                return std::task::Poll::Ready(());
            }
            // The coordinator is one task with one waker, so the timer set first wakes it however often it is polled.
            if !std::mem::replace(&mut is_set, true) {
                core.at(due.0, Event::Wake(cx.waker().clone()));
            }
            std::task::Poll::Pending
        }))
    }

    fn now(&self) -> Nanos {
        self.core.lock().nanos()
    }

    fn token(&self) -> u128 {
        self.core.lock().token()
    }

    fn take_output_gap(&self) -> Duration {
        Duration::ZERO
    }

    fn event(&self, event: JobEvent) {
        if !matches!(event, JobEvent::Steady { .. }) {
            let mut core = self.core.lock();
            if let JobEvent::Running { generation, restored, .. } = &event {
                core.check_running(self.of, *generation, *restored);
            }
            match &event {
                JobEvent::Snapshot(_) => core.counts.add("event: snapshot committed"),
                JobEvent::SnapshotFailed { .. } => core.counts.add("event: snapshot given up"),
                JobEvent::Rescaled(_) => core.counts.add("event: rescaled"),
                JobEvent::Recovered(_) => core.counts.add("event: recovered"),
                JobEvent::Damaged { .. } => core.counts.add("event: damage found"),
                _ => {}
            }
            let of = self.of;
            if let JobEvent::Recovering { reason, .. } = &event {
                core.check_recovering(of, reason);
                core.counts.add(match reason {
                    reason if reason.contains("step of the rescale") => "recovery: a step took too long",
                    reason if reason.contains("within") => "recovery: something else took too long",
                    _ => "recovery: other",
                });
                // A coordinator that knows more of its log than the store does tries again until it gives up.
                let is_explained = core.objects.is_entry_lost && reason.contains("the job log ");
                if core.is_calm && core.now > core.calm_at + SETTLED_AFTER.as_nanos() as u64 && !is_explained
                {
                    core.violation(format!(
                        "I14: with no fault far and wide, coordinator {of} recovers: {reason}"
                    ));
                }
            }
            core.note(format!("coordinator {of}: {event:?}"));
        }
    }
}
