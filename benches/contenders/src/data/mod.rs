//! The input, equal for all programs and all runs.

mod numbers;
mod text;

pub use numbers::{key, range};
pub use text::{lines, load_text, make_text, shares};
