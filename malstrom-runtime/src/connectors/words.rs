//! Cuts lines into words: 64 bytes at a time, of which one word of bits says where white space is.

use malstrom_core::key::KeyBytes;
use wide::u8x16;

use super::text::Line;

/// The words of a [`Line`]; see [`Line::words`].
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a [u8]) -> Self {
        Self { rest: line }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = &self.rest[start..];
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        Some(word)
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut each: F) -> B {
        let mut folded = Some(init);
        for_each_word(self.rest, |start, end| {
            folded = folded.take().map(|so_far| each(so_far, &self.rest[start..end]));
        });
        folded.expect("a fold goes on from what it made last")
    }
}

impl std::iter::FusedIterator for Words<'_> {}

/// The words of a [`Line`] as keys; see [`Line::into_words`].
///
/// Taken one by one they cost several times as much as all at once (by `for_each`, which is what `flat_map` does).
#[derive(Clone, Debug)]
pub struct IntoWords {
    line: Line,
    at: usize,
}

impl IntoWords {
    #[inline]
    pub(super) fn of(line: Line) -> Self {
        Self { line, at: 0 }
    }
}

impl Iterator for IntoWords {
    type Item = KeyBytes;

    #[inline]
    fn next(&mut self) -> Option<KeyBytes> {
        let mut words = Words { rest: &self.line[self.at..] };
        let word = words.next().map(KeyBytes::from);
        self.at = self.line.len() - words.rest.len();
        word
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut each: F) -> B {
        let bytes = &self.line[self.at..];
        let mut folded = Some(init);
        for_each_word(bytes, |start, end| {
            folded = folded.take().map(|so_far| each(so_far, key(bytes, start, end)));
        });
        folded.expect("a fold goes on from what it made last")
    }
}

impl std::iter::FusedIterator for IntoWords {}

/// The bytes from `start` to `end` as a key. A short one is cut from 16 bytes read at once, of which it is the first or, near
/// the end of the line, a later part: neither its length nor its place decides a branch, which would be mispredicted for
/// many words.
#[inline]
fn key(bytes: &[u8], start: usize, end: usize) -> KeyBytes {
    let len = end - start;
    if len <= KeyBytes::INLINE_BYTES_MAX
        && let Some(last) = bytes.len().checked_sub(16)
    {
        let from = start.min(last);
        if let Some(window) = bytes[from..].first_chunk::<16>() {
            return KeyBytes::from_first(u128::from_le_bytes(*window) >> (8 * (start - from)), len);
        }
    }
    KeyBytes::from(&bytes[start..end])
}

/// Calls `each` with the beginning and the end of every word. There is one call only, so that all behind it is inlined.
#[inline]
fn for_each_word(bytes: &[u8], mut each: impl FnMut(usize, usize)) {
    let mut word_start = None;
    // The last block is never full, so a word at the end of the line ends in it.
    for base in (0..=bytes.len()).step_by(BLOCK_BYTES) {
        let words = !spaces(&bytes[base..bytes.len().min(base + BLOCK_BYTES)]);
        let one_before = words << 1 | u64::from(word_start.is_some());
        let mut starts = words & !one_before;
        let mut ends = !words & one_before;
        let mut next_start = || {
            let start = base + starts.trailing_zeros() as usize;
            let is_any = starts != 0;
            starts &= starts.wrapping_sub(1);
            is_any.then_some(start)
        };
        while ends != 0 {
            let end = base + ends.trailing_zeros() as usize;
            ends &= ends - 1;
            let Some(start) = word_start.take().or_else(&mut next_start) else { break };
            each(start, end);
        }
        word_start = word_start.or_else(next_start);
    }
}

const BLOCK_BYTES: usize = 64;
/// What is looked at in one step.
const LANE_BYTES: usize = 16;

/// A bit for each of at most 64 bytes, set where white space is, and behind their end.
#[inline]
fn spaces(block: &[u8]) -> u64 {
    let n = block.len();
    debug_assert!(n <= BLOCK_BYTES);
    let behind = if n < BLOCK_BYTES { u64::MAX << n } else { 0 };
    let mut found = Spaces::default();
    let (lanes, rest) = block.as_chunks::<LANE_BYTES>();
    for (at, lane) in lanes.iter().enumerate() {
        found.add(lane, at * LANE_BYTES);
    }
    if !rest.is_empty() {
        match block.last_chunk::<LANE_BYTES>() {
            Some(last) => found.add(last, n - LANE_BYTES),
            None => {
                // What is not there is no white space.
                let mut lane = [u8::MAX; LANE_BYTES];
                lane[..n].copy_from_slice(rest);
                found.add(&lane, 0);
            }
        }
    }
    behind | if found.is_other == 0 { found.bits } else { spaces_one_by_one(block) }
}

/// What is found in a block: where bytes up to the blank are, and whether any of them is not the blank. Of these only
/// some are white space, but they are so rare in text that it is cheaper to look at their block again.
#[derive(Default)]
struct Spaces {
    bits: u64,
    is_other: u16,
}

impl Spaces {
    /// Looks at bytes that begin at `at`.
    #[inline]
    fn add(&mut self, lane: &[u8; LANE_BYTES], at: usize) {
        let bytes = u8x16::new(*lane);
        let is_space = !bytes.simd_ge(u8x16::splat(b'!')).to_bitmask() as u16;
        let is_blank = bytes.simd_eq(u8x16::splat(b' ')).to_bitmask() as u16;
        self.is_other |= is_space ^ is_blank;
        self.bits |= u64::from(is_space) << at;
    }
}

#[cold]
#[inline(never)]
fn spaces_one_by_one(block: &[u8]) -> u64 {
    block.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(byte.is_ascii_whitespace()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &[u8]) -> Vec<Vec<u8>> {
        let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.map(<[u8]>::to_vec).collect()
    }

    proptest! {
        #[test]
        fn words_are_the_same_taken_one_by_one_and_all_at_once(
            text in prop::collection::vec(prop_oneof![3 => any::<u8>(), 2 => Just(b' '), 6 => b'a'..b'd', 1 => 8_u8..14], 0..300),
            n_taken in 0_usize..4,
        ) {
            let line = Line::from(&text[..]);
            let expected = split(&text);
            prop_assert_eq!(line.words().map(<[u8]>::to_vec).collect::<Vec<_>>(), &expected[..]);
            let mut one_by_one = line.words();
            let first: Vec<_> = one_by_one.by_ref().take(n_taken).map(<[u8]>::to_vec).collect();
            let mut rest = Vec::new();
            one_by_one.for_each(|word| rest.push(word.to_vec()));
            prop_assert_eq!([first, rest].concat(), &expected[..]);
            let mut keys = line.into_words();
            let mut taken: Vec<_> = keys.by_ref().take(n_taken).collect();
            keys.for_each(|word| taken.push(word));
            let expected: Vec<_> = expected.into_iter().map(KeyBytes::from).collect();
            prop_assert_eq!(taken, expected);
        }
    }
}
