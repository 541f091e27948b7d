//! What a good programmer writes in an afternoon: a fast hash, computed once; the tables of `hashbrown`; the bytes of all
//! keys in one arena; batches between threads.

mod latency;
mod numbers;
mod windows;
mod words;

use crate::task::{Task, Workload};
use malstrom_measure::outcome::{BoxError, Outcome};

/// Does the work.
///
/// # Errors
/// If the input is not there.
pub fn run(task: &Task) -> Result<Outcome, BoxError> {
    match task.workload {
        Workload::W1 => words::count(task, words::Emit::Running),
        Workload::W1b => words::count(task, words::Emit::Final),
        Workload::W2 => Ok(numbers::chain(task)),
        Workload::W3 => Ok(numbers::count(task)),
        Workload::W4 => Ok(windows::sums(task)),
        Workload::W5 => Ok(latency::run(task)),
        _ => Err("only Malstrom does this".into()),
    }
}

/// Which of `n` threads has the key of this hash.
#[inline]
fn owner(hash: u64, n: usize) -> usize {
    // Bits that the table does not use for its own places, of which it takes the low ones and the seven highest.
    ((((hash >> 40) & 0xffff) * n as u64) >> 16) as usize
}
