//! Everything the machine gives: a tokeniser in vector instructions, keys of 16 bytes that lie in the table itself, a
//! table with open addressing in huge pages, and every place in it prefetched some keys before it is touched.

mod numbers;
mod table;
mod tokens;
mod windows;
mod words;

pub(crate) use numbers::CountsInBins;

use crate::task::{Task, Workload};
use crate::{plain, work};
use malstrom_measure::outcome::{BoxError, Outcome};

/// Does the work.
///
/// # Errors
/// If the input is not there.
pub fn run(task: &Task) -> Result<Outcome, BoxError> {
    match task.workload {
        Workload::W1 => words::count::<true>(task),
        Workload::W1b => words::count::<false>(task),
        // The compiler makes vector instructions of the plain loop.
        Workload::W2 => plain::run(task),
        Workload::W3 => numbers::count(task),
        Workload::W4 => Ok(windows::sums(task)),
        _ => Err("there is nothing to tune here".into()),
    }
}

/// Keys between the one that is touched and the one that is prefetched.
const LOOKAHEAD: usize = 24;
/// Keys in a batch.
pub(crate) const BATCH_KEYS: usize = 1024;

/// Both halves of a product, as one.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Which of `n` threads has the key of this hash: low bits, as the table takes the high ones.
#[inline]
const fn owner(hash: u64, n: usize) -> usize {
    (((hash & 0xffff) * n as u64) >> 16) as usize
}

/// What a key of 16 bytes adds to the digest; its last byte is its length.
#[inline]
const fn running(key: [u64; 2], count: u64) -> u64 {
    work::running_count((key[1] >> 56) as usize, count)
}
