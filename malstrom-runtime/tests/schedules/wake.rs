//! Waking a thread by its bell, or failing to.

use crate::bell::Bell;
use crate::primitives::Arc;
use crate::{Broken, is_broken};

#[derive(Clone)]
pub(crate) struct Wake(Arc<Bell>);

impl Wake {
    pub(crate) fn of(bell: Arc<Bell>) -> Self {
        Self(bell)
    }

    pub(crate) fn wake(&self) {
        if !is_broken(Broken::NoWake) {
            self.0.ring();
        }
    }
}
