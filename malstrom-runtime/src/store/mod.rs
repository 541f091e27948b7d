//! Where snapshots are kept: implementations of core's [`SnapshotStore`] port.
//!
//! - [`open`]: from a URL to a store, and the errors that tell what was wrong with it.
//! - [`memory`]: a store in memory, for tests and for jobs that need not survive.
//! - [`objects`]: a store over anything that `object_store` reaches.
//! - [`local`]: a folder of the local disk, durable to the last directory entry.
//! - `direct`: large objects of such a folder, past the page cache.
//! - [`lock`]: the file that keeps a second coordinator from a folder in use.
//!
//! No store here knows what a snapshot is. They move bytes, and keep the guarantees that [`SnapshotStore`] asks for.

mod address;
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
mod cloud;
mod direct;
mod limits;
pub mod local;
pub mod lock;
pub mod memory;
pub mod objects;
mod path;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use malstrom_core::ports::SnapshotStore;

pub use self::local::LocalStore;
pub use self::lock::{LockError, StoreLock};
pub use self::memory::MemoryStore;
pub use self::objects::ObjectSnapshotStore;

use self::address::Address;

/// Opens the store that a URL names.
///
/// | URL | store |
/// |---|---|
/// | `memory:` or `memory://` | a new [`MemoryStore`] |
/// | a plain path, relative or absolute; `file:///path` | a [`LocalStore`]; the folder is created if missing |
/// | `s3://bucket/path` | Amazon S3 and what speaks its protocol; feature `aws` |
/// | `gs://bucket/path` | Google Cloud Storage; feature `gcp` |
/// | `az://container/path` | Azure Blob Storage; feature `azure` |
///
/// A path below the bucket becomes the root of the job, so that jobs can share a bucket. Credentials, regions and
/// endpoints of cloud stores come from the environment variables that the vendors' own tools read. No request is made
/// here: wrong credentials show at the first use. A tokio runtime that drives a cloud store must have its I/O and time
/// drivers enabled.
///
/// Opening takes no lock: a coordinator that is about to write calls [`OpenedStore::lock`] first.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let opened = malstrom_runtime::store::open("memory:")?;
/// let lock = opened.lock()?;
/// let store = opened.store();
/// # let _ = (lock, store);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the URL names no store that this build can reach, or its folder cannot be made.
pub fn open(url: &str) -> Result<OpenedStore, OpenError> {
    match address::parse(url)? {
        Address::Memory => Ok(OpenedStore::new(Arc::new(MemoryStore::default()))),
        Address::Folder(folder) => {
            let store = LocalStore::open(&folder)?;
            let folder = store.folder().to_owned();
            Ok(OpenedStore { store: Arc::new(store), folder: Some(folder) })
        }
        #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
        Address::Cloud(bucket) => Ok(OpenedStore::new(Arc::new(cloud::open(&bucket)?))),
        #[cfg(not(any(feature = "aws", feature = "gcp", feature = "azure")))]
        Address::Cloud(bucket) => Err(bucket.feature_off()),
    }
}

/// A store, and what there is to lock before it is written to.
#[derive(Clone, Debug)]
pub struct OpenedStore {
    store: Arc<dyn SnapshotStore>,
    folder: Option<PathBuf>,
}

impl OpenedStore {
    /// A store that needs no lock, such as one of a user's own or a [`MemoryStore`] kept for a restart.
    #[must_use]
    pub fn new(store: Arc<dyn SnapshotStore>) -> Self {
        Self { store, folder: None }
    }

    /// The store. Whoever only reads needs nothing else.
    #[must_use]
    pub fn store(&self) -> Arc<dyn SnapshotStore> {
        Arc::clone(&self.store)
    }

    /// Claims the store for one coordinator, for as long as the value returned lives. A store that is not a local
    /// folder has nothing to lock: there the job log alone keeps an older coordinator from committing, and a lock
    /// that holds nothing is returned.
    ///
    /// The lock is a courtesy, not the fence: it tells a user at once that a job is running, before anything starts.
    /// What makes a second coordinator harmless is the job log.
    ///
    /// # Errors
    /// If a running coordinator holds the folder, or its file system has no locks.
    pub fn lock(&self) -> Result<StoreLock, LockError> {
        match &self.folder {
            Some(folder) => StoreLock::acquire(folder),
            None => Ok(StoreLock::of_nothing()),
        }
    }
}

/// Why a URL could not be opened as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is empty.
    #[error("the store's URL is empty: name a folder, or use one of {SCHEMES}")]
    Empty,
    /// No store goes by this scheme.
    #[error("`{url}` has the unknown scheme `{scheme}`: use a plain path or one of {SCHEMES}")]
    UnknownScheme {
        /// The URL as it was given.
        url: String,
        /// What stands before the colon.
        scheme: String,
    },
    /// The scheme is known, but this build has no client for it.
    #[error(
        "`{url}` needs a client that this build lacks: switch on the feature `{feature}` of malstrom-runtime"
    )]
    FeatureOff {
        /// The URL as it was given.
        url: String,
        /// The cargo feature that brings the client.
        feature: &'static str,
    },
    /// The rest of the URL is not what its scheme wants.
    #[error("`{url}` {reason}")]
    Malformed {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it and what it should look like.
        reason: String,
    },
    /// The folder can be neither found nor made.
    #[error(
        "the folder `{}` cannot be used as a store ({source}): check that the path names a folder this user can \
         write to",
        folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system or the store's client said.
        #[source]
        source: malstrom_core::operators::BoxError,
    },
    /// The client of a cloud store refused its configuration.
    #[error(
        "the client for `{url}` cannot be set up ({reason}): check the environment variables {variables}"
    )]
    Configuration {
        /// The URL as it was given.
        url: String,
        /// What the client said.
        reason: String,
        /// Where its configuration comes from.
        variables: &'static str,
    },
}

const SCHEMES: &str =
    "`memory:`, `file:///path`, `s3://bucket/path`, `gs://bucket/path`, `az://container/path`";
