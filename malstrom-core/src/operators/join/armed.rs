//! When there is something to do for a key whose rows wait for event time.

use serde::{Deserialize, Serialize};

use crate::element::Timestamp;
use crate::time::Due;

/// The time at which there is something to do for a key, if there is. The queue may name others, for rows that are gone:
/// what fires then finds that nothing has come.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Armed(Option<i64>);

impl Armed {
    /// Whether anything is due by now.
    pub(super) fn has_come(&self, now: Timestamp) -> bool {
        self.0.is_some_and(|armed| armed <= now.0)
    }

    /// There is something to do at `due` from now on, if at all.
    pub(super) fn set(&mut self, due: Option<i64>) {
        self.0 = due;
    }

    /// As [`set`](Self::set), if nothing was due before, or only later; whether it was, so that the queue must know.
    pub(super) fn set_earlier(&mut self, due: Option<i64>) -> bool {
        let is_earlier = due.is_some_and(|due| self.0.is_none_or(|armed| due < armed));
        if is_earlier {
            self.0 = due;
        }
        is_earlier
    }

    /// Tells the queue of it.
    pub(super) fn each_due(&self, tell: &mut dyn FnMut(Due)) {
        self.0.into_iter().for_each(|armed| tell(Due::Event(Timestamp(armed))));
    }
}
