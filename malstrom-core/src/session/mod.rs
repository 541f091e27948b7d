//! A session: two ends that make of a link which loses, duplicates and reorders an ordered, exactly-once delivery of
//! payloads, or say loudly that the other end is lost. It does no I/O and reads no clock: frames, times and payloads are
//! given to it and taken from it.
//!
//! # Steps
//! 1. An end with something to say asks with its own [`Incarnation`] and the generation until somebody answers who
//!    knows it. From then on each frame names both ends, and only frames that do are believed.
//! 2. Payloads are numbered. The receiver keeps what comes behind a gap, delivers in order, and says with every frame how
//!    many it has without a gap (`acknowledged`) and how many it has room for (`until`).
//! 3. The sender keeps each payload until it is acknowledged, and sends all of them again when nothing is for a time that
//!    doubles. While there is no room it asks.
//! 4. Behind a new connection the sender asks first, and goes on from what the answer acknowledges.
//! 5. If nothing that was sent has been acknowledged within the deadline, the session is [`Lost`], for good.
//!
//! # Guarantees
//! Each payload is taken at most once and in the order it was sent (P1); I12 (nothing of another generation is accepted);
//! I14 and P5 (what cannot be repaired ends in [`Lost`] by the deadline); memory is bounded on both sides.
//!
//! # Assumptions
//! Whoever opens an end gives it a greater incarnation than any end had before in its place and its generation. The clock
//! does not go back. Somebody calls [`tick`](Session::tick) when it is due.
//!
//! # Caveats
//! - Acknowledged means that the other end has it, not that anybody has worked on it: for that there are reports.
//! - A session that has nothing to say does not notice that the other end is gone.

mod frame;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use frame::{Content, Frame, FrameError, Incarnation, PAYLOAD_BYTES_MAX};

use crate::ids::Generation;
use crate::limits::{
    SESSION_DEADLINE, SESSION_RETRY_MAX, SESSION_RETRY_MIN, SESSION_UNACKNOWLEDGED_BYTES_MAX,
    SESSION_WINDOW_FRAMES,
};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::ports::Nanos;

/// How patient a session is, and how much it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Payloads that are kept until they are acknowledged, and as many that are kept until they are taken.
    pub window_frames: usize,
    /// The time after which something is sent again first.
    pub retry_min: Duration,
    /// The longest time between two attempts.
    pub retry_max: Duration,
    /// The time without an acknowledgement after which the other end is lost.
    pub deadline: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            window_frames: SESSION_WINDOW_FRAMES,
            retry_min: SESSION_RETRY_MIN,
            retry_max: SESSION_RETRY_MAX,
            deadline: SESSION_DEADLINE,
        }
    }
}

/// Why a session has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// The other end has not acknowledged anything in time.
    #[error("nothing was acknowledged within {within:?}")]
    Deadline {
        /// The deadline.
        within: Duration,
    },
    /// The other end has begun anew and knows nothing of what was sent.
    #[error("the other end has been restarted")]
    Restarted,
}

/// Why a payload was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// As much waits to be acknowledged as may: try again later.
    #[error("as much waits to be acknowledged as may")]
    Full,
    /// It is longer than [`PAYLOAD_BYTES_MAX`].
    #[error("a payload of {bytes} bytes; at most {PAYLOAD_BYTES_MAX} can be sent")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The session has ended.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// What has happened to a session so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// Frames of data that were sent again.
    pub n_retransmitted: u64,
    /// Payloads that came once more and were dropped.
    pub n_duplicates: u64,
    /// Frames of other generations that were dropped.
    pub n_stale_generations: u64,
    /// Frames from or to other ends that were in this one's place, which were dropped.
    pub n_stale_sessions: u64,
    /// Frames that make no sense: payloads there was no room for, acknowledgements of what was not sent.
    pub n_absurd: u64,
}

