//! Walks over the entries of a table: lent, or taken out.

use std::fmt;
use std::mem::ManuallyDrop;

use super::BinTable;
use super::probing::Place;

/// Entries of a [`BinTable`]; see [`BinTable::iter`].
pub struct Iter<'a, K, S> {
    pub(super) places: Places,
    pub(super) table: &'a BinTable<K, S>,
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

/// Entries of a [`BinTable`] that are not left out; see [`BinTable::iter_except`].
pub(in crate::state) struct IterExcept<'a, K, S> {
    /// The chunk whose tags are visited.
    chunk: u32,
    /// Tags of it that are still to be visited, as their top bits.
    tags: u64,
    /// For each chunk the slots to leave out, a bit for each.
    left_out: &'a [u8],
    table: &'a BinTable<K, S>,
}

impl<'a, K, S> IterExcept<'a, K, S> {
    pub(super) fn new(table: &'a BinTable<K, S>, left_out: &'a [u8]) -> Self {
        assert_eq!(left_out.len(), table.n_chunks as usize, "each chunk has a say");
        let tags = left_out.first().map_or(0, |left_out| table.taken(0) & !top_bits(*left_out));
        Self { chunk: 0, tags, left_out, table }
    }
}

/// The lower seven bits as the top bits of as many bytes.
#[inline]
fn top_bits(slots: u8) -> u64 {
    let spread = u64::from(slots & 0x7f);
    let spread = (spread | spread << 28) & 0x0000_000f_0000_000f;
    let spread = (spread | spread << 14) & 0x0003_0003_0003_0003;
    ((spread | spread << 7) & 0x0101_0101_0101_0101) << 7
}

impl<'a, K, S> Iterator for IterExcept<'a, K, S> {
    type Item = (&'a K, &'a S);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.tags == 0 {
            let left_out = self.left_out.get(self.chunk as usize + 1)?;
            self.chunk += 1;
            self.tags = self.table.taken(self.chunk) & !top_bits(*left_out);
        }
        let slot = self.tags.trailing_zeros() / 8;
        self.tags &= self.tags - 1;
        // SAFETY: the slot is taken, and the table is borrowed for `'a`.
        let entry: &'a (K, S) = unsafe { self.table.slot(self.chunk, slot).as_ref() };
        Some((&entry.0, &entry.1))
    }
}

/// Owned entries of a [`BinTable`]; see [`BinTable::drain`].
pub struct Drain<K, S> {
    pub(super) places: Places,
    /// Entries that were yielded are not here any more, whatever the tags say.
    pub(super) table: ManuallyDrop<BinTable<K, S>>,
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
pub(super) struct Places {
    chunk: u32,
    /// Tags of `chunk` that are still to be visited, as their top bits.
    tags: u64,
    left: u32,
}

impl Places {
    #[inline]
    pub(super) fn next<K, S>(&mut self, table: &BinTable<K, S>) -> Option<Place> {
        if self.left == 0 {
            return None;
        }
        while self.tags == 0 {
            self.chunk += 1;
            self.tags = table.taken(self.chunk);
        }
        self.left -= 1;
        let slot = self.tags.trailing_zeros() / 8;
        self.tags &= self.tags - 1;
        Some(Place { chunk: self.chunk, slot })
    }
}

impl<K, S> BinTable<K, S> {
    /// All taken slots.
    pub(super) fn places(&self) -> Places {
        let tags = if self.n_chunks == 0 { 0 } else { self.taken(0) };
        Places { chunk: 0, tags, left: self.len }
    }
}
