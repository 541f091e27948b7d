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
//! # Caveats
//! The order of iteration depends on the operations made and on nothing else. An `Eq` or a hash that contradicts
//! itself makes entries unfindable; it does no other harm.

#![expect(
    unsafe_code,
    reason = "slots hold entries only where their tags say so; measured, this is what makes batched lookups fast"
)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

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

/// Entries in a chunk at most.
const WIDTH_MAX: usize = 7;
/// One in every byte of a word of tags.
const ONES: u64 = 0x0101_0101_0101_0101;
/// Where the overflow count lies in the word of tags. It never reaches the top bit, so it never equals a tag.
const OVERFLOW_SHIFT: u32 = 56;
const OVERFLOW_ONE: u64 = 1 << OVERFLOW_SHIFT;
const OVERFLOW_MAX: u64 = 127;
const CACHE_LINE_BYTES: usize = 64;
/// What a chunk fits into if its entries are small enough.
const CHUNK_BYTES: usize = 2 * CACHE_LINE_BYTES;
/// Narrower chunks would overflow too often.
const WIDTH_MIN: usize = 3;
/// Cache lines of a chunk that a prefetch asks for.
const PREFETCH_LINES_MAX: usize = 3;
/// Of 16 slots, how many are taken when the table grows.
const FULL_OF_16: u64 = 13;

/// Where an entry lies.
struct Place {
    chunk: u32,
    slot: u32,
}

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
    #[inline]
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
    #[inline]
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

/// Entries of a [`BinTable`]; see [`BinTable::iter`].
pub struct Iter<'a, K, S> {
    places: Places,
    table: &'a BinTable<K, S>,
}

impl<'a, K, S> Iterator for Iter<'a, K, S> {
    type Item = (&'a K, &'a S);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let place = self.places.next(self.table)?;
        // SAFETY: `Places` yields taken slots, and the table is borrowed for `'a`.
        let entry: &'a (K, S) = unsafe { self.table.slot(place.chunk, place.slot).as_ref() };
        Some((&entry.0, &entry.1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.places.left as usize, Some(self.places.left as usize))
    }
}

impl<K, S> ExactSizeIterator for Iter<'_, K, S> {}

impl<K, S> fmt::Debug for Iter<'_, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iter({} entries left)", self.places.left)
    }
}

/// Owned entries of a [`BinTable`]; see [`BinTable::drain`].
pub struct Drain<K, S> {
    places: Places,
    /// Entries that were yielded are not here any more, whatever the tags say.
    table: ManuallyDrop<BinTable<K, S>>,
}

impl<K, S> Iterator for Drain<K, S> {
    type Item = (K, S);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let place = self.places.next(&self.table)?;
        // SAFETY: `Places` yields each taken slot once, and nothing else reads or drops entries of this table.
        Some(unsafe { self.table.slot(place.chunk, place.slot).read() })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.places.left as usize, Some(self.places.left as usize))
    }
}

impl<K, S> ExactSizeIterator for Drain<K, S> {}

impl<K, S> Drop for Drain<K, S> {
    fn drop(&mut self) {
        /// Frees the memory even if an entry's own drop panics; the entries after that one are leaked.
        struct Free<'a, K, S>(&'a BinTable<K, S>);
        impl<K, S> Drop for Free<'_, K, S> {
            fn drop(&mut self) {
                // SAFETY: the table is dropped by nobody else, and no entry is used after this.
                unsafe { self.0.free() }
            }
        }
        let Self { places, table } = self;
        let free = Free(table);
        if std::mem::needs_drop::<(K, S)>() {
            while let Some(place) = places.next(free.0) {
                // SAFETY: as in `next`.
                drop(unsafe { free.0.slot(place.chunk, place.slot).read() });
            }
        }
    }
}

impl<K, S> fmt::Debug for Drain<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Drain({} entries left)", self.places.left)
    }
}

/// Walks over the taken slots of a table, chunk by chunk.
struct Places {
    chunk: u32,
    /// Tags of `chunk` that are still to be visited, as their top bits.
    tags: u64,
    left: u32,
}

