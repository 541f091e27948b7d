//! The shape of all bytes that outlive a process: magic, version, length, packed content, checksum.
//!
//! ```text
//! magic: 4 bytes | version: u8 | packing: u8 | length: u32 | content | checksum: u32
//! ```
//!
//! Numbers are little-endian. `length` is that of the content once it is unpacked; `packing` is 0 when the content
//! stands as it is and 1 when it is an LZ4 block. The checksum is the CRC-32C of all that comes before it.
//!
//! **For later versions:** the magic, the version byte and the checksum keep their places for ever. So a reader can
//! tell damage from a format it does not know, whatever lies in between.

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

/// Why bytes are not a sealed frame, or cannot be made one. All lengths are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// There is more content than the limit allows.
    #[error("it holds {bytes} bytes, which is more than the {bytes_max} allowed")]
    TooLarge {
        /// How much content there is.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// There are fewer bytes than an empty frame has.
    #[error("it ends after {bytes} bytes")]
    TooShort {
        /// How many there are.
        bytes: usize,
    },
    /// It begins as something else does.
    #[error("it does not begin as one")]
    OtherMagic,
    /// It was damaged.
    #[error("its checksum is {actual:08x} where {expected:08x} was expected")]
    Damaged {
        /// The checksum it should have.
        expected: u32,
        /// The checksum it has.
        actual: u32,
    },
    /// It is sound but written in a format that this release does not know.
    #[error("it has version {version} of its format; this release reads up to {version_max}")]
    UnknownVersion {
        /// Its version.
        version: u8,
        /// The newest one that can be read.
        version_max: u8,
    },
    /// Its checksum is right but its content is not what its head says.
    #[error("its content is malformed: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

/// One kind of frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// How it begins.
    pub(super) magic: [u8; 4],
    /// How much it may hold.
    pub(super) bytes_max: usize,
    /// Whether content is packed that becomes smaller by it. What is packed is read either way.
    pub(super) packs: bool,
}

/// The only version there is.
const VERSION: u8 = 1;
const PACKING_NONE: u8 = 0;
const PACKING_LZ4: u8 = 1;
const HEAD_BYTES: usize = 10;
const CHECKSUM_BYTES: usize = 4;
/// What a frame takes beside its content.
pub(super) const FRAME_BYTES: usize = HEAD_BYTES + CHECKSUM_BYTES;
/// Content that is shorter is not packed: a sample of it costs as much as all of it, and a state of such bins is small.
const PACKED_BYTES_MIN: usize = 4 << 10;
/// Bytes that are packed to see whether all should be.
const SAMPLE_BYTES: usize = 1 << 10;
/// One byte of an LZ4 block stands for at most so many of content.
const LZ4_EXPANSION_MAX: u64 = 255;
/// What a short LZ4 block may hold beyond that.
const LZ4_SLACK_BYTES: u64 = 64;

impl Format {
    /// Appends a frame that holds `raw` and returns its checksum. After an error `out` is as it was.
    pub(super) fn seal(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<u32, FrameError> {
        let length = self.checked_length(raw.len() as u64)?;
        let start = out.len();
        out.extend_from_slice(&self.magic);
        out.extend_from_slice(&[VERSION, PACKING_LZ4]);
        out.extend_from_slice(&length.to_le_bytes());
        let content = start + HEAD_BYTES;
        let packed = if self.packs && is_worth_packing(raw) { pack(raw, out) } else { None };
        if packed.is_none() {
            out.truncate(content);
            out[start + 5] = PACKING_NONE;
            out.extend_from_slice(raw);
        }
        let checksum = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&checksum.to_le_bytes());
        Ok(checksum)
    }

    /// What a frame holds, and its checksum.
    pub(super) fn open(&self, bytes: &[u8]) -> Result<(Vec<u8>, u32), FrameError> {
        let too_short = FrameError::TooShort { bytes: bytes.len() };
        let (body, tail) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(too_short.clone())?;
        let (head, content) = body.split_first_chunk::<HEAD_BYTES>().ok_or(too_short)?;
        let [m0, m1, m2, m3, version, packing, l0, l1, l2, l3] = *head;
        if [m0, m1, m2, m3] != self.magic {
            return Err(FrameError::OtherMagic);
        }
        let (expected, actual) = (u32::from_le_bytes(*tail), crc32c::crc32c(body));
        if expected != actual {
            return Err(FrameError::Damaged { expected, actual });
        }
        if version != VERSION {
            return Err(FrameError::UnknownVersion { version, version_max: VERSION });
        }
        let length = self.checked_length(u64::from(u32::from_le_bytes([l0, l1, l2, l3])))?;
        let raw = match packing {
            PACKING_NONE => content.to_vec(),
            PACKING_LZ4 => unpack(content, length)?,
            other => return Err(malformed(format!("packing {other} is unknown"))),
        };
        if raw.len() as u64 != u64::from(length) {
            return Err(malformed(format!("it has {} bytes instead of {length}", raw.len())));
        }
        Ok((raw, actual))
    }

