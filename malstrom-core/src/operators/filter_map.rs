//! `filter_map`: at most one record out for each record in.

use super::{Emit, Operator};
use crate::element::Record;

/// Turns each value into another or drops it. See [`Stream::filter_map`](crate::stream::Stream::filter_map).
#[derive(Debug)]
pub struct FilterMap<F>(pub(crate) F);

impl<In, Out, F: FnMut(In) -> Option<Out> + 'static> Operator<In> for FilterMap<F> {
    type Out = Out;

    #[inline(always)]
    fn process(&mut self, record: Record<In>, out: &mut impl Emit<Out>) {
        if let Some(value) = (self.0)(record.value) {
            out.emit(Record { time: record.time, value });
        }
    }
}
