//! Replays what fuzzing has gathered: valid bytes, and bytes that are interesting because they are not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
//!
//! `just fuzz` adds to the corpus. An input that made a decoder panic stays in it for ever.

use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz targets reach them")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Files whose names begin so hold values.
const VALID: &str = "valid-";

#[test]
fn log_entries() {
    replay("log_entry", targets::log_entry);
}

#[test]
fn blocks() {
    replay("block", targets::block);
}

#[test]
fn states() {
    replay("state", targets::state);
}

#[test]
fn messages() {
    replay("messages", targets::messages);
}

#[test]
fn batches() {
    replay("batch", targets::batch);
}

#[test]
fn frames() {
    replay("frame", targets::frame);
}

/// Gives every file to a target, and each once more with every bit flipped in turn if it holds a value.
fn replay(target: &str, run: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut n_valid = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let is_value = run(&bytes);
        if path.file_name().unwrap().to_string_lossy().starts_with(VALID) {
            assert!(is_value, "{} is not a value any more", path.display());
            n_valid += 1;
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                run(&bytes);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
    assert!(n_valid > 0, "a corpus has values to begin with");
}
