//! Finds words in text, 32 bytes at a time.

#![expect(unsafe_code, reason = "vector instructions, and reads of 16 bytes where a word may be shorter")]

/// A word of up to 15 bytes, the rest zero, the last byte its length.
pub(super) type ShortWord = [u64; 2];

/// The longest word that has a short form.
pub(super) const SHORT_BYTES_MAX: usize = 15;

/// Calls `short` with each word of up to 15 bytes and `long` with each other. Words are what stands between ASCII white
/// space.
#[inline]
pub(super) fn each_word(text: &[u8], short: impl FnMut(ShortWord), long: impl FnMut(&[u8])) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") {
        // SAFETY: the processor has what the function is compiled for.
        unsafe { each_word_avx2(text, short, long) };
        return;
    }
    each_word_plainly(text, short, long);
}

fn each_word_plainly(text: &[u8], mut short: impl FnMut(ShortWord), mut long: impl FnMut(&[u8])) {
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        give(word, &mut short, &mut long);
    }
}

#[inline]
fn give(word: &[u8], short: &mut impl FnMut(ShortWord), long: &mut impl FnMut(&[u8])) {
    if word.len() > SHORT_BYTES_MAX {
        long(word);
        return;
    }
    let mut bytes = [0; 16];
    bytes[..word.len()].copy_from_slice(word);
    bytes[15] = word.len() as u8;
    let word = u128::from_le_bytes(bytes);
    short([word as u64, (word >> 64) as u64]);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn each_word_avx2(text: &[u8], mut short: impl FnMut(ShortWord), mut long: impl FnMut(&[u8])) {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_and_si128, _mm_cvtsi128_si64, _mm_extract_epi64, _mm_loadu_si128, _mm_or_si128,
        _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
        _mm256_shuffle_epi8,
    };

    /// Bytes that are looked at in one turn.
    const TURN_BYTES: usize = 64;
    // A byte is white space if the byte that its low four bits choose here is the byte itself; of bytes from 0x80 on the
    // instruction makes zero.
    const SPACES: [u8; 16] =
        [b' ', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'\t', b'\n', 0xff, 0x0c, b'\r', 0xff, 0xff];

    // SAFETY: the array has the 16 bytes.
    let spaces = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(SPACES.as_ptr().cast::<__m128i>()) });
    let is_space = |at: usize| {
        debug_assert!(at + 32 <= text.len());
        // SAFETY: `at + 32` is within the text: see the loop.
        let bytes = unsafe { _mm256_loadu_si256(text.as_ptr().add(at).cast::<__m256i>()) };
        let chosen = _mm256_shuffle_epi8(spaces, bytes);
        u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(chosen, bytes)).cast_unsigned())
    };
    // Where the word that is being read begins.
    let mut start = 0;
    let mut at = 0;
    // A word that ends in a turn begins at or before it ends, and 16 bytes from there are in the text.
    while at + TURN_BYTES + 16 <= text.len() {
        let mut ends = is_space(at) | is_space(at + 32) << 32;
        while ends != 0 {
            let end = at + ends.trailing_zeros() as usize;
            ends &= ends - 1;
            let len = end - start;
            if len.wrapping_sub(1) < SHORT_BYTES_MAX {
                // SAFETY: `start <= end < at + 64`, so 16 bytes from it are within the text. A mask begins at
                // `16 - len >= 1` and has 16 bytes, of 32.
                let (word, mask, tail) = unsafe {
                    (
                        _mm_loadu_si128(text.as_ptr().add(start).cast()),
                        _mm_loadu_si128(MASKS.as_ptr().add(16 - len).cast()),
                        _mm_loadu_si128(LENGTHS.as_ptr().add(len).cast()),
                    )
                };
                let word = _mm_or_si128(_mm_and_si128(word, mask), tail);
                short([
                    _mm_cvtsi128_si64(word).cast_unsigned(),
                    _mm_extract_epi64::<1>(word).cast_unsigned(),
                ]);
            } else if len > 0 {
                long(&text[start..end]);
            }
            start = end + 1;
        }
        at += TURN_BYTES;
    }
    each_word_plainly(&text[start..], short, long);
}

/// 16 bytes from `16 - n` on keep `n` bytes.
#[cfg(target_arch = "x86_64")]
static MASKS: [u8; 32] = {
    let mut masks = [0; 32];
    let mut at = 0;
    while at < 16 {
        masks[at] = 0xff;
        at += 1;
    }
    masks
};

/// Each is zero but for its last byte, which is its number.
#[cfg(target_arch = "x86_64")]
static LENGTHS: [[u8; 16]; 16] = {
    let mut lengths = [[0; 16]; 16];
    let mut n = 0;
    while n < 16 {
        lengths[n][15] = n as u8;
        n += 1;
    }
    lengths
};

#[cfg(test)]
mod tests {
    use super::*;

    fn words(
        text: &[u8],
        each: impl Fn(&[u8], &mut dyn FnMut(ShortWord), &mut dyn FnMut(&[u8])),
    ) -> Vec<Vec<u8>> {
        let words = std::cell::RefCell::new(Vec::new());
        each(
            text,
            &mut |word| {
                let bytes = (u128::from(word[1]) << 64 | u128::from(word[0])).to_le_bytes();
                words.borrow_mut().push(bytes[..bytes[15].into()].to_vec());
            },
            &mut |word| words.borrow_mut().push(word.to_vec()),
        );
        words.into_inner()
    }

    #[test]
    fn vectors_find_the_words_that_a_loop_finds() {
        let alphabet = b"ab \n\t\r\x0c\x0b\x80\xff0123456789 abcdefgh\0xyz";
        let mut random = 1_u64;
        for len in 0..400 {
            let text: Vec<u8> = (0..len)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    alphabet[(random >> 33) as usize % alphabet.len()]
                })
                .collect();
            let expected: Vec<_> = text
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty())
                .map(<[u8]>::to_vec)
                .collect();
            assert_eq!(words(&text, |text, short, long| each_word(text, short, long)), expected, "{text:?}");
            assert_eq!(words(&text, |text, short, long| each_word_plainly(text, short, long)), expected);
        }
    }
}
