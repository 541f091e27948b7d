//! What a session puts on a wire, as bytes.
//!
//! ```text
//! length: u32 | checksum: u32 | version: u8 | kind: u8 | generation: u64 | from: u64 | to: u64
//!             | acknowledged: u64 | until: u64 | seq: u64 | payload        the last two in a frame of data alone
//! ```
//!
//! Numbers are little-endian. `length` is that of all behind the checksum, which is the CRC-32C of the length and of all
//! behind itself. `to` is 0 as long as the sender does not know who is at the other end.
//!
//! # Guarantees
//! I15: any bytes are a frame, the beginning of one, or an error; memory is taken only for bytes that are there.

use std::num::NonZeroU64;
use std::sync::Arc;

use crate::ids::Generation;
use crate::limits::SESSION_FRAME_BYTES_MAX;

/// One life of one end of a session. Each time an end is opened within a generation it gets a greater number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Incarnation(pub NonZeroU64);

/// What goes from one end of a session to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The generation of the sender; nothing of another one is accepted.
    pub generation: Generation,
    /// The sender.
    pub from: Incarnation,
    /// For whom it is meant, if the sender knows.
    pub to: Option<Incarnation>,
    /// How many of the receiver's payloads the sender has, without a gap.
    pub acknowledged: u64,
    /// How many payloads the sender has room for, counted from the first that there ever was.
    pub until: u64,
    /// What it brings.
    pub content: Content,
}

/// What a frame brings besides what its head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Acknowledgement,
    /// The wish to be answered at once.
    Question,
    /// A payload.
    Data {
        /// Which one, counted from 0.
        seq: u64,
        /// Its bytes.
        payload: Arc<[u8]>,
    },
}

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It claims to be longer than a frame may be.
    #[error("a frame of {bytes} bytes, which is more than the {SESSION_FRAME_BYTES_MAX} allowed")]
    TooLong {
        /// How long, without length and checksum.
        bytes: usize,
    },
    /// It was damaged on its way.
    #[error("a frame whose checksum is {actual:08x} where {expected:08x} was expected")]
    Damaged {
        /// The checksum it should have.
        expected: u32,
        /// The checksum it has.
        actual: u32,
    },
    /// It is of a release that speaks otherwise.
    #[error("a frame of version {version}; this release speaks version {VERSION}")]
    UnknownVersion {
        /// Its version.
        version: u8,
    },
    /// Its checksum is right but it makes no sense.
    #[error("a malformed frame: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
}

const VERSION: u8 = 1;
const PREFIX_BYTES: usize = 8;
const KIND_ACKNOWLEDGEMENT: u8 = 0;
const KIND_QUESTION: u8 = 1;
const KIND_DATA: u8 = 2;
/// What a frame of data has besides its payload, without length and checksum.
const HEAD_BYTES: usize = 2 + 6 * 8;

/// The longest payload that a frame can hold, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = SESSION_FRAME_BYTES_MAX - HEAD_BYTES;

