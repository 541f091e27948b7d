//! Batches of records.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    malstrom_fuzz::batch(bytes);
});
