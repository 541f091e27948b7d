//! Whatever is written, `rmp_serde` writes the same bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::codec::{decode, encode};

fn same<T: Serialize + ?Sized>(value: &T) -> Result<(), TestCaseError> {
    let mut expected = Vec::new();
    rmp_serde::encode::write_named(&mut expected, value).unwrap();
    prop_assert_eq!(encode(value).unwrap(), expected);
    Ok(())
}

#[derive(Debug, Clone, Serialize)]
struct Nothing;

#[derive(Debug, Clone, Serialize)]
struct Wrapped(u16);

#[derive(Debug, Clone, Serialize)]
struct Pair(u8, String);

#[derive(Debug, Clone, Serialize)]
enum Kind {
    Unit,
    New(i64),
    Tuple(u32, Option<bool>),
    Struct { a_field: f64, another: Option<char> },
}

#[derive(Debug, Clone, Serialize)]
struct Everything {
    nothing: Nothing,
    unit: (),
    wrapped: Wrapped,
    pair: Pair,
    kinds: Vec<Kind>,
    map: BTreeMap<i32, Vec<u64>>,
    wide: (i128, u128, f32, i8, i16, u64),
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u8>,
}

/// A list and a map whose length nobody says beforehand, one in the other.
struct Unsaid(Vec<u64>);

impl Serialize for Unsaid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct List<'a>(&'a [u64]);
        impl Serialize for List<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut list = serializer.serialize_seq(None)?;
                self.0.iter().try_for_each(|n| list.serialize_element(n))?;
                list.end()
            }
        }
        let mut map = serializer.serialize_map(None)?;
        for n in &self.0 {
            map.serialize_entry(n, &List(&self.0))?;
        }
        map.end()
    }
}

struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

#[derive(Serialize)]
#[serde(rename = "_ExtStruct")]
struct Extension((i8, Inner));

struct Inner;

impl Serialize for Inner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(b"own")
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Unit),
        any::<i64>().prop_map(Kind::New),
        any::<(u32, Option<bool>)>().prop_map(|(n, is)| Kind::Tuple(n, is)),
        any::<(f64, Option<char>)>().prop_map(|(a_field, another)| Kind::Struct { a_field, another }),
    ]
}

fn everything() -> impl Strategy<Value = Everything> {
    (
        (any::<u16>(), any::<u8>(), ".{0,40}"),
        prop::collection::vec(kind(), 0..20),
        prop::collection::btree_map(any::<i32>(), prop::collection::vec(any::<u64>(), 0..3), 0..20),
        any::<(i128, u128, f32, i8, i16, u64)>(),
        any::<Option<u8>>(),
    )
        .prop_map(|((wrapped, n, text), kinds, map, wide, skipped)| Everything {
            nothing: Nothing,
            unit: (),
            wrapped: Wrapped(wrapped),
            pair: Pair(n, text),
            kinds,
            map,
            wide,
            skipped,
        })
}

proptest! {
    #[test]
    fn every_type_is_written_as_rmp_serde_writes_it(value in everything()) {
        same(&value)?;
    }

    #[test]
    fn numbers_of_every_size_are_written_as_rmp_serde_writes_them(n in any::<i64>(), shift in 0_u32..64) {
        same(&(n >> shift))?;
        same(&((n as u64) >> shift))?;
        prop_assert_eq!(decode::<i64>(&encode(&(n >> shift)).unwrap()).unwrap(), n >> shift);
    }

    #[test]
    fn lengths_that_nobody_says_are_counted(values in prop::collection::vec(any::<u64>(), 0..40)) {
        same(&Unsaid(values))?;
    }
}

#[test]
fn the_bounds_of_every_width_are_those_of_rmp_serde() {
    let powers = (0..64).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1]);
    for n in powers.chain([u64::MAX]) {
        same(&n).unwrap();
        same(&(n as i64)).unwrap();
        same(&(n as i64).wrapping_neg()).unwrap();
    }
    for length in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
        same(&"x".repeat(length)).unwrap();
        same(&Bytes(vec![7; length])).unwrap();
        same(&vec![(); length]).unwrap();
        same(&(0..length).map(|n| (n, ())).collect::<BTreeMap<_, _>>()).unwrap();
    }
}

#[test]
fn a_value_of_the_users_own_kind_is_written_as_rmp_serde_writes_it() {
    same(&Extension((5, Inner))).unwrap();
}
