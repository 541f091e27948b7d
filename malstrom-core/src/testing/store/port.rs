//! The store as a coordinator sees it: every call is a future that waits for its answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::super::clock::Shared;
use super::calls::{Answer, Ask, Caller};
use crate::ports::{ObjectInfo, SendFuture, SnapshotStore, StoreError};

/// A handle to the simulated store, as a coordinator sees it.
#[derive(Clone, Debug)]
pub(in crate::testing) struct SimStore {
    pub(in crate::testing) core: Shared,
    /// The coordinator that it belongs to.
    pub(in crate::testing) of: usize,
}

/// Where the answer to a future is put.
#[derive(Debug, Default)]
pub(in crate::testing) struct Slot {
    pub(super) answer: Option<Result<Answer, StoreError>>,
    pub(super) waker: Option<Waker>,
}

impl SnapshotStore for SimStore {
    fn put_new<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        self.call(Ask::PutNew(path.to_owned(), bytes), done)
    }

    fn put<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> SendFuture<'a, Result<(), StoreError>> {
        self.call(Ask::Put(path.to_owned(), bytes), done)
    }

    fn get<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        self.call(Ask::Get(path.to_owned()), bytes)
    }

    fn get_range<'a>(
        &'a self,
        path: &'a str,
        offset: u64,
        n: u64,
    ) -> SendFuture<'a, Result<Vec<u8>, StoreError>> {
        self.call(Ask::GetRange(path.to_owned(), offset, n), bytes)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> SendFuture<'a, Result<Vec<ObjectInfo>, StoreError>> {
        self.call(Ask::List(prefix.to_owned()), |answer| match answer {
            Answer::Listing(listing) => Some(listing),
            _ => None,
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> SendFuture<'a, Result<(), StoreError>> {
        self.call(Ask::Delete(path.to_owned()), done)
    }
}

impl SimStore {
    fn call<'a, T: 'a>(
        &self,
        ask: Ask,
        take: impl Fn(Answer) -> Option<T> + Send + 'a,
    ) -> SendFuture<'a, Result<T, StoreError>> {
        let slot = Arc::new(Mutex::new(Slot::default()));
        let odd = ask.failed();
        self.core.call(ask, Caller::Future { slot: slot.clone(), of: self.of });
        Box::pin(std::future::poll_fn(move |cx| {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.waker = Some(cx.waker().clone());
            match slot.answer.take() {
                None => Poll::Pending,
                Some(answer) => {
                    Poll::Ready(answer.and_then(|answer| take(answer).ok_or_else(|| odd.clone())))
                }
            }
        }))
    }
}

fn done(answer: Answer) -> Option<()> {
    matches!(answer, Answer::Done).then_some(())
}

fn bytes(answer: Answer) -> Option<Vec<u8>> {
    match answer {
        Answer::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}
