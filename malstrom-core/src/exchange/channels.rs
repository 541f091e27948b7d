//! The inputs of a stage: one channel for each (edge, sender), read in turn, aligned at barriers, their watermarks
//! merged.
//!
//! # Rules
//! 1. A channel that has delivered a barrier is not read until every channel has delivered the same one.
//! 2. The merged watermark is the least of all channels that are neither idle nor ended, and never regresses.
//!    When the last one becomes idle it is the greatest of all: it does not depend on which of them was idle first, so
//!    all workers that read the same channels agree.
//! 3. An ended channel holds up neither barriers nor watermarks. The end of event time is not reached before every channel
//!    has reached it, idle or not: behind it a record would be late for ever, and its timers would never fire. A channel that
//!    waits there counts with what it promised before, whenever the others become idle.
//! 4. Suspension and the end are passed on when every channel has said so.
//! 5. When all are at the barrier of a route, every channel's promise and idleness are void: the merged watermark stays
//!    where it is until every channel has said again what it promises, or that it is idle.
//! 6. A worker that comes to a running job merges nothing before its first route. Its channels begin idle and speak one
//!    after the other, so it would merge what the others, who heard them before, did not; and nothing is read before.

use std::collections::VecDeque;

use super::Batch;
use super::lane::{Message, Receive};
use crate::element::{Barrier, Control, Timestamp};
use crate::mutant::{self, Mutant};

/// What reading all channels once gave.
pub(crate) enum Arrival<T> {
    /// Records, and the channel to which the emptied batch returns.
    Batch(Box<Batch<T>>, usize),
    /// Control that now holds for the whole stage.
    Control(Control),
    /// Nothing is there that may be read.
    Nothing,
}

pub(crate) struct Channels<T> {
    channels: Vec<Channel<T>>,
    next: usize,
    watermark: Timestamp,
    is_idle: bool,
    /// Whether nothing is merged before the first route.
    awaits_route: bool,
    /// What is to be told next: a barrier behind the watermark that the same end of a channel let go, or the watermark
    /// behind a batch that woke its channel, or idleness behind the last watermark.
    due: VecDeque<Control>,
}

struct Channel<T> {
    input: Box<dyn Receive<T>>,
    at: At,
    watermark: Timestamp,
    /// The last watermark before the end of event time.
    promised: Timestamp,
    is_idle: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Open,
    Barrier(Barrier),
    Suspended,
    Ended,
}

impl<T> Channels<T> {
    pub(crate) fn new() -> Self {
        Self {
            channels: Vec::new(),
            next: 0,
            watermark: Timestamp::MIN,
            is_idle: false,
            awaits_route: false,
            due: VecDeque::new(),
        }
    }

    /// How many channels there are.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    /// Adds a channel that is there from the beginning: until it speaks, nobody knows what it will bring, and the
    /// others' watermarks wait for it.
    pub(crate) fn add(&mut self, input: Box<dyn Receive<T>>) {
        let is_idle = mutant::is(Mutant::SilentIdle);
        self.channels.push(Channel {
            input,
            at: At::Open,
            watermark: Timestamp::MIN,
            promised: Timestamp::MIN,
            is_idle,
        });
    }

    /// Adds a channel to a stage that runs already. Its sender has nothing before a route gives it something, so it is
    /// idle until it says otherwise.
    pub(crate) fn add_newcomer(&mut self, input: Box<dyn Receive<T>>) {
        self.channels.push(Channel {
            input,
            at: At::Open,
            watermark: Timestamp::MIN,
            promised: Timestamp::MIN,
            is_idle: true,
        });
    }

    /// This worker comes to a running job: nothing is merged before its first route.
    pub(crate) fn await_route(&mut self) {
        self.awaits_route = !mutant::is(Mutant::NewcomerMergesEarly);
    }

    /// Drops the last channels; their senders have nothing more to say, and hold nothing up any more.
    pub(crate) fn truncate(&mut self, n_channels: usize) {
        if n_channels >= self.channels.len() {
            return;
        }
        self.channels.truncate(n_channels);
        self.next = 0;
        if self.due.is_empty()
            && let Some(control) = self.merge()
        {
            self.due.push_front(control);
        }
    }