impl Places {
    #[inline]
    fn next<K, S>(&mut self, table: &BinTable<K, S>) -> Option<Place> {
        if self.left == 0 {
            return None;
        }
        while self.tags == 0 {
            self.chunk += 1;
            self.tags = table.tags(self.chunk) & BinTable::<K, S>::TAKEN;
        }
        self.left -= 1;
        let slot = self.tags.trailing_zeros() / 8;
        self.tags &= self.tags - 1;
        Some(Place { chunk: self.chunk, slot })
    }
}

impl<K, S> BinTable<K, S> {
    /// Bytes from the beginning of a chunk to its first entry.
    const ENTRIES_AT: usize = size_of::<u64>().next_multiple_of(align_of::<(K, S)>());
    /// Entries in a chunk: as many as lie in two cache lines and leave at most an eighth of them empty; all there are tags
    /// for where that is impossible. A lookup that misses costs by the lines it asks for, so narrow chunks of middling
    /// entries are faster; a chunk that is too narrow overflows more.
    const WIDTH: usize = {
        let mut width = WIDTH_MAX;
        while width > WIDTH_MIN && Self::ENTRIES_AT + width * size_of::<(K, S)>() > CHUNK_BYTES {
            width -= 1;
        }
        let bytes = Self::ENTRIES_AT + width * size_of::<(K, S)>();
        if bytes <= CHUNK_BYTES && bytes * 8 >= CHUNK_BYTES * 7 { width } else { WIDTH_MAX }
    };
    /// The top bit of every tag.
    const TAKEN: u64 = 0x8080_8080_8080_8080 >> (8 * (8 - Self::WIDTH));
    const BYTES: usize = Self::ENTRIES_AT + Self::WIDTH * size_of::<(K, S)>();
    /// Whether chunks are padded to cache lines: only where that costs at most an eighth.
    const PADDED: bool = Self::BYTES.next_multiple_of(CACHE_LINE_BYTES) * 8 <= Self::BYTES * 9;
    const ALIGN: usize = {
        let wanted = if Self::PADDED { CACHE_LINE_BYTES } else { align_of::<u64>() };
        if align_of::<(K, S)>() > wanted { align_of::<(K, S)>() } else { wanted }
    };
    /// Bytes from one chunk to the next.
    const STRIDE: usize = Self::BYTES.next_multiple_of(Self::ALIGN);

    /// What is allocated for a table; one with a single chunk has no more slots than its capacity.
    fn layout(n_chunks: u32, capacity: u32) -> Layout {
        let bytes = if n_chunks == 1 {
            Some(Self::ENTRIES_AT + capacity as usize * size_of::<(K, S)>())
        } else {
            Self::STRIDE.checked_mul(n_chunks as usize)
        };
        let align = if n_chunks == 1 { align_of::<(K, S)>().max(align_of::<u64>()) } else { Self::ALIGN };
        bytes
            .and_then(|bytes| Layout::from_size_align(bytes, align).ok())
            .expect("the entries of a bin fit the address space")
    }

    /// The chunk where a hash belongs; 0 while nothing is allocated.
    #[inline]
    fn home(&self, hash: u64) -> u32 {
        (((hash & 0xffff_ffff) * u64::from(self.n_chunks)) >> 32) as u32
    }

    /// A chunk. `chunk` must be less than `n_chunks`, or 0 while nothing is allocated.
    #[inline]
    fn chunk(&self, chunk: u32) -> NonNull<u8> {
        debug_assert!(chunk < self.n_chunks.max(1));
        // SAFETY: the offset lies within the allocation, and is 0 while there is none.
        unsafe { self.chunks.add(chunk as usize * Self::STRIDE) }
    }

    /// A slot. `slot` must be one that the chunk has.
    #[inline]
    fn slot(&self, chunk: u32, slot: u32) -> NonNull<(K, S)> {
        debug_assert!(self.n_chunks > 0 && (slot as usize) < Self::WIDTH);
        // SAFETY: chunk and slot are within the allocation, and `ENTRIES_AT` is a multiple of the entries' alignment.
        unsafe { self.chunk(chunk).add(Self::ENTRIES_AT).cast::<(K, S)>().add(slot as usize) }
    }

