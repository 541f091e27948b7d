//! The file that keeps a second coordinator from a folder in use.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The name of the lock file in a store's folder.
pub(super) const LOCK_FILE: &str = "LOCK";
/// Bytes of the lock file that are read to learn who holds it.
const HOLDER_BYTES_MAX: u64 = 32;

/// Holds a store for one coordinator until it is dropped, or its process ends in whatever way: the operating system
/// releases the lock, so none is ever left behind by a crash.
///
/// **Guarantees.** While it lives, nobody else acquires the lock of the same folder, in this process or another one on
/// the same machine.
///
/// **Caveats.** The lock is advisory, and file systems shared between machines may not carry it across them. It saves a
/// user from starting a job twice; what fences an older coordinator is the job log.
#[derive(Debug)]
#[must_use = "the store is free again as soon as the lock is dropped"]
pub struct StoreLock {
    // Closing the file releases the lock. The file itself stays: if it were deleted, one coordinator could hold the
    // deleted file while the next locks a new one of the same name.
    file: Option<File>,
}

impl StoreLock {
    /// Locks a folder.
    ///
    /// # Errors
    /// If another one holds it, or the file cannot be made or locked.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(LOCK_FILE);
        let failed = |source| LockError::Failed { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => write_holder(&mut file).map_err(failed)?,
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::InUse {
                    folder: folder.into(),
                    holder: Holder(read_holder(&mut file)),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Self { file: Some(file) })
    }

    /// The lock of a store that needs none.
    pub(super) fn of_nothing() -> Self {
        Self { file: None }
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // Whoever locks next is not mistaken for this process until it has written its own name. Should it fail, an
        // error names the wrong process for an instant, as it may behind a crash.
        if let Some(file) = &self.file {
            let _unnamed = file.set_len(0);
        }
    }
}

/// Why a store could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// A coordinator is at work on the folder.
    #[error(
        "the store `{}` is in use by a running coordinator{holder}: stop that one, or give this job another folder",
        folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// The lock file can be neither made nor locked.
    #[error(
        "the lock file `{}` cannot be used ({source}): check that this user can write to the folder, and that its file \
         system has advisory locks",
        path.display()
    )]
    Failed {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// The process that holds a lock, if it is known: it is not for the instant between locking and writing it down, in
/// which a process that crashed before may still be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(pub Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |process| write!(f, " (process {process})"))
    }
}

/// Only a help for whoever reads the error: nothing relies on what stands in the file.
fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::store::open;

    const FOLDER_VARIABLE: &str = "MALSTROM_TEST_LOCK_FOLDER";

    #[test]
    fn a_second_coordinator_is_told_who_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (open_in(folder.path()), open_in(folder.path()));
        let lock = first.lock().unwrap();
        let message = second.lock().unwrap_err().to_string();
        assert!(message.contains("in use by a running coordinator"), "{message}");
        assert!(message.contains(&format!("(process {})", std::process::id())), "{message}");
        drop(lock);
        let _lock = second.lock().unwrap();
    }

    #[test]
    fn a_released_lock_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        drop(open_in(folder.path()).lock().unwrap());
        // A process that has locked the file and has not yet written who it is.
        let newcomer = OpenOptions::new().read(true).write(true).open(folder.path().join(LOCK_FILE)).unwrap();
        newcomer.lock().unwrap();
        let refused = open_in(folder.path()).lock().unwrap_err();
        assert!(matches!(refused, LockError::InUse { holder: Holder(None), .. }), "{refused}");
    }

    #[test]
    fn a_reader_needs_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let _lock = open_in(folder.path()).lock().unwrap();
        let reader = open_in(folder.path()).store();
        assert_eq!(crate::store::tests::run(reader.list("")).unwrap(), []);
    }

    #[test]
    fn a_store_in_memory_has_nothing_to_lock() {
        let opened = open("memory:").unwrap();
        let _first = opened.lock().unwrap();
        let _second = opened.lock().unwrap();
    }

    #[test]
    fn a_killed_coordinator_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut coordinator = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::lock::tests::hold_for_another_test", "--ignored"])
            .env(FOLDER_VARIABLE, folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let opened = open_in(folder.path());
        loop {
            // The holder is unknown for a moment between the lock and the writing of the process.
            match opened.lock() {
                Err(LockError::InUse { holder: Holder(Some(process)), .. }) => {
                    assert_eq!(process, coordinator.id());
                    break;
                }
                _ if Instant::now() > deadline => panic!("the other process never took the lock"),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        coordinator.kill().unwrap();
        coordinator.wait().unwrap();
        let _lock = opened.lock().unwrap();
    }

    /// Not a test: the process that [`a_killed_coordinator_holds_nothing`] starts and kills.
    #[test]
    #[ignore = "run by another test"]
    fn hold_for_another_test() {
        let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
        let deadline = Instant::now() + Duration::from_secs(20);
        // The parent holds the lock for an instant each time it looks.
        while Instant::now() < deadline {
            if let Ok(_lock) = StoreLock::acquire(Path::new(&folder)) {
                std::thread::sleep(Duration::from_secs(20));
                return;
            }
        }
    }

    fn open_in(folder: &Path) -> crate::store::OpenedStore {
        open(folder.to_str().unwrap()).unwrap()
    }
}
