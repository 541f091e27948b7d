//! The parts of the work that must be the same everywhere: what is done to a record, and what it adds to the digest.

/// The first step of the chain without state.
#[inline]
#[must_use]
pub const fn first(n: u64) -> u64 {
    n ^ (n >> 7)
}

/// Which records the chain keeps: three of four.
#[inline]
#[must_use]
pub const fn keep(n: u64) -> bool {
    n & 3 != 0
}

/// The third step.
#[inline]
#[must_use]
pub const fn third(n: u64) -> u64 {
    n.wrapping_add(0x9e37_79b9_7f4a_7c15)
}

/// The fourth step.
#[inline]
#[must_use]
pub const fn fourth(n: u64) -> u64 {
    n ^ (n << 3)
}

/// What a new count of a word adds to the digest.
#[inline]
#[must_use]
pub const fn running_count(word_bytes: usize, count: u64) -> u64 {
    count.wrapping_mul(word_bytes as u64 + 1)
}

/// What the last count of a word adds to the digest.
#[inline]
#[must_use]
pub fn final_count(word: &[u8], count: u64) -> u64 {
    let hash = word.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash.wrapping_mul(count)
}

/// What the sum of a key's window adds to the digest.
#[inline]
#[must_use]
pub const fn window_sum(key: u64, window_ms: i64, sum: u64) -> u64 {
    (key ^ window_ms as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_mul(sum | 1)
}

/// What a new count of an integer adds to the digest.
#[inline]
#[must_use]
pub const fn number_count(key: u64, count: u64) -> u64 {
    (key | 1).wrapping_mul(count)
}
