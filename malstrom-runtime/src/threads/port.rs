//! A worker's port: its inbox, its channels, the store.

use std::sync::Arc;

use malstrom_core::coordinator::Event;
use malstrom_core::exchange::{Decoder, ParcelReceiver, ParcelSender};
use malstrom_core::ids::{EdgeId, WorkerId};
use malstrom_core::ports::{Driver, Nanos, SnapshotStore, WorkerPort};
use malstrom_core::worker::messages::{Mail, Report, ToWorker};

use super::clock;
use super::fabric::{Fabric, Member};
use super::requests::Requests;

pub(crate) struct ThreadPort {
    pub(crate) me: WorkerId,
    pub(crate) inbox: flume::Receiver<ToWorker>,
    /// How what a store has done comes back to this worker.
    pub(crate) own: Member,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) coordinator: flume::Sender<Event>,
    pub(crate) store: Arc<dyn SnapshotStore>,
    pub(crate) io: tokio::runtime::Handle,
    /// Where the futures of operators are driven, if the user has said where.
    pub(crate) requests_on: Option<tokio::runtime::Handle>,
}

impl WorkerPort for ThreadPort {
    fn receive(&mut self) -> Option<ToWorker> {
        self.inbox.try_recv().ok()
    }

    fn report(&mut self, report: Report) {
        // A coordinator that is gone needs no reports.
        let _ = self.coordinator.send(Event::Report(report));
    }

    fn mail(&mut self, to: WorkerId, mail: Mail) {
        if let Some(member) = self.fabric.member(to) {
            member.tell(ToWorker::Mail(mail));
        }
    }

    fn shares_memory_with(&self, _: WorkerId) -> bool {
        true
    }

    fn put(&mut self, path: String, bytes: Vec<u8>) {
        let (store, own) = (self.store.clone(), self.own.clone());
        self.io.spawn(async move {
            let bytes = Arc::new(bytes);
            let result = store.put_lent(&path, bytes.clone()).await;
            let buffer = Arc::into_inner(bytes).unwrap_or_default();
            own.tell(ToWorker::Stored { path, result, buffer });
        });
    }

    fn objects_storing_max(&self) -> usize {
        self.store.puts_at_once()
    }

    fn get(&mut self, path: String, offset: u64, bytes: u64) {
        let (store, own) = (self.store.clone(), self.own.clone());
        self.io.spawn(async move {
            let result = store.get_range(&path, offset, bytes).await;
            own.tell(ToWorker::Read { path, offset, result });
        });
    }

    fn channel_to(&mut self, edge: EdgeId, to: WorkerId) -> Box<dyn ParcelSender> {
        Box::new(self.fabric.sender(edge, self.me, to))
    }

    fn channel_from(&mut self, edge: EdgeId, from: WorkerId, _: Decoder) -> Box<dyn ParcelReceiver> {
        // Between threads a batch stays what it is.
        Box::new(self.fabric.receiver(edge, from, self.me))
    }

    fn driver(&mut self) -> Box<dyn Driver> {
        Box::new(Requests { wake: self.own.wake.clone(), executor: self.requests_on.clone() })
    }

    fn now(&self) -> Nanos {
        clock::now()
    }
}
