//! The words, and how to draw them. All of it is exact arithmetic, so that a text stays the same for ever.

/// Bytes a word takes at most while it is written, the space behind it included.
pub(super) const SLOT_BYTES: usize = 16;
/// The step of the counter that [`mix`] turns into random numbers.
pub(super) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Words that are drawn before they are written.
const DRAWN_WORDS: usize = 16;
const LETTERS_MIN: usize = 2;
const LETTERS_MAX: usize = 12;

/// The output function of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[inline]
pub(super) fn mix(counter: u64) -> u64 {
    let z = (counter ^ (counter >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A word, the space behind it, and in the last byte how many bytes that makes.
type Slot = [u8; SLOT_BYTES];

/// A column of Walker's alias method in Vose's form (1991): the word itself below the threshold, else another.
#[derive(Clone, Copy, Debug)]
struct Column {
    threshold: u32,
    alias: u32,
}

#[derive(Debug)]
pub(super) struct Tables {
    columns: Vec<Column>,
    words: Vec<Slot>,
}

impl Tables {
    pub(super) fn new(n_distinct: u32, exponent: f64) -> Self {
        Self { columns: columns(n_distinct, exponent), words: words(n_distinct) }
    }

    /// Writes a line of words and returns its length. There is room for `n_words` slots.
    #[inline]
    pub(super) fn write_line(&self, seed: u64, n_words: u64, block: &mut [u8]) -> usize {
        let n_columns = self.columns.len() as u64;
        let (mut counter, mut at, mut left) = (seed, 0, n_words);
        // Some words are drawn before any is written, and without a branch on chance, so that the memory of a large
        // vocabulary is asked for many words at once.
        let mut drawn = [0_u32; DRAWN_WORDS];
        while left > 0 {
            let n = left.min(DRAWN_WORDS as u64) as usize;
            for index in &mut drawn[..n] {
                counter = counter.wrapping_add(GOLDEN);
                let random = mix(counter);
                let own = (((random >> 32) * n_columns) >> 32) as u32;
                let column = self.columns[own as usize];
                let is_own = u32::from((random as u32) < column.threshold).wrapping_neg();
                *index = (own & is_own) | (column.alias & !is_own);
            }
            for index in &drawn[..n] {
                // A whole slot is copied, since a copy of fixed length is a single move; the next word overwrites
                // the excess.
                let word = &self.words[*index as usize];
                block[at..at + SLOT_BYTES].copy_from_slice(word);
                at += usize::from(word[SLOT_BYTES - 1]);
            }
            left -= n as u64;
        }
        at.saturating_sub(1)
    }
}

fn columns(n: u32, exponent: f64) -> Vec<Column> {
    let weights: Vec<f64> = (1..=n).map(|rank| power(f64::from(rank), -exponent)).collect();
    let scale = f64::from(n) / weights.iter().sum::<f64>();
    let mut shares: Vec<f64> = weights.into_iter().map(|weight| weight * scale).collect();
    let (mut small, mut large): (Vec<u32>, Vec<u32>) =
        (0..n).partition(|index| shares[*index as usize] < 1.0);
    let mut columns: Vec<Column> = (0..n).map(|index| Column { threshold: u32::MAX, alias: index }).collect();
    while let (Some(less), Some(more)) = (small.pop(), large.last().copied()) {
        let share = shares[less as usize];
        columns[less as usize] = Column { threshold: (share * 2_f64.powi(32)) as u32, alias: more };
        let left = &mut shares[more as usize];
        *left = (*left + share) - 1.0;
        if *left < 1.0 {
            large.pop();
            small.push(more);
        }
    }
    columns
}

/// Words by rank, all different: within a length they are counted through in a scattered order.
fn words(n: u32) -> Vec<Slot> {
    let mut n_used = [0_u64; LETTERS_MAX + 1];
    (1..=n)
        .map(|rank| {
            let scatter = (mix(u64::from(rank)) % 3) as usize;
            let mut length = (1 + 2 * rank.ilog2() as usize / 5 + scatter).clamp(LETTERS_MIN, LETTERS_MAX);
            while n_used[length] == n_words_of(length) {
                length += 1;
            }
            let slot = word(length, n_used[length]);
            n_used[length] += 1;
            slot
        })
        .collect()
}

fn n_words_of(length: usize) -> u64 {
    (0..length).fold(1, |n, _| n * 26)
}

fn word(length: usize, index: u64) -> Slot {
    // A prime that does not divide 26 to any power reaches each word once.
    const STRIDE: u128 = (1 << 61) - 1;
    let n = u128::from(n_words_of(length));
    let mut rest = (STRIDE * (u128::from(index) + 1)) % n;
    let mut slot = [b' '; SLOT_BYTES];
    for letter in &mut slot[..length] {
        *letter = b'a' + (rest % 26) as u8;
        rest /= 26;
    }
    slot[SLOT_BYTES - 1] = length as u8 + 1;
    slot
}

/// `base` to a power, of basic operations only: what a machine's library makes of it may differ in the last bit.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent == -1.0 {
        return 1.0 / base;
    }
    exponential(exponent * logarithm(base))
}

/// The natural logarithm of a normal positive number: `2 artanh((m - 1) / (m + 1))` of its mantissa.
fn logarithm(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..12).rev().fold(0.0, |sum, k| sum * t * t + 1.0 / f64::from(2 * k + 1));
    2.0 * t * series + f64::from(exponent) * std::f64::consts::LN_2
}

/// The exponential of a number from -700 to 0.
fn exponential(y: f64) -> f64 {
    let halvings = (y / std::f64::consts::LN_2 + 0.5).floor();
    let rest = y - halvings * std::f64::consts::LN_2;
    let series = (1..18).rev().fold(1.0, |sum, k| 1.0 + sum * rest / f64::from(k));
    series * f64::from_bits(((halvings as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn powers_are_as_the_library_has_them() {
        for base in [1.0, 2.0, 3.0, 1000.0, 16_777_216.0_f64] {
            for exponent in [0.0, -0.5, -1.0, -1.1, -2.0, -16.0] {
                let expected = base.powf(exponent);
                assert!((power(base, exponent) / expected - 1.0).abs() < 1e-13, "{base}^{exponent}");
            }
        }
    }

    #[test]
    fn words_differ_and_have_2_to_12_letters() {
        let words = words(200_000);
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        let length = |slot: &Slot| usize::from(slot[SLOT_BYTES - 1]) - 1;
        assert!(words.iter().all(|word| (2..=12).contains(&length(word))));
        assert!(words.iter().all(|word| word[..length(word)].iter().all(u8::is_ascii_lowercase)));
        let mean = |words: &[Slot]| words.iter().map(length).sum::<usize>() / words.len();
        assert!(mean(&words[..100]) < mean(&words[10_000..]));
    }

    #[test]
    fn columns_hold_the_whole_distribution() {
        for exponent in [0.0, 0.7, 1.0, 1.5] {
            let n = 1000;
            let mut shares = vec![0.0; n];
            for (index, column) in columns(n as u32, exponent).into_iter().enumerate() {
                let own = f64::from(column.threshold) / 2_f64.powi(32);
                shares[index] += own / n as f64;
                shares[column.alias as usize] += (1.0 - own) / n as f64;
            }
            let sum: f64 = (1..=n).map(|rank| (rank as f64).powf(-exponent)).sum();
            for (index, share) in shares.into_iter().enumerate() {
                let expected = ((index + 1) as f64).powf(-exponent) / sum;
                assert!((share - expected).abs() < 1e-8, "{exponent} {index}: {share} {expected}");
            }
        }
    }
}
