//! Whether a manifest agrees with itself. It is asked where one is written and where one is read.

use super::manifest::{BlockRef, Manifest, ObjectRef, OperatorKind};
use crate::ids::{Bin, SnapshotId, WorkerId};
use crate::limits::{BINS_MAX, BINS_MIN};

/// How a manifest contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The snapshot has the id that stands for "before the first".
    #[error("snapshot id 0 is never used")]
    SnapshotZero,
    /// The number of bins is not one a job can have.
    #[error("{n_bins} bins: the number must be a power of two from {BINS_MIN} to {BINS_MAX}")]
    Bins {
        /// The number of bins.
        n_bins: u32,
    },
    /// The route table has no workers.
    #[error("the route table has no workers")]
    NoWorkers,
    /// The route table is for another number of bins.
    #[error("the route table has {owners} entries for {n_bins} bins")]
    Routes {
        /// Entries of the route table.
        owners: usize,
        /// The number of bins.
        n_bins: u32,
    },
    /// A bin is owned by a worker that the job has not.
    #[error("{bin} is owned by {owner}, but there are {n_workers} workers")]
    Owner {
        /// The bin.
        bin: usize,
        /// Its owner.
        owner: WorkerId,
        /// How many workers there are.
        n_workers: u32,
    },
    /// State is recorded under a name that is not that of such an operator.
    #[error("there is state for `{name}`, which is not {} of the job", .kind.describe())]
    Stranger {
        /// The name.
        name: String,
        /// What would have such state.
        kind: OperatorKind,
    },
    /// The bins of an operator are not in ascending order.
    #[error("the state of `{name}` has {bin} out of order")]
    BinOrder {
        /// The operator.
        name: String,
        /// The bin.
        bin: Bin,
    },
    /// An operator has a bin that the job has not.
    #[error("the state of `{name}` has {bin}, but there are {n_bins} bins")]
    BinBeyond {
        /// The operator.
        name: String,
        /// The bin.
        bin: Bin,
        /// How many bins there are.
        n_bins: u32,
    },
    /// A block lies in an object that is not listed, or beyond the end of one that is.
    #[error(
        "{bin} of `{name}` lies at {} bytes from {} of object {}, where nothing is",
        .block.bytes, .block.offset, .block.object
    )]
    Block {
        /// The operator.
        name: String,
        /// The bin.
        bin: Bin,
        /// Where it is said to be.
        block: BlockRef,
    },
}

impl Manifest {
    /// Whether all parts agree: what else reads a manifest may index by what it says.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn validate(&self) -> Result<(), ManifestError> {
        if self.snapshot == SnapshotId::default() {
            return Err(ManifestError::SnapshotZero);
        }
        if !self.n_bins.is_power_of_two() || !(BINS_MIN..=BINS_MAX).contains(&self.n_bins) {
            return Err(ManifestError::Bins { n_bins: self.n_bins });
        }
        self.validate_routes()?;
        for (name, blocks) in &self.state {
            let is_everywhere = self.operators.get(name) == Some(&OperatorKind::BroadcastState);
            let kind = if is_everywhere { OperatorKind::BroadcastState } else { OperatorKind::KeyedState };
            self.validate_name(name, kind)?;
            self.validate_blocks(name, blocks)?;
        }
        self.sources.keys().try_for_each(|name| self.validate_name(name, OperatorKind::Source))?;
        self.sinks.keys().try_for_each(|name| self.validate_name(name, OperatorKind::TransactionalSink))
    }

    fn validate_routes(&self) -> Result<(), ManifestError> {
        let n_workers = self.routes.n_workers;
        if n_workers == 0 {
            return Err(ManifestError::NoWorkers);
        }
        if self.routes.owners.len() != self.n_bins as usize {
            return Err(ManifestError::Routes { owners: self.routes.owners.len(), n_bins: self.n_bins });
        }
        match self.routes.owners.iter().enumerate().find(|(_, owner)| owner.0 >= n_workers) {
            Some((bin, owner)) => Err(ManifestError::Owner { bin, owner: *owner, n_workers }),
            None => Ok(()),
        }
    }

    /// State under a name that the list of operators lacks would be dropped unseen when a job is restored.
    fn validate_name(&self, name: &str, kind: OperatorKind) -> Result<(), ManifestError> {
        if self.operators.get(name) == Some(&kind) {
            Ok(())
        } else {
            Err(ManifestError::Stranger { name: name.to_owned(), kind })
        }
    }

    fn validate_blocks(&self, name: &str, blocks: &[(Bin, BlockRef)]) -> Result<(), ManifestError> {
        let mut before = None;
        for &(bin, block) in blocks {
            let name = || name.to_owned();
            if u32::from(bin.0) >= self.n_bins {
                return Err(ManifestError::BinBeyond { name: name(), bin, n_bins: self.n_bins });
            }
            if before.is_some_and(|before| before >= bin) {
                return Err(ManifestError::BinOrder { name: name(), bin });
            }
            if !self.objects.get(block.object as usize).is_some_and(|object| contains(object, &block)) {
                return Err(ManifestError::Block { name: name(), bin, block });
            }
            before = Some(bin);
        }
        Ok(())
    }
}

