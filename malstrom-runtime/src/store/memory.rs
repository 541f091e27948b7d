//! A store in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use malstrom_core::ports::{ObjectInfo, SendFuture, SnapshotStore, StoreError};

use super::path;

/// A store in memory. Clones share their objects, so that a job can be restarted on what an earlier one left.
///
/// Nothing in it outlives the process: for tests, and for jobs whose state may be lost.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
}

type Objects = BTreeMap<String, Vec<u8>>;

impl SnapshotStore for MemoryStore {
    fn put_new<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(ready(path::check("put", path).and_then(|()| match self.objects().entry(path.into()) {
            Entry::Vacant(vacant) => {
                vacant.insert(bytes);
                Ok(())
            }
            Entry::Occupied(_) => Err(StoreError::Exists { path: path.into() }),
        })))
    }

    fn put<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(ready(path::check("put", path).map(|()| {
            self.objects().insert(path.into(), bytes);
        })))
    }

    fn get<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        self.get_range(path, 0, u64::MAX)
    }

    fn get_range<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        bytes: u64,
    ) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(ready(path::check("get", path).and_then(|()| {
            let objects = self.objects();
            let object = objects.get(path).ok_or_else(|| StoreError::NotFound { path: path.into() })?;
            let within = |at: u64| usize::try_from(at).map_or(object.len(), |at| at.min(object.len()));
            Ok(object[within(offset)..within(offset.saturating_add(bytes))].to_vec())
        })))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> SendFuture<'a, Result<Vec<ObjectInfo>, StoreError>> {
        Box::pin(ready(path::folder(prefix).map(|folder| {
            let first = folder.map_or(String::new(), |folder| format!("{folder}/"));
            self.objects()
                .range(first.clone()..)
                .take_while(|(path, _)| path.starts_with(&first))
                .map(|(path, object)| ObjectInfo { path: path.clone(), bytes: object.len() as u64 })
                .collect()
        })))
    }

    fn delete<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<(), StoreError>> {
        Box::pin(ready(path::check("delete", path).map(|()| {
            self.objects().remove(path);
        })))
    }
}

impl MemoryStore {
    /// Each operation on the map is one step, so a thread that panicked while it held the lock left the map whole.
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