    /// The merged watermark.
    pub(crate) fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// Whether all that have not ended are idle, and that has been told or is due.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_idle
    }

    /// The merged watermark is at least this; whether that was news.
    pub(crate) fn raise(&mut self, time: Timestamp) -> bool {
        let is_news = time > self.watermark;
        self.watermark = self.watermark.max(time);
        is_news
    }

    /// Behind the barrier of a route: lets the merged watermark begin anew, from whatever the channels say next.
    pub(crate) fn forget_watermark(&mut self) {
        self.watermark = Timestamp::MIN;
    }

    /// Returns an emptied batch to its sender.
    pub(crate) fn recycle(&mut self, batch: Box<Batch<T>>, channel: usize) {
        self.channels[channel].input.recycle(batch);
    }

    /// The next thing to do. Every channel is asked at most until it has nothing, or a batch, or a barrier.
    pub(crate) fn poll(&mut self) -> Arrival<T> {
        if let Some(control) = self.due.pop_front() {
            return Arrival::Control(control);
        }
        let n = self.channels.len();
        for turn in 0..n {
            let at = if self.next + turn < n { self.next + turn } else { self.next + turn - n };
            while self.channels[at].at == At::Open {
                match self.channels[at].input.try_recv() {
                    None => break,
                    Some(Message::Batch(batch)) => {
                        if std::mem::take(&mut self.channels[at].is_idle) {
                            let woken = self.merge();
                            self.due.extend(woken);
                        }
                        self.is_idle = false;
                        self.next = if at + 1 == n { 0 } else { at + 1 };
                        return Arrival::Batch(batch, at);
                    }
                    Some(Message::Control(control)) => {
                        if let Some(control) = self.control(at, control) {
                            return Arrival::Control(control);
                        }
                    }
                }
            }
        }
        Arrival::Nothing
    }

    fn control(&mut self, at: usize, control: Control) -> Option<Control> {
        let channel = &mut self.channels[at];
        match control {
            Control::Watermark(time) => {
                debug_assert!(
                    time >= channel.watermark,
                    "watermarks do not regress on a channel between routes"
                );
                channel.watermark = channel.watermark.max(time);
                if time < Timestamp::MAX {
                    channel.promised = channel.watermark;
                }
                channel.is_idle = false;
                self.merge()
            }
            Control::Idle => {
                channel.is_idle = true;
                self.merge()
            }
            Control::Barrier(barrier) => {
                channel.at = At::Barrier(barrier);
                self.aligned(barrier)
            }
            Control::Suspend => {
                channel.at = At::Suspended;
                self.channels.iter().all(|c| c.at == At::Suspended).then_some(Control::Suspend)
            }
            Control::End => {
                channel.at = At::Ended;
                if self.channels.iter().all(|c| c.at == At::Ended) {
                    return Some(Control::End);
                }
                // The others may be at a barrier that they waited for this channel to reach.
                let waiting = self.channels.iter().find_map(|channel| match channel.at {
                    At::Barrier(barrier) => Some(barrier),
                    _ => None,
                });
                let aligned = waiting.and_then(|barrier| self.aligned(barrier));
                let merged = self.merge();
                self.due.extend(aligned);
                merged.or_else(|| self.due.pop_front())
            }
        }
    }

    fn aligned(&mut self, barrier: Barrier) -> Option<Control> {
        let passed =
            |channel: &Channel<T>| matches!(channel.at, At::Ended) || channel.at == At::Barrier(barrier);
        let is_unaligned = match barrier {
            Barrier::Snapshot(_) => mutant::is(Mutant::SnapshotUnaligned),
            Barrier::Route(_) => mutant::is(Mutant::RouteUnaligned),
        };
        if !is_unaligned && !self.channels.iter().all(passed) {
            return None;
        }
        for channel in &mut self.channels {
            if channel.at == At::Barrier(barrier) {
                channel.at = At::Open;
            }
        }
        if matches!(barrier, Barrier::Route(_)) && !mutant::is(Mutant::PromisesKept) {
            // What a sender promised, it promised for the partitions it had. A channel at the least time holds the
            // merged watermark until it has spoken again, and cannot take it back.
            for channel in &mut self.channels {
                channel.watermark = Timestamp::MIN;
                channel.promised = Timestamp::MIN;
                channel.is_idle = false;
            }
            self.is_idle = false;
            self.awaits_route = false;
        }
        Some(Control::Barrier(barrier))
    }

    fn merge(&mut self) -> Option<Control> {
        if self.awaits_route {
            return None;
        }
        let open = || self.channels.iter().filter(|channel| channel.at != At::Ended);
        let is_over =
            open().all(|channel| channel.watermark == Timestamp::MAX) || mutant::is(Mutant::EndsWithIdle);
        let greatest = || if is_over { Some(Timestamp::MAX) } else { open().map(Channel::before_end).max() };
        let least = open().filter(|channel| !channel.is_idle).map(|channel| channel.watermark).min();
        let least = if least == Some(Timestamp::MAX) { greatest() } else { least };
        match least {
            Some(time) if time > self.watermark => {
                self.watermark = time;
                self.is_idle = false;
                Some(Control::Watermark(time))
            }
            // A channel has woken behind the merge: whoever reads this stage must be told to wait for it again.
            Some(_) if self.is_idle => {
                self.is_idle = false;
                Some(Control::Watermark(self.watermark))
            }
            None if !self.is_idle => {
                self.is_idle = true;
                let time = open().next().and_then(|_| greatest());
                match time.filter(|time| *time > self.watermark) {
                    Some(time) => {
                        self.watermark = time;
                        self.due.push_front(Control::Idle);
                        Some(Control::Watermark(time))
                    }
                    None => Some(Control::Idle),
                }
            }
            _ => None,
        }
    }
}

impl<T> Channel<T> {
    /// What it promises, or what it promised before the end of event time.
    fn before_end(&self) -> Timestamp {
        if self.watermark < Timestamp::MAX { self.watermark } else { self.promised }
    }
}

#[cfg(test)]
mod tests;