/// One end of a session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    generation: Generation,
    me: Incarnation,
    peer: Peer,
    lost: Option<Lost>,
    counts: SessionCounts,
    outgoing: Outgoing,
    incoming: Incoming,
    /// An answer is wanted and the question is to be sent.
    is_question_due: bool,
    /// A question was sent, and nothing has been heard since.
    is_unanswered: bool,
    /// The link is new: nothing is sent before the other end has said what it has.
    is_resuming: bool,
    /// Since when something has been waited for in vain.
    stalled_since: Option<Nanos>,
    retry_at: Option<Nanos>,
    retry_in: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Unknown,
    /// It has spoken, but may be long gone.
    Heard(Incarnation),
    /// It has spoken to this very end.
    Known(Incarnation),
}

/// What is sent. Numbers count payloads from 0: `acknowledged <= cursor <= sent_to <= acknowledged + kept.len()`.
#[derive(Debug, Default)]
struct Outgoing {
    kept: VecDeque<Arc<[u8]>>,
    bytes: usize,
    acknowledged: u64,
    /// What is to be sent next, perhaps again.
    cursor: u64,
    /// What has never been sent.
    sent_to: u64,
    /// What the other end has no room for.
    until: u64,
}

/// What comes. `ready` goes up to `expected`; `ahead` lies behind a gap.
#[derive(Debug, Default)]
struct Incoming {
    expected: u64,
    ahead: BTreeMap<u64, Arc<[u8]>>,
    ready: VecDeque<Arc<[u8]>>,
    n_taken: u64,
    /// What the other end was last told that there is room for.
    told_until: u64,
    is_acknowledgement_due: bool,
}

impl Session {
    /// An end that has neither sent nor heard anything.
    #[must_use]
    pub fn new(generation: Generation, me: Incarnation, config: SessionConfig) -> Self {
        Self {
            config,
            generation,
            me,
            peer: Peer::Unknown,
            lost: None,
            counts: SessionCounts::default(),
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            is_question_due: false,
            is_unanswered: false,
            is_resuming: false,
            stalled_since: None,
            retry_at: None,
            retry_in: config.retry_min,
        }
    }

