//! A line of text, as bytes.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::words::{IntoWords, Words};

/// A line without its newline: any bytes, UTF-8 or not.
///
/// It is a slice of the block that was read, which costs a count and no allocation; the block lives as long as one of
/// its lines does. To keep a line for long, copy it.
///
/// ```
/// use malstrom_runtime::connectors::Line;
///
/// let line = Line::from("to be  or not\tto be\r");
/// assert_eq!(line.words().collect::<Vec<_>>(), [&b"to"[..], b"be", b"or", b"not", b"to", b"be"]);
/// assert_eq!(line.to_string(), "to be  or not\tto be\r");
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(Bytes);

impl Line {
    /// The words of the line: what stands between ASCII white space, never empty.
    #[inline]
    #[must_use]
    pub fn words(&self) -> Words<'_> {
        Words::of(&self.0)
    }

    /// The words of the line as keys, for `flat_map`.
    ///
    /// ```
    /// use malstrom_runtime::connectors::Line;
    ///
    /// assert_eq!(Line::from("to be").into_words().map(|word| word.len()).sum::<usize>(), 4);
    /// ```
    #[inline]
    #[must_use]
    pub fn into_words(self) -> IntoWords {
        IntoWords::of(self)
    }

    /// The line as text, if it is UTF-8.
    ///
    /// # Errors
    /// If it is not.
    pub fn as_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.0)
    }

    /// The bytes of the line, still shared with the block they were read in.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Line {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Line {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Bytes> for Line {
    #[inline]
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Line {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Line {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl PartialEq<[u8]> for Line {
    fn eq(&self, other: &[u8]) -> bool {
        self.0 == other
    }
}

impl PartialEq<str> for Line {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Line {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// The text; what is not UTF-8 is replaced.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line(\"{}\")", self.0.escape_ascii())
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a line")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Line, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Line, E> {
        Ok(bytes.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Line, E> {
        Ok(text.into())
    }

    /// Formats without bytes, such as JSON, give a list of numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Line, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_stands_between_white_space() {
        let words = |text: &str| Line::from(text).words().map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(words("a bc\r"), [b"a".to_vec(), b"bc".to_vec()]);
        assert_eq!(words(" \t a "), [b"a".to_vec()]);
        assert!(words(" \t\r\x0c").is_empty());
        assert!(words("").is_empty());
        for text in ["a bc\r", " \t a ", " \t", ""] {
            let owned: Vec<_> = Line::from(text).into_words().map(|word| word.to_vec()).collect();
            assert_eq!(owned, words(text));
        }
    }

    #[test]
    fn a_line_that_is_not_utf8_survives_the_codec() {
        let line = Line::from(&b"\xff\x00\xfe word"[..]);
        let bytes = malstrom_core::codec::encode(&line).unwrap();
        assert_eq!(malstrom_core::codec::decode::<Line>(&bytes).unwrap(), line);
        assert!(line.as_str().is_err());
    }

    #[test]
    fn lines_can_cross_threads_and_exchanges() {
        fn is_data<T: malstrom_core::exchange::Data>() {}
        is_data::<Line>();
    }
}
