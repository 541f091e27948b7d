//! Cuts lines into words: 64 bytes at a time, of which one word of bits says where white space is. A word is what lies
//! between two places of it, or the line's ends.

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
        let windows = Windows::of(bytes);
        let mut folded = Some(init);
        for_each_word(bytes, |start, end| {
            folded = folded.take().map(|so_far| each(so_far, windows.key(start, end)));
        });
        folded.expect("a fold goes on from what it made last")
    }
}

impl std::iter::FusedIterator for IntoWords {}

/// The 16 bytes that begin at any place of a line, with zeros behind its end.
///
/// A short key is cut from so many bytes, read at once: neither its length nor its place decides a branch, which would be
/// mispredicted for many words.
struct Windows<'a> {
    line: &'a [u8],
    /// Windows that begin before this lie within the line.
    n_within: usize,
    /// The last 16 bytes of the line, or all of a shorter one.
    tail: [u8; 2 * WINDOW_BYTES],
    tail_at: usize,
}

const WINDOW_BYTES: usize = 16;

impl<'a> Windows<'a> {
    #[inline]
    fn of(line: &'a [u8]) -> Self {
        let mut tail = [0; 2 * WINDOW_BYTES];
        match line.last_chunk::<WINDOW_BYTES>() {
            Some(last) => tail[..WINDOW_BYTES].copy_from_slice(last),
            None => tail[..line.len()].copy_from_slice(line),
        }
        let tail_at = line.len().saturating_sub(WINDOW_BYTES);
        Self { line, n_within: line.len().saturating_sub(WINDOW_BYTES - 1), tail, tail_at }
    }

    /// The bytes from `start` to `end` as a key.
    #[inline]
    fn key(&self, start: usize, end: usize) -> KeyBytes {
        let len = end - start;
        if len > KeyBytes::INLINE_BYTES_MAX {
            return KeyBytes::from(&self.line[start..end]);
        }
        let within = start < self.n_within;
        let (bytes, at) = if within { (self.line, start) } else { (&self.tail[..], start - self.tail_at) };
        let window =
            bytes[at..].first_chunk::<WINDOW_BYTES>().expect("a window lies within the line or its tail");
        KeyBytes::from_first(u128::from_le_bytes(*window), len)
    }
}

/// Calls `each` with the beginning and the end of every word. There is one call only, so that all behind it is inlined.
#[inline]
fn for_each_word(bytes: &[u8], mut each: impl FnMut(usize, usize)) {
    let mut start = 0;
    // The last block is never full, so the line's end is found in it.
    for base in (0..=bytes.len()).step_by(BLOCK_BYTES) {
        let mut spaces = spaces(bytes, base);
        while spaces != 0 {
            let end = base + spaces.trailing_zeros() as usize;
            spaces &= spaces - 1;
            // Between two that stand side by side there is no word.
            if start < end {
                each(start, end);
            }
            start = end + 1;
        }
    }
}

const BLOCK_BYTES: usize = 64;
/// What is looked at in one step.
const LANE_BYTES: usize = 16;

/// A bit for each of the at most 64 bytes from `base`, set where white space is; and one behind them if they are fewer.
#[inline]
fn spaces(line: &[u8], base: usize) -> u64 {
    let block = &line[base..];
    let n = block.len().min(BLOCK_BYTES);
    let behind = if n < BLOCK_BYTES { 1 << n } else { 0 };
    let mut found = Spaces::default();
    if let Some(last) = n.checked_sub(LANE_BYTES) {
        // Always as many lanes, the last ones over each other: how many there are would be mispredicted for many lines.
        for lane in 0..BLOCK_BYTES / LANE_BYTES {
            let at = last.min(lane * LANE_BYTES);
            found.add(block[at..].first_chunk().expect("no lane begins behind the last one"), at);
        }
    } else if let Some(last) = line.last_chunk() {
        found.add(last, 0);
        found.bits >>= LANE_BYTES - n;
    } else {
        // What is not there is no white space.
        let mut lane = [u8::MAX; LANE_BYTES];
        lane[..n].copy_from_slice(block);
        found.add(&lane, 0);
    }
    behind | if found.is_other == 0 { found.bits } else { spaces_one_by_one(&block[..n]) }
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