fn contains(object: &ObjectRef, block: &BlockRef) -> bool {
    block.offset.checked_add(u64::from(block.bytes)).is_some_and(|end| end <= object.bytes)
}

#[cfg(test)]
mod tests {
    use super::super::testing::manifest;
    use super::*;

    fn refused(change: impl FnOnce(&mut Manifest)) -> ManifestError {
        let mut manifest = manifest("job", 1, 1);
        assert_eq!(manifest.validate(), Ok(()));
        change(&mut manifest);
        manifest.validate().unwrap_err()
    }

    #[test]
    fn a_number_of_bins_outside_the_limits_is_refused() {
        for n_bins in [0, 3, BINS_MAX * 2, u32::MAX] {
            assert_eq!(refused(|m| m.n_bins = n_bins), ManifestError::Bins { n_bins });
        }
    }

    #[test]
    fn a_route_table_that_does_not_fit_is_refused() {
        assert_eq!(refused(|m| m.routes.n_workers = 0), ManifestError::NoWorkers);
        assert!(matches!(refused(|m| m.routes.owners.clear()), ManifestError::Routes { owners: 0, .. }));
        let error = refused(|m| m.routes.owners[1] = WorkerId(2));
        assert_eq!(error, ManifestError::Owner { bin: 1, owner: WorkerId(2), n_workers: 2 });
    }

    #[test]
    fn a_block_that_is_not_inside_its_object_is_refused() {
        let with = |change: fn(&mut BlockRef)| refused(|m| change(&mut m.state[0][0].1));
        assert!(matches!(with(|block| block.object = 1), ManifestError::Block { .. }));
        assert!(matches!(with(|block| block.bytes = 101), ManifestError::Block { .. }));
        assert!(matches!(with(|block| block.offset = u64::MAX), ManifestError::Block { .. }));
    }

    #[test]
    fn bins_out_of_order_twice_or_beyond_the_last_are_refused() {
        let with = |bin| refused(|m| m.state[0][1].0 = Bin(bin));
        assert!(matches!(with(0), ManifestError::BinOrder { .. }));
        assert!(matches!(with(4), ManifestError::BinBeyond { n_bins: 4, .. }));
    }

    #[test]
    fn state_without_its_operator_is_refused() {
        for name in ["counts", "lines", "totals"] {
            let error = refused(|m| m.operators[name] = OperatorKind::Sink);
            assert!(matches!(error, ManifestError::Stranger { name: ref n, .. } if n == name));
        }
    }

    #[test]
    fn snapshot_zero_is_refused() {
        assert_eq!(refused(|m| m.snapshot = SnapshotId(0)), ManifestError::SnapshotZero);
    }
}
