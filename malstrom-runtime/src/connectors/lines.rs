//! Cuts blocks of bytes into lines.

use std::io;

use bytes::{Bytes, BytesMut};
use malstrom_core::element::Record;
use malstrom_core::operators::Emit;

use super::limits::LINE_BYTES_MAX;
use super::text::Line;

/// A line is longer than [`LINE_BYTES_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line that begins at byte {offset} of {what} is longer than {LINE_BYTES_MAX} bytes")]
pub struct LineTooLong {
    /// What was read.
    pub what: String,
    /// Where the line begins.
    pub offset: u64,
}

/// What was read and not yet emitted, and where that stands in the input.
#[derive(Debug)]
pub(super) struct Lines {
    rest: Bytes,
    position: u64,
}

impl Lines {
    /// Nothing read yet; what comes stands at `position`.
    pub(super) fn at(position: u64) -> Self {
        Self { rest: Bytes::new(), position }
    }

    /// Where the next line begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Where what is to be read next stands.
    pub(super) fn read_position(&self) -> u64 {
        self.position + self.rest.len() as u64
    }

    /// Emits whole lines, at most `n_max`, and returns how many.
    pub(super) fn emit(&mut self, n_max: usize, out: &mut impl Emit<Line>) -> usize {
        let block = self.rest.clone();
        let (mut n, mut start) = (0, 0);
        for end in memchr::memchr_iter(b'\n', &block).take(n_max) {
            out.emit(Record::new(Line::from(block.slice(start..end))));
            start = end + 1;
            n += 1;
        }
        self.advance(start);
        n
    }

    /// Emits what is left as a line, if anything is: for the end of the input.
    pub(super) fn emit_last(&mut self, out: &mut impl Emit<Line>) {
        if !self.rest.is_empty() {
            out.emit(Record::new(Line::from(self.rest.clone())));
            self.advance(self.rest.len());
        }
    }

    /// Reads up to `n_bytes` more with `read` and returns how many came. Called when no whole line is left; `what` is
    /// read is named in the error of a line that is too long.
    pub(super) fn fill<E>(
        &mut self,
        n_bytes: usize,
        what: &str,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, FillError<E>> {
        let held = self.rest.len();
        self.check_length(what).map_err(FillError::TooLong)?;
        // At least as much again as is held, so that a long line is copied a bounded number of times a byte.
        let mut block = vec![0; held + n_bytes.max(held)];
        let n = read(&mut block[held..]).map_err(FillError::Read)?;
        if n > 0 {
            block[..held].copy_from_slice(&self.rest);
            block.truncate(held + n);
            self.rest = block.into();
        }
        Ok(n)
    }

    /// Adds bytes that were read. Called when no whole line is left.
    pub(super) fn append(&mut self, chunk: &Bytes, what: &str) -> Result<(), LineTooLong> {
        if self.rest.is_empty() {
            self.rest = chunk.clone();
            return Ok(());
        }
        self.check_length(what)?;
        // Memory that only this line uses grows in place, by doubling.
        let mut line = std::mem::take(&mut self.rest)
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        line.extend_from_slice(chunk);
        self.rest = line.freeze();
        Ok(())
    }

    fn check_length(&self, what: &str) -> Result<(), LineTooLong> {
        match self.rest.len() {
            0..=LINE_BYTES_MAX => Ok(()),
            _ => Err(LineTooLong { what: what.to_owned(), offset: self.position }),
        }
    }

    fn advance(&mut self, n: usize) {
        self.rest = self.rest.slice(n..);
        self.position += n as u64;
    }
}

/// Why [`Lines::fill`] failed.
#[derive(Debug)]
pub(super) enum FillError<E> {
    TooLong(LineTooLong),
    Read(E),
}

/// Reads until the buffer is full or the input ends.
pub(super) fn read_full(input: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match input.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(read) => n += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}
