//! Keyed state, bin by bin.

mod table;

pub use table::{BinTable, Drain, Iter};

/// Walks over the keyed state of a stage's operators.
pub trait StateVisitor {}
