//! `inspect`: look at records as they pass.

use super::{Emit, Operator};
use crate::element::Record;

/// Looks at each value and passes it on. See [`Stream::inspect`](crate::stream::Stream::inspect).
#[derive(Debug)]
pub struct Inspect<F>(pub(crate) F);

impl<In, F: FnMut(&In) + 'static> Operator<In> for Inspect<F> {
    type Out = In;

    #[inline(always)]
    fn process(&mut self, record: Record<In>, out: &mut impl Emit<In>) {
        (self.0)(&record.value);
        out.emit(record);
    }
}
