//! One of two: what a stream carries that was put together from two, or that is to be taken apart into two.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value of one of two types.
///
/// It is encoded as a list of its side and the value, which costs two bytes beside the value.
///
/// ```
/// use malstrom_core::element::Either;
///
/// let clicks_and_purchases = [Either::Left("click"), Either::Right(12), Either::Left("another")];
/// let clicks: Vec<_> = clicks_and_purchases.into_iter().filter_map(Either::left).collect();
/// assert_eq!(clicks, ["click", "another"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Either<L, R> {
    /// The first: the stream that others are joined to, what an operator makes in the first place.
    Left(L),
    /// The second: the stream that is joined, a side output.
    Right(R),
}

impl<L, R> Either<L, R> {
    /// The value, if it is of the first type.
    pub fn left(self) -> Option<L> {
        if let Self::Left(value) = self { Some(value) } else { None }
    }

    /// The value, if it is of the second type.
    pub fn right(self) -> Option<R> {
        if let Self::Right(value) = self { Some(value) } else { None }
    }
}

impl<L: Serialize, R: Serialize> Serialize for Either<L, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Left(value) => (0_u8, value).serialize(serializer),
            Self::Right(value) => (1_u8, value).serialize(serializer),
        }
    }
}

impl<'de, L: Deserialize<'de>, R: Deserialize<'de>> Deserialize<'de> for Either<L, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(2, Sides(PhantomData))
    }
}

struct Sides<L, R>(PhantomData<fn() -> (L, R)>);

impl<'de, L: Deserialize<'de>, R: Deserialize<'de>> Visitor<'de> for Sides<L, R> {
    type Value = Either<L, R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a side, 0 or 1, and its value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Either<L, R>, A::Error> {
        let side: u8 = list.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let value = match side {
            0 => list.next_element()?.map(Either::Left),
            1 => list.next_element()?.map(Either::Right),
            _ => return Err(A::Error::custom("neither of two sides")),
        };
        value.ok_or_else(|| A::Error::invalid_length(1, &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    #[test]
    fn a_side_costs_two_bytes() {
        for value in [Either::Left(7_u64), Either::Right("seven".to_owned())] {
            let bytes = encode(&value).unwrap();
            let alone = match &value {
                Either::Left(n) => encode(n).unwrap(),
                Either::Right(text) => encode(text).unwrap(),
            };
            assert_eq!(bytes.len(), alone.len() + 2);
            assert_eq!(decode::<Either<u64, String>>(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn i15_bytes_of_no_side_are_an_error() {
        for bytes in [&b"\x92\x02\x07"[..], b"\x91\x00", b"\x90", b"\x92\x00", b"\x07"] {
            assert!(decode::<Either<u64, u64>>(bytes).is_err(), "{bytes:?}");
        }
    }
}
