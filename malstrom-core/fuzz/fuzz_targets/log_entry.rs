//! Entries of the job log, and the manifests in them.

#![no_main]

mod count;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    count::count(bytes);
    malstrom_fuzz::log_entry(bytes);
});
