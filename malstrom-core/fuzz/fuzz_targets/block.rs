//! Blocks of state as they lie in objects.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    malstrom_fuzz::block(bytes);
});
