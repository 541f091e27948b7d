//! Sources and sinks that reach outside.
//!
//! - [`TextFiles`]: lines of files, of directories and of globs, also of files that grow.
//! - [`Stdin`]: lines of standard input.
//! - [`ZipfText`]: made-up text whose words are distributed as in real text, at any rate.
//! - [`Stdout`]: one line per record, at least once.
//! - [`TransactionalFiles`]: one line per record into files that become visible with snapshots, exactly once.
//! - [`Line`]: what the text sources yield.

mod files;
pub mod limits;
mod lines;
mod stdin;
mod stdout;
mod text;
mod text_files;
mod words;
mod zipf_text;

pub use files::{FilesError, PartHandle, TransactionalFiles, read_parts};
pub use lines::LineTooLong;
pub use stdin::{Stdin, StdinError, StdinReader};
pub use stdout::Stdout;
pub use text::Line;
pub use text_files::{TextFileReader, TextFiles, TextFilesError};
pub use words::{IntoWords, Words};
pub use zipf_text::{ZipfLines, ZipfReader, ZipfText, ZipfTextError};
