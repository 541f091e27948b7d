//! The memory of a table: how wide its chunks are and how they lie, their words of tags, their slots.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::BinTable;

pub(super) const CACHE_LINE_BYTES: usize = 64;
/// Entries in a chunk at most.
const WIDTH_MAX: usize = 7;
/// Narrower chunks would overflow too often.
const WIDTH_MIN: usize = 3;
/// What a chunk fits into if its entries are small enough.
const CHUNK_BYTES: usize = 2 * CACHE_LINE_BYTES;

impl<K, S> BinTable<K, S> {
    /// Bytes from the beginning of a chunk to its first entry.
    const ENTRIES_AT: usize = size_of::<u64>().next_multiple_of(align_of::<(K, S)>());
    /// Entries in a chunk: as many as lie in two cache lines and leave at most an eighth of them empty; all there are tags
    /// for where that is impossible. A lookup that misses costs by the lines it asks for, so narrow chunks of middling
    /// entries are faster; a chunk that is too narrow overflows more.
    pub(super) const WIDTH: usize = {
        let mut width = WIDTH_MAX;
        while width > WIDTH_MIN && Self::ENTRIES_AT + width * size_of::<(K, S)>() > CHUNK_BYTES {
            width -= 1;
        }
        let bytes = Self::ENTRIES_AT + width * size_of::<(K, S)>();
        if bytes <= CHUNK_BYTES && bytes * 8 >= CHUNK_BYTES * 7 { width } else { WIDTH_MAX }
    };
    /// The top bit of every tag.
    pub(super) const TAKEN: u64 = 0x8080_8080_8080_8080 >> (8 * (8 - Self::WIDTH));
    const BYTES: usize = Self::ENTRIES_AT + Self::WIDTH * size_of::<(K, S)>();
    /// Whether chunks are padded to cache lines: only where that costs at most an eighth.
    const PADDED: bool = Self::BYTES.next_multiple_of(CACHE_LINE_BYTES) * 8 <= Self::BYTES * 9;
    const ALIGN: usize = {
        let wanted = if Self::PADDED { CACHE_LINE_BYTES } else { align_of::<u64>() };
        if align_of::<(K, S)>() > wanted { align_of::<(K, S)>() } else { wanted }
    };
    /// Bytes from one chunk to the next.
    pub(super) const STRIDE: usize = Self::BYTES.next_multiple_of(Self::ALIGN);

    /// What is allocated for a table; one with a single chunk has no more slots than its capacity.
    pub(super) fn layout(n_chunks: u32, capacity: u32) -> Layout {
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

    /// A chunk. `chunk` must be less than `n_chunks`, or 0 while nothing is allocated.
    #[inline]
    pub(super) fn chunk(&self, chunk: u32) -> NonNull<u8> {
        debug_assert!(chunk < self.n_chunks.max(1));
        // SAFETY: the offset lies within the allocation, and is 0 while there is none.
        unsafe { self.chunks.add(chunk as usize * Self::STRIDE) }
    }

    /// A slot. `slot` must be one that the chunk has.
    #[inline]
    pub(super) fn slot(&self, chunk: u32, slot: u32) -> NonNull<(K, S)> {
        debug_assert!(self.n_chunks > 0 && (slot as usize) < Self::WIDTH);
        // SAFETY: chunk and slot are within the allocation, and `ENTRIES_AT` is a multiple of the entries' alignment.
        unsafe { self.chunk(chunk).add(Self::ENTRIES_AT).cast::<(K, S)>().add(slot as usize) }
    }

    #[inline]
    pub(super) fn tags(&self, chunk: u32) -> u64 {
        debug_assert!(self.n_chunks > 0);
        // SAFETY: every chunk begins with a word of tags, aligned and written when the chunk was allocated.
        // Bytes are numbered from the least significant one, so that the lowest slot is found first.
        unsafe { self.chunk(chunk).cast::<u64>().read() }
    }

    /// The slots of a chunk that are taken, as the top bits of their tags.
    #[inline]
    pub(super) fn taken(&self, chunk: u32) -> u64 {
        self.tags(chunk) & Self::TAKEN
    }

    #[inline]
    pub(super) fn set_tags(&mut self, chunk: u32, tags: u64) {
        debug_assert!(self.n_chunks > 0);
        // SAFETY: as in `tags`.
        unsafe { self.chunk(chunk).cast::<u64>().write(tags) }
    }

    /// An empty table that takes at least `n_entries` before it grows.
    pub(super) fn with_room(n_entries: usize) -> Self {
        let (n_chunks, capacity) = Self::room_for(n_entries);
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
    pub(super) unsafe fn free(&self) {
        if self.n_chunks > 0 {
            // SAFETY: `with_room` allocated it with this layout; chunks and capacity have not changed since.
            unsafe { dealloc(self.chunks.as_ptr(), Self::layout(self.n_chunks, self.capacity)) }
        }
    }
}
