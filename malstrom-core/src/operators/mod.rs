//! Operators, one a file, and the traits for a user's own.

mod collect;
mod discard;
mod from_iter;
mod traits;

pub use collect::{Collect, CollectHandle, Collected};
pub use discard::Discard;
pub use from_iter::{FromIter, FromIterError, IterReader, from_iter, from_iters};
pub use traits::{
    BoxError, Emit, Operator, Read, ReadContext, ReadStatus, Sink, SinkContext, Source, TransactionalSink,
};
