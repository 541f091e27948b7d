//! The keys of one bin and their state: a hash table that is small, many, and read a batch at a time.
//!
//! # Shape
//!
//! Entries lie in chunks of three to seven, by their size, each with one word of tags in front. A chunk is a whole
//! number of cache lines where that costs little, so that a lookup touches lines that lie side by side and that
//! [`BinTable::prefetch`] can name before the key is known. (F14 of folly, by Bronson and Shi, has this layout; the tags
//! are compared eight at a time in a plain word, as in hashbrown's portable group.)
//!
//! ```text
//! tags: 7 x (0 = free, 0x80 | hash >> 57 = taken), 1 x overflow | entry 0 | .. | entry 6 | padding
//! ```
//!
//! - A key's home is chunk `low 32 bits of the hash * chunks / 2^32`: the number of chunks need not be a power of two,
//!   so tables grow by half and stay close to full. Growing visits old and new chunks in ascending order.
//! - A key whose home is full goes to the next chunk with room. Each full chunk that it passed counts it in its
//!   overflow byte; a lookup goes on only past chunks that have overflowed. Removing counts down, so there are no
//!   tombstones and nothing to clean up. A count that reached its limit stays there until the table grows.
//! - The hash is not stored: it is computed again when the table grows, which is cheaper than the memory.
//! - A table with one chunk has room for as many entries as it asked for, so that a bin with one key is small.
//!
//! # Files
//!
//! Here is what a table can do; `chunks` is its memory, `probing` how a key is found, put in and taken out, `growing`
//! how it gets larger, `iter` how its entries are walked over.
//!
//! # Caveats
//! The order of iteration depends on the operations made and on nothing else. An `Eq` or a hash that contradicts
//! itself makes entries unfindable; it does no other harm.

#![expect(
    unsafe_code,
    reason = "slots hold entries only where their tags say so; measured, this is what makes batched lookups fast"
)]

mod chunks;
mod growing;
mod iter;
mod probing;

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use chunks::CACHE_LINE_BYTES;
use iter::{Drain, Iter, IterExcept};
pub(super) use probing::Place;
pub(super) use probing::prefetch_line;

/// The keyed state of one bin of one operator.
///
/// It never hashes: every call is given the [stable hash](crate::exchange::stable_hash) that travels with the record.
/// A table without entries has allocated nothing.
///
/// ```
/// use malstrom_core::exchange::stable_hash;
/// use malstrom_core::state::BinTable;
///
/// let mut counts = BinTable::new();
/// for word in ["to", "be", "or", "not", "to", "be"] {
///     let (_, count) = counts.get_or_insert_with(stable_hash(word), word, || 0, |key| stable_hash(key));
///     *count += 1;
/// }
/// assert_eq!(counts.get(stable_hash("be"), &"be"), Some(&2));
/// ```
pub struct BinTable<K, S> {
    /// The first chunk; dangling while nothing is allocated.
    chunks: NonNull<u8>,
    /// Zero while nothing is allocated.
    n_chunks: u32,
    len: u32,
    /// Entries that the table takes before it grows. Always less than there are slots, or equal if there is one chunk.
    capacity: u32,
    entries: PhantomData<(K, S)>,
}

/// Cache lines of a chunk that a prefetch asks for.
const PREFETCH_LINES_MAX: usize = 3;

