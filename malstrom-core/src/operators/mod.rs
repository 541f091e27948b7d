//! Operators, one a file, and the traits for a user's own.

mod traits;

pub use traits::{
    BoxError, Emit, Operator, Read, ReadContext, ReadStatus, Sink, SinkContext, Source, TransactionalSink,
};
