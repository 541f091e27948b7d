//! A transactional sink into memory: for tests, and for results that the same process uses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{BoxError, SinkContext, TransactionalSink};
use crate::element::Record;
use crate::ids::{SnapshotId, WorkerId};

/// What a job's [`Collect`] sinks have committed: a cheap handle, shared by the sinks of all workers of the process
/// and by whoever wants to see the result.
///
/// Values come in the order of the commits; those of one transaction in the order in which they were written.
#[derive(Debug)]
pub struct Collected<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

impl<T> Collected<T> {
    /// A handle to which nothing has been committed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A sink that commits to this handle; make one on each worker.
    #[must_use]
    pub fn sink(&self) -> Collect<T> {
        Collect { collected: self.clone(), worker: WorkerId(0), open: Vec::new() }
    }

    /// Takes what has been committed. What was taken stays taken, even if the job then goes back to an earlier
    /// snapshot.
    #[must_use]
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.lock().committed).into_iter().flat_map(|(_, values)| values).collect()
    }

    /// A copy of what has been committed.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.lock().committed.iter().flat_map(|(_, values)| values).cloned().collect()
    }

    /// How many values have been committed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().committed.iter().map(|(_, values)| values.len()).sum()
    }

    /// Whether nothing has been committed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lists are whole at every moment a panic could come, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Shared<T>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Collected<T> {
    fn default() -> Self {
        let shared = Shared { committed: Vec::new(), pending: BTreeMap::new(), n_prepared: 0 };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// A transactional sink into a [`Collected`].
///
/// # Guarantees
/// A value becomes visible when the snapshot it belongs to is committed, once, whatever recoveries come between, as
/// long as the process lives.
///
/// # Caveats
/// It keeps all in memory, and a transaction's handle in a snapshot only names what lies there: in a new process what
/// was prepared or committed earlier is gone, and resuming begins with an empty [`Collected`]. It is for tests and for
/// results that the same process uses. A job that starts afresh empties the handle.
///
/// ```
/// use malstrom_core::element::Record;
/// use malstrom_core::ids::SnapshotId;
/// use malstrom_core::operators::{Collected, TransactionalSink};
///
/// let collected = Collected::new();
/// let mut sink = collected.sink();
/// sink.write(Record::new("hello"))?;
/// let handle = sink.prepare(SnapshotId(1))?.expect("one record was written");
/// assert!(collected.is_empty());
/// sink.commit(SnapshotId(1), handle)?;
/// assert_eq!(collected.to_vec(), ["hello"]);
/// # Ok::<(), malstrom_core::operators::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Collect<T> {
    collected: Collected<T>,
    worker: WorkerId,
    open: Vec<T>,
}

/// Names a prepared transaction of a [`Collect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CollectHandle {
    snapshot: SnapshotId,
    worker: WorkerId,
    n: u64,
}

impl<T: 'static> TransactionalSink<T> for Collect<T> {
    type Handle = CollectHandle;

    fn open(&mut self, cx: &SinkContext) -> Result<(), BoxError> {
        self.worker = cx.worker;
        Ok(())
    }

    #[inline]
    fn write(&mut self, record: Record<T>) -> Result<(), BoxError> {
        self.open.push(record.value);
        Ok(())
    }

    fn prepare(&mut self, snapshot: SnapshotId) -> Result<Option<CollectHandle>, BoxError> {
        if self.open.is_empty() {
            return Ok(None);
        }
        let values = std::mem::take(&mut self.open);
        let mut shared = self.collected.lock();
        let handle = CollectHandle { snapshot, worker: self.worker, n: shared.n_prepared };
        shared.n_prepared += 1;
        shared.pending.insert(handle, values);
        Ok(Some(handle))
    }

    fn commit(&mut self, _snapshot: SnapshotId, handle: CollectHandle) -> Result<(), BoxError> {
        self.collected.lock().commit(handle);
        Ok(())
    }

    fn recover(&mut self, restored: Option<SnapshotId>, handles: Vec<CollectHandle>) -> Result<(), BoxError> {
        let mut shared = self.collected.lock();
        handles.into_iter().for_each(|handle| shared.commit(handle));
        shared.pending.clear();
        shared.committed.retain(|(snapshot, _)| Some(*snapshot) <= restored);
        drop(shared);
        self.open.clear();
        Ok(())
    }
}

#[derive(Debug)]
struct Shared<T> {
    committed: Vec<(SnapshotId, Vec<T>)>,
    pending: BTreeMap<CollectHandle, Vec<T>>,
    n_prepared: u64,
}

impl<T> Shared<T> {
    /// A handle that is not pending was committed before, or prepared in a process that is gone.
    fn commit(&mut self, handle: CollectHandle) {
        if let Some(values) = self.pending.remove(&handle) {
            self.committed.push((handle.snapshot, values));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(sink: &mut Collect<u32>, snapshot: u64, value: u32) -> CollectHandle {
        sink.write(Record::new(value)).unwrap();
        sink.prepare(SnapshotId(snapshot)).unwrap().unwrap()
    }

    #[test]
    fn what_is_prepared_is_not_seen_until_it_is_committed() {
        let collected = Collected::new();
        let mut sink = collected.sink();
        let handle = prepared(&mut sink, 1, 7);
        sink.write(Record::new(8)).unwrap();
        assert!(collected.is_empty());
        sink.commit(SnapshotId(1), handle).unwrap();
        assert_eq!(collected.to_vec(), [7]);
    }

    #[test]
    fn a_commit_counts_once() {
        let collected = Collected::new();
        let mut sink = collected.sink();
        let handle = prepared(&mut sink, 1, 7);
        sink.commit(SnapshotId(1), handle).unwrap();
        collected.sink().commit(SnapshotId(1), handle).unwrap();
        collected.sink().recover(Some(SnapshotId(1)), vec![handle]).unwrap();
        assert_eq!(collected.take(), [7]);
        assert!(collected.is_empty());
    }

    #[test]
    fn nothing_written_is_no_transaction() {
        assert_eq!(Collected::<u32>::new().sink().prepare(SnapshotId(1)).unwrap(), None);
    }

    #[test]
    fn recovery_commits_the_snapshots_handles_and_drops_the_rest() {
        let collected = Collected::new();
        let (mut one, mut two) = (collected.sink(), collected.sink());
        let kept = [prepared(&mut one, 1, 1), prepared(&mut two, 1, 2)];
        let dropped = prepared(&mut one, 2, 3);
        drop((one, two));
        let mut sink = collected.sink();
        sink.recover(Some(SnapshotId(1)), kept.to_vec()).unwrap();
        sink.commit(SnapshotId(2), dropped).unwrap();
        assert_eq!(collected.to_vec(), [1, 2]);
    }

    #[test]
    fn going_back_to_an_earlier_snapshot_takes_back_what_came_later() {
        let collected = Collected::new();
        let mut sink = collected.sink();
        for snapshot in 1..=3 {
            let handle = prepared(&mut sink, snapshot, u32::try_from(snapshot).unwrap());
            sink.commit(SnapshotId(snapshot), handle).unwrap();
        }
        collected.sink().recover(Some(SnapshotId(2)), Vec::new()).unwrap();
        assert_eq!(collected.to_vec(), [1, 2]);
        collected.sink().recover(None, Vec::new()).unwrap();
        assert!(collected.is_empty());
    }
}
