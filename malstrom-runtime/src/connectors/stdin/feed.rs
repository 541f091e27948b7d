//! What a thread reads from standard input, until it is acknowledged.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;

use super::StdinError;
use crate::connectors::limits::{READ_BLOCK_BYTES, STDIN_AHEAD_BYTES_MAX, STDIN_KEPT_BYTES_MAX};

/// The input of a process, between the thread that reads it and the source.
///
/// ```text
/// dropped | kept, for a recovery | ahead, not yet read | not yet there
///       kept_from              next                   end
/// ```
#[derive(Debug)]
pub(super) struct Feed {
    state: Mutex<State>,
    room: Condvar,
    kept_bytes_max: u64,
}

/// What [`Feed::next`] has.
#[derive(Debug)]
pub(super) enum Fed {
    Chunk(Bytes),
    Nothing,
    End,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Bytes>,
    ahead: VecDeque<Bytes>,
    kept_from: u64,
    next: u64,
    end: u64,
    is_started: bool,
    ended: Option<Result<(), String>>,
    /// Which opening of the source may read.
    turn: u64,
}

impl Feed {
    pub(super) fn new() -> Arc<Self> {
        Self::keeping(STDIN_KEPT_BYTES_MAX)
    }

    pub(super) fn keeping(kept_bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), room: Condvar::new(), kept_bytes_max })
    }

    /// Starts the thread, unless it was started before.
    pub(super) fn start<I: io::Read>(
        self: &Arc<Self>,
        input: impl FnOnce() -> I + Send + 'static,
    ) -> Result<(), StdinError> {
        let mut state = self.lock();
        if !state.is_started {
            let feed = Arc::clone(self);
            let run = move || feed.run(input());
            let thread = thread::Builder::new().name("malstrom-stdin".to_owned());
            thread.spawn(run).map_err(|error| StdinError::Io { reason: error.to_string() })?;
            state.is_started = true;
        }
        Ok(())
    }

    /// Goes back or on to a position and returns the turn to read with; earlier turns are over.
    pub(super) fn open(&self, position: u64) -> Result<u64, StdinError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if position < state.kept_from {
            return Err(StdinError::NotKept { position, kept: state.kept_from });
        }
        while let Some(chunk) = state.kept.pop_back() {
            state.ahead.push_front(chunk);
        }
        // What a job that was restored has behind it is not asked for again.
        let mut at = state.kept_from;
        while let Some(chunk) = state.ahead.front_mut() {
            let skip = position - at;
            if skip < chunk.len() as u64 {
                *chunk = chunk.slice(usize::try_from(skip).unwrap_or(chunk.len())..);
                break;
            }
            at += chunk.len() as u64;
            state.ahead.pop_front();
        }
        (state.kept_from, state.next) = (position, position);
        state.turn += 1;
        self.room.notify_all();
        Ok(state.turn)
    }

    pub(super) fn next(&self, turn: u64) -> Result<Fed, StdinError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.turn != turn {
            return Err(StdinError::Superseded);
        }
        let Some(chunk) = state.ahead.pop_front() else {
            return match &state.ended {
                None => Ok(Fed::Nothing),
                Some(Ok(())) if state.end < state.next => {
                    Err(StdinError::Shorter { bytes: state.end, position: state.next })
                }
                Some(Ok(())) => Ok(Fed::End),
                Some(Err(reason)) => Err(StdinError::Io { reason: reason.clone() }),
            };
        };
        state.next += chunk.len() as u64;
        state.kept.push_back(chunk.clone());
        while state.next - state.kept_from > self.kept_bytes_max && state.drop_oldest() {}
        self.room.notify_all();
        Ok(Fed::Chunk(chunk))
    }

    pub(super) fn acknowledge(&self, turn: u64, position: u64) {
        let mut state = self.lock();
        if state.turn != turn {
            return;
        }
        while state.kept.front().is_some_and(|chunk| state.kept_from + chunk.len() as u64 <= position) {
            state.drop_oldest();
        }
    }

    /// Reads the input to its end.
    fn run(&self, mut input: impl io::Read) {
        let mut buffer = vec![0; READ_BLOCK_BYTES];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return self.lock().ended = Some(Ok(())),
                Ok(n) => self.push(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.lock().ended = Some(Err(error.to_string())),
            }
        }
    }

    /// Adds what was read, when there is room.
    fn push(&self, bytes: &[u8]) {
        let state = self.lock();
        let is_full = |state: &mut State| state.end.saturating_sub(state.next) > STDIN_AHEAD_BYTES_MAX;
        let mut state = self.room.wait_while(state, is_full).unwrap_or_else(PoisonError::into_inner);
        let skip = state.next.saturating_sub(state.end).min(bytes.len() as u64);
        state.end += bytes.len() as u64;
        let wanted = &bytes[usize::try_from(skip).unwrap_or(bytes.len())..];
        if !wanted.is_empty() {
            state.ahead.push_back(Bytes::copy_from_slice(wanted));
        }
    }

    /// The numbers agree at every moment a panic could come, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_oldest(&mut self) -> bool {
        let chunk = self.kept.pop_front();
        self.kept_from += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        chunk.is_some()
    }
}
