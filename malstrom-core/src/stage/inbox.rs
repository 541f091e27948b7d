//! The beginning of a stage that reads other stages of the same worker.

use super::{Inlet, PullContext, Pulled, StageError};
use crate::element::Timestamp;
use crate::exchange::{Arrival, Channels, Receive};
use crate::operators::Emit;
use crate::stage::Pipe;

/// Reads what other stages of the same worker pass on: after `union`, `split`, `fan_out` and `boxed`.
pub struct Inbox<T> {
    channels: Channels<T>,
}

impl<T> Inbox<T> {
    pub(crate) fn new(inputs: impl IntoIterator<Item = Box<dyn Receive<T>>>) -> Self {
        let mut channels = Channels::new();
        inputs.into_iter().for_each(|input| channels.add(input));
        Self { channels }
    }
}

impl<T: 'static> Pipe for Inbox<T> {
    type Item = T;

    #[inline]
    fn pull(&mut self, cx: &PullContext, out: &mut impl Emit<T>) -> Result<Pulled, StageError> {
        Ok(pull_from(&mut self.channels, cx, out))
    }

    fn inlet(&mut self) -> &mut dyn Inlet {
        self
    }
}

impl<T> Inlet for Inbox<T> {
    /// The stages before this one may have promised more than they now can: it passes on what they say next.
    fn rerouted(&mut self) -> Option<Timestamp> {
        self.channels.forget_watermark();
        None
    }
}

impl<T> std::fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("n_channels", &self.channels.len()).finish()
    }
}

/// Passes on what comes next of some channels: a batch without looking at its keys, or control.
#[inline]
pub(crate) fn pull_from<T>(channels: &mut Channels<T>, cx: &PullContext, out: &mut impl Emit<T>) -> Pulled {
    if cx.n_records_max == 0 {
        return Pulled::Dry(None);
    }
    match channels.poll() {
        Arrival::Nothing => Pulled::Dry(None),
        Arrival::Control(control) => Pulled::Control(control),
        Arrival::Batch(mut batch, from) => {
            batch.drain_ahead(0, |_, record| out.emit(record));
            channels.recycle(batch, from);
            Pulled::Worked
        }
    }
}
