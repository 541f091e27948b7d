//! Text of words whose frequencies follow Zipf's law. It is written to a file once and lies in memory when a run begins.

use std::io::{BufWriter, Write};
use std::path::Path;

use malstrom_runtime::connectors::ZipfText;

use malstrom_measure::outcome::BoxError;

/// Words on a line.
const WORDS_PER_LINE: u32 = 10;

/// Writes a text of so many words, always the same.
///
/// # Errors
/// If the file cannot be written.
pub fn make_text(path: &Path, n_words: u64, vocabulary: u32) -> Result<(), BoxError> {
    let text = ZipfText::new(vocabulary).words(n_words).exponent(1.0).words_per_line(WORDS_PER_LINE);
    // Under another name first: a file that is there is whole.
    let unfinished = path.with_extension("unfinished");
    let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::create(&unfinished)?);
    for line in text.lines(0)? {
        file.write_all(&line)?;
        file.write_all(b"\n")?;
    }
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(unfinished, path)?;
    Ok(())
}

/// The text in memory, for the life of the process.
///
/// # Errors
/// If the file cannot be read.
pub fn load_text(path: Option<&Path>) -> Result<&'static [u8], BoxError> {
    let path = path.ok_or("counting words needs --text")?;
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.leak())
}

/// The text in `n` parts of about equal length, cut between lines.
#[must_use]
pub fn shares(text: &[u8], n: usize) -> Vec<&[u8]> {
    let mut rest = text;
    let mut shares = Vec::with_capacity(n);
    for n_left in (1..=n).rev() {
        let about = rest.len() / n_left;
        let cut = memchr::memchr(b'\n', &rest[about..]).map_or(rest.len(), |at| about + at + 1);
        let (share, after) = rest.split_at(if n_left == 1 { rest.len() } else { cut });
        shares.push(share);
        rest = after;
    }
    shares
}

/// The same as text.
///
/// # Errors
/// If the file cannot be read, or is not UTF-8.
pub fn load_str(path: Option<&Path>) -> Result<&'static str, BoxError> {
    Ok(std::str::from_utf8(load_text(path)?)?)
}

/// As [`shares`].
#[must_use]
pub fn shares_str(text: &str, n: usize) -> Vec<&str> {
    // A cut after a newline is between two characters.
    shares(text.as_bytes(), n)
        .into_iter()
        .map(|share| std::str::from_utf8(share).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_cut_between_lines() {
        let text = b"to be\nor not\nto be\nthat\n";
        for n in 1..8 {
            let shares = shares(text, n);
            assert_eq!((shares.len(), shares.concat()), (n, text.to_vec()));
            assert!(shares.iter().all(|share| share.is_empty() || share.ends_with(b"\n")));
        }
    }
}