    /// Takes in a payload to be sent; [`transmit`](Self::transmit) gives the frames for it.
    ///
    /// # Errors
    /// If there is no room for now, if it can never be sent, or if the session has ended.
    pub fn send(&mut self, payload: &Arc<[u8]>, now: Nanos) -> Result<(), Refused> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone().into());
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Refused::TooLong { bytes: payload.len() });
        }
        if self.is_full() {
            mark::hit(Mark::SessionFull);
            return Err(Refused::Full);
        }
        self.outgoing.bytes += payload.len();
        self.outgoing.kept.push_back(payload.clone());
        if self.retry_at.is_none() {
            self.is_question_due |= !matches!(self.peer, Peer::Known(_));
            self.retry_at = Some(now.after(self.retry_in));
        }
        Ok(())
    }

    /// Whether [`send`](Self::send) would refuse for want of room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.outgoing.kept.len() >= self.config.window_frames.max(1)
            || self.outgoing.bytes >= SESSION_UNACKNOWLEDGED_BYTES_MAX
    }

    /// Takes in a frame that has come over the link.
    pub fn receive(&mut self, frame: Frame, now: Nanos) {
        if self.lost.is_some() {
            return;
        }
        if frame.generation != self.generation && !mutant::is(Mutant::SessionGenerationIgnored) {
            mark::hit(Mark::SessionStaleGeneration);
            self.counts.n_stale_generations += 1;
            return;
        }
        if !self.is_from_peer(&frame) {
            return;
        }
        self.is_unanswered = false;
        self.acknowledged(frame.acknowledged, frame.until, now);
        match frame.content {
            Content::Acknowledgement => {}
            Content::Question => self.incoming.is_acknowledgement_due = true,
            Content::Data { seq, payload } => self.data(seq, payload),
        }
    }

    /// The next frame to be put on the link, until there is none for now. What the link does not take is lost, and will
    /// be sent again.
    pub fn transmit(&mut self, now: Nanos) -> Option<Frame> {
        if self.lost.is_some() {
            return None;
        }
        if std::mem::take(&mut self.is_question_due) {
            self.is_unanswered = true;
            self.stalled_since.get_or_insert(now);
            self.retry_at.get_or_insert(now.after(self.retry_in));
            return Some(self.frame(Content::Question));
        }
        let out = &mut self.outgoing;
        let is_let = matches!(self.peer, Peer::Known(_)) && !self.is_resuming && out.cursor < out.until;
        let at = usize::try_from(out.cursor - out.acknowledged).unwrap_or(usize::MAX);
        if let (true, Some(payload)) = (is_let, out.kept.get(at)) {
            let content = Content::Data { seq: out.cursor, payload: payload.clone() };
            self.counts.n_retransmitted += u64::from(out.cursor < out.sent_to);
            out.cursor += 1;
            out.sent_to = out.sent_to.max(out.cursor);
            self.stalled_since.get_or_insert(now);
            self.retry_at.get_or_insert(now.after(self.retry_in));
            return Some(self.frame(content));
        }
        self.incoming.is_acknowledgement_due.then(|| self.frame(Content::Acknowledgement))
    }

    /// The next payload that has arrived, in the order in which they were sent.
    pub fn take(&mut self) -> Option<Arc<[u8]>> {
        let payload = self.incoming.ready.pop_front()?;
        self.incoming.n_taken += 1;
        // Room is told of when there is a good deal of it; a sender that waits asks.
        let news = self.room_until().saturating_sub(self.incoming.told_until);
        self.incoming.is_acknowledgement_due |= news >= (self.config.window_frames as u64 / 2).max(1);
        Some(payload)
    }

    /// Whether there is something to take.
    #[must_use]
    pub fn has_arrivals(&self) -> bool {
        !self.incoming.ready.is_empty()
    }

    /// When [`tick`](Self::tick) is to be called, if it has to be.
    #[must_use]
    pub fn tick_at(&self) -> Option<Nanos> {
        let deadline = self.stalled_since.map(|since| since.after(self.config.deadline));
        let next = deadline.into_iter().chain(self.retry_at).min();
        next.filter(|_| self.lost.is_none())
    }

    /// It is now so late: sends again what is due, or ends the session.
    pub fn tick(&mut self, now: Nanos) {
        let within = self.config.deadline;
        if self.lost.is_some() {
            return;
        }
        if self.stalled_since.is_some_and(|since| now >= since.after(within)) {
            mark::hit(Mark::SessionLost);
            return self.lose(Lost::Deadline { within });
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            let out = &mut self.outgoing;
            let is_let = matches!(self.peer, Peer::Known(_)) && out.acknowledged < out.until;
            if is_let && !self.is_resuming {
                out.cursor = out.acknowledged;
            } else {
                self.is_question_due = true;
            }
            self.retry_in = (self.retry_in * 2).min(self.config.retry_max);
            self.retry_at = Some(now.after(self.retry_in));
        }
    }

    /// The link was broken and there is a new one: what is kept is sent from where the other end has it.
    pub fn reconnected(&mut self, now: Nanos) {
        if self.lost.is_some() || self.outgoing.kept.is_empty() {
            return;
        }
        if mutant::is(Mutant::SessionResendDropped) {
            let out = &mut self.outgoing;
            out.kept.clear();
            (out.bytes, out.cursor, out.sent_to) = (0, out.acknowledged, out.acknowledged);
        }
        self.is_resuming = true;
        self.is_question_due = true;
        self.retry_in = self.config.retry_min;
        self.retry_at = Some(now.after(self.retry_in));
    }

    /// Why the session has ended, if it has.
    #[must_use]
    pub fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> SessionCounts {
        self.counts
    }

    /// Whether a frame is from whom this end speaks to, and meant for this end. Learns who that is.
    fn is_from_peer(&mut self, frame: &Frame) -> bool {
        if mutant::is(Mutant::SessionIncarnationIgnored) {
            self.peer = Peer::Known(frame.from);
            return true;
        }
        let is_to_me = match frame.to {
            None => false,
            Some(to) if to == self.me => true,
            Some(_) => return self.stale(),
        };
        match self.peer {
            Peer::Heard(peer) | Peer::Known(peer) if frame.from < peer => return self.stale(),
            Peer::Known(peer) if frame.from > peer => {
                self.lose(Lost::Restarted);
                return false;
            }
            Peer::Known(_) => {}
            Peer::Unknown | Peer::Heard(_) if is_to_me => self.peer = Peer::Known(frame.from),
            Peer::Unknown | Peer::Heard(_) => self.peer = Peer::Heard(frame.from),
        }
        // Whoever does not know this end yet is told of it, and nothing else it says is believed.
        self.incoming.is_acknowledgement_due |= !is_to_me;
        is_to_me
    }

    fn stale(&mut self) -> bool {
        mark::hit(Mark::SessionStale);
        self.counts.n_stale_sessions += 1;
        false
    }

    /// The other end has so many payloads, and room for so many.
    fn acknowledged(&mut self, acknowledged: u64, until: u64, now: Nanos) {
        let out = &mut self.outgoing;
        if acknowledged > out.sent_to {
            self.counts.n_absurd += 1;
            return;
        }
        out.until = out.until.max(until);
        let is_progress = acknowledged > out.acknowledged;
        while out.acknowledged < acknowledged {
            out.acknowledged += 1;
            out.bytes -= out.kept.pop_front().map_or(0, |payload| payload.len());
        }
        out.cursor = out.cursor.max(out.acknowledged);
        if std::mem::take(&mut self.is_resuming) {
            if out.acknowledged < out.sent_to {
                mark::hit(Mark::SessionRepaired);
            }
            out.cursor = out.acknowledged;
        }
        let is_settled = out.acknowledged == out.sent_to;
        if is_progress || is_settled {
            self.stalled_since = (!is_settled).then_some(now);
            self.retry_in = self.config.retry_min;
            self.retry_at = (!out.kept.is_empty()).then(|| now.after(self.retry_in));
        }
    }

    fn data(&mut self, seq: u64, payload: Arc<[u8]>) {
        let room_until = self.room_until();
        let inc = &mut self.incoming;
        inc.is_acknowledgement_due = true;
        if seq < inc.expected || inc.ahead.contains_key(&seq) {
            mark::hit(Mark::SessionDuplicate);
            self.counts.n_duplicates += 1;
            if mutant::is(Mutant::SessionDuplicatesTaken) {
                inc.ready.push_back(payload);
            }
            return;
        }
        if seq >= room_until {
            self.counts.n_absurd += 1;
            return;
        }
        if mutant::is(Mutant::SessionAcknowledgedEarly) {
            inc.expected = seq;
        }
        inc.ahead.insert(seq, payload);
        while let Some(payload) = inc.ahead.remove(&inc.expected) {
            inc.expected += 1;
            inc.ready.push_back(payload);
        }
    }

    fn room_until(&self) -> u64 {
        self.incoming.n_taken + self.config.window_frames.max(1) as u64
    }

    /// Every frame says what this end has, so no other need say it.
    fn frame(&mut self, content: Content) -> Frame {
        let until = self.room_until();
        self.incoming.is_acknowledgement_due = false;
        self.incoming.told_until = until;
        Frame {
            generation: self.generation,
            from: self.me,
            to: match self.peer {
                Peer::Unknown => None,
                Peer::Heard(peer) | Peer::Known(peer) => Some(peer),
            },
            acknowledged: self.incoming.expected,
            until,
            content,
        }
    }

    /// The end of the session. What has arrived in order can still be taken.
    fn lose(&mut self, why: Lost) {
        self.lost = Some(why);
        self.outgoing = Outgoing::default();
        self.incoming.ahead.clear();
    }
}

#[cfg(test)]
mod tests;