    #[inline]
    fn tags(&self, chunk: u32) -> u64 {
        debug_assert!(self.n_chunks > 0);
        // SAFETY: every chunk begins with a word of tags, aligned and written when the chunk was allocated.
        // Bytes are numbered from the least significant one, so that the lowest slot is found first.
        unsafe { self.chunk(chunk).cast::<u64>().read() }
    }

    #[inline]
    fn set_tags(&mut self, chunk: u32, tags: u64) {
        debug_assert!(self.n_chunks > 0);
        // SAFETY: as in `tags`.
        unsafe { self.chunk(chunk).cast::<u64>().write(tags) }
    }

    #[inline]
    fn following(&self, chunk: u32) -> u32 {
        if chunk + 1 == self.n_chunks { 0 } else { chunk + 1 }
    }

    /// Finds a taken slot whose tag fits the hash and whose key satisfies `eq`.
    #[inline]
    fn locate(&self, hash: u64, mut eq: impl FnMut(&K) -> bool) -> Option<Place> {
        let mut chunk = self.home(hash);
        let wanted = tag(hash) * ONES;
        // Ends because every chunk is visited at most once.
        for _ in 0..self.n_chunks {
            let tags = self.tags(chunk);
            // A byte of `differ` is zero where the tag fits. The expression may also mark the byte above such a one, but
            // never one whose top bit is set: a free slot and the overflow count differ from a tag in that bit.
            let differ = tags ^ wanted;
            let mut candidates = differ.wrapping_sub(ONES) & !differ & Self::TAKEN;
            while candidates != 0 {
                let slot = candidates.trailing_zeros() / 8;
                // SAFETY: a candidate is a taken slot, as said above.
                if eq(unsafe { &self.slot(chunk, slot).as_ref().0 }) {
                    return Some(Place { chunk, slot });
                }
                candidates &= candidates - 1;
            }
            if tags >> OVERFLOW_SHIFT == 0 {
                return None;
            }
            chunk = self.following(chunk);
        }
        None
    }

    /// Inserts a key that is not there. If `init` or `rehash` panics, nothing is inserted.
    #[inline(never)]
    fn insert_absent(
        &mut self,
        hash: u64,
        key: K,
        init: impl FnOnce() -> S,
        rehash: impl Fn(&K) -> u64,
    ) -> Place {
        if self.len == self.capacity {
            self.resize(self.len() + 1, &rehash);
        }
        let entry = (key, init());
        let place = self.claim(hash);
        // SAFETY: `claim` returns a slot that was free and that nobody else refers to.
        unsafe { self.slot(place.chunk, place.slot).write(entry) };
        place
    }

    /// Marks the first free slot for this hash as taken, and counts the overflow on the way there. The caller fills the
    /// slot at once. There must be a free slot.
    #[inline]
    fn claim(&mut self, hash: u64) -> Place {
        debug_assert!(self.len < self.capacity);
        let mut chunk = self.home(hash);
        // Ends because fewer slots are taken than there are.
        loop {
            let tags = self.tags(chunk);
            let free = !tags & Self::TAKEN;
            if free != 0 {
                // In a table of one chunk the slots below the capacity come first, and one of them is free.
                let slot = free.trailing_zeros() / 8;
                self.set_tags(chunk, tags | tag(hash) << (slot * 8));
                self.len += 1;
                return Place { chunk, slot };
            }
            if tags >> OVERFLOW_SHIFT < OVERFLOW_MAX {
                self.set_tags(chunk, tags + OVERFLOW_ONE);
            }
            chunk = self.following(chunk);
        }
    }

    /// Takes an entry out. `home` is its home, `place` a taken slot.
    fn take(&mut self, home: u32, place: &Place) -> (K, S) {
        let tags = self.tags(place.chunk);
        self.set_tags(place.chunk, tags & !(0xff << (place.slot * 8)));
        self.len -= 1;
        // The way from home ends at the entry, or after one round if a hash contradicts itself.
        let mut chunk = home;
        for _ in 0..self.n_chunks {
            if chunk == place.chunk {
                break;
            }
            let tags = self.tags(chunk);
            if (1..OVERFLOW_MAX).contains(&(tags >> OVERFLOW_SHIFT)) {
                self.set_tags(chunk, tags - OVERFLOW_ONE);
            }
            chunk = self.following(chunk);
        }
        // SAFETY: the slot was taken and is free now, so nobody else will read or drop the entry.
        unsafe { self.slot(place.chunk, place.slot).read() }
    }

