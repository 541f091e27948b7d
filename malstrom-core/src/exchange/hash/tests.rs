use std::collections::BTreeSet;

use super::*;

#[derive(Hash)]
struct Place {
    country: u16,
    city: String,
}

#[derive(Hash)]
enum Shape {
    Point,
    Circle(u32),
    Box { width: u8, height: i8 },
}

/// These numbers are written in every snapshot that exists. A change of one of them loses state.
#[test]
fn golden_values() {
    let values = [
        ("()", stable_hash(&())),
        ("u8", stable_hash(&7_u8)),
        ("u16", stable_hash(&7_000_u16)),
        ("u32", stable_hash(&7_000_000_u32)),
        ("u64", stable_hash(&0x0123_4567_89ab_cdef_u64)),
        ("u64 0", stable_hash(&0_u64)),
        ("u64 max", stable_hash(&u64::MAX)),
        ("u128", stable_hash(&0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128)),
        ("i8", stable_hash(&-7_i8)),
        ("i16", stable_hash(&-7_i16)),
        ("i32", stable_hash(&-7_i32)),
        ("i64", stable_hash(&-7_i64)),
        ("i128", stable_hash(&-7_i128)),
        ("usize", stable_hash(&7_usize)),
        ("isize", stable_hash(&-7_isize)),
        ("bool", stable_hash(&true)),
        ("char", stable_hash(&'ß')),
        ("str empty", stable_hash("")),
        ("str 1", stable_hash("a")),
        ("str 3", stable_hash("the")),
        ("str 5", stable_hash("storm")),
        ("str 8", stable_hash("malstrom")),
        ("str 16", stable_hash("0123456789abcdef")),
        ("str 17", stable_hash("0123456789abcdefg")),
        ("str 100", stable_hash(&"0123456789".repeat(10))),
        ("String", stable_hash(&String::from("malstrom"))),
        ("[u8]", stable_hash(b"malstrom".as_slice())),
        ("Vec<u8>", stable_hash(&b"malstrom".to_vec())),
        ("tuple", stable_hash(&(1_u32, "two", 3_i64))),
        ("None", stable_hash(&None::<u64>)),
        ("Some", stable_hash(&Some(5_u64))),
        ("struct", stable_hash(&Place { country: 49, city: "Ulm".into() })),
        ("enum unit", stable_hash(&Shape::Point)),
        ("enum tuple", stable_hash(&Shape::Circle(3))),
        ("enum struct", stable_hash(&Shape::Box { width: 2, height: -2 })),
    ];
    let lines: String = values.iter().map(|(name, hash)| format!("{name}: {hash:016x}\n")).collect();
    assert_eq!(lines, include_str!("golden.txt"));
}

#[test]
fn signed_integers_are_extended_so_that_width_of_isize_does_not_matter() {
    assert_eq!(stable_hash(&-7_isize), stable_hash(&-7_i64));
    assert_eq!(stable_hash(&7_usize), stable_hash(&7_u64));
}

#[test]
fn bin_is_taken_from_bit_40_upwards() {
    assert_eq!(bin_of(0xabc << 40, 0xfff), 0xabc);
    assert_eq!(bin_of(!(0xfff << 40), 0xfff), 0);
    assert_eq!(bin_of(u64::MAX, 0), 0);
}

#[test]
fn texts_that_differ_in_length_or_one_byte_do_not_collide() {
    let mut seen = BTreeSet::new();
    let mut n = 0;
    for length in 0..80_usize {
        for fill in [0_u8, b'a', 0xff] {
            let mut text = vec![fill; length];
            n += usize::from(length > 0 || fill == 0);
            seen.insert(stable_hash(&text));
            for at in 0..length {
                for flip in [1, 3, 0x80] {
                    text[at] ^= flip;
                    seen.insert(stable_hash(&text));
                    n += 1;
                    text[at] ^= flip;
                }
            }
        }
    }
    assert_eq!(seen.len(), n);
}

/// Chi-square over `n_bins` bins is near `n_bins` with a deviation of `sqrt(2 * n_bins)`; six deviations are allowed.
#[track_caller]
fn assert_even(what: &str, hashes: &[u64]) {
    type Part = (&'static str, usize, fn(u64) -> usize);
    let parts: [Part; 4] = [
        ("bin", 4096, |hash| bin_of(hash, 4095)),
        ("tag", 128, |hash| (hash >> 57) as usize),
        ("low bits", 4096, |hash| (hash & 4095) as usize),
        ("place", 4096, |hash| ((hash & 0xffff_ffff) >> 20) as usize),
    ];
    for (part, n, of) in parts {
        let mut counts = vec![0_u32; n];
        hashes.iter().for_each(|&hash| counts[of(hash)] += 1);
        let mean = hashes.len() as f64 / n as f64;
        let chi: f64 = counts.iter().map(|&count| (f64::from(count) - mean).powi(2) / mean).sum();
        let most = n as f64 + 6.0 * (2.0 * n as f64).sqrt();
        assert!(chi < most, "{what}, {part}: chi-square is {chi} of {n}");
    }
}

#[test]
fn sequences_of_integers_spread_evenly() {
    for stride in [1_u64, 2, 3, 8, 1000, 4096, 1 << 20, 1 << 32, 1 << 40, 0x1_0001_0001_0001] {
        let hashes: Vec<u64> = (0..100_000_u64).map(|i| stable_hash(&(i.wrapping_mul(stride)))).collect();
        assert_even(&format!("integers by {stride}"), &hashes);
    }
    let pairs: Vec<u64> =
        (0..300_u32).flat_map(|a| (0..300_u32).map(move |b| stable_hash(&(a, b)))).collect();
    assert_even("pairs", &pairs);
}

#[test]
fn short_words_spread_evenly() {
    let letters = b'a'..=b'z';
    let words: Vec<u64> = letters
        .clone()
        .flat_map(|a| letters.clone().flat_map(move |b| (b'a'..=b'z').map(move |c| [a, b, c])))
        .flat_map(|word| {
            let word = String::from_utf8_lossy(&word).into_owned();
            [stable_hash(&word), stable_hash(&format!("{word}s")), stable_hash(&format!("word-{word}"))]
        })
        .collect();
    assert_even("words", &words);
    let numbers: Vec<u64> = (0..100_000).map(|i| stable_hash(&format!("key{i}"))).collect();
    assert_even("numbered keys", &numbers);
}

#[test]
fn each_input_bit_flips_each_output_bit_half_of_the_time() {
    const N: u64 = 4000;
    for bit in 0..64 {
        let mut flips = [0_u32; 64];
        for i in 0..N {
            let changed = stable_hash(&i) ^ stable_hash(&(i ^ (1 << bit)));
            (0..64).for_each(|out| flips[out] += u32::from(changed >> out & 1 == 1));
        }
        for (out, &n) in flips.iter().enumerate() {
            let share = f64::from(n) / N as f64;
            assert!((0.44..0.56).contains(&share), "input bit {bit} flips bit {out} at a rate of {share}");
        }
    }
}
