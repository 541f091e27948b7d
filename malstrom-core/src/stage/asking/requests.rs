//! The requests under way: which are asked, which rest before they are asked again, and what was answered.
//!
//! Nothing here is stored. A request is known by a number of its own, so that an answer that comes late, to an attempt
//! that was given up, is told from one that counts.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pending::Place;
use crate::element::Timestamp;
use crate::operators::{AsyncError, AsyncOptions};
use crate::ports::{Driver, Nanos};

/// All requests of a worker.
pub(super) struct Requests<K, R, E> {
    options: AsyncOptions,
    open: BTreeMap<u64, Request<K, R, E>>,
    n_made: u64,
    /// Those that are to be asked for the first time.
    waiting: VecDeque<u64>,
    /// How many are asked, or rest before they are asked again.
    n_under_way: usize,
    /// When an attempt is over, or a rest.
    due: BTreeSet<(Nanos, u64)>,
    /// Where order matters: for each hash of a key, its requests in order. Two keys of one hash share an order, which
    /// is more than they need.
    lines: BTreeMap<u64, VecDeque<u64>>,
    answers: Answers<R, E>,
}

struct Request<K, R, E> {
    place: Place<K>,
    behind: Timestamp,
    n_attempts: u32,
    phase: Phase<R, E>,
}

enum Phase<R, E> {
    Waiting,
    Asked { until: Nanos, _under_way: Box<dyn Any> },
    Resting { until: Nanos },
    Done(Result<R, AsyncError<E>>),
}

/// A request that is done.
pub(super) struct Done<K, R, E> {
    pub(super) place: Place<K>,
    pub(super) behind: Timestamp,
    pub(super) n_attempts: u32,
    pub(super) result: Result<R, AsyncError<E>>,
}

/// Where futures put what they have come to, on whatever thread they are driven.
type Answers<R, E> = Arc<Mutex<VecDeque<Answer<R, E>>>>;

struct Answer<R, E> {
    id: u64,
    attempt: u32,
    /// `None` if the future ended without an answer: it panicked, or was dropped by whoever drove it.
    result: Option<Result<R, E>>,
}

/// A future ended without an answer while it was waited for.
#[derive(Debug)]
pub(super) struct Vanished;