impl<K, S> BinTable<K, S> {
    /// A table without entries and without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { chunks: NonNull::dangling(), n_chunks: 0, len: 0, capacity: 0, entries: PhantomData }
    }

    /// How many keys there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes allocated by the table itself, without what keys and states have allocated.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        if self.n_chunks == 0 { 0 } else { Self::layout(self.n_chunks, self.capacity).size() }
    }

    /// Begins to load what a lookup of this hash will touch. It changes nothing but the time the lookup takes.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let chunk = self.chunk(self.home(hash)).as_ptr();
        for line in 0..Self::STRIDE.div_ceil(CACHE_LINE_BYTES).min(PREFETCH_LINES_MAX) {
            prefetch_line(chunk.wrapping_add(line * CACHE_LINE_BYTES));
        }
    }

    /// The state of a key.
    #[inline]
    #[must_use]
    pub fn get(&self, hash: u64, key: &K) -> Option<&S>
    where
        K: Eq,
    {
        self.find(hash, |found| found == key).map(|(_, state)| state)
    }

    /// The state of a key, to be changed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut S>
    where
        K: Eq,
    {
        self.find_mut(hash, |found| found == key).map(|(_, state)| state)
    }

    /// The entry that has this hash and whose key satisfies `eq`.
    #[inline]
    #[must_use]
    pub fn find(&self, hash: u64, eq: impl FnMut(&K) -> bool) -> Option<(&K, &S)> {
        let place = self.locate(hash, eq)?;
        // SAFETY: `locate` returns taken slots only; the entry lives as long as `self` is borrowed.
        let entry = unsafe { self.slot(place.chunk, place.slot).as_ref() };
        Some((&entry.0, &entry.1))
    }

    /// The entry that has this hash and whose key satisfies `eq`, its state to be changed.
    #[inline]
    #[must_use]
    pub fn find_mut(&mut self, hash: u64, eq: impl FnMut(&K) -> bool) -> Option<(&K, &mut S)> {
        let place = self.locate(hash, eq)?;
        // SAFETY: as in `find`; `self` is borrowed mutably, so no other reference to the entry exists.
        let entry = unsafe { self.slot(place.chunk, place.slot).as_mut() };
        Some((&entry.0, &mut entry.1))
    }

    /// The entry of a key; if there is none, one with the state that `init` makes. `rehash` gives the hash of a key,
    /// the same as was given when it was inserted; it is called when the table grows.
    #[inline(always)]
    pub fn get_or_insert_with(
        &mut self,
        hash: u64,
        key: K,
        init: impl FnOnce() -> S,
        rehash: impl Fn(&K) -> u64,
    ) -> (&K, &mut S)
    where
        K: Eq,
    {
        let place = match self.locate(hash, |found| *found == key) {
            Some(place) => place,
            None => self.insert_absent(hash, key, init, rehash),
        };
        // SAFETY: both arms return a taken slot; `self` is borrowed mutably, so no other reference to it exists.
        let entry = unsafe { self.slot(place.chunk, place.slot).as_mut() };
        (&entry.0, &mut entry.1)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), but with a key that is cloned only if it is not there yet.
    #[inline(always)]
    pub fn get_or_insert_clone(
        &mut self,
        hash: u64,
        key: &K,
        init: impl FnOnce() -> S,
        rehash: impl Fn(&K) -> u64,
    ) -> (&K, &mut S)
    where
        K: Eq + Clone,
    {
        let place = match self.locate(hash, |found| found == key) {
            Some(place) => place,
            None => self.insert_absent(hash, key.clone(), init, rehash),
        };
        // SAFETY: as in `get_or_insert_with`.
        let entry = unsafe { self.slot(place.chunk, place.slot).as_mut() };
        (&entry.0, &mut entry.1)
    }

    /// Takes a key and its state out.
    #[inline]
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<(K, S)>
    where
        K: Eq,
    {
        let place = self.locate(hash, |found| found == key)?;
        Some(self.take(self.home(hash), &place))
    }

    /// Makes room for `n` entries more. `rehash` is as for [`get_or_insert_with`](Self::get_or_insert_with).
    ///
    /// # Panics
    /// If that is more than a table can hold, some three thousand million.
    pub fn reserve(&mut self, n: usize, rehash: impl Fn(&K) -> u64) {
        let wanted = self.len().checked_add(n).expect("the number of keys of a bin fits a word");
        if wanted > self.capacity as usize {
            self.resize(wanted, &rehash);
        }
    }

    /// All entries, in an order that depends on the operations made and on nothing else.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, S> {
        Iter { places: self.places(), table: self }
    }

    /// All entries but those in slots that are left out, in the order of [`iter`](Self::iter). `left_out` has for each chunk
    /// the slots to leave out, a bit for each.
    pub(in crate::state) fn iter_except<'a>(&'a self, left_out: &'a [u8]) -> IterExcept<'a, K, S> {
        IterExcept::new(self, left_out)
    }

    /// How many chunks there are.
    pub(in crate::state) fn n_chunks(&self) -> usize {
        self.n_chunks as usize
    }

    /// The entry in a slot, if it is taken. The chunk must be one that the table has.
    pub(in crate::state) fn at(&self, place: Place) -> Option<(&K, &S)> {
        if self.taken(place.chunk) & (0x80 << (8 * place.slot)) == 0 {
            return None;
        }
        // SAFETY: the slot is taken, and the table is borrowed for as long as the entry.
        let entry = unsafe { self.slot(place.chunk, place.slot).as_ref() };
        Some((&entry.0, &entry.1))
    }

    /// Keeps only the entries for which `keep` is true. `rehash` is as for
    /// [`get_or_insert_with`](Self::get_or_insert_with). If `keep` panics, what it has refused so far is gone.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut S) -> bool, rehash: impl Fn(&K) -> u64) {
        let mut places = self.places();
        while let Some(place) = places.next(self) {
            // SAFETY: `Places` yields taken slots; `self` is borrowed mutably, so no other reference to it exists.
            let entry = unsafe { self.slot(place.chunk, place.slot).as_mut() };
            if !keep(&entry.0, &mut entry.1) {
                let home = self.home(rehash(&entry.0));
                drop(self.take(home, &place));
            }
        }
    }

    /// Takes all entries out, and gives the memory back.
    pub fn drain(&mut self) -> Drain<K, S> {
        let table = std::mem::take(self);
        Drain { places: table.places(), table: ManuallyDrop::new(table) }
    }
}

impl<K, S> Default for BinTable<K, S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, S: fmt::Debug> fmt::Debug for BinTable<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a, K, S> IntoIterator for &'a BinTable<K, S> {
    type Item = (&'a K, &'a S);
    type IntoIter = Iter<'a, K, S>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

// SAFETY: a table owns its entries and shares them with nobody.
unsafe impl<K: Send, S: Send> Send for BinTable<K, S> {}
// SAFETY: through a shared table only shared references to entries can be had.
unsafe impl<K: Sync, S: Sync> Sync for BinTable<K, S> {}

impl<K, S> Drop for BinTable<K, S> {
    fn drop(&mut self) {
        if self.n_chunks > 0 {
            drop(self.drain());
        }
    }
}

#[cfg(test)]
mod tests;
