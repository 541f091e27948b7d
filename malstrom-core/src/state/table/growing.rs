//! How large a table is for so many entries, and how it gets larger.

use std::mem::ManuallyDrop;

use super::BinTable;

/// Of 16 slots, how many are taken when the table grows.
const FULL_OF_16: u64 = 13;

impl<K, S> BinTable<K, S> {
    /// Moves all entries into a table that has room for at least `wanted` entries.
    #[cold]
    #[inline(never)]
    pub(super) fn resize(&mut self, wanted: usize, rehash: &impl Fn(&K) -> u64) {
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

    /// How many chunks take `n_entries`, and how many entries they take before the table grows.
    pub(super) fn room_for(n_entries: usize) -> (u32, u32) {
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
        (in_word(n_chunks), in_word(capacity))
    }
}
