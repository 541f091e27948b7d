//! Counts the same text in a plain loop, without anything of the engine, and compares.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use malstrom_core::key::KeyBytes;

use crate::failure::Failure;
use crate::show;
use crate::text::Text;

/// The counts are those of the plain loop.
#[derive(Debug)]
pub(crate) struct Checked {
    n_words: u64,
    n_distinct: usize,
    took: Duration,
}

/// Compares.
pub(crate) fn against_plain_loop(text: &Text, counts: &[(KeyBytes, u64)]) -> Result<Checked, Failure> {
    let began = Instant::now();
    let expected = plain_loop(text)?;
    let took = began.elapsed();
    let differs = |word: &[u8], is: u64, should_be: u64| {
        let word = show::word(word);
        Failure::new(format!(
            "the check failed: `{word}` was counted {is} times, and a plain loop counts {should_be}"
        ))
    };
    for (word, count) in counts {
        let should_be = expected.get(&word[..]).copied().unwrap_or(0);
        if *count != should_be {
            return Err(differs(word, *count, should_be));
        }
    }
    if counts.len() != expected.len() {
        let known: std::collections::HashSet<&[u8]> = counts.iter().map(|(word, _)| &word[..]).collect();
        if let Some((word, should_be)) = expected.iter().find(|(word, _)| !known.contains(&word[..])) {
            return Err(differs(word, 0, *should_be));
        }
        return Err(Failure::new("the check failed: a word has two counts"));
    }
    Ok(Checked { n_words: expected.values().sum(), n_distinct: expected.len(), took })
}

impl Checked {
    /// Says so.
    pub(crate) fn tell(&self) -> Result<(), Failure> {
        let (n, took) = (show::count(self.n_distinct as u64), show::time(self.took));
        let words = show::count(self.n_words);
        show::result(&format!(
            "checked: all {n} counts equal those of a plain loop over the same text, which took {took} for its \
             {words} words on one thread"
        ))
    }
}

type Counts = HashMap<Box<[u8]>, u64, BuildHasherDefault<WordHasher>>;

fn plain_loop(text: &Text) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    match text {
        Text::Generated { text, n_partitions, .. } => {
            for partition in 0..*n_partitions {
                for line in text.lines(partition)? {
                    count_line(&line, &mut counts);
                }
            }
        }
        Text::Files { paths, n_times, .. } => {
            for path in paths {
                count_file(path, &mut counts).map_err(|error| {
                    Failure::because(&format!("cannot read `{}`", path.display()), &error)
                })?;
            }
            counts.values_mut().for_each(|count| *count *= u64::from(*n_times));
        }
        Text::Stdin => {}
    }
    Ok(counts)
}

fn count_file(path: &PathBuf, counts: &mut Counts) -> std::io::Result<()> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        count_line(&line, counts);
        line.clear();
    }
    Ok(())
}

fn count_line(line: &[u8], counts: &mut Counts) {
    for word in line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => {
                counts.insert(word.into(), 1);
            }
        }
    }
}

/// Good enough for words, and several times as fast as the standard hasher, which would make the check take longer than
/// what it checks. Nothing of the engine's own, since it is to be checked.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.0 = (self.0 ^ word).wrapping_mul(ODD).rotate_left(29);
        }
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u8(n as u8);
    }

    fn write_u8(&mut self, n: u8) {
        self.0 = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
