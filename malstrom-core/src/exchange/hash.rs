//! The hash that decides where a key lives. It is computed once per record; the bin, and through it the worker, and
//! the place in the bin's table are all taken from it. Snapshots outlive programs, so it must be the same for ever: on
//! every platform, in every version of Rust and of Malstrom. `hash/tests.rs` pins its values.
//!
//! The mixing step is the folded multiply of wyhash (Wang Yi), as also used by foldhash (Orson Peters): multiply two
//! 64-bit words and xor the halves of the product.
//!
//! # Which bits serve what
//!
//! ```text
//! 63..57 tag in the state's table | 56..40 bin | 31..0 place in the state's table
//! ```
//!
//! # Caveats
//! - The hash has no secret: whoever chooses the keys can choose keys that collide. They slow one bin down and break
//!   nothing.
//! - The standard library hands slices and arrays of integers wider than a byte to a hasher as bytes in the machine's
//!   own order. A key that holds a `Vec<u32>` is thus placed differently on a big-endian machine. Scalars, tuples,
//!   strings, byte strings, derived structs and enums are not affected.
//! - What a type feeds to the hasher is the type's own affair. A derived `Hash` changes when fields are added or
//!   reordered, as does the key's equality.

use std::hash::{Hash, Hasher};

use crate::mutant::{self, Mutant};

/// The stable hash of a key.
///
/// ```
/// use malstrom_core::exchange::stable_hash;
/// assert_eq!(stable_hash("word"), stable_hash(&String::from("word")));
/// assert_ne!(stable_hash(&1_u64), stable_hash(&2_u64));
/// ```
#[inline]
#[must_use]
pub fn stable_hash<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = StableHasher::new();
    key.hash(&mut hasher);
    if mutant::is(Mutant::HashUnstable) {
        hasher.write_u32(mutant::worker());
    }
    hasher.finish()
}

/// The bin a hash falls into. `n_bins_mask` is the number of bins, a power of two, less one.
#[inline]
#[must_use]
pub const fn bin_of(hash: u64, n_bins_mask: u64) -> usize {
    debug_assert!(n_bins_mask & (n_bins_mask + 1) == 0);
    ((hash >> BIN_SHIFT) & n_bins_mask) as usize
}

/// A hash that falls into this bin, whatever the number of bins above it: for records that belong to a bin and have no key.
#[inline]
#[must_use]
pub(crate) const fn hash_in_bin(bin: usize) -> u64 {
    (bin as u64) << BIN_SHIFT
}

/// A hasher whose results never change. Use [`stable_hash`] unless a key is hashed piece by piece.
#[derive(Clone, Debug)]
pub struct StableHasher {
    state: u64,
}

/// The lowest of the bits that choose the bin.
const BIN_SHIFT: u32 = 40;

// Digits of pi, of which each multiplier is odd. They were chosen by nobody and may be changed by nobody.
const SEED: u64 = 0xa409_3822_299f_31d0;
const WORD: u64 = 0x243f_6a88_85a3_08d3;
const PAIR: u64 = 0x082e_fa98_ec4e_6c89;
const LENGTH: u64 = 0x4528_21e6_38d0_1377;
const LANE: u64 = 0xc0ac_29b7_c97c_50dd;
const FINISH_XOR: u64 = 0x3f84_d5b5_b547_0917;
const FINISH: u64 = 0x9216_d5d9_8979_fb1b;

impl StableHasher {
    /// A hasher that has seen nothing.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { state: SEED }
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.state = fold(self.state ^ word, WORD);
    }

    #[inline]
    fn pair(&mut self, low: u64, high: u64) {
        self.state = fold(self.state ^ low, high ^ PAIR);
    }

    /// More than 16 bytes: two independent lanes over 32 bytes a turn, then the last 16 bytes, which may overlap what
    /// the lanes have seen.
    #[cold]
    #[inline(never)]
    fn long(&mut self, bytes: &[u8]) {
        let (mut first, mut second) = (self.state, self.state ^ LANE);
        let mut rest = bytes;
        while let Some((block, after)) = rest.split_first_chunk::<32>() {
            first = fold(first ^ le64(block, 0), le64(block, 8) ^ PAIR);
            second = fold(second ^ le64(block, 16), le64(block, 24) ^ LANE);
            rest = after;
        }
        if let Some((block, _)) = rest.split_first_chunk::<16>() {
            first = fold(first ^ le64(block, 0), le64(block, 8) ^ PAIR);
        }
        let n = bytes.len();
        self.state = first ^ second.rotate_left(32);
        self.pair(le64(bytes, n - 16), le64(bytes, n - 8));
    }
}

impl Default for StableHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher for StableHasher {
    #[inline]
    fn finish(&self) -> u64 {
        fold(self.state ^ FINISH_XOR, FINISH)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        // The length is spread over the whole word: a small number would cancel against the first bytes of the text.
        self.state ^= (bytes.len() as u64).wrapping_mul(LENGTH);
        // Two reads that overlap cover any length within a class; the length tells apart what they make equal.
        match bytes.len() {
            0 => self.pair(0, 0),
            n @ 1..4 => {
                let ends = u64::from(bytes[0]) | u64::from(bytes[n / 2]) << 8;
                self.pair(ends, u64::from(bytes[n - 1]));
            }
            n @ 4..8 => self.pair(le32(bytes, 0), le32(bytes, n - 4)),
            n @ 8..=16 => self.pair(le64(bytes, 0), le64(bytes, n - 8)),
            _ => self.long(bytes),
        }
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.word(u64::from(value));
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.word(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.word(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    #[inline]
    fn write_u128(&mut self, value: u128) {
        self.pair(value as u64, (value >> 64) as u64);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }

    #[inline]
    fn write_i8(&mut self, value: i8) {
        self.word(value as u64);
    }

    #[inline]
    fn write_i16(&mut self, value: i16) {
        self.word(value as u64);
    }

    #[inline]
    fn write_i32(&mut self, value: i32) {
        self.word(value as u64);
    }

    #[inline]
    fn write_i64(&mut self, value: i64) {
        self.word(value as u64);
    }

    #[inline]
    fn write_i128(&mut self, value: i128) {
        self.write_u128(value as u128);
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.word(value as u64);
    }
}

/// Both halves of the product of two words, as one.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The four bytes from `at`, least significant first. Panics if there are fewer.
#[inline]
fn le32(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u64::from(u32::from_le_bytes(word))
}

/// The eight bytes from `at`, least significant first. Panics if there are fewer.
#[inline]
fn le64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests;
