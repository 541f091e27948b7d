//! `filter`: only records that satisfy a predicate.

use super::{Emit, Operator};
use crate::element::Record;

/// Keeps some values and drops the others. See [`Stream::filter`](crate::stream::Stream::filter).
#[derive(Debug)]
pub struct Filter<F>(pub(crate) F);

impl<In, F: FnMut(&In) -> bool + 'static> Operator<In> for Filter<F> {
    type Out = In;

    #[inline(always)]
    fn process(&mut self, record: Record<In>, out: &mut impl Emit<In>) {
        if (self.0)(&record.value) {
            out.emit(record);
        }
    }
}
