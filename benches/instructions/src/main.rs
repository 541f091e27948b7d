//! Pieces of the hot path, one a run: `check`, beside this crate, runs each under callgrind and counts the instructions
//! of [`measured`] alone. Times on a shared machine are noise; these counts are the same to a few in a million.
//!
//! Without an argument it lists the pieces.

use std::hint::black_box;
use std::process::ExitCode;

use malstrom_core::codec;
use malstrom_core::exchange::{bin_of, stable_hash};
use malstrom_core::ids::SnapshotId;
use malstrom_core::key::KeyBytes;
use malstrom_core::operators::{BoxError, Discard, from_iter};
use malstrom_core::state::{AnyState, KeyedState};
use malstrom_runtime::prelude::*;

const BINS: u32 = 256;
const RECORDS: u64 = 100_000;
const KEYS: u64 = 5_000;

type Work = fn() -> Result<(), BoxError>;

const PIECES: [(&str, Work); 9] = [
    ("step-stateless", step_stateless),
    ("step-keyed", step_keyed),
    ("step-words", step_words),
    ("route-number", route_number),
    ("route-bytes", route_bytes),
    ("state-find", state_find),
    ("state-insert", state_insert),
    ("encode", encode),
    ("decode", decode),
];

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program on the command line")]
fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        PIECES.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let Some((_, work)) = PIECES.iter().find(|(piece, _)| *piece == name) else {
        eprintln!("error: there is no piece `{name}`");
        return ExitCode::FAILURE;
    };
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is counted; everything else is preparation.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Operators between a source and a sink.
fn step_stateless() -> Result<(), BoxError> {
    run(|job| {
        job.source("numbers", from_iter(|| 0..RECORDS))
            .map(|n| n ^ (n >> 7))
            .filter(|n| n & 3 != 0)
            .map(|n| black_box(n) + 1)
            .sink("nowhere", Discard);
    })
}

/// An exchange and keyed state.
fn step_keyed() -> Result<(), BoxError> {
    run(|job| {
        job.source("numbers", from_iter(|| 0..RECORDS))
            .into_keyed(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS, ()))
            .fold("count", || 0_u64, |count, ()| *count += 1)
            .sink("nowhere", Discard);
    })
}

/// The same with keys of bytes.
fn step_words() -> Result<(), BoxError> {
    run(|job| {
        job.source("words", from_iter(|| 0..RECORDS))
            .into_keyed(|n| (word(n % KEYS), ()))
            .fold("count", || 0_u64, |count, ()| *count += 1)
            .sink("nowhere", Discard);
    })
}

fn run(define: impl Fn(&Job) + Send + Sync + 'static) -> Result<(), BoxError> {
    let job = SingleThread::builder().job("counted", define).bins(BINS).build()?;
    measured(|| job.run())?;
    Ok(())
}

/// A word of 1 to 15 bytes.
fn word(n: u64) -> KeyBytes {
    let text = [n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes(), n.to_be_bytes()].concat();
    KeyBytes::from(&text[..1 + n as usize % 15])
}

fn route_number() -> Result<(), BoxError> {
    measured(|| (0..RECORDS).map(|n| bin_of(stable_hash(&black_box(n)), u64::from(BINS) - 1)).sum::<usize>());
    Ok(())
}

fn route_bytes() -> Result<(), BoxError> {
    let words: Vec<KeyBytes> = (0..RECORDS).map(word).collect();
    measured(|| {
        words.iter().map(|word| bin_of(stable_hash(black_box(word)), u64::from(BINS) - 1)).sum::<usize>()
    });
    Ok(())
}

fn state_find() -> Result<(), BoxError> {
    let mut state = filled();
    measured(|| count(&mut state));
    Ok(())
}

fn state_insert() -> Result<(), BoxError> {
    let mut state = KeyedState::new("count", BINS);
    measured(|| (0..KEYS).for_each(|key| add(&mut state, key)));
    Ok(())
}

fn encode() -> Result<(), BoxError> {
    let mut state = filled();
    measured(|| encode_all(&mut state))?;
    Ok(())
}

fn decode() -> Result<(), BoxError> {
    let mut encoded = Vec::new();
    for n in 0..RECORDS / 10 {
        codec::encode_into(&(word(n), n), &mut encoded)?;
    }
    measured(|| {
        let mut rest = &encoded[..];
        while !rest.is_empty() {
            black_box(codec::decode_next::<(KeyBytes, u64)>(&mut rest)?);
        }
        Ok::<_, BoxError>(())
    })
}

type Counts = KeyedState<u64, u64>;

fn filled() -> Counts {
    let mut state = KeyedState::new("count", BINS);
    (0..KEYS).for_each(|key| add(&mut state, key));
    state
}

fn count(state: &mut Counts) {
    (0..RECORDS).for_each(|n| add(state, n % KEYS));
}

#[inline]
fn add(state: &mut Counts, key: u64) {
    let key = black_box(key);
    let (_, count) = state.get_or_insert_with(stable_hash(&key), key, || 0);
    *count += 1;
}

fn encode_all(state: &mut Counts) -> Result<(), BoxError> {
    state.freeze(SnapshotId(1), None);
    while let Some(bin) = state.encode_next()? {
        black_box(bin);
    }
    Ok(())
}
