//! Where the futures of operators are driven: on one thread of the process, or wherever the user says.

use std::any::Any;
use std::sync::OnceLock;

use malstrom_core::ports::{Driver, SendFuture};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::wake::Wake;

/// Drives the futures of one worker.
pub(crate) struct Requests {
    pub(crate) wake: Wake,
    /// Where they are driven; `None` for the thread of the process.
    pub(crate) executor: Option<Handle>,
}

impl Driver for Requests {
    fn drive(&self, future: SendFuture<'static, ()>) -> Box<dyn Any> {
        // However it ends, by a panic too, the worker looks what has come of it.
        let wake = WakeAtEnd(self.wake.clone());
        let task = async move {
            let _wake = wake;
            future.await;
        };
        let task = match (&self.executor, shared()) {
            (Some(executor), _) | (None, Some(executor)) => executor.spawn(task),
            // The future is dropped, and its operator fails by name.
            (None, None) => return Box::new(()),
        };
        Box::new(Wanted(task.abort_handle()))
    }
}

/// The executor of the process, on a thread that begins with the first request and lives as long as the process.
fn shared() -> Option<&'static Handle> {
    static SHARED: OnceLock<Option<Handle>> = OnceLock::new();
    let begin = || {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let executor =
            executor.inspect_err(|error| tracing::error!(%error, "no executor for requests")).ok()?;
        let handle = executor.handle().clone();
        let run = move || executor.block_on(std::future::pending::<()>());
        let thread = std::thread::Builder::new().name("malstrom-requests".to_owned()).spawn(run);
        thread.inspect_err(|error| tracing::error!(%error, "no thread for requests")).ok()?;
        Some(handle)
    };
    SHARED.get_or_init(begin).as_ref()
}

/// Ends a future that nobody waits for any more.
struct Wanted(AbortHandle);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Wakes a worker when it is dropped, which is behind the future beside it.
struct WakeAtEnd(Wake);

impl Drop for WakeAtEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}
