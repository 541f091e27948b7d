//! How much a target has been given, written into a file now and then: nothing is told when a fuzzer ends.

use std::sync::atomic::{AtomicU64, Ordering};

/// Inputs between two writes. What comes behind the last write is not counted, so the figure is never too high.
const WRITE_EVERY_INPUTS: u64 = 1024;

static INPUTS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Counts an input, if the variable `MALSTROM_FUZZ_COUNTS` names a file.
pub fn count(bytes: &[u8]) {
    let n_bytes = BYTES.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
    let n_inputs = INPUTS.fetch_add(1, Ordering::Relaxed) + 1;
    if n_inputs.is_multiple_of(WRITE_EVERY_INPUTS)
        && let Ok(path) = std::env::var("MALSTROM_FUZZ_COUNTS")
    {
        let _ = std::fs::write(path, format!("{n_inputs} {n_bytes}\n"));
    }
}
