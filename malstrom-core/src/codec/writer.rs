//! Writing a value as MessagePack, byte for byte as `rmp_serde::encode::write_named` writes it.
//!
//! State is encoded value by value while the stream waits. `rmp_serde` writes through `io::Write`, a marker and a number
//! at a time, and each write looks for room and may fail. Here a value goes to the end of a `Vec` with one look for room.

use serde::Serialize;
use serde::ser;

use super::CodecError;
use super::tail::Tail;

/// The end of some bytes, as a place for values.
pub(super) struct Writer<'a> {
    out: Tail<'a>,
}

/// The elements of a list or a map.
pub(super) struct Elements<'w, 'a> {
    writer: &'w mut Writer<'a>,
    /// Where they begin and how many there were, if nobody has said how many are to come.
    counted: Option<(usize, usize)>,
}

const NIL: u8 = 0xc0;
const FALSE: u8 = 0xc2;
const TRUE: u8 = 0xc3;
const F32: u8 = 0xca;
const F64: u8 = 0xcb;
const U8: u8 = 0xcc;
const U64: u8 = 0xcf;
const I8: u8 = 0xd0;
const I16: u8 = 0xd1;
const I32: u8 = 0xd2;
const I64: u8 = 0xd3;
/// The largest number that is its own marker.
const FIXED_MAX: u64 = 0x7f;
/// The least one.
const FIXED_MIN: i64 = -32;

/// How a kind of value says how much of it follows: in the marker itself below some limit, else in one, two or four bytes
/// behind a marker.
struct Length {
    fixed: u8,
    fixed_end: u32,
    in_1: Option<u8>,
    in_2: u8,
    in_4: u8,
}

const STR: Length = Length { fixed: 0xa0, fixed_end: 32, in_1: Some(0xd9), in_2: 0xda, in_4: 0xdb };
const BIN: Length = Length { fixed: 0, fixed_end: 0, in_1: Some(0xc4), in_2: 0xc5, in_4: 0xc6 };
const ARRAY: Length = Length { fixed: 0x90, fixed_end: 16, in_1: None, in_2: 0xdc, in_4: 0xdd };
const MAP: Length = Length { fixed: 0x80, fixed_end: 16, in_1: None, in_2: 0xde, in_4: 0xdf };

