//! The keys and states of one bin.

#![no_main]

mod count;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    count::count(bytes);
    malstrom_fuzz::state(bytes);
});
