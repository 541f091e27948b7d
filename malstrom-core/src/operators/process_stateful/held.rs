//! What is kept of a key under one name, entry by entry, each of which may be forgotten at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::element::Timestamp;
use crate::exchange::Data;
use crate::mutant::{self, Mutant};
use crate::operators::due::{fire_by_clock, fire_by_event};
use crate::ports::Nanos;
use crate::state::StateKey;
use crate::time::{Due, Scheduled, TimedState, Ttl};

/// One entry.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry<T> {
    pub(in crate::operators) value: T,
    /// When it is forgotten.
    pub(in crate::operators) expires: Option<Due>,
}

/// A collection of entries.
pub(in crate::operators) trait Entries: Data + Default {
    fn is_empty(&self) -> bool;
    fn first_expiry(&self) -> Option<Due>;
    fn retain(&mut self, keep: impl FnMut(Option<Due>) -> bool);
}

impl<T: Data> Entries for Option<Entry<T>> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }

    fn first_expiry(&self) -> Option<Due> {
        self.as_ref()?.expires
    }

    fn retain(&mut self, mut keep: impl FnMut(Option<Due>) -> bool) {
        if self.as_ref().is_some_and(|entry| !keep(entry.expires)) {
            *self = None;
        }
    }
}

impl<T: Data> Entries for Vec<Entry<T>> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn first_expiry(&self) -> Option<Due> {
        self.iter().filter_map(|entry| entry.expires).min()
    }

    fn retain(&mut self, mut keep: impl FnMut(Option<Due>) -> bool) {
        self.retain(|entry| keep(entry.expires));
    }
}

impl<M: Data + Ord, T: Data> Entries for BTreeMap<M, Entry<T>> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn first_expiry(&self) -> Option<Due> {
        self.values().filter_map(|entry| entry.expires).min()
    }

    fn retain(&mut self, mut keep: impl FnMut(Option<Due>) -> bool) {
        self.retain(|_, entry| keep(entry.expires));
    }
}

/// The entries of a key.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound(serialize = "C: Serialize", deserialize = "C: Deserialize<'de>"))]
pub(in crate::operators) struct Held<C> {
    /// When to look for what is to be forgotten: never behind the first expiry.
    armed: Option<Due>,
    pub(in crate::operators) entries: C,
}

impl<C> Scheduled for Held<C> {
    fn each_due(&self, tell: &mut dyn FnMut(Due)) {
        self.armed.into_iter().for_each(tell);
    }
}

/// All that is kept under one name.
#[derive(Debug)]
pub(in crate::operators) struct Table<K, C> {
    pub(in crate::operators) state: TimedState<K, Held<C>>,
    ttl: Option<Ttl>,
}

impl<K: StateKey, C: Entries> Table<K, C> {
    pub(in crate::operators) fn new(name: &str, n_bins: u32, ttl: Option<Ttl>) -> Self {
        Self { state: TimedState::new(name, n_bins), ttl }
    }

    /// Forgets a slice of what is to be forgotten at the watermark; whether all is done.
    pub(in crate::operators) fn expire(&mut self, time: Timestamp) -> bool {
        let forget = |it: &mut Self, due, hash, key| {
            let early = i64::from(mutant::is(Mutant::EntryForgottenEarly));
            it.forget(Due::Event(it.state.now().saturating_add(early)), due, hash, key);
        };
        fire_by_event(self, |it| &mut it.state, time, forget)
    }

    /// Forgets a slice of what is to be forgotten by the clock; when to come again.
    pub(in crate::operators) fn expire_by_clock(&mut self, now: Nanos) -> Option<Nanos> {
        let forget = |it: &mut Self, due, hash, key| it.forget(Due::Clock(now), due, hash, key);
        fire_by_clock(self, |it| &mut it.state, now, forget)
    }

    fn forget(&mut self, now: Due, due: Due, hash: u64, key: K) {
        if self.state.get(hash, &key).is_none_or(|held| held.armed != Some(due)) {
            return;
        }
        let Some(held) = self.state.keyed().get_mut(hash, &key) else { return };
        held.entries.retain(|expires| expires.is_none_or(|expires| !has_come(expires, now)));
        held.armed = held.entries.first_expiry();
        match held.armed {
            _ if held.entries.is_empty() => {
                self.state.keyed().remove(hash, &key);
            }
            Some(due) => self.state.schedule(due, hash, key),
            None => {}
        }
    }
}

fn has_come(due: Due, now: Due) -> bool {
    match (due, now) {
        (Due::Event(due), Due::Event(now)) => due <= now,
        (Due::Clock(due), Due::Clock(now)) => due <= now,
        _ => false,
    }
}

/// Which key is worked on, and when.
#[derive(Debug)]
pub struct At<'a, K> {
    pub(in crate::operators) hash: u64,
    pub(in crate::operators) key: &'a K,
    /// The time of the record, or of the timer.
    pub(in crate::operators) time: Timestamp,
    pub(in crate::operators) now: Nanos,
}

impl<K> Clone for At<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for At<'_, K> {}

impl<K> At<'_, K> {
    pub(in crate::operators) fn sees<T>(&self, entry: &Entry<T>) -> bool {
        let has_come = |due| has_come(due, Due::Event(self.time)) || has_come(due, Due::Clock(self.now));
        !entry.expires.is_some_and(has_come)
    }
}

/// What is kept of one key under one name.
#[derive(Debug)]
pub(in crate::operators) struct OfKey<'a, K, C> {
    pub(in crate::operators) table: &'a mut Table<K, C>,
    pub(in crate::operators) at: At<'a, K>,
}

impl<K: StateKey, C: Entries> OfKey<'_, K, C> {
    pub(in crate::operators) fn get(&self) -> Option<&C> {
        self.table.state.get(self.at.hash, self.at.key).map(|held| &held.entries)
    }

    /// Whether an entry is there still: it may be over and not dropped yet.
    pub(in crate::operators) fn is_there<T>(&self, entry: &Entry<T>) -> bool {
        self.at.sees(entry)
    }

    /// Changes the entries; `change` is given when a new one is to be forgotten.
    pub(in crate::operators) fn change<R>(&mut self, change: impl FnOnce(&mut C, Option<Due>) -> R) -> R {
        let At { hash, key, time, now } = self.at;
        let expires = self.table.ttl.map(|ttl| ttl.due(time, now));
        let state = &mut self.table.state;
        let (_, held) = state.keyed().get_or_insert_with(hash, key, Held::default);
        let expires = held.armed.filter(|_| mutant::is(Mutant::ExpiryLost)).or(expires);
        let changed = change(&mut held.entries, expires);
        let is_empty = held.entries.is_empty();
        let due = expires.filter(|due| held.armed.is_none_or(|armed| *due < armed) && !is_empty);
        if due.is_some() {
            held.armed = due;
        }
        if is_empty {
            state.keyed().remove(hash, key);
        } else if let Some(due) = due {
            state.schedule(due, hash, key.clone());
        }
        changed
    }
}
