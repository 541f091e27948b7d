//! The keys and states of one bin.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    malstrom_fuzz::state(bytes);
});
