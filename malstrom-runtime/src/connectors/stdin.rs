//! A source of the lines of standard input.

mod feed;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use malstrom_core::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Source};

use self::feed::{Fed, Feed};
use super::limits::{STDIN_KEPT_BYTES_MAX, STDIN_POLL_MS};
use super::lines::Lines;
use super::text::Line;

/// The lines of standard input: one partition, `stdin`, whose position is the number of bytes before the next line.
///
/// A thread of the process reads ahead, a bounded amount, so that no worker blocks. It begins when the partition is
/// first opened.
///
/// # Recovery
/// Within a process, what was read and is not yet acknowledged by a committed snapshot is kept, and read again after a
/// recovery. At most [`STDIN_KEPT_BYTES_MAX`] bytes are kept; past it the oldest are dropped, and only a recovery that
/// would need them fails. (To stop reading instead would stop a job for good that takes no snapshots.)
///
/// # Assumptions
/// When a job resumes in a new process, the same input is piped in again from its beginning: what comes before the
/// position is skipped. There is one such source in a process: of two the later one reads, the other fails. All
/// processes of a job but one have nothing to read, so use it in jobs of one process.
///
/// ```
/// use malstrom_core::operators::Source;
/// use malstrom_runtime::connectors::Stdin;
///
/// assert_eq!(Stdin::new().partitions()?, ["stdin"]);
/// # Ok::<(), malstrom_core::operators::BoxError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stdin {
    /// The feed to read instead of the process's own.
    feed: Option<Arc<Feed>>,
}

impl Stdin {
    /// The lines of this process's standard input.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Why standard input cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StdinError {
    /// The source has no such partition.
    #[error("there is no partition `{partition}` of standard input: there is only `stdin`")]
    UnknownPartition {
        /// What was asked for.
        partition: String,
    },
    /// What comes after the position was read long ago and is gone.
    #[error(
        "standard input cannot be read again from byte {position}: only what follows byte {kept} is kept, at most \
         {STDIN_KEPT_BYTES_MAX} bytes; take snapshots more often, or read a file"
    )]
    NotKept {
        /// Where it was to be read.
        position: u64,
        /// The first byte that is kept.
        kept: u64,
    },
    /// The input ended before the position: it is not the one that was read before.
    #[error(
        "standard input ends at byte {bytes}, before the position {position}: pipe in the same input again"
    )]
    Shorter {
        /// How long it is.
        bytes: u64,
        /// Where it was to be read.
        position: u64,
    },
    /// Another source of standard input was opened in this process.
    #[error("standard input is read by another source")]
    Superseded,
    /// The operating system failed.
    #[error("cannot read standard input: {reason}")]
    Io {
        /// How it failed.
        reason: String,
    },
}

impl Source for Stdin {
    type Item = Line;
    type Reader = StdinReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        Ok(vec![PARTITION.to_owned()])
    }

    fn open(&mut self, partition: &str, position: Option<u64>) -> Result<StdinReader, BoxError> {
        static PROCESS: OnceLock<Arc<Feed>> = OnceLock::new();
        if partition != PARTITION {
            return Err(StdinError::UnknownPartition { partition: partition.to_owned() }.into());
        }
        let position = position.unwrap_or(0);
        let feed = Arc::clone(self.feed.as_ref().unwrap_or_else(|| PROCESS.get_or_init(Feed::new)));
        feed.start(io::stdin)?;
        let turn = feed.open(position)?;
        Ok(StdinReader { feed, turn, lines: Lines::at(position) })
    }
}

/// Standard input being read. Its position is the number of bytes before the next line.
#[derive(Debug)]
pub struct StdinReader {
    feed: Arc<Feed>,
    turn: u64,
    lines: Lines,
}

impl Read for StdinReader {
    type Item = Line;
    type Position = u64;

    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Line>) -> Result<ReadStatus, BoxError> {
        let mut n = self.lines.emit(cx.n_records_max, out);
        while n < cx.n_records_max {
            match self.feed.next(self.turn)? {
                Fed::Chunk(chunk) => self.lines.append(&chunk, "standard input")?,
                Fed::Nothing => {
                    return Ok(ReadStatus::Wait(Some(cx.now.after(Duration::from_millis(STDIN_POLL_MS)))));
                }
                Fed::End => {
                    self.lines.emit_last(out);
                    return Ok(ReadStatus::Ended);
                }
            }
            n += self.lines.emit(cx.n_records_max - n, out);
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> u64 {
        self.lines.position()
    }

    fn acknowledge(&mut self, committed: u64) {
        self.feed.acknowledge(self.turn, committed);
    }
}

const PARTITION: &str = "stdin";

#[cfg(test)]
mod tests;
