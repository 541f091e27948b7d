//! Operators, one a file, the sources and sinks that need nothing from outside, and the traits for a user's own.

mod batch;
mod collect;
mod combine;
mod deduplicate;
mod discard;
mod due;
mod filter;
mod filter_map;
mod flat_map;
mod fold;
mod from_iter;
mod inspect;
mod join;
mod key_by;
mod map;
mod map_async;
mod map_with_state;
mod process;
mod process_stateful;
mod process_timed;
mod rate_limit;
mod rebalance;
mod reduce;
mod traits;
mod window;

pub use batch::{Batch, Batches};
pub use collect::{Collect, CollectHandle, Collected};
pub use combine::{AnyTime, Combine, Groups};
pub use deduplicate::Deduplicate;
pub use discard::Discard;
pub use filter::Filter;
pub use filter_map::FilterMap;
pub use flat_map::{FlatMap, FlatMapWith};
pub use fold::{Fold, FoldFinal};
pub use from_iter::{FromIter, FromIterError, IterReader, from_iter, from_iters};
pub use inspect::Inspect;
pub use join::{
    AsOf, AsOfJoin, FullOuter, Inner, Interval, IntervalJoin, JoinHow, JoinOut, JoinRows, Latest, LatestJoin,
    LeftOuter, RightOuter, Rows, SameWindow, WindowJoin,
};
pub use key_by::{IntoKeyed, IntoPairs, KeyBy, MapValues};
pub use map::Map;
pub use map_async::{AsyncError, AsyncOptions, Unanswered};
pub use map_with_state::MapWithState;
pub use process::{KeyedOperator, Process, ProcessFn};
pub use process_stateful::{
    At, List, ListOf, MapOf, MapState, OfKey, ProcessStateful, StatefulOperator, States, Value, ValueOf,
};
pub use process_timed::{ProcessTimed, TimedOperator, Timers};
pub use rate_limit::RateLimit;
pub use rebalance::{Spread, Unspread};
pub use reduce::Reduce;
pub use traits::{
    BoxError, Emit, Operator, Read, ReadContext, ReadStatus, Sink, SinkContext, Source, TransactionalSink,
};
pub use window::{Counted, Merged, OnlyResults, Partial, Window};

use process::WithKey;
