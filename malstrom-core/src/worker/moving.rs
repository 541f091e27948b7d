//! A step of a rescale, as one worker takes part in it.
//!
//! # Steps
//! 1. The step is published: every worker knows what will move before anything does.
//! 2. The sources put the barrier of the new route version into the stream.
//! 3. Each stage, once it has the barrier on all inputs, forwards it and routes what follows by the new table. A source
//!    gives away the partitions that leave; an inbox keeps aside records for bins that come, until they are here.
//! 4. Bins that leave are sent in slices between batches: encoded, or as they are to a worker that shares memory.
//! 5. When every stage was at the cut, all that leaves has left and all that comes has come, the worker says so.
//!
//! # Guarantees
//! I3 (everything before the barrier is handled everywhere before anything behind it, so the order per key and source
//! partition survives the move), I5 (the old owner has let go before the new one begins) and I6 (behind the barrier every
//! stage promises anew, and a source that waits for a partition promises nothing: see decision 6).

use std::collections::{BTreeSet, VecDeque};

use super::messages::{Cargo, Fact, Mail, MoveStep};
use super::{Barrier, RouteVersion, Worker, WorkerError, WorkerId, stage_id};
use crate::codec::CodecError;
use crate::ids::{Bin, SnapshotId};
use crate::limits::ENCODE_BYTES_PER_BIN;
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::stage::{OpenError, StageError, bins_to};
use crate::state::{AnyState, MovedBin};

/// A step under way.
pub(super) struct Moving {
    step: MoveStep,
    at_cut: Vec<bool>,
    /// Bins at the cut that are still to be sent: stage, bin, new owner.
    leaving: VecDeque<(usize, Bin, WorkerId)>,
    /// Partitions that are still to come: source, partition.
    coming: BTreeSet<(String, String)>,
    /// Partitions that came before their source was at the cut.
    early: Vec<(String, String, Vec<u8>)>,
    bytes: u64,
    weight: u64,
}

impl Moving {
    pub(super) fn is_cut(&self, stage: usize, version: RouteVersion) -> bool {
        self.step.version != version || self.at_cut[stage]
    }
}

impl Worker {
    pub(super) fn publish(&mut self, step: MoveStep) {
        let coming = step.partitions.iter().filter(|partition| partition.to == self.me);
        let coming =
            coming.map(|partition| (partition.source.clone(), partition.partition.clone())).collect();
        self.moving = Some(Moving {
            at_cut: vec![false; self.stages.len()],
            step,
            leaving: VecDeque::new(),
            coming,
            early: Vec::new(),
            bytes: 0,
            weight: 0,
        });
    }

    pub(super) fn cut_for_route(&mut self, stage: usize, version: RouteVersion) -> Result<(), WorkerError> {
        if !mutant::is(Mutant::BarrierOvertakes) {
            self.stages[stage].flush()?;
        }
        self.stages[stage].forward(Barrier::Route(version))?;
        let me = self.me;
        let Some(mut moving) = self.moving.take().filter(|moving| moving.step.version == version) else {
            return Err(WorkerError::Protocol(format!(
                "a barrier of {version} came before the step was published"
            )));
        };
        moving.at_cut[stage] = true;
        let built = &mut self.stages[stage];
        built.move_bins(&moving.step.bins);
        if let Some(arrivals) = built.inlet().arrivals() {
            arrivals.expect(&bins_to(&moving.step.bins, me));
            let leaving = moving.step.bins.iter().filter(|step| step.from == me);
            // Event time goes on here, but what these bins have due belongs to the new owner, behind records kept aside.
            for step in leaving.clone() {
                built.visit(&mut |state: &mut dyn AnyState| state.leave(step.bin));
            }
            moving.leaving.extend(leaving.map(|step| (stage, step.bin, step.to)));
        }
        let mut sent = Vec::new();
        if let Some(source) = built.inlet().source() {
            let name = source.name().to_owned();
            for step in moving.step.partitions.iter().filter(|step| step.source == name && step.from == me) {
                let position = source.close(&step.partition)?.ok_or_else(|| {
                    WorkerError::Protocol(format!(
                        "partition `{}` of `{name}` is to leave but is not here",
                        step.partition
                    ))
                })?;
                mark::hit(Mark::PartitionMoved);
                if mutant::is(Mutant::PartitionKept) {
                    source.open(&step.partition, Some(&position)).map_err(opened)?;
                }
                let cargo =
                    Cargo::Partition { source: name.clone(), partition: step.partition.clone(), position };
                sent.push((step.to, cargo));
            }
            let expected = moving.step.partitions.iter().filter(|step| step.source == name && step.to == me);
            expected.for_each(|step| source.expect(&step.partition));
            let (here, elsewhere) =
                std::mem::take(&mut moving.early).into_iter().partition(|early| early.0 == name);
            moving.early = elsewhere;
            for (_, partition, position) in Vec::<(String, String, Vec<u8>)>::from_iter(here) {
                source.open(&partition, Some(&position)).map_err(opened)?;
                moving.coming.remove(&(name.clone(), partition));
            }
        }
        for (to, cargo) in sent {
            self.mail(to, version, cargo);
        }
        self.moving = Some(moving);
        self.inform(stage, version)
    }