impl Frame {
    /// Appends its bytes. The payload has to be at most [`PAYLOAD_BYTES_MAX`] long, or nobody will read the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX_BYTES]);
        out.push(VERSION);
        out.push(match &self.content {
            Content::Acknowledgement => KIND_ACKNOWLEDGEMENT,
            Content::Question => KIND_QUESTION,
            Content::Data { .. } => KIND_DATA,
        });
        let to = self.to.map_or(0, |to| to.0.get());
        for number in [self.generation.0, self.from.0.get(), to, self.acknowledged, self.until] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        if let Content::Data { seq, payload } = &self.content {
            out.extend_from_slice(&seq.to_le_bytes());
            out.extend_from_slice(payload);
        }
        let length = u32::try_from(out.len() - start - PREFIX_BYTES).unwrap_or(u32::MAX).to_le_bytes();
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&length), &out[start + PREFIX_BYTES..]);
        out[start..start + 4].copy_from_slice(&length);
        out[start + 4..start + PREFIX_BYTES].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The frame with which `bytes` begin, which are then left behind it; `None` if they are only the beginning of one.
    ///
    /// # Errors
    /// If they do not begin with a frame. Where the next one begins cannot be known then: the connection is of no use
    /// any more, and what was lost with it is repaired over the next.
    pub fn decode(bytes: &mut &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let [l0, l1, l2, l3, c0, c1, c2, c3] = *prefix;
        let length = [l0, l1, l2, l3];
        let n_bytes = u32::from_le_bytes(length) as usize;
        if n_bytes > SESSION_FRAME_BYTES_MAX {
            return Err(FrameError::TooLong { bytes: n_bytes });
        }
        let Some((body, rest)) = rest.split_at_checked(n_bytes) else { return Ok(None) };
        let expected = u32::from_le_bytes([c0, c1, c2, c3]);
        let actual = crc32c::crc32c_append(crc32c::crc32c(&length), body);
        if actual != expected {
            return Err(FrameError::Damaged { expected, actual });
        }
        *bytes = rest;
        Self::decode_body(body).map(Some)
    }

    fn decode_body(mut body: &[u8]) -> Result<Self, FrameError> {
        let [version, kind] = *take(&mut body)?;
        if version != VERSION {
            return Err(FrameError::UnknownVersion { version });
        }
        let mut number = || take::<8>(&mut body).map(|bytes| u64::from_le_bytes(*bytes));
        let generation = Generation(number()?);
        let from = NonZeroU64::new(number()?).map(Incarnation);
        let from = from.ok_or(FrameError::Malformed { reason: "nobody sends it" })?;
        let to = NonZeroU64::new(number()?).map(Incarnation);
        let (acknowledged, until) = (number()?, number()?);
        let content = match kind {
            KIND_ACKNOWLEDGEMENT => Content::Acknowledgement,
            KIND_QUESTION => Content::Question,
            KIND_DATA => {
                let seq = number()?;
                Content::Data { seq, payload: std::mem::take(&mut body).into() }
            }
            _ => return Err(FrameError::Malformed { reason: "it is of no known kind" }),
        };
        if !body.is_empty() {
            return Err(FrameError::Malformed { reason: "it goes on behind its end" });
        }
        Ok(Self { generation, from, to, acknowledged, until, content })
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], FrameError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(FrameError::Malformed { reason: "it ends early" })?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let content = prop_oneof![
            Just(Content::Acknowledgement),
            Just(Content::Question),
            (any::<u64>(), prop::collection::vec(any::<u8>(), 0..60))
                .prop_map(|(seq, payload)| Content::Data { seq, payload: payload.into() }),
        ];
        (any::<[u64; 4]>(), any::<NonZeroU64>(), content).prop_map(
            |([generation, to, acknowledged, until], from, content)| Frame {
                generation: Generation(generation),
                from: Incarnation(from),
                to: NonZeroU64::new(to).map(Incarnation),
                acknowledged,
                until,
                content,
            },
        )
    }

    fn bytes_of(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn frames_that_follow_one_another_are_read_one_by_one(frames in prop::collection::vec(frames(), 0..4)) {
            let bytes: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
            let mut rest = bytes.as_slice();
            for frame in frames {
                prop_assert_eq!(Frame::decode(&mut rest).unwrap(), Some(frame));
            }
            prop_assert_eq!(Frame::decode(&mut rest).unwrap(), None);
        }

        #[test]
        fn i15_the_beginning_of_a_frame_waits_for_the_rest(frame in frames()) {
            let bytes = bytes_of(&frame);
            for end in 0..bytes.len() {
                let mut rest = &bytes[..end];
                prop_assert_eq!(Frame::decode(&mut rest).unwrap(), None);
                prop_assert_eq!(rest.len(), end);
            }
        }

        #[test]
        fn i15_a_flipped_bit_never_gives_another_frame(frame in frames()) {
            let mut bytes = bytes_of(&frame);
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(!matches!(Frame::decode(&mut bytes.as_slice()), Ok(Some(_))));
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }

        #[test]
        fn i15_a_true_checksum_before_random_bytes_is_a_frame_or_an_error(
            head in prop::sample::select(vec![vec![], vec![1, 0], vec![1, 1], vec![1, 2], vec![2, 0], vec![1, 9]]),
            bytes in prop::collection::vec(any::<u8>(), 0..90),
        ) {
            let body = [head, bytes].concat();
            let length = (body.len() as u32).to_le_bytes();
            let checksum = crc32c::crc32c_append(crc32c::crc32c(&length), &body).to_le_bytes();
            let bytes = [&length[..], &checksum, &body].concat();
            if let Ok(Some(frame)) = Frame::decode(&mut bytes.as_slice()) {
                prop_assert_eq!(bytes_of(&frame), bytes);
            }
        }
    }

    #[test]
    fn i15_a_length_that_lies_takes_no_memory() {
        let bytes = [u32::MAX.to_le_bytes(), [0; 4]].concat();
        assert!(matches!(Frame::decode(&mut bytes.as_slice()), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn version_1_is_read_for_ever() {
        let frame = Frame {
            generation: Generation(3),
            from: Incarnation(NonZeroU64::MIN),
            to: None,
            acknowledged: 2,
            until: 18,
            content: Content::Data { seq: 7, payload: b"storm"[..].into() },
        };
        let bytes = include_bytes!("../../tests/fixtures/session-frame-v1.bin");
        assert_eq!(Frame::decode(&mut &bytes[..]).unwrap(), Some(frame));
    }
}
