//! One encoded bin as it lies in an object, beside many others.

use super::frame::{self, Format, FrameError};
use crate::limits::BLOCK_BYTES_MAX;

const FORMAT: Format = Format { magic: *b"MsBk", bytes_max: BLOCK_BYTES_MAX, packs: true };

/// Where a block was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedBlock {
    /// Where it begins in the output, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub bytes: u32,
    /// CRC-32C of all of it but its last four bytes, which hold this same number. (The CRC of bytes that end with
    /// their own CRC is a constant and would tell no block from another.)
    pub checksum: u32,
}

/// Why bytes are not a block, or not the one that was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The bytes are not a sound block, or a block cannot be made of them.
    #[error("a block of state: {0}")]
    Frame(#[from] FrameError),
    /// The bytes are a sound block, but another one than was written there.
    #[error("a block of state: its checksum is {actual:08x}, but the snapshot names {expected:08x}")]
    Replaced {
        /// The checksum that the snapshot names.
        expected: u32,
        /// The checksum of the block.
        actual: u32,
    },
}

/// Appends a block that holds `raw`, packed if that makes it smaller.
///
/// # Errors
/// If `raw` is larger than [`BLOCK_BYTES_MAX`]; `out` is then as it was.
pub fn seal(raw: &[u8], out: &mut Vec<u8>) -> Result<SealedBlock, BlockError> {
    let start = out.len();
    let checksum = FORMAT.seal(raw, out)?;
    let bytes = (out.len() - start) as u64;
    let Ok(bytes) = u32::try_from(bytes) else {
        out.truncate(start);
        return Err(FrameError::TooLarge { bytes, bytes_max: u64::from(u32::MAX) }.into());
    };
    Ok(SealedBlock { offset: start as u64, bytes, checksum })
}

/// The room that [`seal`] needs at most for so many bytes.
#[must_use]
pub fn sealed_bytes_max(raw_bytes: usize) -> usize {
    frame::sealed_bytes_max(raw_bytes)
}

/// What a block holds. Takes any bytes: memory is taken only for a length that the bytes can hold.
///
/// # Errors
/// If the bytes are not exactly one sound block.
pub fn open(bytes: &[u8]) -> Result<Vec<u8>, BlockError> {
    Ok(FORMAT.open(bytes)?.0)
}

/// What a block holds, if it is the very block that was sealed with this checksum.
///
/// # Errors
/// As for [`open`], and if it is another block.
pub fn open_expecting(bytes: &[u8], checksum: u32) -> Result<Vec<u8>, BlockError> {
    let (raw, actual) = FORMAT.open(bytes)?;
    if actual == checksum { Ok(raw) } else { Err(BlockError::Replaced { expected: checksum, actual }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Content that packs well, content that does not, and mixtures.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((any::<u8>(), 1_usize..40), 0..60)
            .prop_map(|runs| runs.into_iter().flat_map(|(byte, n)| std::iter::repeat_n(byte, n)).collect())
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened(before in content(), raw in content()) {
            let mut out = before.clone();
            let sealed = seal(&raw, &mut out).unwrap();
            prop_assert_eq!(&out[..before.len()], &before[..]);
            prop_assert_eq!(sealed.offset as usize, before.len());
            let block = &out[before.len()..];
            prop_assert_eq!(sealed.bytes as usize, block.len());
            prop_assert!(block.len() <= raw.len() + 14);
            prop_assert_eq!(&open(block).unwrap(), &raw);
            prop_assert_eq!(&open_expecting(block, sealed.checksum).unwrap(), &raw);
        }

        #[test]
        fn i15_random_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open(&bytes).is_err());
        }

        #[test]
        fn i15_a_true_head_before_random_bytes_is_a_value_or_an_error(
            packing in 0_u8..3, length in any::<u32>(), bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            for length in [length, length % 1024] {
                let mut block = b"MsBk\x01".to_vec();
                block.push(packing);
                block.extend_from_slice(&length.to_le_bytes());
                block.extend_from_slice(&bytes);
                block.extend_from_slice(&crc32c::crc32c(&block).to_le_bytes());
                if let Ok(raw) = open(&block) {
                    prop_assert_eq!(raw.len(), length as usize);
                }
            }
        }

        #[test]
        fn i8_every_truncation_and_extension_is_noticed(raw in content(), extra in any::<u8>()) {
            let mut block = Vec::new();
            seal(&raw, &mut block).unwrap();
            for end in 0..block.len() {
                prop_assert!(open(&block[..end]).is_err());
            }
            block.push(extra);
            prop_assert!(open(&block).is_err());
        }

        #[test]
        fn i8_every_flipped_bit_is_noticed(raw in prop::collection::vec(0_u8..4, 0..120)) {
            let mut block = Vec::new();
            seal(&raw, &mut block).unwrap();
            for bit in 0..block.len() * 8 {
                block[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(open(&block).is_err(), "bit {} went unnoticed", bit);
                block[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn i8_another_sound_block_is_noticed() {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let sealed = seal(b"one", &mut one).unwrap();
        seal(b"other", &mut other).unwrap();
        assert!(matches!(open_expecting(&other, sealed.checksum), Err(BlockError::Replaced { .. })));
    }

    #[test]
    fn what_does_not_shrink_is_stored_as_it_is() {
        let mut out = Vec::new();
        seal(b"abc", &mut out).unwrap();
        assert_eq!(out[..13], *b"MsBk\x01\x00\x03\0\0\0abc");
        let mut out = Vec::new();
        seal(&[0; 10_000], &mut out).unwrap();
        assert!(out.len() < 100);
    }

    #[test]
    fn version_1_is_read_for_ever() {
        let plain = b"MsBk\x01\x00\x03\0\0\0abc\x00\x00\x00\x00";
        let packed = include_bytes!("../../tests/fixtures/block-v1-packed.bin");
        let checksum = crc32c::crc32c(&plain[..13]).to_le_bytes();
        assert_eq!(open(&[&plain[..13], &checksum[..]].concat()).unwrap(), b"abc");
        assert_eq!(open(packed).unwrap(), b"malstrom ".repeat(12));
    }
}
