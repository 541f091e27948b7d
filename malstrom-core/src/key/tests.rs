use proptest::prelude::*;

use super::*;
use crate::codec::{decode, encode};
use crate::exchange::stable_hash;

/// Lengths on both sides of every boundary.
fn samples() -> Vec<Vec<u8>> {
    (0..40)
        .flat_map(|n: u8| {
            let rising = (1..=n).collect();
            [rising, vec![0; usize::from(n)], vec![0xff; usize::from(n)]]
        })
        .collect()
}

#[test]
fn every_length_gives_back_its_bytes() {
    for bytes in samples() {
        let key = KeyBytes::from(&bytes[..]);
        assert_eq!(key, bytes[..]);
        assert_eq!(key.is_on_heap(), bytes.len() > KeyBytes::INLINE_BYTES_MAX);
        assert_eq!(KeyBytes::from(bytes.clone()), key);
        assert_eq!(key.clone(), key);
    }
}

#[test]
fn keys_compare_as_their_bytes() {
    let samples = samples();
    for left in &samples {
        for right in &samples {
            let (a, b) = (KeyBytes::new(left), KeyBytes::new(right));
            assert_eq!(a == b, left == right);
            assert_eq!(a.cmp(&b), left.cmp(right));
        }
    }
}

/// As for the hash itself: a change of one of these loses state.
#[test]
fn golden_hashes() {
    let of = |text: &str| stable_hash(&KeyBytes::from(text));
    assert_eq!(of("storm"), 0xe2f2_033a_87bc_6000);
    assert_eq!(of("a key of some length"), stable_hash(&b"a key of some length"[..]));
}

#[test]
fn zeros_at_the_end_count() {
    assert_ne!(KeyBytes::new(b"a"), KeyBytes::new(b"a\0"));
    assert!(KeyBytes::new(b"a") < KeyBytes::new(b"a\0"));
}

#[test]
fn keys_are_stored_as_bytes() {
    for bytes in samples() {
        let key = KeyBytes::new(&bytes);
        let stored = encode(&key).unwrap();
        assert_eq!(stored[..2], [0xc4, bytes.len() as u8], "not MessagePack's bin 8");
        assert_eq!(decode::<KeyBytes>(&stored).unwrap(), key);
    }
}

#[test]
fn text_and_sequences_can_be_read_as_keys() {
    assert_eq!(decode::<KeyBytes>(&encode("malstrom").unwrap()).unwrap(), "malstrom");
    assert_eq!(decode::<KeyBytes>(&encode(&[1_u8, 2, 200]).unwrap()).unwrap(), [1, 2, 200][..]);
    assert!(decode::<KeyBytes>(&encode(&[1, 300]).unwrap()).is_err());
}

#[test]
fn a_length_that_lies_is_an_error_and_takes_no_memory() {
    for lie in [
        &[0xc6, 0xff, 0xff, 0xff, 0xff, 1][..],
        &[0xdd, 0xff, 0xff, 0xff, 0xff, 1],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert!(decode::<KeyBytes>(lie).is_err());
    }
}

#[test]
fn bytes_that_are_no_text_are_shown_all_the_same() {
    let key = KeyBytes::new(b"a\xff\"");
    assert_eq!(format!("{key} {key:?}"), "a\u{fffd}\" \"a\u{fffd}\\\"\"");
    assert_eq!(format!("{:>4}|", KeyBytes::from("ab")), "  ab|");
}

#[test]
fn keys_can_change_threads() {
    fn sent<T: Send + Sync + 'static>() {}
    sent::<KeyBytes>();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn behaves_as_a_vector_does(
        left in proptest::collection::vec(0..3_u8, 0..24),
        right in proptest::collection::vec(0..3_u8, 0..24),
    ) {
        let (a, b) = (KeyBytes::new(&left), KeyBytes::from(right.clone()));
        prop_assert_eq!(a.cmp(&b), left.cmp(&right));
        prop_assert_eq!(a == b, left == right);
        prop_assert_eq!(stable_hash(&a) == stable_hash(&b), left == right);
        let decoded = decode::<KeyBytes>(&encode(&b).unwrap()).unwrap();
        prop_assert_eq!(&decoded[..], &right[..]);
    }
}