impl<K, R: Send + 'static, E: Send + 'static> Requests<K, R, E> {
    pub(super) fn new(options: AsyncOptions) -> Self {
        Self {
            options,
            open: BTreeMap::new(),
            n_made: 0,
            waiting: VecDeque::new(),
            n_under_way: 0,
            due: BTreeSet::new(),
            lines: BTreeMap::new(),
            answers: Answers::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether no further record is to be taken in.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= self.options.n_at_once()
    }

    /// When something is due by the clock.
    pub(super) fn wake_at(&self) -> Option<Nanos> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn add(&mut self, place: Place<K>, behind: Timestamp) {
        self.n_made += 1;
        let id = self.n_made;
        if self.options.is_ordered() {
            self.lines.entry(place.hash).or_default().push_back(id);
        }
        self.open.insert(id, Request { place, behind, n_attempts: 0, phase: Phase::Waiting });
        self.waiting.push_back(id);
    }

    /// Drops the requests of these places; tells the watermark behind which each came.
    pub(super) fn drop_those(
        &mut self,
        is_dropped: impl Fn(&Place<K>) -> bool,
        mut tell: impl FnMut(Timestamp),
    ) {
        let dropped: BTreeSet<u64> =
            self.open.iter().filter(|(_, it)| is_dropped(&it.place)).map(|(id, _)| *id).collect();
        for id in &dropped {
            if let Some(request) = self.open.remove(id) {
                self.leave_phase(*id, &request.phase);
                tell(request.behind);
            }
        }
        self.waiting.retain(|id| !dropped.contains(id));
        self.lines.values_mut().for_each(|line| line.retain(|id| !dropped.contains(id)));
        self.lines.retain(|_, line| !line.is_empty());
    }

    /// The next request that is to be asked now, for the first time or again.
    pub(super) fn next_to_ask(&mut self, now: Nanos) -> Option<(u64, &Place<K>)> {
        let rested = self.due.first().copied().filter(|(at, id)| {
            *at <= now && matches!(self.open.get(id).map(|it| &it.phase), Some(Phase::Resting { .. }))
        });
        let id = match rested {
            Some((_, id)) => id,
            None if self.n_under_way < self.options.n_at_once() => self.waiting.pop_front()?,
            None => return None,
        };
        let request = self.open.get(&id)?;
        Some((id, &request.place))
    }

    /// Has a request's future driven.
    pub(super) fn ask(
        &mut self,
        id: u64,
        now: Nanos,
        future: impl Future<Output = Result<R, E>> + Send + 'static,
        driver: &dyn Driver,
    ) {
        let Some(mut request) = self.open.remove(&id) else { return };
        self.leave_phase(id, &request.phase);
        request.n_attempts += 1;
        let attempt = request.n_attempts;
        let reply = Reply { answers: self.answers.clone(), id, attempt, is_sent: false };
        let until = now.after(self.options.timeout_or_never());
        let under_way = driver.drive(Box::pin(async move { reply.send(future.await) }));
        request.phase = Phase::Asked { until, _under_way: under_way };
        self.n_under_way += 1;
        if until < Nanos(u64::MAX) {
            self.due.insert((until, id));
        }
        self.open.insert(id, request);
    }

    /// Takes note of what was answered, and of what was not in time.
    ///
    /// # Errors
    /// If a future has vanished.
    pub(super) fn settle(&mut self, now: Nanos) -> Result<Vec<Done<K, R, E>>, Vanished> {
        let mut done = Vec::new();
        let answers = std::mem::take(&mut *locked(&self.answers));
        for Answer { id, attempt, result } in answers {
            let is_current =
                |it: &Request<K, R, E>| it.n_attempts == attempt && matches!(it.phase, Phase::Asked { .. });
            if self.open.get(&id).is_some_and(is_current) {
                self.attempted(id, now, result.ok_or(Vanished)?.map_err(AsyncError::Failed), &mut done);
            }
        }
        while let Some((_, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            if !matches!(self.open.get(&id).map(|it| &it.phase), Some(Phase::Asked { .. })) {
                // It has rested, and is asked next.
                break;
            }
            self.attempted(id, now, Err(AsyncError::TimedOut), &mut done);
        }
        Ok(done)
    }

    /// An attempt has come to this.
    fn attempted(
        &mut self,
        id: u64,
        now: Nanos,
        result: Result<R, AsyncError<E>>,
        done: &mut Vec<Done<K, R, E>>,
    ) {
        let Some(mut request) = self.open.remove(&id) else { return };
        self.leave_phase(id, &request.phase);
        if result.is_err() && request.n_attempts <= self.options.n_retries() {
            let until = now.after(self.options.backoff_after(request.n_attempts));
            request.phase = Phase::Resting { until };
            self.n_under_way += 1;
            self.due.insert((until, id));
            self.open.insert(id, request);
            return;
        }
        if !self.options.is_ordered() {
            return done.push(request.done(result));
        }
        let hash = request.place.hash;
        request.phase = Phase::Done(result);
        self.open.insert(id, request);
        self.advance_line(hash, done);
    }

    /// Lets go what is done at the head of a line.
    fn advance_line(&mut self, hash: u64, done: &mut Vec<Done<K, R, E>>) {
        let Some(line) = self.lines.get_mut(&hash) else { return };
        while let Some(id) = line.front() {
            if !matches!(self.open.get(id).map(|it| &it.phase), Some(Phase::Done(_))) {
                return;
            }
            if let Some(mut request) = self.open.remove(id)
                && let Phase::Done(result) = std::mem::replace(&mut request.phase, Phase::Waiting)
            {
                done.push(request.done(result));
            }
            line.pop_front();
        }
        self.lines.remove(&hash);
    }

    fn leave_phase(&mut self, id: u64, phase: &Phase<R, E>) {
        if let Phase::Asked { until, .. } | Phase::Resting { until } = phase {
            self.n_under_way -= 1;
            self.due.remove(&(*until, id));
        }
    }
}

impl<K, R, E> Request<K, R, E> {
    fn done(self, result: Result<R, AsyncError<E>>) -> Done<K, R, E> {
        Done { place: self.place, behind: self.behind, n_attempts: self.n_attempts, result }
    }
}

/// The end of a request that a future holds.
struct Reply<R, E> {
    answers: Answers<R, E>,
    id: u64,
    attempt: u32,
    is_sent: bool,
}

impl<R, E> Reply<R, E> {
    fn send(mut self, result: Result<R, E>) {
        self.is_sent = true;
        self.put(Some(result));
    }

    fn put(&self, result: Option<Result<R, E>>) {
        locked(&self.answers).push_back(Answer { id: self.id, attempt: self.attempt, result });
    }
}

impl<R, E> Drop for Reply<R, E> {
    fn drop(&mut self) {
        if !self.is_sent {
            self.put(None);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A queue is whole between any two calls, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
