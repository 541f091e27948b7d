//! Integers, made when they are asked for: no program pays for reading them, and none has them in its memory.

use std::ops::Range;

/// The key of record `i`: a random one of `n_keys` random integers.
#[inline]
#[must_use]
pub const fn key(i: u64, n_keys: u64) -> u64 {
    let random = mix(i.wrapping_mul(GOLDEN));
    let index = ((random as u128 * n_keys as u128) >> 64) as u64;
    nth_key(index)
}

/// Key number `index`.
#[inline]
#[must_use]
pub const fn nth_key(index: u64) -> u64 {
    mix(index.wrapping_add(KEYS_BEGIN))
}

/// The records of part `i` of `n`.
#[must_use]
pub const fn range(n_records: u64, i: usize, n: usize) -> Range<u64> {
    let (i, n) = (i as u64, n as u64);
    n_records * i / n..n_records * (i + 1) / n
}

pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// So that no key is zero.
const KEYS_BEGIN: u64 = 1;

/// The finaliser of splitmix64 (Steele, Lea and Flood 2014), a bijection.
#[inline]
pub(super) const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_whole() {
        for n in [1, 2, 3, 7] {
            let parts: Vec<u64> = (0..n).flat_map(|i| range(10, i, n)).collect();
            assert_eq!(parts, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn there_are_as_many_keys_as_asked_for() {
        let keys: std::collections::BTreeSet<u64> = (0..10_000).map(|i| key(i, 100)).collect();
        assert_eq!(keys.len(), 100);
        assert!(!keys.contains(&0));
    }
}
