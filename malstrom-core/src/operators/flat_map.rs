//! `flat_map`: any number of records out for each record in.

use super::{Emit, Operator};
use crate::element::Record;

/// Turns each value into several. See [`Stream::flat_map`](crate::stream::Stream::flat_map).
#[derive(Debug)]
pub struct FlatMap<F>(pub(crate) F);

impl<In, Out, F> Operator<In> for FlatMap<F>
where
    Out: IntoIterator,
    F: FnMut(In) -> Out + 'static,
{
    type Out = Out::Item;

    #[inline(always)]
    fn process(&mut self, record: Record<In>, out: &mut impl Emit<Out::Item>) {
        let time = record.time;
        (self.0)(record.value).into_iter().for_each(|value| out.emit(Record { time, value }));
    }
}

/// Turns each value into several through a callback, for values that borrow from the one they come from. See
/// [`Stream::flat_map_with`](crate::stream::Stream::flat_map_with).
#[derive(Debug)]
pub struct FlatMapWith<F, Out> {
    split: F,
    of: std::marker::PhantomData<fn() -> Out>,
}

impl<F, Out> FlatMapWith<F, Out> {
    pub(crate) fn new(split: F) -> Self {
        Self { split, of: std::marker::PhantomData }
    }
}

impl<In, Out, F> Operator<In> for FlatMapWith<F, Out>
where
    Out: 'static,
    F: FnMut(In, &mut dyn FnMut(Out)) + 'static,
{
    type Out = Out;

    #[inline(always)]
    fn process(&mut self, record: Record<In>, out: &mut impl Emit<Out>) {
        let time = record.time;
        (self.split)(record.value, &mut |value| out.emit(Record { time, value }));
    }
}