    /// Sends the states that every worker has, and the merged watermark, to those who came since, as they are at the cut.
    fn inform(&mut self, stage: usize, version: RouteVersion) -> Result<(), WorkerError> {
        if self.me != WorkerId(0) || self.n_informed >= self.n_workers {
            return Ok(());
        }
        let (mut states, mut failed) = (Vec::new(), None);
        self.stages[stage].visit(&mut |state: &mut dyn AnyState| match state.copy() {
            Some(Ok(bytes)) => states.push(bytes),
            Some(Err(error)) => {
                failed = Some(WorkerError::State { operator: state.name().to_owned(), error })
            }
            None => {}
        });
        failed.map_or(Ok(()), Err)?;
        let merged = self.stages[stage].inlet().arrivals().map(|arrivals| arrivals.merged());
        if !states.is_empty() {
            mark::hit(Mark::NewcomerInformed);
        } else if merged.is_none() {
            return Ok(());
        }
        for to in (self.n_informed..self.n_workers).map(WorkerId) {
            let cargo = Cargo::Copies { stage: stage_id(stage), merged, states: states.clone() };
            self.mail(to, version, cargo);
        }
        Ok(())
    }

    pub(super) fn mail_arrived(&mut self, mail: Mail) -> Result<(), WorkerError> {
        match mail.cargo {
            Cargo::Bin { stage, bin, states } => {
                let stage = self.stages.get_mut(stage.0 as usize).ok_or_else(|| {
                    WorkerError::Protocol(format!("mail for {stage}, which does not exist"))
                })?;
                let mut states = states.into_iter();
                let mut failed = None;
                stage.visit(&mut |state: &mut dyn AnyState| {
                    let (changed_at, moved) = states.next().unwrap_or((SnapshotId(0), MovedBin::Empty));
                    let put = match moved {
                        MovedBin::Empty => state.put(bin, changed_at, &[]),
                        MovedBin::Bytes(bytes) => state.put(bin, changed_at, &bytes),
                        MovedBin::Table(table) => {
                            mark::hit(Mark::BinHandedOver);
                            state.put_table(bin, changed_at, table)
                        }
                    };
                    if let Err(error) = put {
                        failed = Some(WorkerError::State { operator: state.name().to_owned(), error });
                    }
                });
                if let Some(arrivals) = stage.inlet().arrivals() {
                    arrivals.arrived(bin);
                }
                failed.map_or(Ok(()), Err)
            }
            Cargo::Copies { stage, merged, states } => {
                let stage = self.stages.get_mut(stage.0 as usize).ok_or_else(|| {
                    WorkerError::Protocol(format!("mail for {stage}, which does not exist"))
                })?;
                let (mut states, mut failed) = (states.into_iter(), None);
                stage.visit(&mut |state: &mut dyn AnyState| {
                    if state.copy().is_some()
                        && let Some(bytes) = states.next()
                        && let Err(error) = state.put_copy(&bytes)
                    {
                        failed = Some(WorkerError::State { operator: state.name().to_owned(), error });
                    }
                });
                if let (Some(arrivals), Some(merged)) = (stage.inlet().arrivals(), merged) {
                    arrivals.catch_up(merged);
                }
                failed.map_or(Ok(()), Err)
            }
            Cargo::Partition { source, partition, position } => {
                self.partition_arrived(mail.version, source, partition, position)
            }
        }
    }