impl<'a> Writer<'a> {
    #[inline(always)]
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out: Tail::new(out) }
    }

    /// A marker and the bytes behind it: `N` is one more than those.
    #[inline(always)]
    fn marked<const N: usize>(&mut self, marker: u8, bytes: &[u8]) {
        let mut all = [marker; N];
        all[1..].copy_from_slice(bytes);
        self.out.put(all);
    }

    /// In one, two, four or eight bytes behind a marker, the fewest that hold it, unless it is its own marker.
    #[inline(always)]
    fn unsigned(&mut self, n: u64) {
        if n <= FIXED_MAX {
            self.out.put([n as u8]);
        } else if n > u64::from(u32::MAX) {
            self.marked::<9>(U64, &n.to_be_bytes());
        } else {
            let n_bytes = ((u64::BITS - n.leading_zeros()).div_ceil(u8::BITS)).next_power_of_two();
            let mut all = [U8 + n_bytes.trailing_zeros() as u8; 5];
            all[1..].copy_from_slice(&((n as u32) << (u32::BITS - u8::BITS * n_bytes)).to_be_bytes());
            self.out.put_first(all, 1 + n_bytes as usize);
        }
    }

    #[inline(always)]
    fn signed(&mut self, n: i64) {
        if n >= 0 {
            self.unsigned(n as u64);
        } else if n >= FIXED_MIN {
            self.out.put([n as u8]);
        } else if let Ok(n) = i8::try_from(n) {
            self.marked::<2>(I8, &n.to_be_bytes());
        } else if let Ok(n) = i16::try_from(n) {
            self.marked::<3>(I16, &n.to_be_bytes());
        } else if let Ok(n) = i32::try_from(n) {
            self.marked::<5>(I32, &n.to_be_bytes());
        } else {
            self.marked::<9>(I64, &n.to_be_bytes());
        }
    }

    #[inline(always)]
    fn length(&mut self, of: &Length, length: usize) -> Result<(), CodecError> {
        let length = u32::try_from(length).map_err(|_| CodecError::Encode {
            reason: format!("a text, list or map of length {length} is too long"),
        })?;
        if length < of.fixed_end {
            self.out.put([of.fixed | length as u8]);
        } else if let (Some(marker), Ok(length)) = (of.in_1, u8::try_from(length)) {
            self.marked::<2>(marker, &[length]);
        } else if let Ok(length) = u16::try_from(length) {
            self.marked::<3>(of.in_2, &length.to_be_bytes());
        } else {
            self.marked::<5>(of.in_4, &length.to_be_bytes());
        }
        Ok(())
    }

    /// Two values follow.
    #[inline(always)]
    pub(super) fn pair(&mut self) -> Result<(), CodecError> {
        self.length(&ARRAY, 2)
    }

    #[inline]
    fn text(&mut self, text: &str) -> Result<(), CodecError> {
        self.length(&STR, text.len())?;
        self.out.put_slice(text.as_bytes());
        Ok(())
    }

    /// The name of a variant, as the only key of a map whose value follows.
    fn variant(&mut self, name: &str) -> Result<(), CodecError> {
        self.length(&MAP, 1)?;
        self.text(name)
    }

    #[inline]
    fn elements<'w>(&'w mut self, of: &Length, n: Option<usize>) -> Result<Elements<'w, 'a>, CodecError> {
        match n {
            Some(n) => {
                self.length(of, n)?;
                Ok(Elements { writer: self, counted: None })
            }
            None => {
                let start = self.out.len();
                Ok(Elements { writer: self, counted: Some((start, 0)) })
            }
        }
    }
}

impl Elements<'_, '_> {
    #[inline(always)]
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        if let Some((_, n)) = &mut self.counted {
            *n += 1;
        }
        value.serialize(&mut *self.writer)
    }

    #[inline(always)]
    fn add_named<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), CodecError> {
        self.writer.text(name)?;
        value.serialize(&mut *self.writer)
    }

    /// Puts the number of elements before them, if it was not known: each counts for one of `parts`.
    #[inline(always)]
    fn done(self, of: &Length, parts: usize) -> Result<(), CodecError> {
        let Some((start, n)) = self.counted else { return Ok(()) };
        let mut head = Vec::new();
        Writer::new(&mut head).length(of, n / parts)?;
        self.writer.out.with(|out| drop(out.splice(start..start, head)));
        Ok(())
    }
}

