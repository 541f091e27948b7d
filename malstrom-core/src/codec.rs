//! How values become bytes: MessagePack with field names, so that a field with a default can be added later.
//!
//! **Caveat.** MessagePack writes `None`, `Some(())` and `Some(None)` alike. A state or a value whose type nests options,
//! or puts a unit into one, comes back as `None`: give it an enum of its own.

use serde::Serialize;
use serde::de::DeserializeOwned;

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

/// Appends the bytes of a value.
///
/// # Errors
/// If the value refuses to be serialized.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    rmp_serde::encode::write_named(out, value)
        .map_err(|error| CodecError::Encode { reason: error.to_string() })
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
    let malformed = |reason: String| CodecError::Malformed { what: "value", reason };
    let mut rest = bytes;
    let value = T::deserialize(&mut rmp_serde::Deserializer::new(&mut rest))
        .map_err(|error| malformed(error.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(malformed(format!("{} bytes follow it", rest.len()))) }
}

/// The next value of several that follow one another; `bytes` is left behind it.
///
/// # Errors
/// If they do not begin with one.
pub fn decode_next<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, CodecError> {
    T::deserialize(&mut rmp_serde::Deserializer::new(bytes))
        .map_err(|error| CodecError::Malformed { what: "value", reason: error.to_string() })
}
