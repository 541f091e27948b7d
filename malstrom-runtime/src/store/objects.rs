//! A store over anything that `object_store` reaches.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use malstrom_core::ports::{ObjectInfo, SendFuture, SnapshotStore, StoreError};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    Result as Answer,
};

use super::limits::LISTED_OBJECTS_MAX;
use super::path;

/// A [`SnapshotStore`] over an [`ObjectStore`].
///
/// **Guarantees.** Those of [`SnapshotStore`], as far as the object store is durable and has a conditional put.
///
/// **Assumptions.** [`SnapshotStore::put_new`] answers [`StoreError::Exists`] only for an object that another call
/// wrote, if the object store does not repeat a conditional put by itself. The clients of `object_store` for cloud
/// stores do repeat it by default: after an answer 5xx, 408 or 429, and after a connection that broke before the
/// answer was complete. The first try may have taken effect in each of these cases, and the second then finds its own object. So
/// give [`creating_through`](Self::creating_through) a client with `RetryConfig { max_retries: 0, .. }`, as
/// [`open`](super::open) does. Whoever calls `put_new` sees [`StoreError::Failed`] instead, and settles by reading what
/// became of it.
///
/// **Caveats.** Where folders are real, as on a disk, `a` and `a/b` cannot both be objects.
#[derive(Clone, Debug)]
pub struct ObjectSnapshotStore {
    objects: Arc<dyn ObjectStore>,
    creator: Arc<dyn ObjectStore>,
    root: Path,
}

impl ObjectSnapshotStore {
    /// A store with its root where the object store has its own.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { creator: Arc::clone(&objects), objects, root: Path::ROOT }
    }

    /// The same store, with another client for [`SnapshotStore::put_new`]: one that never repeats a request.
    #[must_use]
    pub fn creating_through(self, creator: Arc<dyn ObjectStore>) -> Self {
        Self { creator, ..self }
    }

    /// The same store, with its root at a path of the object store.
    #[must_use]
    pub fn below(self, root: Path) -> Self {
        Self { root, ..self }
    }

    /// Where an object lies in the object store.
    pub(super) fn key(&self, action: &'static str, path: &str) -> Result<Path, StoreError> {
        path::check(action, path).map(|()| path::encode(&self.root, path))
    }

    async fn create(&self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let key = self.key("put", path)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.creator.put_opts(&key, PutPayload::from(bytes), options).await {
            Ok(_) => Ok(()),
            Err(conflict @ Error::AlreadyExists { .. }) => match self.objects.head(&key).await {
                Ok(_) => Err(StoreError::Exists { path: path.into() }),
                // S3 answers 409 to a put that met a delete or another put under way, and the client takes every 409
                // for an object that exists. There may be none, so the caller is told to look again.
                Err(Error::NotFound { .. }) => Err(failed("put", path, &conflict)),
                Err(error) => Err(failed("put", path, &error)),
            },
            Err(error) => Err(failed("put", path, &error)),
        }
    }

    async fn read(&self, path: &str, range: Option<GetRange>) -> Result<Vec<u8>, StoreError> {
        let key = self.key("get", path)?;
        let answer: Answer<_> = async {
            self.objects.get_opts(&key, GetOptions { range, ..GetOptions::default() }).await?.bytes().await
        }
        .await;
        answer.map(Vec::from).map_err(|error| read_error(path, &error))
    }

    async fn read_range(&self, path: &str, offset: u64, bytes: u64) -> Result<Vec<u8>, StoreError> {
        if bytes > 0 {
            let range = GetRange::Bounded(offset..offset.saturating_add(bytes));
            match self.read(path, Some(range)).await {
                Err(StoreError::Failed { .. }) => {}
                answer => return answer,
            }
        }
        // Stores refuse a range that is empty or begins at the end or past it, each with an error of its own. The
        // object's length tells such a range from a fault.
        let key = self.key("get", path)?;
        let length = self.objects.head(&key).await.map_err(|error| read_error(path, &error))?.size;
        if bytes == 0 || offset >= length {
            return Ok(Vec::new());
        }
        self.read(path, Some(GetRange::Bounded(offset..offset.saturating_add(bytes)))).await
    }

    async fn list_folder(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let folder = match path::folder(prefix)? {
            Some(folder) => path::encode(&self.root, folder),
            None => self.root.clone(),
        };
        let mut found = Vec::new();
        let mut listing = self.objects.list((!folder.is_root()).then_some(&folder));
        while let Some(object) = listing.try_next().await.map_err(|error| failed("list", prefix, &error))? {
            let Some(path) = path::decode(&self.root, &object.location) else { continue };
            if found.len() == LISTED_OBJECTS_MAX {
                let reason = format!("it holds more than {LISTED_OBJECTS_MAX} objects");
                return Err(StoreError::Failed { action: "list", path: prefix.into(), reason });
            }
            found.push(ObjectInfo { path, bytes: object.size });
        }
        // Stores list by key or in no order at all, and keys do not sort as paths do.
        found.sort_unstable();
        Ok(found)
    }
}

impl SnapshotStore for ObjectSnapshotStore {
    fn put_new<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(self.create(path, bytes))
    }

    fn put<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let key = self.key("put", path)?;
            let answer = self.objects.put(&key, PutPayload::from(bytes)).await;
            answer.map(drop).map_err(|error| failed("put", path, &error))
        })
    }

    fn put_lent<'a>(&'a self, path: &'a str, bytes: Arc<Vec<u8>>) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let key = self.key("put", path)?;
            let payload = PutPayload::from(Bytes::from_owner(Lent(bytes)));
            let answer = self.objects.put(&key, payload).await;
            answer.map(drop).map_err(|error| failed("put", path, &error))
        })
    }

    fn get<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(self.read(path, None))
    }

    fn get_range<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        bytes: u64,
    ) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(self.read_range(path, offset, bytes))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> SendFuture<'a, Result<Vec<ObjectInfo>, StoreError>> {
        Box::pin(self.list_folder(prefix))
    }

    fn delete<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let key = self.key("delete", path)?;
            match self.objects.delete(&key).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(failed("delete", path, &error)),
            }
        })
    }
}

/// Bytes that somebody wants back.
struct Lent(Arc<Vec<u8>>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn read_error(path: &str, error: &Error) -> StoreError {
    match error {
        Error::NotFound { .. } => StoreError::NotFound { path: path.into() },
        error => failed("get", path, error),
    }
}

fn failed(action: &'static str, path: &str, error: &Error) -> StoreError {
    StoreError::Failed { action, path: path.into(), reason: error.to_string() }
}