impl<'w, 'a> ser::Serializer for &'w mut Writer<'a> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Elements<'w, 'a>;
    type SerializeTuple = Elements<'w, 'a>;
    type SerializeTupleStruct = Elements<'w, 'a>;
    type SerializeTupleVariant = Elements<'w, 'a>;
    type SerializeMap = Elements<'w, 'a>;
    type SerializeStruct = Elements<'w, 'a>;
    type SerializeStructVariant = Elements<'w, 'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline(always)]
    fn serialize_bool(self, is: bool) -> Result<(), CodecError> {
        self.out.put([if is { TRUE } else { FALSE }]);
        Ok(())
    }

    #[inline]
    fn serialize_i8(self, n: i8) -> Result<(), CodecError> {
        self.serialize_i64(n.into())
    }

    #[inline]
    fn serialize_i16(self, n: i16) -> Result<(), CodecError> {
        self.serialize_i64(n.into())
    }

    #[inline(always)]
    fn serialize_i32(self, n: i32) -> Result<(), CodecError> {
        self.serialize_i64(n.into())
    }

    #[inline(always)]
    fn serialize_i64(self, n: i64) -> Result<(), CodecError> {
        self.signed(n);
        Ok(())
    }

    #[inline]
    fn serialize_i128(self, n: i128) -> Result<(), CodecError> {
        self.serialize_bytes(&n.to_be_bytes())
    }

    #[inline]
    fn serialize_u8(self, n: u8) -> Result<(), CodecError> {
        self.serialize_u64(n.into())
    }

    #[inline]
    fn serialize_u16(self, n: u16) -> Result<(), CodecError> {
        self.serialize_u64(n.into())
    }

    #[inline(always)]
    fn serialize_u32(self, n: u32) -> Result<(), CodecError> {
        self.serialize_u64(n.into())
    }

    #[inline(always)]
    fn serialize_u64(self, n: u64) -> Result<(), CodecError> {
        self.unsigned(n);
        Ok(())
    }

    #[inline]
    fn serialize_u128(self, n: u128) -> Result<(), CodecError> {
        self.serialize_bytes(&n.to_be_bytes())
    }

    #[inline]
    fn serialize_f32(self, n: f32) -> Result<(), CodecError> {
        self.marked::<5>(F32, &n.to_be_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, n: f64) -> Result<(), CodecError> {
        self.marked::<9>(F64, &n.to_be_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_char(self, char: char) -> Result<(), CodecError> {
        self.text(char.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), CodecError> {
        self.text(text)
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), CodecError> {
        self.length(&BIN, bytes.len())?;
        self.out.put_slice(bytes);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), CodecError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), CodecError> {
        self.out.put([NIL]);
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), CodecError> {
        self.length(&ARRAY, 0)
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), CodecError> {
        self.text(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        if name == rmp_serde::MSGPACK_EXT_STRUCT_NAME {
            // A value of the user's own kind, which only `rmp_serde` knows how to take apart.
            let written = self
                .out
                .with(|out| (&mut rmp_serde::Serializer::new(out)).serialize_newtype_struct(name, value));
            return written.map_err(|error| CodecError::Encode { reason: error.to_string() });
        }
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.variant(variant)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, n: Option<usize>) -> Result<Elements<'w, 'a>, CodecError> {
        self.elements(&ARRAY, n)
    }

    #[inline(always)]
    fn serialize_tuple(self, n: usize) -> Result<Elements<'w, 'a>, CodecError> {
        self.elements(&ARRAY, Some(n))
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, n: usize) -> Result<Elements<'w, 'a>, CodecError> {
        self.elements(&ARRAY, Some(n))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        n: usize,
    ) -> Result<Elements<'w, 'a>, CodecError> {
        self.variant(variant)?;
        self.elements(&ARRAY, Some(n))
    }

    #[inline]
    fn serialize_map(self, n: Option<usize>) -> Result<Elements<'w, 'a>, CodecError> {
        self.elements(&MAP, n)
    }

    #[inline(always)]
    fn serialize_struct(self, _: &'static str, n: usize) -> Result<Elements<'w, 'a>, CodecError> {
        self.elements(&MAP, Some(n))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        n: usize,
    ) -> Result<Elements<'w, 'a>, CodecError> {
        self.variant(variant)?;
        self.elements(&MAP, Some(n))
    }
}

impl ser::SerializeSeq for Elements<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        self.add(value)
    }

    #[inline]
    fn end(self) -> Result<(), CodecError> {
        self.done(&ARRAY, 1)
    }
}

impl ser::SerializeMap for Elements<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        self.add(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        self.add(value)
    }

    #[inline]
    fn end(self) -> Result<(), CodecError> {
        self.done(&MAP, 2)
    }
}

impl ser::SerializeTuple for Elements<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn end(self) -> Result<(), CodecError> {
        Ok(())
    }
}

impl ser::SerializeTupleStruct for Elements<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn end(self) -> Result<(), CodecError> {
        Ok(())
    }
}

impl ser::SerializeTupleVariant for Elements<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn end(self) -> Result<(), CodecError> {
        Ok(())
    }
}

impl ser::SerializeStruct for Elements<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.add_named(name, value)
    }

    #[inline]
    fn end(self) -> Result<(), CodecError> {
        Ok(())
    }
}

impl ser::SerializeStructVariant for Elements<'_, '_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        self.add_named(name, value)
    }

    #[inline]
    fn end(self) -> Result<(), CodecError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
