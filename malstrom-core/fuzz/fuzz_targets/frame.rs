//! The frames of a session.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    malstrom_fuzz::frame(bytes);
});
