//! Keyed state, bin by bin.

/// Walks over the keyed state of a stage's operators.
pub trait StateVisitor {}
