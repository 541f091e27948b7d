//! How a key is found by its hash, put where it belongs, and taken out.

use super::BinTable;

/// One in every byte of a word of tags.
const ONES: u64 = 0x0101_0101_0101_0101;
/// Where the overflow count lies in the word of tags. It never reaches the top bit, so it never equals a tag.
pub(super) const OVERFLOW_SHIFT: u32 = 56;
const OVERFLOW_ONE: u64 = 1 << OVERFLOW_SHIFT;
pub(super) const OVERFLOW_MAX: u64 = 127;

/// Where an entry lies.
#[derive(Clone, Copy, Debug)]
pub(in crate::state) struct Place {
    pub(in crate::state) chunk: u32,
    pub(in crate::state) slot: u32,
}

impl<K, S> BinTable<K, S> {
    /// The chunk where a hash belongs; 0 while nothing is allocated.
    #[inline]
    pub(in crate::state) fn home(&self, hash: u64) -> u32 {
        (((hash & 0xffff_ffff) * u64::from(self.n_chunks)) >> 32) as u32
    }

    /// Finds a taken slot whose tag fits the hash and whose key satisfies `eq`.
    #[inline(always)]
    pub(super) fn locate(&self, hash: u64, mut eq: impl FnMut(&K) -> bool) -> Option<Place> {
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
    pub(super) fn insert_absent(
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

    /// The only slot that an access to this key may change: where it lies, or else where it would be put. `None` if there
    /// is no room for it, so that all slots would be others.
    pub(in crate::state) fn place_for(&self, hash: u64, eq: impl FnMut(&K) -> bool) -> Option<Place> {
        self.locate(hash, eq).or_else(|| (self.len < self.capacity).then(|| self.free_place(hash)))
    }

    /// The first free slot for this hash. There must be one.
    fn free_place(&self, hash: u64) -> Place {
        let mut chunk = self.home(hash);
        // Ends because fewer slots are taken than there are.
        loop {
            let free = !self.tags(chunk) & Self::TAKEN;
            if free != 0 {
                return Place { chunk, slot: free.trailing_zeros() / 8 };
            }
            chunk = self.following(chunk);
        }
    }

    /// Marks the first free slot for this hash as taken, and counts the overflow on the way there. The caller fills the
    /// slot at once. There must be a free slot.
    #[inline]
    pub(super) fn claim(&mut self, hash: u64) -> Place {
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
    pub(super) fn take(&mut self, home: u32, place: &Place) -> (K, S) {
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

    #[inline]
    fn following(&self, chunk: u32) -> u32 {
        if chunk + 1 == self.n_chunks { 0 } else { chunk + 1 }
    }
}

/// What stands for a hash in the word of tags.
#[inline]
fn tag(hash: u64) -> u64 {
    0x80 | hash >> 57
}

/// Asks for a cache line, into the first level. Asked for into the second, it is there an eighth sooner on an Intel Cascade
/// Lake, whose first level has few buffers for lines under way. But on an AMD EPYC such a line is not there at all when it is
/// wanted, for seconds at a time, and each look-up waits for memory (measured: 124 ns a record in place of 44). The address
/// need not be valid.
#[inline]
pub(in crate::state) fn prefetch_line(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address changes nothing and cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
