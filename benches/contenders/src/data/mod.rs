//! The input, equal for all programs and all runs.

mod numbers;
mod text;

pub use numbers::{key, nth_key, range};
pub use text::{load_str, load_text, make_text, shares, shares_str};
