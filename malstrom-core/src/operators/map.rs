//! `map`: one record out for each record in.

use super::{Emit, Operator};
use crate::element::Record;

/// Turns each value into another. See [`Stream::map`](crate::stream::Stream::map).
#[derive(Debug)]
pub struct Map<F>(pub(crate) F);

impl<In, Out, F: FnMut(In) -> Out + 'static> Operator<In> for Map<F> {
    type Out = Out;

    #[inline(always)]
    fn process(&mut self, record: Record<In>, out: &mut impl Emit<Out>) {
        out.emit(Record { time: record.time, value: (self.0)(record.value) });
    }
}
