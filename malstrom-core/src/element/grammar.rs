//! The grammar of a stream as something that checks itself: the pattern of [`element`](crate::element), rule by rule.

use super::{Barrier, Control, Timestamp};
use crate::ids::{RouteVersion, SnapshotId};

/// Reads what passes through one channel, in order, and says where it breaks the grammar.
///
/// ```
/// use malstrom_core::element::{Control, Grammar, Timestamp, Ungrammatical};
///
/// let mut channel = Grammar::default();
/// channel.record()?;
/// channel.control(Control::Watermark(Timestamp(7)))?;
/// let fell = channel.control(Control::Watermark(Timestamp(6)));
/// assert_eq!(fell, Err(Ungrammatical::WatermarkFell { from: Timestamp(7), to: Timestamp(6) }));
/// channel.control(Control::End)?;
/// assert!(channel.record().is_err());
/// # Ok::<(), Ungrammatical>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Grammar {
    watermark: Option<Timestamp>,
    snapshot: Option<SnapshotId>,
    route: Option<RouteVersion>,
    last: Option<Control>,
}

/// How a channel broke the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ungrammatical {
    /// A watermark is lower than the one before it.
    #[error("the watermark fell from {from} to {to}")]
    WatermarkFell {
        /// The one before.
        from: Timestamp,
        /// The lower one.
        to: Timestamp,
    },
    /// A barrier came twice, or behind a later one.
    #[error("{barrier:?} came behind a barrier that is not before it")]
    BarrierAgain {
        /// The barrier.
        barrier: Barrier,
    },
    /// Something followed the suspension or the end.
    #[error("something followed {last:?}, which is the last of a channel")]
    AfterTheLast {
        /// What should have been the last.
        last: Control,
    },
}

impl Grammar {
    /// A record passes, or a batch of them.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn record(&mut self) -> Result<(), Ungrammatical> {
        self.last.map_or(Ok(()), |last| Err(Ungrammatical::AfterTheLast { last }))
    }

    /// Control passes.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn control(&mut self, control: Control) -> Result<(), Ungrammatical> {
        self.record()?;
        match control {
            Control::Watermark(to) => match self.watermark.replace(to) {
                Some(from) if from > to => Err(Ungrammatical::WatermarkFell { from, to }),
                _ => Ok(()),
            },
            Control::Barrier(barrier) => {
                let grows = match barrier {
                    Barrier::Snapshot(id) => self.snapshot.replace(id) < Some(id),
                    Barrier::Route(version) => self.route.replace(version) < Some(version),
                };
                if matches!(barrier, Barrier::Route(_)) {
                    // Behind it every promise is made anew.
                    self.watermark = None;
                }
                if grows { Ok(()) } else { Err(Ungrammatical::BarrierAgain { barrier }) }
            }
            Control::Idle => Ok(()),
            Control::Suspend | Control::End => {
                self.last = Some(control);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: u64) -> Control {
        Control::Barrier(Barrier::Snapshot(SnapshotId(id)))
    }

    fn first_fault(controls: &[Control]) -> Option<usize> {
        let mut grammar = Grammar::default();
        controls.iter().position(|control| grammar.control(*control).is_err())
    }

    #[test]
    fn a_watermark_may_stand_still_but_not_fall() {
        let at = |time| Control::Watermark(Timestamp(time));
        assert_eq!(first_fault(&[at(1), at(1), Control::Idle, at(2)]), None);
        assert_eq!(first_fault(&[at(2), Control::Idle, at(1)]), Some(2));
    }

    #[test]
    fn behind_a_route_a_watermark_may_be_lower() {
        let at = |time| Control::Watermark(Timestamp(time));
        let route = Control::Barrier(Barrier::Route(RouteVersion(1)));
        assert_eq!(first_fault(&[at(2), route, at(1), at(0)]), Some(3));
        assert_eq!(first_fault(&[at(2), snapshot(1), at(1)]), Some(2));
    }

    #[test]
    fn a_barrier_comes_once_and_ids_only_grow() {
        let route = Control::Barrier(Barrier::Route(RouteVersion(1)));
        assert_eq!(first_fault(&[snapshot(2), route, snapshot(3)]), None);
        assert_eq!(first_fault(&[snapshot(2), snapshot(2)]), Some(1));
        assert_eq!(first_fault(&[snapshot(2), snapshot(1)]), Some(1));
        assert_eq!(first_fault(&[route, route]), Some(1));
    }

    #[test]
    fn nothing_follows_suspension_or_the_end() {
        assert_eq!(first_fault(&[snapshot(1), Control::Suspend, Control::End]), Some(2));
        assert_eq!(first_fault(&[Control::End, Control::Idle]), Some(1));
    }
}