    /// Moves all entries into a table that has room for at least `wanted` entries.
    #[cold]
    #[inline(never)]
    fn resize(&mut self, wanted: usize, rehash: &impl Fn(&K) -> u64) {
        /// Memory without entries of its own: dropping it frees it and drops no entry.
        struct Memory<K, S>(ManuallyDrop<BinTable<K, S>>);
        impl<K, S> Drop for Memory<K, S> {
            fn drop(&mut self) {
                // SAFETY: the table is dropped by nobody else, and no entry is used after this.
                unsafe { self.0.free() }
            }
        }

        let half_more = self.capacity as usize + self.capacity as usize / 2;
        let mut memory = Memory(ManuallyDrop::new(Self::with_room(wanted.max(half_more))));
        let mut places = self.places();
        while let Some(place) = places.next(self) {
            let from = self.slot(place.chunk, place.slot);
            // SAFETY: `Places` yields taken slots.
            let hash = rehash(unsafe { &from.as_ref().0 });
            let to = memory.0.claim(hash);
            // SAFETY: both slots are within their tables, which do not overlap. The entry is in both now, but only the
            // one in `self` is ever dropped: if `rehash` panics, `memory` forgets its copies, and `self` is as it was.
            unsafe { memory.0.slot(to.chunk, to.slot).copy_from_nonoverlapping(from, 1) };
        }
        // From here on `memory` is the old table, whose entries have moved.
        std::mem::swap(self, &mut memory.0);
    }

    /// An empty table that takes at least `n_entries` before it grows.
    fn with_room(n_entries: usize) -> Self {
        let (n_chunks, capacity) = match n_entries {
            0..=1 => (1, 1),
            2..=3 => (1, 3),
            _ if n_entries <= Self::WIDTH => (1, Self::WIDTH as u64),
            _ => {
                let n_entries = u64::try_from(n_entries).unwrap_or(u64::MAX);
                let n_chunks = n_entries.saturating_mul(16).div_ceil(Self::WIDTH as u64 * FULL_OF_16);
                (n_chunks, n_chunks * Self::WIDTH as u64 * FULL_OF_16 / 16)
            }
        };
        let in_word = |n: u64| u32::try_from(n).expect("the number of keys of a bin fits a word");
        let (n_chunks, capacity) = (in_word(n_chunks), in_word(capacity));
        let layout = Self::layout(n_chunks, capacity);
        // SAFETY: the layout has room for at least one word of tags.
        let chunks = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        let mut table = Self { chunks: chunks.cast(), n_chunks, len: 0, capacity, entries: PhantomData };
        (0..n_chunks).for_each(|chunk| table.set_tags(chunk, 0));
        table
    }

    /// Frees the memory and drops no entry.
    ///
    /// # Safety
    /// The table is not used afterwards, nor dropped.
    unsafe fn free(&self) {
        if self.n_chunks > 0 {
            // SAFETY: `with_room` allocated it with this layout; chunks and capacity have not changed since.
            unsafe { dealloc(self.chunks.as_ptr(), Self::layout(self.n_chunks, self.capacity)) }
        }
    }

    fn places(&self) -> Places {
        let tags = if self.n_chunks == 0 { 0 } else { self.tags(0) & Self::TAKEN };
        Places { chunk: 0, tags, left: self.len }
    }
}

/// What stands for a hash in the word of tags.
#[inline]
fn tag(hash: u64) -> u64 {
    0x80 | hash >> 57
}

/// Asks for a cache line, into the second level: the first has so few buffers for lines under way that asking for two
/// lines a record would wait for them (measured: an eighth slower). The address need not be valid.
#[inline]
fn prefetch_line(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch of any address changes nothing and cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

#[cfg(test)]
mod tests;
