//! One way out of a stage: the batch being built for one receiver and what it has no room for yet.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::{AnyBatch, Batch, Data, Parcel, ParcelReceiver, ParcelSender};
#[cfg(debug_assertions)]
use crate::element::Grammar;
use crate::element::{Control, Record, Timestamp};
use crate::limits::{BATCH_RECORDS, CHANNEL_MESSAGES_MAX};
use crate::mutant::{self, Mutant};

/// What a channel carries, with its type known.
#[derive(Debug)]
pub(crate) enum Message<T> {
    Batch(Box<Batch<T>>),
    Control(Control),
}

/// The sending end of a channel, with its type known.
pub(crate) trait Transmit<T> {
    fn try_send(&mut self, message: Message<T>) -> Result<(), Message<T>>;
    fn recycled(&mut self) -> Option<Box<Batch<T>>>;
    fn batch_records(&self) -> usize {
        BATCH_RECORDS
    }
}

/// The receiving end of a channel, with its type known.
pub(crate) trait Receive<T> {
    fn try_recv(&mut self) -> Option<Message<T>>;
    fn recycle(&mut self, batch: Box<Batch<T>>);
}

/// A bounded channel between two stages of one worker.
pub(crate) fn local_channel<T: 'static>() -> (Box<dyn Transmit<T>>, Box<dyn Receive<T>>) {
    let queue = Rc::new(RefCell::new(LocalQueue { messages: VecDeque::new(), empty: Vec::new() }));
    (Box::new(LocalEnd(queue.clone())), Box::new(LocalEnd(queue)))
}

struct LocalQueue<T> {
    messages: VecDeque<Message<T>>,
    #[expect(clippy::vec_box, reason = "a batch travels in its box and returns in it")]
    empty: Vec<Box<Batch<T>>>,
}

struct LocalEnd<T>(Rc<RefCell<LocalQueue<T>>>);

impl<T> Transmit<T> for LocalEnd<T> {
    fn try_send(&mut self, message: Message<T>) -> Result<(), Message<T>> {
        let mut queue = self.0.borrow_mut();
        if queue.messages.len() >= CHANNEL_MESSAGES_MAX {
            return Err(message);
        }
        queue.messages.push_back(message);
        Ok(())
    }

    fn recycled(&mut self) -> Option<Box<Batch<T>>> {
        self.0.borrow_mut().empty.pop()
    }
}

impl<T> Receive<T> for LocalEnd<T> {
    fn try_recv(&mut self) -> Option<Message<T>> {
        self.0.borrow_mut().messages.pop_front()
    }

    fn recycle(&mut self, batch: Box<Batch<T>>) {
        self.0.borrow_mut().empty.push(batch);
    }
}

/// A channel between two workers, seen from a stage that knows what it carries.
pub(crate) struct Remote<C>(pub(crate) C);

impl<T: Data> Transmit<T> for Remote<Box<dyn ParcelSender>> {
    fn try_send(&mut self, message: Message<T>) -> Result<(), Message<T>> {
        if let (true, Message::Batch(batch)) = (mutant::is(Mutant::SentTwice), &message) {
            let mut bytes = Vec::new();
            let copied = batch.encode(&mut bytes).and_then(|()| super::decode_batch::<T>(&bytes));
            let _ = copied.map(|copy| self.0.try_send(Parcel::Batch(copy)));
        }
        let parcel = match message {
            Message::Batch(batch) => Parcel::Batch(batch),
            Message::Control(control) => Parcel::Control(control),
        };
        self.0.try_send(parcel).map_err(typed)
    }

    fn recycled(&mut self) -> Option<Box<Batch<T>>> {
        self.0.recycled().and_then(|batch| batch.into_any().downcast().ok())
    }

    fn batch_records(&self) -> usize {
        self.0.batch_records()
    }
}

impl<T: Data> Receive<T> for Remote<Box<dyn ParcelReceiver>> {
    fn try_recv(&mut self) -> Option<Message<T>> {
        self.0.try_recv().map(typed)
    }

    fn recycle(&mut self, batch: Box<Batch<T>>) {
        self.0.recycle(batch);
    }
}

fn typed<T: Data>(parcel: Parcel) -> Message<T> {
    match parcel {
        Parcel::Control(control) => Message::Control(control),
        Parcel::Batch(batch) => {
            let batch = batch.into_any().downcast();
            Message::Batch(batch.expect("both ends of an edge are built by the same job and carry one type"))
        }
    }
}

/// Drains every lane, also those behind one that is full; whether nothing waits any more.
pub(crate) fn drain_all<T>(lanes: &mut [Lane<T>]) -> bool {
    let mut is_clear = true;
    for lane in lanes {
        is_clear &= lane.drain();
    }
    is_clear
}

/// The batch under construction for one receiver, and what waits for room in the channel to it. What waits is bounded
/// by what one input batch makes: a stage with anything waiting does not read.
pub(crate) struct Lane<T> {
    channel: Box<dyn Transmit<T>>,
    /// Not in a box of its own, and what its last record's time was beside it: a record finds both at once.
    building: Batch<T>,
    time: Timestamp,
    waiting: VecDeque<Message<T>>,
    batch_records: usize,
    /// What is put into a channel is what every stage and every transport relies on, so its order is checked here.
    #[cfg(debug_assertions)]
    grammar: Grammar,
}

impl<T> Lane<T> {
    pub(crate) fn new(channel: Box<dyn Transmit<T>>) -> Self {
        Self {
            batch_records: channel.batch_records(),
            channel,
            building: Batch::default(),
            time: Timestamp::MIN,
            waiting: VecDeque::new(),
            #[cfg(debug_assertions)]
            grammar: Grammar::default(),
        }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, record: Record<T>) {
        if record.time != self.time || self.building.is_empty() {
            self.time = record.time;
            self.building.begin_run(record.time);
        }
        self.building.push_in_run(record.value);
        if self.building.len() >= self.batch_records {
            self.flush();
        }
    }

    /// Sends the batch under construction, however small.
    #[inline(never)]
    pub(crate) fn flush(&mut self) {
        if !self.building.is_empty() {
            let mut batch = self.channel.recycled().unwrap_or_default();
            debug_assert!(batch.is_empty(), "a batch is returned empty");
            std::mem::swap(&mut *batch, &mut self.building);
            self.send(Message::Batch(batch));
        }
    }

    pub(crate) fn control(&mut self, control: Control) {
        if !(mutant::is(Mutant::BarrierOvertakes) && matches!(control, Control::Barrier(_))) {
            self.flush();
        }
        self.send(Message::Control(control));
    }

    /// Sends what waits; whether nothing waits any more.
    #[inline]
    pub(crate) fn drain(&mut self) -> bool {
        while let Some(message) = self.waiting.pop_front() {
            if let Err(message) = self.channel.try_send(message) {
                self.waiting.push_front(message);
                return false;
            }
        }
        true
    }

    fn send(&mut self, message: Message<T>) {
        #[cfg(debug_assertions)]
        {
            let result = match &message {
                Message::Batch(_) => self.grammar.record(),
                Message::Control(control) => self.grammar.control(*control),
            };
            assert_eq!(result, Ok(()), "what goes into a channel keeps to the grammar of a stream");
        }
        self.waiting.push_back(message);
        self.drain();
    }
}
