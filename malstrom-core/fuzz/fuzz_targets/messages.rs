//! What coordinator and workers tell one another.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    malstrom_fuzz::messages(bytes);
});
