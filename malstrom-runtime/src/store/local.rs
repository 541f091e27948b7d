//! A folder of the local disk as a store.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use malstrom_core::ports::{ObjectInfo, SendFuture, SnapshotStore, StoreError};
use object_store::local::LocalFileSystem;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::limits::{DIRECT_BYTES_MIN, DURABLE_FOLDERS_MAX, PUTS_AT_ONCE, WRITERS_MAX};
use super::lock::LOCK_FILE;
use super::objects::ObjectSnapshotStore;
use super::{OpenError, direct, path};

/// A folder of the local disk as a store: an object is a file.
///
/// **Steps of a write.** The bytes go to a file beside their place (`name#1`), which is synced, then linked
/// (`put_new`) or renamed (`put`) into place, and the directory is synced. So an object is seen whole or not at all,
/// and of two `put_new` the file system lets one through. On Linux the bytes of a large object that is put go to the disk
/// past the page cache, if they lie on whole pages of memory and the file system knows how; a first read of it waits for the
/// disk, then.
///
/// **Guarantees.** A put that returned `Ok` survives a loss of power, on a disk that keeps its word: every folder on
/// the way to the object is synced before the first object in it is written, whoever made it.
///
/// **Caveats.** The file system must have hard links, for `put_new`. A delete is not synced: after a loss of power a
/// deleted object may be back, which collection then deletes again. A process that dies while it writes leaves its
/// `name#1` behind; it is listed nowhere. The name `LOCK` at the top is taken, see [`lock`](super::lock).
#[derive(Clone, Debug)]
pub struct LocalStore {
    objects: ObjectSnapshotStore,
    disk: LocalFileSystem,
    folder: Arc<PathBuf>,
    durable_folders: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Objects are written by threads that share the cores with the workers: each more of them may keep a worker from its
    /// core for a slice of the scheduler's.
    writers: Arc<Semaphore>,
}

impl LocalStore {
    /// Opens a folder, and makes it if it is missing.
    ///
    /// # Errors
    /// If it can be neither found nor made.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, OpenError> {
        let folder = folder.as_ref();
        let refused = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Folder {
            folder: folder.into(),
            source,
        };
        let folder = make_root(folder).map_err(|error| refused(error.into()))?;
        let disk = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|error| refused(error.into()))?
            .with_fsync(true);
        Ok(Self {
            objects: ObjectSnapshotStore::new(Arc::new(disk.clone())),
            disk,
            folder: Arc::new(folder),
            durable_folders: Arc::default(),
            writers: Arc::new(Semaphore::new(WRITERS_MAX)),
        })
    }

    /// The folder, as an absolute path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folders on the way to an object durable before it is written.
    ///
    /// `object_store` syncs the folders that it makes itself. But one that another thread has just made, or a process
    /// that was killed at that moment, is there and yet not durable, and with it all that is put into it would be lost.
    async fn prepare(&self, path: &str) -> Result<(), StoreError> {
        let Some(folder) = self.place(path)?.parent().map(Path::to_owned) else { return Ok(()) };
        if self.durable_folders().contains(&folder) {
            return Ok(());
        }
        let (root, made) = (Arc::clone(&self.folder), folder.clone());
        let answer =
            blocking(move || std::fs::create_dir_all(&made).and_then(|()| sync_up_to(&made, &root))).await;
        answer.map_err(|error| put_error(path, &error))?;
        let mut durable = self.durable_folders();
        if durable.len() >= DURABLE_FOLDERS_MAX {
            durable.clear();
        }
        durable.insert(folder);
        Ok(())
    }

    /// Puts a large object past the page cache; whether that could be done.
    async fn put_direct(&self, path: &str, bytes: &Arc<Vec<u8>>) -> Result<bool, StoreError> {
        let (place, bytes) = (self.place(path)?, Arc::clone(bytes));
        blocking(move || direct::put(&place, &bytes)).await.map_err(|error| put_error(path, &error))
    }

    /// The file of an object that is to be put.
    fn place(&self, path: &str) -> Result<PathBuf, StoreError> {
        let key = self.objects.key("put", path)?;
        self.disk.path_to_filesystem(&key).map_err(|error| put_error(path, &error))
    }

    fn durable_folders(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        // A set of facts is whole after any panic.
        self.durable_folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SnapshotStore for LocalStore {
    fn put_new<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            refuse_lock_file("put", path)?;
            self.prepare(path).await?;
            self.objects.put_new(path, bytes).await
        })
    }

    fn put<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        self.put_lent(path, Arc::new(bytes))
    }

    fn puts_at_once(&self) -> usize {
        PUTS_AT_ONCE
    }

    fn put_lent<'a>(&'a self, path: &'a str, bytes: Arc<Vec<u8>>) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            refuse_lock_file("put", path)?;
            self.prepare(path).await?;
            // Nobody closes it.
            let _permit = self.writers.acquire().await;
            if bytes.len() >= DIRECT_BYTES_MIN && self.put_direct(path, &bytes).await? {
                return Ok(());
            }
            self.objects.put_lent(path, bytes).await
        })
    }

    fn get<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(async move {
            refuse_lock_file("get", path)?;
            self.objects.get(path).await
        })
    }

    fn get_range<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        bytes: u64,
    ) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(async move {
            refuse_lock_file("get", path)?;
            self.objects.get_range(path, offset, bytes).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> SendFuture<'a, Result<Vec<ObjectInfo>, StoreError>> {
        Box::pin(async move {
            let mut found = self.objects.list(prefix).await?;
            found.retain(|object| object.path != LOCK_FILE);
            Ok(found)
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            refuse_lock_file("delete", path)?;
            self.objects.delete(path).await
        })
    }
}

fn put_error(path: &str, error: &dyn std::error::Error) -> StoreError {
    StoreError::Failed { action: "put", path: path.into(), reason: error.to_string() }
}

fn refuse_lock_file(action: &'static str, path: &str) -> Result<(), StoreError> {
    path::check(action, path)?;
    if path == LOCK_FILE {
        let reason = "this name is taken by the lock of the folder".into();
        return Err(StoreError::Failed { action, path: path.into(), reason });
    }
    Ok(())
}

/// Makes a folder that survives a loss of power, and gives its absolute path.
fn make_root(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let existing = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(&folder).to_owned();
    std::fs::create_dir_all(&folder)?;
    if existing != folder {
        sync_up_to(&folder, &existing)?;
    }
    folder.canonicalize()
}

/// Syncs a folder and those above it, up to and with `top`. It ends because a path has finitely many parents.
fn sync_up_to(folder: &Path, top: &Path) -> io::Result<()> {
    for folder in folder.ancestors() {
        sync_folder(folder)?;
        if folder == top {
            break;
        }
    }
    Ok(())
}

#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file, and there is no portable way to sync it.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Runs what blocks where it may: on tokio's pool for that, or right here when no runtime is there to be held up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match Handle::try_current() {
        Ok(_) => spawn_blocking(work).await.map_err(io::Error::other)?,
        Err(_) => work(),
    }
}
