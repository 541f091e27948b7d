//! The input, equal for all programs and all runs.

mod events;
mod numbers;
mod text;

pub use events::{DISORDER_MS, Event, WINDOW_MS, event, events, window_of};
pub use numbers::{key, nth_key, range};
pub use text::{load_str, load_text, make_text, shares, shares_str};
