//! The kinds of named state: what a user declares, and what is seen of them while one key is worked on.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::held::{At, Entry, OfKey, Table};
use crate::element::Timestamp;
use crate::exchange::Data;
use crate::ports::Nanos;
use crate::state::{StateKey, StateVisitor};
use crate::time::Ttl;

/// Named states: [`Value`], [`List`] or [`MapState`], or several of these as a tuple.
pub trait States<K: StateKey>: 'static {
    /// What the engine keeps of them.
    #[doc(hidden)]
    type Tables: 'static;
    /// What is seen of them while one key is worked on.
    type OfKey<'a>
    where
        K: 'a;

    /// The name of each.
    #[doc(hidden)]
    fn names(&self, tell: &mut dyn FnMut(&str));
    #[doc(hidden)]
    fn tables(self, operator: &str, n_bins: u32) -> Self::Tables;
    #[doc(hidden)]
    fn of_key<'a>(tables: &'a mut Self::Tables, at: At<'a, K>) -> Self::OfKey<'a>;
    #[doc(hidden)]
    fn expire(tables: &mut Self::Tables, time: Timestamp) -> bool;
    #[doc(hidden)]
    fn expire_by_clock(tables: &mut Self::Tables, now: Nanos) -> Option<Nanos>;
    #[doc(hidden)]
    fn prefetch(tables: &mut Self::Tables, hash: u64);
    #[doc(hidden)]
    fn visit(tables: &mut Self::Tables, visitor: &mut dyn StateVisitor);
}

/// What the state of an operator is called in snapshots.
pub(super) fn full_name(operator: &str, state: &str) -> String {
    format!("{operator}/{state}")
}

macro_rules! declared {
    ($(#[$doc:meta])* $name:ident<$($of:ident $(: $bound:path)?),*>, $entries:ty, $view:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<$($of),*> {
            name: String,
            ttl: Option<Ttl>,
            of: PhantomData<fn() -> ($($of,)*)>,
        }

        impl<$($of),*> $name<$($of),*> {
            /// One with this name, which is its own within its operator.
            #[must_use]
            pub fn named(name: &str) -> Self {
                Self { name: name.to_owned(), ttl: None, of: PhantomData }
            }

            /// Forgets what was written so long ago, entry by entry.
            #[must_use]
            pub fn ttl(self, ttl: Ttl) -> Self {
                Self { ttl: Some(ttl), ..self }
            }
        }

        impl<K: StateKey, $($of: Data $(+ $bound)?),*> States<K> for $name<$($of),*> {
            type Tables = Kept<K, $entries>;
            type OfKey<'a> = $view<'a, K, $($of),*> where K: 'a;

            fn names(&self, tell: &mut dyn FnMut(&str)) {
                tell(&self.name);
            }

            fn tables(self, operator: &str, n_bins: u32) -> Self::Tables {
                Kept(Table::new(&full_name(operator, &self.name), n_bins, self.ttl))
            }

            #[inline]
            fn of_key<'a>(tables: &'a mut Self::Tables, at: At<'a, K>) -> Self::OfKey<'a> {
                $view(OfKey { table: &mut tables.0, at })
            }

            fn expire(tables: &mut Self::Tables, time: Timestamp) -> bool {
                tables.0.expire(time)
            }

            fn expire_by_clock(tables: &mut Self::Tables, now: Nanos) -> Option<Nanos> {
                tables.0.expire_by_clock(now)
            }

            #[inline]
            fn prefetch(tables: &mut Self::Tables, hash: u64) {
                tables.0.state.keyed().prefetch(hash);
            }

            fn visit(tables: &mut Self::Tables, visitor: &mut dyn StateVisitor) {
                visitor.visit(&mut tables.0.state);
            }
        }
    };
}

/// The table of one named state.
#[derive(Debug)]
pub struct Kept<K, C>(Table<K, C>);

declared!(
    /// One value for each key.
    Value<T>, Option<Entry<T>>, ValueOf
);
declared!(
    /// A list for each key.
    List<T>, Vec<Entry<T>>, ListOf
);
declared!(
    /// A map for each key.
    MapState<M: Ord, T>, BTreeMap<M, Entry<T>>, MapOf
);

/// The value of one key.
#[derive(Debug)]
pub struct ValueOf<'a, K, T>(OfKey<'a, K, Option<Entry<T>>>);

impl<K: StateKey, T: Data> ValueOf<'_, K, T> {
    /// The value, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        let entry = self.0.get()?.as_ref()?;
        self.0.is_there(entry).then_some(&entry.value)
    }

    /// Puts a value in the place of what there is.
    pub fn set(&mut self, value: T) {
        self.0.change(|entry, expires| *entry = Some(Entry { value, expires }));
    }

    /// Changes the value, made by `init` if there is none; what `change` gives.
    pub fn update<R>(&mut self, init: impl FnOnce() -> T, change: impl FnOnce(&mut T) -> R) -> R {
        let at = self.0.at;
        self.0.change(|entry, expires| {
            let before = entry.take().filter(|entry| at.sees(entry));
            let value = before.map_or_else(init, |entry| entry.value);
            change(&mut entry.insert(Entry { value, expires }).value)
        })
    }

    /// Forgets the value, and gives it.
    pub fn take(&mut self) -> Option<T> {
        self.get()?;
        self.0.change(|entry, _| entry.take()).map(|entry| entry.value)
    }
}

/// The list of one key.
#[derive(Debug)]
pub struct ListOf<'a, K, T>(OfKey<'a, K, Vec<Entry<T>>>);

