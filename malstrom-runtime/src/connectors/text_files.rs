//! A source of the lines of text files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use malstrom_core::operators::{BoxError, Emit, Read, ReadContext, ReadStatus, Source};

use super::files::is_staged;
use super::limits::{READ_BLOCK_BYTES, TEXT_PARTITIONS_MAX};
use super::lines::{FillError, Lines, read_full};
use super::text::Line;

/// The lines of text files: of single files, of directories and of globs, in any encoding whose newline is the byte
/// `\n`. A `\r` before it stays.
///
/// Each file is a partition whose position is a byte offset, so a job goes on exactly where its snapshot was. Files
/// must not be changed other than by appending while a job that reads them lives; one that has become shorter than the
/// position is an error, one that was replaced is not noticed.
///
/// A partition is named by its path as it was given or found, with `%`, `#` and bytes that are not UTF-8 as `%XX`. A
/// file given twice is read once; see [`repeat`](Self::repeat).
///
/// ```
/// use malstrom_core::operators::Source;
/// use malstrom_runtime::connectors::TextFiles;
///
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("a.txt"), "to be\nor not")?;
/// std::fs::write(folder.path().join("b.log"), "to be")?;
/// let pattern = folder.path().join("*.txt");
///
/// let mut all = TextFiles::new(folder.path());
/// assert_eq!(all.partitions()?.len(), 2);
/// let mut some = TextFiles::glob(pattern.to_string_lossy()).repeat(3);
/// assert_eq!(some.partitions()?.len(), 3);
/// # Ok::<(), malstrom_core::operators::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextFiles {
    inputs: Vec<Input>,
    repeat: usize,
    follow: Option<Duration>,
}

impl TextFiles {
    /// A file, or all regular files in a directory and the directories in it, sorted by path. What a
    /// [`TransactionalFiles`](super::TransactionalFiles) has not committed there is left out.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { inputs: vec![Input::Path(path.into())], repeat: 1, follow: None }
    }

    /// All regular files that match a pattern such as `logs/**/*.txt`, sorted by path.
    pub fn glob(pattern: impl Into<String>) -> Self {
        Self { inputs: vec![Input::Glob(pattern.into())], repeat: 1, follow: None }
    }

    /// Reads another file or directory, too.
    #[must_use]
    pub fn and(mut self, path: impl Into<PathBuf>) -> Self {
        self.inputs.push(Input::Path(path.into()));
        self
    }

    /// Reads what matches another pattern, too.
    #[must_use]
    pub fn and_glob(mut self, pattern: impl Into<String>) -> Self {
        self.inputs.push(Input::Glob(pattern.into()));
        self
    }

    /// Reads everything `n` times, each time as partitions of their own: the second has `#1` appended to its name,
    /// the third `#2`.
    #[must_use]
    pub fn repeat(mut self, n: usize) -> Self {
        self.repeat = n;
        self
    }

    /// Never ends: a file that has been read is looked at again after each `poll` for what was appended. A last line
    /// without a newline waits for it; without `follow` it counts. New files are found when the job starts, resumes
    /// or recovers.
    #[must_use]
    pub fn follow(mut self, poll: Duration) -> Self {
        self.follow = Some(poll);
        self
    }
}

/// Why text files cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextFilesError {
    /// There is no such file or directory.
    #[error("there is no file or directory `{}`", path.display())]
    Missing {
        /// What was asked for.
        path: PathBuf,
    },
    /// It is neither a regular file nor a directory.
    #[error("`{}` is neither a regular file nor a directory", path.display())]
    NotRegular {
        /// What was asked for.
        path: PathBuf,
    },
    /// A directory or a glob has no regular file.
    #[error("`{input}` has no regular file")]
    NoFiles {
        /// The directory or pattern.
        input: String,
    },
    /// A pattern is malformed.
    #[error("`{pattern}` is not a pattern of paths")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// There are more partitions than [`TEXT_PARTITIONS_MAX`].
    #[error("there are more than {TEXT_PARTITIONS_MAX} files to read, repetitions counted")]
    TooManyFiles,
    /// The name of a partition is not one this source gives.
    #[error("`{partition}` does not name a partition of text files")]
    Name {
        /// The name.
        partition: String,
    },
    /// The file is shorter than what was read of it.
    #[error("`{}` has shrunk: it has {bytes} bytes, but was read up to byte {position}", path.display())]
    Shrunk {
        /// The file.
        path: PathBuf,
        /// How long it is now.
        bytes: u64,
        /// How far it was read.
        position: u64,
    },
    /// The operating system failed.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
}

impl Source for TextFiles {
    type Item = Line;
    type Reader = TextFileReader;

    fn partitions(&mut self) -> Result<Vec<String>, BoxError> {
        let mut names = Vec::new();
        let mut seen = BTreeSet::new();
        for input in &self.inputs {
            for path in input.files()? {
                let name = name_of(&path)?;
                if seen.insert(name.clone()) {
                    names.push(name);
                }
            }
        }
        if names.len().saturating_mul(self.repeat) > TEXT_PARTITIONS_MAX {
            return Err(TextFilesError::TooManyFiles.into());
        }
        let once = names.clone();
        names.truncate(names.len() * self.repeat.min(1));
        for k in 1..self.repeat {
            names.extend(once.iter().map(|name| format!("{name}#{k}")));
        }
        Ok(names)
    }

    fn open(&mut self, partition: &str, position: Option<u64>) -> Result<TextFileReader, BoxError> {
        let path = path_of(partition)?;
        let position = position.unwrap_or(0);
        let mut file = File::open(&path).map_err(|source| failed(&path, source))?;
        let bytes = file.metadata().map_err(|source| failed(&path, source))?.len();
        if bytes < position {
            return Err(TextFilesError::Shrunk { path, bytes, position }.into());
        }
        file.seek(SeekFrom::Start(position)).map_err(|source| failed(&path, source))?;
        Ok(TextFileReader { path, file, lines: Lines::at(position), follow: self.follow })
    }
}