    fn partition_arrived(
        &mut self,
        version: RouteVersion,
        name: String,
        partition: String,
        position: Vec<u8>,
    ) -> Result<(), WorkerError> {
        let Some(moving) = self.moving.as_mut().filter(|moving| moving.step.version == version) else {
            return Err(WorkerError::Protocol(format!("partition `{partition}` came in no step")));
        };
        for (stage, at_cut) in self.stages.iter_mut().zip(&moving.at_cut) {
            let Some(source) = stage.inlet().source().filter(|source| source.name() == name) else {
                continue;
            };
            if *at_cut {
                let position = (!mutant::is(Mutant::PositionReset)).then_some(&position[..]);
                source.open(&partition, position).map_err(opened)?;
                moving.coming.remove(&(name, partition));
            } else {
                mark::hit(Mark::PartitionEarly);
                moving.early.push((name, partition, position));
            }
            return Ok(());
        }
        Err(WorkerError::Protocol(format!("partition `{partition}` came for the unknown source `{name}`")))
    }

    /// Sends a slice; whether there was anything to do.
    pub(super) fn go_on_moving(&mut self) -> Result<bool, WorkerError> {
        let Some(mut moving) = self.moving.take() else { return Ok(false) };
        let version = moving.step.version;
        let mut sent = 0;
        let sent_max = self.port.slice_bytes();
        while sent < sent_max {
            let Some((stage, bin, to)) = moving.leaving.pop_front() else { break };
            // These two put back what a table that is handed over cannot have.
            let is_as_it_is = self.port.shares_memory_with(to)
                && !mutant::is(Mutant::MovedBinKept)
                && !mutant::is(Mutant::MovedAsAtCut);
            let mut states = Vec::new();
            let mut failed = None;
            self.stages[stage].visit(&mut |state: &mut dyn AnyState| match take(state, bin, is_as_it_is) {
                Ok(taken) => states.push(taken),
                Err(error) => failed = Some(WorkerError::State { operator: state.name().to_owned(), error }),
            });
            failed.map_or(Ok(()), Err)?;
            let bytes: usize = states.iter().map(|(_, moved)| moved.bytes()).sum();
            moving.bytes += bytes as u64;
            sent += ENCODE_BYTES_PER_BIN + states.iter().map(|(_, moved)| moved.weight()).sum::<usize>();
            self.mail(to, version, Cargo::Bin { stage: stage_id(stage), bin, states });
        }
        moving.weight += sent as u64;
        let mut n_missing = 0;
        for stage in &mut self.stages {
            n_missing += stage.inlet().arrivals().map_or(0, |arrivals| arrivals.n_missing());
        }
        let is_at_cut = moving.at_cut.iter().all(|at_cut| *at_cut);
        if is_at_cut && moving.leaving.is_empty() && moving.coming.is_empty() && n_missing == 0
            || is_at_cut && mutant::is(Mutant::MovedEarly) && moving.leaving.is_empty()
        {
            self.routes = version;
            self.n_informed = self.n_workers;
            self.report(Fact::Moved { version, bytes: moving.bytes, weight: moving.weight });
        } else {
            self.moving = Some(moving);
        }
        Ok(sent > 0)
    }
}

/// Takes a bin out: as it is, or in its encoded form.
fn take(state: &mut dyn AnyState, bin: Bin, is_as_it_is: bool) -> Result<(SnapshotId, MovedBin), CodecError> {
    if is_as_it_is {
        let (changed_at, table) = state.take_table(bin);
        return Ok((changed_at, table.map_or(MovedBin::Empty, MovedBin::Table)));
    }
    let (changed_at, encoded) = state.take(bin)?;
    Ok((changed_at, if encoded.keys > 0 { MovedBin::Bytes(encoded.bytes) } else { MovedBin::Empty }))
}

fn opened(error: OpenError) -> WorkerError {
    match error {
        OpenError::Failed(error) => WorkerError::Stage(error),
        OpenError::Position { .. } => {
            WorkerError::Stage(StageError { operator: "source".to_owned(), error: error.to_string().into() })
        }
    }
}
