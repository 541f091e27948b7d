//! A transactional sink into the files of a directory.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use malstrom_core::element::Record;
use malstrom_core::ids::{Generation, SnapshotId, WorkerId};
use malstrom_core::operators::{BoxError, SinkContext, TransactionalSink};
use serde::{Deserialize, Serialize};

use super::limits::WRITE_BUFFER_BYTES;

/// A sink that writes each record as a line into files of a directory, exactly once.
///
/// # Layout
/// A committed transaction is the file `part-s{snapshot}-w{worker}-{n}`, the snapshot with 20 digits: sorted by name,
/// the parts are in the order of the snapshots. A part is complete when it appears and never changes. What is not
/// committed is called `.staged-…` or `.open-…`. [`read_parts`] reads all lines.
///
/// # Steps
/// 1. Records go to an `.open-…` file.
/// 2. Prepare makes its bytes durable and calls it `.staged-…`.
/// 3. Commit calls it `part-…`.
/// 4. Recovery commits what the snapshot holds and deletes all other files of this sink: open ones, staged ones, and
///    parts of later snapshots, with a warning.
///
/// # Guarantees
/// The parts hold each record exactly once (I4). A job that starts afresh refuses a directory that has parts.
///
/// # Assumptions
/// The directory belongs to this sink alone, is shared by all workers, and its file system renames atomically.
/// Parts are not moved away before the next snapshot is committed: a commit that is repeated looks for them.
///
/// ```
/// use malstrom_core::element::Record;
/// use malstrom_core::ids::SnapshotId;
/// use malstrom_core::operators::TransactionalSink;
/// use malstrom_runtime::connectors::{TransactionalFiles, read_parts};
///
/// let folder = tempfile::tempdir()?;
/// let mut sink = TransactionalFiles::new(folder.path(), |word: &String, line| line.extend(word.bytes()));
/// sink.recover(None, Vec::new())?;
/// sink.write(Record::new("hello".to_owned()))?;
/// let handle = sink.prepare(SnapshotId(1))?.expect("one record was written");
/// assert!(read_parts(folder.path())?.is_empty());
/// sink.commit(SnapshotId(1), handle)?;
/// assert_eq!(read_parts(folder.path())?, [b"hello"]);
/// # Ok::<(), malstrom_core::operators::BoxError>(())
/// ```
#[derive(Debug)]
pub struct TransactionalFiles<F> {
    directory: PathBuf,
    format: F,
    generation: Generation,
    worker: WorkerId,
    n: u64,
    open: Option<OpenFile>,
    buffer: Vec<u8>,
}

impl<F> TransactionalFiles<F> {
    /// A sink into a directory, which is made if it is missing. `format` appends what a record is to look like,
    /// without a newline.
    pub fn new<T>(directory: impl Into<PathBuf>, format: F) -> Self
    where
        F: FnMut(&T, &mut Vec<u8>) + 'static,
    {
        Self {
            directory: directory.into(),
            format,
            generation: Generation(0),
            worker: WorkerId(0),
            n: 0,
            open: None,
            buffer: Vec::new(),
        }
    }
}

/// All lines in the parts that a [`TransactionalFiles`] has committed to a directory, in the order of the snapshots.
///
/// # Errors
/// If the directory or a part cannot be read.
pub fn read_parts(directory: impl AsRef<Path>) -> io::Result<Vec<Vec<u8>>> {
    let directory = directory.as_ref();
    let mut parts = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if part_snapshot(&name).is_some() {
            parts.push(name);
        }
    }
    parts.sort();
    let mut lines = Vec::new();
    for part in parts {
        let bytes = fs::read(directory.join(part))?;
        lines.extend(bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            line.to_vec()
        }));
    }
    Ok(lines)
}

/// Why a [`TransactionalFiles`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The operating system failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// A job that starts afresh found parts.
    #[error(
        "the directory `{}` holds another job's output, such as `{part}`: remove it or choose another directory",
        directory.display()
    )]
    ForeignOutput {
        /// The directory.
        directory: PathBuf,
        /// One of the parts.
        part: String,
    },
    /// A transaction is neither staged nor committed: somebody else has removed its file.
    #[error("neither `{staged}` nor `{part}` is in `{}`: a transaction's output is lost", directory.display())]
    Lost {
        /// The directory.
        directory: PathBuf,
        /// The file before the commit.
        staged: String,
        /// The file after it.
        part: String,
    },
}

/// Names a prepared transaction of a [`TransactionalFiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHandle {
    generation: Generation,
    worker: WorkerId,
    snapshot: SnapshotId,
    n: u64,
}

impl PartHandle {
    fn staged(self) -> String {
        let Self { generation, worker, snapshot, n } = self;
        format!("{STAGED}g{}-w{}-s{}-{n}", generation.0, worker.0, snapshot.0)
    }

    fn part(self) -> String {
        let Self { worker, snapshot, n, .. } = self;
        format!("{PART}{:020}-w{}-{n}", snapshot.0, worker.0)
    }
}

