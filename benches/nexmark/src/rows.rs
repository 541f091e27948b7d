//! What comes out of a query: rows that can be written as a line, and that add up to a digest whatever their order.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// A row.
pub trait Row: 'static {
    /// Appends the row as a line, without a newline.
    fn write(&self, line: &mut Vec<u8>);
    /// What the row adds to the digest.
    fn digest(&self) -> u64;
}

/// What stands between two fields of a line.
const BETWEEN: u8 = b'|';

/// A field of a row.
pub trait Field: 'static {
    /// Appends it in letters.
    fn write(&self, line: &mut Vec<u8>);
    /// A number that is the same for equal fields.
    fn bits(&self) -> u64;
}

impl Field for u64 {
    fn write(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(self.to_string().as_bytes());
    }

    #[inline]
    fn bits(&self) -> u64 {
        *self
    }
}

impl Field for i64 {
    fn write(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(self.to_string().as_bytes());
    }

    #[inline]
    fn bits(&self) -> u64 {
        *self as u64
    }
}

impl Field for &'static str {
    fn write(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(self.as_bytes());
    }

    #[inline]
    fn bits(&self) -> u64 {
        FixedState::default().hash_one(self)
    }
}

#[inline]
const fn fold(digest: u64, field: u64) -> u64 {
    let product = (digest ^ field) as u128 * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128;
    (product as u64) ^ (product >> 64) as u64 ^ digest.rotate_left(23)
}

macro_rules! rows {
    ($($($field:ident)+;)+) => {$(
        impl<$($field: Field),+> Row for ($($field,)+) {
            #[expect(non_snake_case, reason = "each field bears the name of its type")]
            fn write(&self, line: &mut Vec<u8>) {
                let ($($field,)+) = self;
                let begin = line.len();
                $(
                    if line.len() > begin {
                        line.push(BETWEEN);
                    }
                    $field.write(line);
                )+
            }

            #[inline]
            #[expect(non_snake_case, reason = "each field bears the name of its type")]
            fn digest(&self) -> u64 {
                let ($($field,)+) = self;
                let mut digest = 0x2545_f491_4f6c_dd1d;
                $(digest = fold(digest, $field.bits());)+
                digest
            }
        }
    )+};
}

rows! {
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
    A B C D E F G H I J K L M;
    A B C D E F G H I J K L M N;
    A B C D E F G H I J K L M N O;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_set_apart() {
        let mut line = Vec::new();
        (1_u64, -2_i64, "three").write(&mut line);
        assert_eq!(line, b"1|-2|three");
    }

    #[test]
    fn the_digest_depends_on_the_place_of_a_field() {
        assert_ne!((1_u64, 2_u64).digest(), (2_u64, 1_u64).digest());
        assert_ne!((0_u64, 0_u64).digest(), (0_u64, 1_u64).digest());
    }
}
