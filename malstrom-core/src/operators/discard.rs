//! A sink that keeps nothing.

use super::{BoxError, Sink};
use crate::element::Record;

/// A sink that drops every record: for measuring what comes before it.
///
/// ```
/// use malstrom_core::{element::Record, operators::{Discard, Sink}};
///
/// Discard.write(Record::new("gone"))?;
/// # Ok::<(), malstrom_core::operators::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl<T> Sink<T> for Discard {
    #[inline]
    fn write(&mut self, record: Record<T>) -> Result<(), BoxError> {
        drop(record);
        Ok(())
    }
}
