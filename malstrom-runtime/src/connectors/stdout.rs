//! A sink to standard output.

use std::fmt::Display;
use std::io::{self, Write};

use malstrom_core::element::Record;
use malstrom_core::operators::{BoxError, Sink};

use super::limits::WRITE_BUFFER_BYTES;

/// A sink that writes each record as a line to standard output: at least once, so after a recovery some lines come
/// again.
///
/// Lines are gathered and written when many have come, when the input runs dry, before each snapshot and at the end.
/// A line is never mixed with another worker's. Whoever closes the pipe makes the sink fail with
/// [`io::ErrorKind::BrokenPipe`].
///
/// ```
/// use malstrom_core::{element::Record, operators::Sink};
/// use malstrom_runtime::connectors::Stdout;
///
/// let mut numbers = Stdout::display();
/// numbers.write(Record::new(42))?;
///
/// let mut pairs = Stdout::new(|(word, n): &(&str, u64), line| line.extend(format!("{word}\t{n}").bytes()));
/// pairs.write(Record::new(("be", 2)))?;
/// pairs.flush()?;
/// # Ok::<(), malstrom_core::operators::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Stdout<F, W = io::Stdout> {
    format: F,
    buffer: Vec<u8>,
    output: W,
}

impl<F> Stdout<F> {
    /// A sink that has `format` append what a record is to look like, without a newline.
    pub fn new<T>(format: F) -> Self
    where
        F: FnMut(&T, &mut Vec<u8>) + 'static,
    {
        Self::to(io::stdout(), format)
    }
}

impl<T: Display + 'static> Stdout<fn(&T, &mut Vec<u8>)> {
    /// A sink that writes records as they are displayed.
    #[must_use]
    pub fn display() -> Self {
        Self::new(|value, line| {
            // Writing to memory does not fail, and a `Display` that does leaves its line as far as it came.
            let _ = write!(line, "{value}");
        })
    }
}

impl<F, W> Stdout<F, W> {
    fn to(output: W, format: F) -> Self {
        Self { format, buffer: Vec::with_capacity(WRITE_BUFFER_BYTES), output }
    }
}

impl<T, F, W> Sink<T> for Stdout<F, W>
where
    F: FnMut(&T, &mut Vec<u8>) + 'static,
    W: Write + 'static,
{
    #[inline]
    fn write(&mut self, record: Record<T>) -> Result<(), BoxError> {
        (self.format)(&record.value, &mut self.buffer);
        self.buffer.push(b'\n');
        if self.buffer.len() >= WRITE_BUFFER_BYTES {
            Sink::<T>::flush(self)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        // What a failed write leaves is not tried again: the job recovers, with a new sink.
        let buffer = std::mem::take(&mut self.buffer);
        self.output.write_all(&buffer)?;
        self.output.flush()?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn number(value: &u32, line: &mut Vec<u8>) {
        line.extend(value.to_string().bytes());
    }

    #[test]
    fn lines_are_written_when_flushed() {
        let output = Shared::default();
        let mut sink = Stdout::to(output.clone(), number);
        for value in [1, 2] {
            sink.write(Record::new(value)).unwrap();
        }
        assert!(output.0.borrow().is_empty());
        sink.flush().unwrap();
        sink.flush().unwrap();
        assert_eq!(*output.0.borrow(), b"1\n2\n");
    }

    #[test]
    fn a_full_buffer_is_written() {
        let output = Shared::default();
        let mut sink = Stdout::to(output.clone(), |_: &u32, line: &mut Vec<u8>| line.extend([b'x'; 1023]));
        (0..128).for_each(|n| sink.write(Record::new(n)).unwrap());
        assert_eq!(output.0.borrow().len(), 128 << 10);
    }

    #[test]
    fn a_closed_pipe_is_an_error() {
        let mut sink = Stdout::to(Closed, number);
        sink.write(Record::new(1)).unwrap();
        let error = sink.flush().unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::BrokenPipe);
    }
}