impl<K: StateKey, T: Data> ListOf<'_, K, T> {
    /// All values, in the order in which they were pushed.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let entries = self.0.get().into_iter().flatten();
        entries.filter(|entry| self.0.is_there(entry)).map(|entry| &entry.value)
    }

    /// Adds a value at the end.
    pub fn push(&mut self, value: T) {
        self.0.change(|entries, expires| entries.push(Entry { value, expires }));
    }

    /// Forgets all values, and gives them.
    pub fn take(&mut self) -> Vec<T> {
        let at = self.0.at;
        let entries = self.0.get().map(|_| ()).map(|()| self.0.change(|entries, _| std::mem::take(entries)));
        let there = entries.into_iter().flatten().filter(|entry| at.sees(entry));
        there.map(|entry| entry.value).collect()
    }
}

/// The map of one key.
#[derive(Debug)]
pub struct MapOf<'a, K, M, T>(OfKey<'a, K, BTreeMap<M, Entry<T>>>);

impl<K: StateKey, M: Data + Ord, T: Data> MapOf<'_, K, M, T> {
    /// The value of an entry, if there is one.
    #[must_use]
    pub fn get(&self, entry: &M) -> Option<&T> {
        let entry = self.0.get()?.get(entry)?;
        self.0.is_there(entry).then_some(&entry.value)
    }

    /// All entries, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&M, &T)> {
        let entries = self.0.get().into_iter().flatten();
        entries.filter(|(_, entry)| self.0.is_there(entry)).map(|(name, entry)| (name, &entry.value))
    }

    /// Puts a value in the place of what there is; what there was.
    pub fn insert(&mut self, entry: M, value: T) -> Option<T> {
        let at = self.0.at;
        let before = self.0.change(|entries, expires| entries.insert(entry, Entry { value, expires }));
        before.filter(|entry| at.sees(entry)).map(|entry| entry.value)
    }

    /// Changes the value of an entry, made by `init` if there is none; what `change` gives.
    pub fn update<R>(&mut self, entry: M, init: impl FnOnce() -> T, change: impl FnOnce(&mut T) -> R) -> R {
        let at = self.0.at;
        self.0.change(|entries, expires| {
            use std::collections::btree_map::Entry as Place;
            match entries.entry(entry) {
                Place::Occupied(mut place) if at.sees(place.get()) => {
                    place.get_mut().expires = expires;
                    change(&mut place.get_mut().value)
                }
                Place::Occupied(mut place) => {
                    place.insert(Entry { value: init(), expires });
                    change(&mut place.get_mut().value)
                }
                Place::Vacant(place) => change(&mut place.insert(Entry { value: init(), expires }).value),
            }
        })
    }

    /// Forgets an entry; what there was.
    pub fn remove(&mut self, entry: &M) -> Option<T> {
        self.get(entry)?;
        self.0.change(|entries, _| entries.remove(entry)).map(|entry| entry.value)
    }
}

/// No state at all.
impl<K: StateKey> States<K> for () {
    type Tables = ();
    type OfKey<'a>
        = ()
    where
        K: 'a;

    fn names(&self, _: &mut dyn FnMut(&str)) {}
    fn tables(self, _: &str, _: u32) {}
    fn of_key<'a>((): &'a mut (), _: At<'a, K>) {}
    fn expire((): &mut (), _: Timestamp) -> bool {
        true
    }
    fn expire_by_clock((): &mut (), _: Nanos) -> Option<Nanos> {
        None
    }
    fn prefetch((): &mut (), _: u64) {}
    fn visit((): &mut (), _: &mut dyn StateVisitor) {}
}

macro_rules! several {
    ($($one:ident $at:tt),+) => {
        impl<K: StateKey, $($one: States<K>),+> States<K> for ($($one,)+) {
            type Tables = ($($one::Tables,)+);
            type OfKey<'a> = ($($one::OfKey<'a>,)+) where K: 'a;

            fn names(&self, tell: &mut dyn FnMut(&str)) {
                $(self.$at.names(tell);)+
            }

            fn tables(self, operator: &str, n_bins: u32) -> Self::Tables {
                ($(self.$at.tables(operator, n_bins),)+)
            }

            #[inline]
            fn of_key<'a>(tables: &'a mut Self::Tables, at: At<'a, K>) -> Self::OfKey<'a> {
                ($($one::of_key(&mut tables.$at, at),)+)
            }

            fn expire(tables: &mut Self::Tables, time: Timestamp) -> bool {
                let mut is_done = true;
                $(is_done &= $one::expire(&mut tables.$at, time);)+
                is_done
            }

            fn expire_by_clock(tables: &mut Self::Tables, now: Nanos) -> Option<Nanos> {
                let mut wake_at = None;
                $(wake_at = wake_at.into_iter().chain($one::expire_by_clock(&mut tables.$at, now)).min();)+
                wake_at
            }

            #[inline]
            fn prefetch(tables: &mut Self::Tables, hash: u64) {
                $($one::prefetch(&mut tables.$at, hash);)+
            }

            fn visit(tables: &mut Self::Tables, visitor: &mut dyn StateVisitor) {
                $($one::visit(&mut tables.$at, visitor);)+
            }
        }
    };
}

several!(A 0);
several!(A 0, B 1);
several!(A 0, B 1, C 2);
several!(A 0, B 1, C 2, D 3);
several!(A 0, B 1, C 2, D 3, E 4);
several!(A 0, B 1, C 2, D 3, E 4, F 5);
