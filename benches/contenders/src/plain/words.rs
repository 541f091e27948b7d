//! Counts words.

use std::hash::BuildHasher;
use std::thread;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::owner;
use crate::data::{load_text, shares};
use crate::mesh::{Batch, Port, mesh};
use crate::task::Task;
use crate::work;
use malstrom_measure::outcome::{BoxError, Outcome};
use malstrom_measure::tally::{LocalTally, Tally};

/// Words in a batch.
const BATCH_WORDS: usize = 1024;
/// Bytes of text between two looks at what has come in.
const PIECE_BYTES: usize = 16 << 10;

/// Which counts are the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Emit {
    Running,
    Final,
}

pub(super) fn count(task: &Task, emit: Emit) -> Result<Outcome, BoxError> {
    let text = load_text(task.text.as_deref())?;
    let tally = Tally::start();
    let n_words = thread::scope(|scope| {
        let threads: Vec<_> = shares(text, task.workers)
            .into_iter()
            .zip(mesh(task.workers))
            .enumerate()
            .map(|(me, (share, port))| {
                let counts = Counts::new(emit, tally.local());
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

fn count_share(me: usize, share: &[u8], mut port: Port<Words>, mut counts: Counts) -> u64 {
    let hasher = FixedState::default();
    let mut n_words = 0;
    let n_threads = port.n_threads();
    let mut outgoing: Vec<Words> = (0..n_threads).map(|_| Words::default()).collect();
    let mut rest = share;
    while !rest.is_empty() {
        let cut = rest.len().min(PIECE_BYTES);
        let cut = memchr::memchr(b'\n', &rest[cut - 1..]).map_or(rest.len(), |at| cut + at);
        let (piece, after) = rest.split_at(cut);
        rest = after;
        for word in piece.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            n_words += 1;
            let hash = hasher.hash_one(word);
            let owner = owner(hash, n_threads);
            if owner == me {
                counts.add(hash, word);
                continue;
            }
            let batch = &mut outgoing[owner];
            batch.push(hash, word);
            if batch.ends.len() == BATCH_WORDS {
                port.send(owner, batch, |words| counts.add_all(words));
            }
        }
        port.receive(|words| counts.add_all(words));
    }
    for (owner, batch) in outgoing.iter_mut().enumerate() {
        port.send(owner, batch, |words| counts.add_all(words));
    }
    port.finish(|words| counts.add_all(words));
    counts.finish();
    n_words
}

/// Words on their way to another thread, with their hashes.
#[derive(Debug, Default)]
struct Words {
    bytes: Vec<u8>,
    ends: Vec<(u64, u32)>,
}

impl Batch for Words {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl Words {
    #[inline]
    fn push(&mut self, hash: u64, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push((hash, self.bytes.len() as u32));
    }
}

/// A word's place in the arena and its count.
struct Entry {
    hash: u64,
    start: u32,
    len: u32,
    count: u64,
}

struct Counts {
    emit: Emit,
    table: HashTable<Entry>,
    arena: Vec<u8>,
    tally: LocalTally,
}

impl Counts {
    fn new(emit: Emit, tally: LocalTally) -> Self {
        Self { emit, table: HashTable::new(), arena: Vec::new(), tally }
    }

    #[inline]
    fn add(&mut self, hash: u64, word: &[u8]) {
        let arena = &mut self.arena;
        let is_word = |entry: &Entry| {
            entry.hash == hash && &arena[entry.start as usize..(entry.start + entry.len) as usize] == word
        };
        let count = match self.table.find_mut(hash, is_word) {
            Some(entry) => {
                entry.count += 1;
                entry.count
            }
            None => {
                let start = arena.len() as u32;
                arena.extend_from_slice(word);
                let entry = Entry { hash, start, len: word.len() as u32, count: 1 };
                self.table.insert_unique(hash, entry, |entry| entry.hash);
                1
            }
        };
        if self.emit == Emit::Running {
            self.tally.add(work::running_count(word.len(), count));
        }
    }

    fn add_all(&mut self, words: &Words) {
        let mut start = 0;
        for (hash, end) in &words.ends {
            let end = *end as usize;
            self.add(*hash, &words.bytes[start..end]);
            start = end;
        }
    }

    fn finish(&mut self) {
        if self.emit == Emit::Final {
            for entry in &self.table {
                let word = &self.arena[entry.start as usize..(entry.start + entry.len) as usize];
                self.tally.add(work::final_count(word, entry.count));
            }
        }
        self.tally.publish();
    }
}
