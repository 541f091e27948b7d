//! Ways out of a stage to the outside.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::{AnySink, OpenError, Outlet, StageError};
use crate::codec;
use crate::element::{Control, Record};
use crate::ids::SnapshotId;
use crate::operators::{BoxError, Emit, Sink, SinkContext, TransactionalSink};
use crate::snapshot::OperatorKind;

/// A [`Sink`] at the end of a stage.
pub struct PlainSink<T, S> {
    name: String,
    sink: S,
    n_written: u64,
    is_flushed: bool,
    failed: Option<BoxError>,
    of: PhantomData<fn(T)>,
}

impl<T, S: Sink<T>> PlainSink<T, S> {
    pub(crate) fn new(name: &str, sink: S) -> Self {
        Self { name: name.to_owned(), sink, n_written: 0, is_flushed: true, failed: None, of: PhantomData }
    }
}

impl<T: 'static, S: Sink<T>> Emit<T> for PlainSink<T, S> {
    #[inline(always)]
    fn emit(&mut self, record: Record<T>) {
        if let Err(error) = self.sink.write(record) {
            self.failed = self.failed.take().or(Some(error));
        }
    }
}

impl<T: 'static, S: Sink<T>> Outlet<T> for PlainSink<T, S> {
    fn drain(&mut self) -> bool {
        true
    }

    fn emitted(&mut self, n_records: usize) {
        self.n_written += n_records as u64;
        self.is_flushed &= n_records == 0;
    }

    fn flush(&mut self) -> Result<(), StageError> {
        if !std::mem::replace(&mut self.is_flushed, true) {
            self.sink.flush().map_err(|error| failed(&self.name, error))?;
        }
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), StageError> {
        match control {
            Control::Watermark(_) | Control::Idle => Ok(()),
            Control::Barrier(_) | Control::Suspend | Control::End => self.flush(),
        }
    }

    fn check(&mut self) -> Result<(), StageError> {
        self.failed.take().map_or(Ok(()), |error| Err(failed(&self.name, error)))
    }

    fn sink(&mut self) -> Option<&mut dyn AnySink> {
        Some(self)
    }
}

impl<T: 'static, S: Sink<T>> AnySink for PlainSink<T, S> {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Sink
    }

    fn open(&mut self, cx: &SinkContext) -> Result<(), StageError> {
        self.sink.open(cx).map_err(|error| failed(&self.name, error))
    }

    fn prepare(&mut self, _: SnapshotId) -> Result<Vec<Vec<u8>>, StageError> {
        self.flush()?;
        Ok(Vec::new())
    }

    fn commit(&mut self, _: SnapshotId) -> Result<(), StageError> {
        Ok(())
    }

    fn recover(&mut self, _: Option<SnapshotId>, _: &[Vec<u8>]) -> Result<(), OpenError> {
        Ok(())
    }

    fn take_n_written(&mut self) -> u64 {
        std::mem::take(&mut self.n_written)
    }
}

/// A [`TransactionalSink`] at the end of a stage.
pub struct Transactions<T, S: TransactionalSink<T>> {
    name: String,
    sink: S,
    n_written: u64,
    /// Transactions that no snapshot has committed yet, by the snapshot they were prepared for.
    prepared: BTreeMap<SnapshotId, Vec<u8>>,
    failed: Option<BoxError>,
    of: PhantomData<fn(T)>,
}

impl<T, S: TransactionalSink<T>> Transactions<T, S> {
    pub(crate) fn new(name: &str, sink: S) -> Self {
        Self {
            name: name.to_owned(),
            sink,
            n_written: 0,
            prepared: BTreeMap::new(),
            failed: None,
            of: PhantomData,
        }
    }
}

impl<T: 'static, S: TransactionalSink<T>> Emit<T> for Transactions<T, S> {
    #[inline(always)]
    fn emit(&mut self, record: Record<T>) {
        if let Err(error) = self.sink.write(record) {
            self.failed = self.failed.take().or(Some(error));
        }
    }
}

impl<T: 'static, S: TransactionalSink<T>> Outlet<T> for Transactions<T, S> {
    fn drain(&mut self) -> bool {
        true
    }

    fn emitted(&mut self, n_records: usize) {
        self.n_written += n_records as u64;
    }

    fn flush(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    fn control(&mut self, _: Control) -> Result<(), StageError> {
        Ok(())
    }

    fn check(&mut self) -> Result<(), StageError> {
        self.failed.take().map_or(Ok(()), |error| Err(failed(&self.name, error)))
    }

    fn sink(&mut self) -> Option<&mut dyn AnySink> {
        Some(self)
    }
}

impl<T: 'static, S: TransactionalSink<T>> AnySink for Transactions<T, S> {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::TransactionalSink
    }

    fn open(&mut self, cx: &SinkContext) -> Result<(), StageError> {
        self.sink.open(cx).map_err(|error| failed(&self.name, error))
    }

    fn prepare(&mut self, snapshot: SnapshotId) -> Result<Vec<Vec<u8>>, StageError> {
        if let Some(handle) = self.sink.prepare(snapshot).map_err(|error| failed(&self.name, error))? {
            let bytes = codec::encode(&handle).map_err(|error| failed(&self.name, error.into()))?;
            self.prepared.insert(snapshot, bytes);
        }
        Ok(self.prepared.values().cloned().collect())
    }

    fn commit(&mut self, snapshot: SnapshotId) -> Result<(), StageError> {
        let later = self.prepared.split_off(&snapshot.next());
        for (prepared_for, bytes) in std::mem::replace(&mut self.prepared, later) {
            let handle = codec::decode(&bytes).map_err(|error| failed(&self.name, error.into()))?;
            self.sink.commit(prepared_for, handle).map_err(|error| failed(&self.name, error))?;
        }
        Ok(())
    }

    fn recover(&mut self, restored: Option<SnapshotId>, handles: &[Vec<u8>]) -> Result<(), OpenError> {
        let handles = handles.iter().map(|bytes| codec::decode(bytes)).collect::<Result<Vec<_>, _>>();
        let handles = handles.map_err(|error| OpenError::Position {
            partition: self.name.clone(),
            reason: format!("a prepared transaction is {error}"),
        })?;
        self.sink.recover(restored, handles).map_err(|error| failed(&self.name, error).into())
    }

    fn take_n_written(&mut self) -> u64 {
        std::mem::take(&mut self.n_written)
    }
}

fn failed(name: &str, error: BoxError) -> StageError {
    StageError { operator: name.to_owned(), error }
}
