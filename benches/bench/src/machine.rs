//! What it ran on.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

const PAGE_BYTES: usize = 4096;
/// What memory that is touched first is measured by.
const FRESH_BYTES: usize = 2 << 20;
const N_FRESH: usize = 32;

/// The machine in a line: processor, cores, memory, kernel, compiler, huge pages, load, fresh memory.
pub(crate) fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_default();
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let n_cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
    let pages = read("/sys/kernel/mm/transparent_hugepage/enabled").trim().to_owned();
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc =
        rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let fresh_ms = fresh_memory().as_secs_f64() * 1e3;
    format!(
        "{processor}, {n_cores} cores, {memory} of memory, Linux {kernel}, transparent huge pages {pages}, {rustc}; load \
         at the end {load}; {fresh_ms:.1} ms for 2 MiB of memory that is touched first (at the end)"
    )
}

/// How long it takes to touch memory that nobody has had before, in the median. A virtual machine may have to ask its host
/// for each page, and whoever measures gaps measures that.
fn fresh_memory() -> Duration {
    let mut fresh = vec![0_u8; N_FRESH * FRESH_BYTES];
    let touch = |part: &mut [u8]| {
        let started = Instant::now();
        part.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
        started.elapsed()
    };
    let mut times: Vec<Duration> = fresh.chunks_mut(FRESH_BYTES).map(touch).collect();
    black_box(&fresh);
    times.sort_unstable();
    times[N_FRESH / 2]
}
