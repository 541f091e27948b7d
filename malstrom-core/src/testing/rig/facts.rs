//! What the workers of a rig have reported, and so what it knows of them.

use indexmap::IndexMap;

use super::{Rig, RigError};
use crate::ids::{RouteVersion, SnapshotId};
use crate::snapshot::OperatorKind;
use crate::worker::messages::{Fact, Report, SnapshotPart};

/// What a worker has reported.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) partitions: Option<IndexMap<String, Vec<String>>>,
    pub(super) is_connected: bool,
    pub(super) is_restored: bool,
    pub(super) is_running: bool,
    pub(super) part: Option<SnapshotPart>,
    pub(super) settled: SnapshotId,
    pub(super) published: RouteVersion,
    pub(super) moved: RouteVersion,
    pub(super) exhausted: Option<RouteVersion>,
    pub(super) is_ended: bool,
}

impl Rig {
    pub(super) fn note(&mut self, Report { worker, fact, .. }: Report) -> Result<(), RigError> {
        let Some(facts) = self.facts.get_mut(worker.index()) else { return Ok(()) };
        match fact {
            Fact::Built(graph) => {
                let kinds = graph.operators.into_iter();
                let everywhere = kinds.filter(|(_, kind)| *kind == OperatorKind::BroadcastState);
                self.everywhere.extend(everywhere.map(|(name, _)| name));
            }
            Fact::Partitions(partitions) => facts.partitions = Some(partitions),
            Fact::Connected { .. } => facts.is_connected = true,
            Fact::Restored => facts.is_restored = true,
            Fact::RestoreFailed(failure) => return Err(RigError::Restore(failure)),
            Fact::Running => facts.is_running = true,
            Fact::SnapshotTaken(part) => facts.part = Some(*part),
            Fact::SnapshotFailed { reason, .. } => return Err(RigError::Snapshot(reason)),
            Fact::Settled { id } => facts.settled = id,
            Fact::Published { version } => facts.published = version,
            Fact::Moved { version, .. } => facts.moved = version,
            Fact::Exhausted { version } => facts.exhausted = Some(version),
            Fact::Ended => facts.is_ended = true,
        }
        Ok(())
    }
}
