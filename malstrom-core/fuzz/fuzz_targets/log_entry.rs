//! Entries of the job log, and the manifests in them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    malstrom_fuzz::log_entry(bytes);
});
