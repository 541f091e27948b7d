//! Counts words.

use std::collections::HashMap;
use std::thread;

use super::table::{Key, Slot, Table};
use super::tokens::{ShortWord, each_word};
use super::{BATCH_KEYS, LOOKAHEAD, fold, owner, running};
use crate::data::{load_text, shares};
use crate::mesh::{Batch, Port, mesh};
use crate::task::Task;
use crate::work;
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::{LocalTally, Tally};

/// Bytes of text between two looks at what has come in.
const PIECE_BYTES: usize = 8 << 10;

pub(super) fn count<const RUNNING: bool>(task: &Task) -> Result<Outcome, BoxError> {
    let text = load_text(task.text.as_deref())?;
    let tally = Tally::start();
    let n_words = thread::scope(|scope| {
        let threads: Vec<_> = shares(text, task.workers)
            .into_iter()
            .zip(mesh(task.workers))
            .enumerate()
            .map(|(me, (share, port))| {
                let counts =
                    Counts::<RUNNING> { short: Table::new(), long: HashMap::new(), tally: tally.local() };
                scope.spawn(move || count_share(me, share, port, counts))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread panicked"))
            .sum::<Result<u64, _>>()
    })?;
    Ok(tally.outcome(n_words))
}

fn count_share<const RUNNING: bool>(
    me: usize,
    share: &[u8],
    mut port: Port<Words>,
    mut counts: Counts<RUNNING>,
) -> u64 {
    let n_threads = port.n_threads();
    let mut n_words = 0;
    let mut batches: Vec<Words> = (0..n_threads).map(|_| Words::default()).collect();
    let mut rest = share;
    while !rest.is_empty() {
        let cut = rest.len().min(PIECE_BYTES);
        let cut = memchr::memchr(b'\n', &rest[cut - 1..]).map_or(rest.len(), |at| cut + at);
        let (piece, after) = rest.split_at(cut);
        rest = after;
        let mut long_words: Vec<Box<[u8]>> = Vec::new();
        if n_threads == 1 {
            let own = &mut batches[0];
            each_word(piece, |word| own.short.push(word), |word| long_words.push(word.into()));
        } else {
            each_word(
                piece,
                |word| batches[owner(word.hash(), n_threads)].short.push(word),
                |word| long_words.push(word.into()),
            );
        }
        for word in long_words {
            batches[word.len() % n_threads].long.push(word);
        }
        for (to, batch) in batches.iter_mut().enumerate() {
            let n = batch.short.len() + batch.long.len();
            if to == me {
                n_words += n as u64;
                counts.add_all(batch);
                batch.clear();
            } else if n >= BATCH_KEYS {
                n_words += n as u64;
                port.send(to, batch, |words| counts.add_all(words));
            }
        }
        port.receive(|words| counts.add_all(words));
    }
    for (to, batch) in batches.iter_mut().enumerate() {
        n_words += (batch.short.len() + batch.long.len()) as u64;
        port.send(to, batch, |words| counts.add_all(words));
    }
    port.finish(|words| counts.add_all(words));
    counts.finish();
    n_words
}

/// A word in a slot of 32 bytes, so that none lies in two cache lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(16))]
struct Word(ShortWord);

impl Key for Word {
    #[inline]
    fn hash(self) -> u64 {
        self.0.hash()
    }
}

trait WordHash {
    fn hash(self) -> u64;
}

impl WordHash for ShortWord {
    #[inline]
    fn hash(self) -> u64 {
        fold(self[0] ^ 0x243f_6a88_85a3_08d3, self[1] ^ 0xa409_3822_299f_31d0)
    }
}

#[derive(Debug, Default)]
struct Words {
    short: Vec<ShortWord>,
    long: Vec<Box<[u8]>>,
}

impl Batch for Words {
    fn clear(&mut self) {
        self.short.clear();
        self.long.clear();
    }
}

struct Counts<const RUNNING: bool> {
    short: Table<Word>,
    long: HashMap<Box<[u8]>, u64>,
    tally: LocalTally,
}

impl<const RUNNING: bool> Counts<RUNNING> {
    fn add_all(&mut self, words: &Words) {
        let keys = &words.short;
        for key in keys.iter().take(LOOKAHEAD) {
            self.short.prefetch(key.hash());
        }
        let mut sum = 0_u64;
        for (i, key) in keys.iter().enumerate() {
            if let Some(ahead) = keys.get(i + LOOKAHEAD) {
                self.short.prefetch(ahead.hash());
            }
            let count = self.short.add(key.hash(), Word(*key));
            if RUNNING {
                sum = sum.wrapping_add(running(*key, count));
            }
        }
        if RUNNING {
            self.tally.add_many(keys.len() as u64, sum);
        }
        for word in &words.long {
            self.add_long(word);
        }
    }

    #[cold]
    fn add_long(&mut self, word: &[u8]) {
        let count = match self.long.get_mut(word) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => {
                self.long.insert(word.into(), 1);
                1
            }
        };
        if RUNNING {
            self.tally.add(work::running_count(word.len(), count));
        }
    }

    fn finish(&mut self) {
        if !RUNNING {
            for Slot { key, count } in self.short.iter() {
                let bytes = (u128::from(key.0[1]) << 64 | u128::from(key.0[0])).to_le_bytes();
                self.tally.add(work::final_count(&bytes[..bytes[15].into()], *count));
            }
            for (word, count) in &self.long {
                self.tally.add(work::final_count(word, *count));
            }
        }
        self.tally.publish();
    }
}
