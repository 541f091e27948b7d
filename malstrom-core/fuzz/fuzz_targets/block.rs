//! Blocks of state as they lie in objects.

#![no_main]

mod count;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    count::count(bytes);
    malstrom_fuzz::block(bytes);
});
