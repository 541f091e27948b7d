//! How values become bytes: MessagePack with field names, so that a field with a default can be added later.
//!
//! # Caveats
//! - A value that is nested deeper than [`NESTING_LEVELS_MAX`] can be written but not read: writing does not count levels,
//!   since every record would pay for it.
//! - MessagePack writes `None`, `Some(())` and `Some(None)` alike. A state or a value whose type nests options, or puts a
//!   unit into one, comes back as `None`: give it an enum of its own.

mod tail;
mod writer;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::NESTING_LEVELS_MAX;

/// Why bytes could not be made or read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// A value refused to be serialized.
    #[error("a value cannot be encoded: {reason}")]
    Encode {
        /// What the serializer said.
        reason: String,
    },
    /// The bytes are not what was expected.
    #[error("not a readable {what}: {reason}")]
    Malformed {
        /// What was to be read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl serde::ser::Error for CodecError {
    fn custom<T: std::fmt::Display>(reason: T) -> Self {
        Self::Encode { reason: reason.to_string() }
    }
}

/// Appends the bytes of a value.
///
/// # Errors
/// If the value refuses to be serialized.
#[inline]
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    value.serialize(&mut writer::Writer::new(out))
}

/// Appends the bytes of pairs of values, each as [`encode_into`] does, and gives their number. State is encoded so: here each
/// pair is written in place, and not by a function for it.
#[inline(always)]
pub(crate) fn encode_pairs_into<'a, A: Serialize + 'a, B: Serialize + 'a>(
    pairs: impl IntoIterator<Item = (&'a A, &'a B)>,
    out: &mut Vec<u8>,
) -> Result<usize, CodecError> {
    let mut writer = writer::Writer::new(out);
    let mut n_pairs = 0;
    for (first, second) in pairs {
        writer.pair()?;
        first.serialize(&mut writer)?;
        second.serialize(&mut writer)?;
        n_pairs += 1;
    }
    Ok(n_pairs)
}

/// The bytes of a value.
///
/// # Errors
/// If the value refuses to be serialized.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    encode_into(value, &mut out)?;
    Ok(out)
}

/// The value that `bytes` hold, all of them.
///
/// # Errors
/// If they hold none, or more than one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut rest = bytes;
    let value = decode_next(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(malformed(format!("{} bytes follow it", rest.len()))) }
}

/// The next value of several that follow one another; `bytes` is left behind it.
///
/// # Errors
/// If they do not begin with one.
pub fn decode_next<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, CodecError> {
    let mut decoder = rmp_serde::Deserializer::new(bytes);
    decoder.set_max_depth(NESTING_LEVELS_MAX);
    T::deserialize(&mut decoder).map_err(|error| malformed(error.to_string()))
}

fn malformed(reason: String) -> CodecError {
    CodecError::Malformed { what: "value", reason }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct NoFields {}

    #[test]
    fn bytes_that_nest_without_end_are_an_error_also_where_nobody_looks_at_them() {
        let levels = [0x91; 1 << 20];
        assert!(decode::<Vec<Vec<u64>>>(&levels).is_err());
        // A field that no release knows is skipped, level by level.
        let unknown_field = [&b"\x81\xa1x"[..], &levels].concat();
        assert!(decode::<NoFields>(&unknown_field).is_err());
    }
}
