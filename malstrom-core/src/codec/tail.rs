//! The end of some bytes, to be written to in small steps.

#![expect(
    unsafe_code,
    reason = "the length stays in a register from value to value; measured, a vector's own costs half the time of encoding"
)]

/// The end of a vector of bytes. What is written counts as the vector's from [`commit`](Self::commit) on, or when this is
/// dropped.
///
/// A `Vec` writes down its length with each step, and the next step reads it: for a key and a count of some ten bytes in three
/// steps, that is most of the time.
pub(super) struct Tail<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where to write next: at least the vector's length, at most its capacity, and everything before it is written.
    at: usize,
}

impl<'a> Tail<'a> {
    #[inline(always)]
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Self {
        let at = bytes.len();
        Self { bytes, at }
    }

    /// Where the next byte comes.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.at
    }

    /// Puts the first `kept` of some bytes, which must not be more than there are.
    #[inline(always)]
    pub(super) fn put_first<const N: usize>(&mut self, bytes: [u8; N], kept: usize) {
        debug_assert!(kept <= N);
        if self.bytes.capacity() - self.at < N {
            grow(self.bytes, self.at, N);
        }
        // SAFETY: there is room for `N` bytes behind `at`; no more than those are counted as written.
        unsafe { self.bytes.as_mut_ptr().add(self.at).cast::<[u8; N]>().write_unaligned(bytes) };
        self.at += kept.min(N);
    }

    /// Puts some bytes whose number is known here.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put_first(bytes, N);
    }

    /// Puts some bytes.
    #[inline]
    pub(super) fn put_slice(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() - self.at < bytes.len() {
            grow(self.bytes, self.at, bytes.len());
        }
        // SAFETY: there is room for as many bytes behind `at`, and the vector is borrowed mutably, so they are no part of it.
        unsafe { self.bytes.as_mut_ptr().add(self.at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.at += bytes.len();
    }

    /// The vector with all that was written.
    #[inline]
    pub(super) fn with<T>(&mut self, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.commit();
        let result = change(self.bytes);
        self.at = self.bytes.len();
        result
    }

    #[inline(always)]
    fn commit(&mut self) {
        // SAFETY: `at` is within the capacity, and all before it is written.
        unsafe { self.bytes.set_len(self.at) };
    }
}

impl Drop for Tail<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.commit();
    }
}

/// Makes room for `n` bytes behind the first `written`.
#[cold]
fn grow(bytes: &mut Vec<u8>, written: usize, n: usize) {
    // SAFETY: as in `commit`. The length tells what is to be copied.
    unsafe { bytes.set_len(written) };
    bytes.reserve(n);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is written in one step.
    #[derive(Clone, Debug)]
    enum Step {
        Put([u8; 5]),
        PutFirst([u8; 5], usize),
        PutSlice(Vec<u8>),
        Truncate(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<[u8; 5]>().prop_map(Step::Put),
            (any::<[u8; 5]>(), 0_usize..=5).prop_map(|(bytes, kept)| Step::PutFirst(bytes, kept)),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::PutSlice),
            (0_usize..60).prop_map(Step::Truncate),
        ]
    }

    proptest! {
        #[test]
        fn it_writes_as_a_vector_does(
            before in prop::collection::vec(any::<u8>(), 0..20), room in 0_usize..40,
            steps in prop::collection::vec(step(), 0..30),
        ) {
            let mut expected = before.clone();
            let mut bytes = before;
            bytes.reserve_exact(room);
            let mut tail = Tail::new(&mut bytes);
            for step in steps {
                match step {
                    Step::Put(five) => {
                        tail.put(five);
                        expected.extend(five);
                    }
                    Step::PutFirst(five, kept) => {
                        tail.put_first(five, kept);
                        expected.extend(&five[..kept]);
                    }
                    Step::PutSlice(some) => {
                        tail.put_slice(&some);
                        expected.extend(some);
                    }
                    Step::Truncate(length) => {
                        let left = tail.with(|bytes| { bytes.truncate(length); bytes.clone() });
                        expected.truncate(length);
                        prop_assert_eq!(&left, &expected);
                    }
                }
                prop_assert_eq!(tail.len(), expected.len());
            }
            drop(tail);
            prop_assert_eq!(bytes, expected);
        }
    }
}