    fn checked_length(&self, bytes: u64) -> Result<u32, FrameError> {
        let bytes_max = self.bytes_max as u64;
        let too_large = FrameError::TooLarge { bytes, bytes_max };
        if bytes > bytes_max { Err(too_large) } else { u32::try_from(bytes).map_err(|_| too_large) }
    }
}

/// Whether the content is long enough to repeat itself and a sample of it becomes much smaller. Numbers and hashes do not,
/// and packing costs more time than writing them does.
fn is_worth_packing(raw: &[u8]) -> bool {
    if raw.len() < PACKED_BYTES_MIN {
        return false;
    }
    // From the middle: a beginning is often unlike the rest.
    let middle = raw.len() / 2;
    let mut packed = [0; get_maximum_output_size(SAMPLE_BYTES)];
    let packed = compress_into(&raw[middle..middle + SAMPLE_BYTES], &mut packed);
    packed.is_ok_and(|bytes| bytes * 8 <= SAMPLE_BYTES * 7)
}

/// Appends the content as an LZ4 block and gives its length, if it is the smaller one.
fn pack(raw: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let start = out.len();
    out.resize(start + get_maximum_output_size(raw.len()), 0);
    let packed = compress_into(raw, &mut out[start..]).ok().filter(|packed| *packed < raw.len())?;
    out.truncate(start + packed);
    Some(packed)
}

/// The content of an LZ4 block. The length is compared with what so short a block can hold before memory is taken.
fn unpack(packed: &[u8], length: u32) -> Result<Vec<u8>, FrameError> {
    let length_max = (packed.len() as u64).saturating_mul(LZ4_EXPANSION_MAX).saturating_add(LZ4_SLACK_BYTES);
    if u64::from(length) > length_max {
        return Err(malformed(format!("{} packed bytes cannot hold {length}", packed.len())));
    }
    let mut raw = vec![0; length as usize];
    let n = decompress_into(packed, &mut raw).map_err(|error| malformed(error.to_string()))?;
    raw.truncate(n);
    Ok(raw)
}

/// The room that sealing so many bytes takes at most, while it goes on.
pub(super) fn sealed_bytes_max(raw_bytes: usize) -> usize {
    HEAD_BYTES + get_maximum_output_size(raw_bytes) + CHECKSUM_BYTES
}

fn malformed(reason: String) -> FrameError {
    FrameError::Malformed { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { magic: *b"Test", bytes_max: 1 << 16, packs: true };

    fn with_checksum(mut body: Vec<u8>) -> Vec<u8> {
        body.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        body
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let newer = with_checksum(b"Test\x02whatever a later release writes".to_vec());
        assert_eq!(FORMAT.open(&newer), Err(FrameError::UnknownVersion { version: 2, version_max: 1 }));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_memory_is_taken() {
        let bytes = with_checksum(b"Test\x01\x01\xff\xff\xff\xffxx".to_vec());
        assert!(matches!(FORMAT.open(&bytes), Err(FrameError::TooLarge { .. })));
        let bytes = with_checksum(b"Test\x01\x01\xff\xff\x00\x00xx".to_vec());
        assert_eq!(FORMAT.open(&bytes), Err(malformed("2 packed bytes cannot hold 65535".to_owned())));
    }

    #[test]
    fn too_much_content_is_refused_and_leaves_the_output_as_it_was() {
        let mut out = vec![7];
        assert!(matches!(FORMAT.seal(&[0; (1 << 16) + 1], &mut out), Err(FrameError::TooLarge { .. })));
        assert_eq!(out, [7]);
    }

    #[test]
    fn a_wrong_length_or_packing_with_a_right_checksum_is_refused() {
        for head in [b"Test\x01\x00\x03\0\0\0", b"Test\x01\x01\x03\0\0\0", b"Test\x01\x02\x02\0\0\0"] {
            let bytes = with_checksum([&head[..], b"ab"].concat());
            assert!(matches!(FORMAT.open(&bytes), Err(FrameError::Malformed { .. })));
        }
    }
}