impl<T, F> TransactionalSink<T> for TransactionalFiles<F>
where
    F: FnMut(&T, &mut Vec<u8>) + 'static,
{
    type Handle = PartHandle;

    fn open(&mut self, cx: &SinkContext) -> Result<(), BoxError> {
        (self.generation, self.worker) = (cx.generation, cx.worker);
        Ok(self.create_directory()?)
    }

    #[inline]
    fn write(&mut self, record: Record<T>) -> Result<(), BoxError> {
        (self.format)(&record.value, &mut self.buffer);
        self.buffer.push(b'\n');
        if self.buffer.len() >= WRITE_BUFFER_BYTES {
            self.write_buffer()?;
        }
        Ok(())
    }

    fn prepare(&mut self, snapshot: SnapshotId) -> Result<Option<PartHandle>, BoxError> {
        self.write_buffer()?;
        let Some(OpenFile { file, path, n }) = self.open.take() else {
            return Ok(None);
        };
        let handle = PartHandle { generation: self.generation, worker: self.worker, snapshot, n };
        file.sync_all().map_err(failed("write", &path))?;
        fs::rename(&path, self.directory.join(handle.staged())).map_err(failed("rename", &path))?;
        sync_directory(&self.directory)?;
        Ok(Some(handle))
    }

    fn commit(&mut self, _snapshot: SnapshotId, handle: PartHandle) -> Result<(), BoxError> {
        self.commit_one(handle)?;
        Ok(sync_directory(&self.directory)?)
    }

    fn recover(&mut self, restored: Option<SnapshotId>, handles: Vec<PartHandle>) -> Result<(), BoxError> {
        self.create_directory()?;
        let names = self.names()?;
        if restored.is_none()
            && let Some(part) = names.iter().find(|name| part_snapshot(OsStr::new(name)).is_some())
        {
            let (directory, part) = (self.directory.clone(), part.clone());
            return Err(FilesError::ForeignOutput { directory, part }.into());
        }
        for handle in handles {
            self.commit_one(handle)?;
        }
        self.open = None;
        self.buffer.clear();
        for name in self.names()? {
            self.discard(&name, restored)?;
        }
        Ok(sync_directory(&self.directory)?)
    }
}

impl<F> TransactionalFiles<F> {
    fn create_directory(&self) -> Result<(), FilesError> {
        fs::create_dir_all(&self.directory).map_err(failed("create", &self.directory))
    }

    /// The names of all files this sink may have made.
    fn names(&self) -> Result<BTreeSet<String>, FilesError> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.directory).map_err(failed("list", &self.directory))? {
            let name = entry.map_err(failed("list", &self.directory))?.file_name();
            if let Ok(name) = name.into_string() {
                names.insert(name);
            }
        }
        Ok(names)
    }

    fn write_buffer(&mut self) -> Result<(), FilesError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.open.is_none() {
            self.open = Some(self.create_file()?);
        }
        if let Some(OpenFile { file, path, .. }) = &mut self.open {
            file.write_all(&self.buffer).map_err(failed("write", path))?;
        }
        self.buffer.clear();
        Ok(())
    }

    /// Opens a file for a new transaction. A worker that was stopped and started again within a generation may find
    /// what it left; that is passed over.
    fn create_file(&mut self) -> Result<OpenFile, FilesError> {
        // Ends because each turn passes over one file that is there.
        loop {
            let n = self.n;
            self.n += 1;
            let name = format!("{OPEN}g{}-w{}-{n}", self.generation.0, self.worker.0);
            let path = self.directory.join(name);
            match File::create_new(&path) {
                Ok(file) => return Ok(OpenFile { file, path, n }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("create", &path)(error)),
            }
        }
    }

    /// Renames without making that durable.
    fn commit_one(&self, handle: PartHandle) -> Result<(), FilesError> {
        let (staged, part) = (handle.staged(), handle.part());
        let to = self.directory.join(&part);
        let there = || to.try_exists().map_err(failed("look for", &to));
        if there()? {
            return Ok(());
        }
        match fs::rename(self.directory.join(&staged), &to) {
            Ok(()) => Ok(()),
            // Two workers may commit the same handle at once.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let lost = || FilesError::Lost { directory: self.directory.clone(), staged, part };
                there()?.then_some(()).ok_or_else(lost)
            }
            Err(error) => Err(failed("rename", &to)(error)),
        }
    }

    fn discard(&self, name: &str, restored: Option<SnapshotId>) -> Result<(), FilesError> {
        let visible = part_snapshot(OsStr::new(name));
        let later = visible.is_some_and(|snapshot| Some(snapshot) > restored);
        if !later && !is_staged(OsStr::new(name)) {
            return Ok(());
        }
        let path = self.directory.join(name);
        if let (Some(snapshot), Some(restored)) = (visible, restored) {
            tracing::warn!(
                path = %path.display(), %snapshot, %restored,
                "deleting output that was committed after the snapshot restored"
            );
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("delete", &path)(error)),
            _ => Ok(()),
        }
    }
}

/// Whether a file is one that no transaction has committed yet.
pub(super) fn is_staged(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(STAGED.as_bytes()) || name.starts_with(OPEN.as_bytes())
}

const OPEN: &str = ".open-";
const STAGED: &str = ".staged-";
const PART: &str = "part-s";

#[derive(Debug)]
struct OpenFile {
    file: File,
    path: PathBuf,
    n: u64,
}

/// The snapshot of a part, if the file is one.
fn part_snapshot(name: &OsStr) -> Option<SnapshotId> {
    let (snapshot, rest) = name.to_str()?.strip_prefix(PART)?.split_once("-w")?;
    let (worker, n) = rest.split_once('-')?;
    worker.parse::<u32>().ok()?;
    n.parse::<u64>().ok()?;
    (snapshot.len() == 20).then(|| snapshot.parse().ok().map(SnapshotId))?
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FilesError + use<> {
    let path = path.to_owned();
    move |source| FilesError::Io { action, path, source }
}

/// Makes names durable. Elsewhere than on Unix a directory cannot be synchronised, and need not be.
fn sync_directory(directory: &Path) -> Result<(), FilesError> {
    if cfg!(unix) {
        let sync = || File::open(directory)?.sync_all();
        sync().map_err(failed("synchronise", directory))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
