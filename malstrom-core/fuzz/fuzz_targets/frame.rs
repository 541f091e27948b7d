//! The frames of a session.

#![no_main]

mod count;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    count::count(bytes);
    malstrom_fuzz::frame(bytes);
});