/// A text file being read. Its position is a byte offset.
#[derive(Debug)]
pub struct TextFileReader {
    path: PathBuf,
    file: File,
    lines: Lines,
    follow: Option<Duration>,
}

impl Read for TextFileReader {
    type Item = Line;
    type Position = u64;

    fn read(&mut self, cx: ReadContext, out: &mut impl Emit<Line>) -> Result<ReadStatus, BoxError> {
        let mut n = self.lines.emit(cx.n_records_max, out);
        while n < cx.n_records_max {
            if !self.fill()? {
                let Some(poll) = self.follow else {
                    self.lines.emit_last(out);
                    return Ok(ReadStatus::Ended);
                };
                return Ok(ReadStatus::Wait(Some(cx.now.after(poll))));
            }
            n += self.lines.emit(cx.n_records_max - n, out);
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> u64 {
        self.lines.position()
    }
}

impl TextFileReader {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a block, smaller if the file has less left; `false` at its end.
    fn fill(&mut self) -> Result<bool, BoxError> {
        let bytes = self.file.metadata().map_err(|source| failed(&self.path, source))?.len();
        let position = self.lines.read_position();
        if bytes < position {
            return Err(TextFilesError::Shrunk { path: self.path.clone(), bytes, position }.into());
        }
        if bytes == position {
            return Ok(false);
        }
        let n_bytes = usize::try_from(bytes - position).unwrap_or(usize::MAX).min(READ_BLOCK_BYTES);
        let file = &mut self.file;
        match self.lines.fill(n_bytes, &self.path.to_string_lossy(), |buffer| read_full(file, buffer)) {
            Ok(n) => Ok(n > 0),
            Err(FillError::TooLong(error)) => Err(error.into()),
            Err(FillError::Read(source)) => Err(failed(&self.path, source).into()),
        }
    }
}

#[derive(Clone, Debug)]
enum Input {
    Path(PathBuf),
    Glob(String),
}

impl Input {
    fn files(&self) -> Result<Vec<PathBuf>, TextFilesError> {
        let files = match self {
            Self::Path(path) => {
                let metadata = fs::metadata(path).map_err(|source| failed(path, source))?;
                if metadata.is_file() {
                    return Ok(vec![path.clone()]);
                } else if !metadata.is_dir() {
                    return Err(TextFilesError::NotRegular { path: path.clone() });
                }
                files_below(path)?
            }
            Self::Glob(pattern) => matches(pattern)?,
        };
        if files.is_empty() {
            let input = match self {
                Self::Path(path) => path.to_string_lossy().into_owned(),
                Self::Glob(pattern) => pattern.clone(),
            };
            return Err(TextFilesError::NoFiles { input });
        }
        Ok(files)
    }
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>, TextFilesError> {
    let paths = glob::glob(pattern)
        .map_err(|source| TextFilesError::Pattern { pattern: pattern.to_owned(), source })?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| {
            let path = error.path().to_owned();
            TextFilesError::Io { path, source: error.into() }
        })?;
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// All regular files in a directory and below. A link to a directory is not followed, so the walk ends.
fn files_below(root: &Path) -> Result<Vec<PathBuf>, TextFilesError> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(|source| failed(&directory, source))? {
            let entry = entry.map_err(|source| failed(&directory, source))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|source| failed(&path, source))?;
            if kind.is_dir() {
                directories.push(path);
            } else if !is_staged(&entry.file_name()) && (kind.is_file() || path.is_file()) {
                files.push(path);
            }
            if files.len() > TEXT_PARTITIONS_MAX {
                return Err(TextFilesError::TooManyFiles);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn failed(path: &Path, source: io::Error) -> TextFilesError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => TextFilesError::Missing { path },
        _ => TextFilesError::Io { path, source },
    }
}

/// The path, with `%`, `#` and what is not UTF-8 as `%XX`.
fn name_of(path: &Path) -> Result<String, TextFilesError> {
    let mut name = String::new();
    for chunk in path_bytes(path)?.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '%' => name.push_str("%25"),
                '#' => name.push_str("%23"),
                char => name.push(char),
            }
        }
        chunk.invalid().iter().for_each(|byte| name.push_str(&format!("%{byte:02X}")));
    }
    Ok(name)
}

/// The path that a partition was named after.
fn path_of(partition: &str) -> Result<PathBuf, TextFilesError> {
    let unknown = || TextFilesError::Name { partition: partition.to_owned() };
    let name = match partition.split_once('#') {
        Some((name, k)) if k.parse::<usize>().is_ok() => name,
        Some(_) => return Err(unknown()),
        None => partition,
    };
    let mut bytes = Vec::with_capacity(name.len());
    let mut parts = name.split('%');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let (hex, rest) = part.split_at_checked(2).ok_or_else(unknown)?;
        bytes.push(u8::from_str_radix(hex, 16).map_err(|_| unknown())?);
        bytes.extend(rest.bytes());
    }
    path_from_bytes(bytes).ok_or_else(unknown)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not every path has bytes")]
fn path_bytes(path: &Path) -> Result<&[u8], TextFilesError> {
    Ok(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
}

#[cfg(not(unix))]
fn path_bytes(path: &Path) -> Result<&[u8], TextFilesError> {
    let name = || TextFilesError::Name { partition: path.to_string_lossy().into_owned() };
    Ok(path.to_str().ok_or_else(name)?.as_bytes())
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not all bytes are a path")]
fn path_from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    Some(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(Into::into)
}

#[cfg(test)]
mod tests;
