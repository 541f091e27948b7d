//! A table with open addressing: a slot is a key and its count, and a count of zero means that nobody is there.

#![expect(unsafe_code, reason = "memory in huge pages, and hints to the processor, have no safe form")]

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

/// Slots of an empty table.
const SLOTS_MIN: usize = 1 << 12;
/// A huge page.
const HUGE_BYTES: usize = 2 << 20;

/// What can be a key.
pub(super) trait Key: Copy + Eq + Default {
    fn hash(self) -> u64;
}

/// A slot of a table. All zeros are an empty one.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Slot<K> {
    pub(super) key: K,
    pub(super) count: u64,
}

#[derive(Debug)]
pub(super) struct Table<K: Key> {
    slots: Slots<Slot<K>>,
    /// By how much a hash is shifted to give a place.
    shift: u32,
    n: usize,
    /// So many keys, and the table doubles.
    n_max: usize,
}

impl<K: Key> Table<K> {
    pub(super) fn new() -> Self {
        Self::with_slots(SLOTS_MIN)
    }

    pub(super) fn with_slots(n_slots: usize) -> Self {
        let shift = 64 - n_slots.trailing_zeros();
        Self { slots: Slots::zeroed(n_slots), shift, n: 0, n_max: n_slots / 8 * 5 }
    }

    /// Begins to load the place of a hash.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        let slot: *const Slot<K> = &raw const self.slots.all()[(hash >> self.shift) as usize];
        prefetch(slot.cast());
    }

    /// Counts one more of a key, and returns how many that makes.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, key: K) -> u64 {
        let count = self.add_n(hash, key, 1);
        if count == 1 {
            self.n += 1;
            if self.n > self.n_max {
                self.grow();
            }
        }
        count
    }

    /// Adds to the sum of a key. What is kept is the sum and one: nothing means that nobody is there.
    #[inline]
    pub(super) fn add_sum(&mut self, hash: u64, key: K, value: u64) {
        let n_slots = self.slots.all().len();
        let slots = self.slots.all_mut();
        let mut at = (hash >> self.shift) as usize & (n_slots - 1);
        // It ends, since a table is never full.
        loop {
            let slot = &mut slots[at & (n_slots - 1)];
            if slot.count != 0 && slot.key == key {
                slot.count += value;
                return;
            }
            if slot.count == 0 {
                *slot = Slot { key, count: value + 1 };
                self.n += 1;
                if self.n > self.n_max {
                    self.grow();
                }
                return;
            }
            at += 1;
        }
    }

    #[inline]
    fn add_n(&mut self, hash: u64, key: K, n: u64) -> u64 {
        let slots = self.slots.all_mut();
        let mask = slots.len() - 1;
        let mut at = (hash >> self.shift) as usize & mask;
        // It ends, since a table is never full.
        loop {
            let slot = &mut slots[at & mask];
            if slot.count == 0 {
                *slot = Slot { key, count: n };
                return n;
            }
            if slot.key == key {
                slot.count += n;
                return slot.count;
            }
            at += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Self::with_slots(self.slots.all().len() * 2);
        for slot in self.iter() {
            larger.add_n(slot.key.hash(), slot.key, slot.count);
        }
        larger.n = self.n;
        *self = larger;
    }

    /// All keys with their counts.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot<K>> {
        self.slots.all().iter().filter(|slot| slot.count > 0)
    }
}

/// Hints that memory will be touched soon.
#[inline]
fn prefetch(at: *const i8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint touches no memory as far as the program can tell, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// A fixed number of slots, in huge pages if they fill one.
#[derive(Debug)]
struct Slots<S> {
    start: *mut S,
    n: usize,
}

// SAFETY: it owns its slots, as a `Box<[S]>` does.
unsafe impl<S: Send> Send for Slots<S> {}

impl<S: Copy> Slots<S> {
    /// Slots of zeros; only for what all zeros are a value of, as of every `Slot` here.
    fn zeroed(n: usize) -> Self {
        let layout = Self::layout(n);
        // SAFETY: the layout has a size, since no table is without slots.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        #[cfg(target_os = "linux")]
        if layout.size() >= HUGE_BYTES {
            // SAFETY: the range is ours; the call changes nothing but how it is mapped, and may fail.
            unsafe { libc::madvise(start.cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        Self { start: start.cast(), n }
    }

    fn layout(n: usize) -> Layout {
        let bytes = n * size_of::<S>();
        let align = if bytes >= HUGE_BYTES { HUGE_BYTES } else { 64 };
        Layout::from_size_align(bytes, align).expect("a table is no larger than the address space")
    }

    #[inline]
    fn all(&self) -> &[S] {
        // SAFETY: these are the slots that were allocated, all initialised.
        unsafe { std::slice::from_raw_parts(self.start, self.n) }
    }

    #[inline]
    fn all_mut(&mut self) -> &mut [S] {
        // SAFETY: as above, and nobody else has them.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.n) }
    }
}

impl<S> Drop for Slots<S> {
    fn drop(&mut self) {
        let bytes = self.n * size_of::<S>();
        let align = if bytes >= HUGE_BYTES { HUGE_BYTES } else { 64 };
        if let Ok(layout) = Layout::from_size_align(bytes, align) {
            // SAFETY: it was allocated with this layout.
            unsafe { std::alloc::dealloc(self.start.cast(), layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Key for u32 {
        fn hash(self) -> u64 {
            // Most keys collide.
            u64::from(self % 7) << 61
        }
    }

    #[test]
    fn counts_are_those_of_a_map() {
        let (mut table, mut map) = (Table::new(), std::collections::BTreeMap::new());
        for key in (0..4000_u32).chain(1000..2000) {
            let count = map.entry(key).or_insert(0);
            *count += 1;
            table.prefetch(key.hash());
            assert_eq!(table.add(key.hash(), key), *count);
        }
        let all: std::collections::BTreeMap<_, _> = table.iter().map(|slot| (slot.key, slot.count)).collect();
        assert_eq!(all, map);
    }
}
