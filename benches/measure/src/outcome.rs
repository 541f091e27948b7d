//! What one run tells.

use std::fmt;

use serde::Serialize;

/// Whatever goes wrong: a run that fails is told and not mended.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What one run tells; shown as a line of JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Records that came in.
    pub records: u64,
    /// Records that came out.
    pub outputs: u64,
    /// What the output adds up to, in hexadecimal digits: equal for all programs.
    pub digest: String,
    /// From the moment the program has its input until the last record has come out.
    pub seconds: f64,
    /// Until everything has ended: threads, and for Malstrom the last snapshot, durable.
    pub seconds_to_end: f64,
    /// Processor time of all threads until then, in seconds.
    pub cpu_seconds: f64,
    /// The memory that the process has held at most.
    pub peak_bytes: u64,
    /// More figures, by name.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

impl Outcome {
    /// Adds a figure.
    pub fn note(&mut self, name: &str, value: impl Into<serde_json::Value>) {
        self.more.insert(name.to_owned(), value.into());
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Processor time of this process so far, in seconds.
#[must_use]
#[expect(unsafe_code, reason = "the C library has no safe form of it")]
pub fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes into a place that lives as long as the call.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    if status == 0 { time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9 } else { f64::NAN }
}

/// The most memory this process has held, in bytes.
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// The memory this process holds, in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

fn status_bytes(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
