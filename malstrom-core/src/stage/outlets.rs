//! Ways out of a stage to other stages of the same worker.

use super::{Outlet, StageError};
use crate::element::{Control, Either, Record};
use crate::exchange::{Lane, drain_all};
use crate::operators::Emit;

/// Everything goes to one stage.
pub(crate) struct Single<T>(pub(crate) Lane<T>);

impl<T: 'static> Emit<T> for Single<T> {
    #[inline]
    fn emit(&mut self, record: Record<T>) {
        self.0.push(record);
    }
}

impl<T: 'static> Outlet<T> for Single<T> {
    fn drain(&mut self) -> bool {
        self.0.drain()
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.0.flush();
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), StageError> {
        self.0.control(control);
        Ok(())
    }
}

/// Everything goes to several stages, each of which gets a clone.
pub(crate) struct FanOut<T>(pub(crate) Vec<Lane<T>>);

impl<T: Clone + 'static> Emit<T> for FanOut<T> {
    #[inline]
    fn emit(&mut self, record: Record<T>) {
        if let Some((last, others)) = self.0.split_last_mut() {
            others.iter_mut().for_each(|lane| lane.push(record.clone()));
            last.push(record);
        }
    }
}

impl<T: Clone + 'static> Outlet<T> for FanOut<T> {
    fn drain(&mut self) -> bool {
        drain_all(&mut self.0)
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.0.iter_mut().for_each(Lane::flush);
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), StageError> {
        self.0.iter_mut().for_each(|lane| lane.control(control));
        Ok(())
    }
}

/// The first of two goes to one stage, the second to another.
pub(crate) struct Fork<L, R> {
    pub(crate) left: Lane<L>,
    pub(crate) right: Lane<R>,
}

impl<L: 'static, R: 'static> Emit<Either<L, R>> for Fork<L, R> {
    #[inline]
    fn emit(&mut self, record: Record<Either<L, R>>) {
        let time = record.time;
        match record.value {
            Either::Left(value) => self.left.push(Record { time, value }),
            Either::Right(value) => self.right.push(Record { time, value }),
        }
    }
}

impl<L: 'static, R: 'static> Outlet<Either<L, R>> for Fork<L, R> {
    fn drain(&mut self) -> bool {
        let is_clear = self.left.drain();
        self.right.drain() && is_clear
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.left.flush();
        self.right.flush();
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), StageError> {
        self.left.control(control);
        self.right.control(control);
        Ok(())
    }
}

/// Each record goes to the stage that a closure names.
pub(crate) struct Split<T, F> {
    pub(crate) lanes: Vec<Lane<T>>,
    pub(crate) choose: F,
    /// The first choice that names no output.
    pub(crate) astray: Option<usize>,
}

impl<T: 'static, F: FnMut(&T) -> usize + 'static> Emit<T> for Split<T, F> {
    #[inline]
    fn emit(&mut self, record: Record<T>) {
        let choice = (self.choose)(&record.value);
        match self.lanes.get_mut(choice) {
            Some(lane) => lane.push(record),
            None => self.astray = self.astray.or(Some(choice)),
        }
    }
}

impl<T: 'static, F: FnMut(&T) -> usize + 'static> Outlet<T> for Split<T, F> {
    fn drain(&mut self) -> bool {
        drain_all(&mut self.lanes)
    }

    fn flush(&mut self) -> Result<(), StageError> {
        self.lanes.iter_mut().for_each(Lane::flush);
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), StageError> {
        self.lanes.iter_mut().for_each(|lane| lane.control(control));
        Ok(())
    }

    fn check(&mut self) -> Result<(), StageError> {
        match self.astray.take() {
            None => Ok(()),
            Some(choice) => Err(StageError {
                operator: "split".to_owned(),
                error: format!(
                    "the closure chose output {choice}, but there are only {}: return 0 to {}",
                    self.lanes.len(),
                    self.lanes.len().saturating_sub(1)
                )
                .into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
