//! One worker: a thread's worth of stages, driven in steps that never block.
//!
//! A step takes what has arrived, gives every stage one turn, sinks first, and then does a slice of whatever goes on
//! behind the stream's back: encoding frozen bins, sending moving ones, reading state back. The caller decides when
//! the next step comes; [`Activity`] tells what the worker waits for.

pub mod messages;
mod moving;
mod restoring;
mod snapshotting;

use messages::{Command, Fact, Mail, Order, Report, ToWorker};
use moving::Moving;
use restoring::Restoring;
use snapshotting::{Blocks, Snapshotting, ready_block_lists, ready_buffers};

use crate::element::{Barrier, Control};
use crate::ids::{Generation, RouteVersion, SnapshotId, StageId, WorkerId};
use crate::mark::{self, Mark};
use crate::mutant::{self, Mutant};
use crate::operators::SinkContext;
use crate::ports::{Nanos, StoreError, WorkerPort};
use crate::snapshot::{After, OperatorKind};
use crate::stage::{AnyStage, PullContext, StageError, Turn, earliest};
use crate::state::AnyState;
use crate::stream::Dataflow;

/// One worker of a job.
pub struct Worker {
    me: WorkerId,
    generation: Generation,
    phase: Phase,
    stages: Vec<Box<dyn AnyStage>>,
    port: Box<dyn WorkerPort>,
    n_workers: u32,
    /// Workers that have their copies of broadcast states, or have been sent them: those below this number.
    n_informed: u32,
    /// The largest object of the last snapshot, in bytes.
    object_bytes: usize,
    /// What objects lay in that are stored, to be filled again: fresh memory is cleared by the kernel first, which takes as
    /// long as encoding does.
    buffers: Vec<Vec<u8>>,
    /// What the blocks of the first snapshot are listed in.
    block_lists: Vec<Blocks>,
    routes: RouteVersion,
    restoring: Option<Restoring>,
    snapshotting: Option<Snapshotting>,
    moving: Option<Moving>,
    /// The route version under which all sources were last reported to have ended.
    exhausted_at: Option<RouteVersion>,
    is_ended: bool,
    /// When the last step that gave turns to stages began.
    now: Nanos,
    /// The stage that had the last turn, for whoever asks where a panic came from.
    current: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Building,
    Running,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// There may be more to do at once.
    Busy,
    /// There is nothing to do until something arrives, or until this time.
    Idle(Option<Nanos>),
}

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// A source, an operator or a sink failed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// State could not be encoded or decoded while the job ran.
    #[error("state of `{operator}`: {error}")]
    State {
        /// The operator.
        operator: String,
        /// What is wrong.
        error: crate::codec::CodecError,
    },
    /// Stored state could not be read for now.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The coordinator asked for what cannot be. This is a fault of the engine.
    #[error("{0}; this is a fault of the engine: please report it")]
    Protocol(String),
}

impl Worker {
    /// A worker that stands and waits for orders. It reports that it is built.
    #[must_use]
    pub fn new(
        me: WorkerId,
        generation: Generation,
        mut dataflow: Dataflow,
        mut port: Box<dyn WorkerPort>,
    ) -> Self {
        let buffers = ready_buffers(port.object_bytes_min());
        let block_lists = ready_block_lists(&mut dataflow.stages);
        port.report(Report { generation, worker: me, fact: Fact::Built(dataflow.description) });
        Self {
            me,
            generation,
            phase: Phase::Building,
            stages: dataflow.stages,
            port,
            n_workers: 0,
            n_informed: 0,
            object_bytes: 0,
            buffers,
            block_lists,
            routes: RouteVersion(0),
            restoring: None,
            snapshotting: None,
            moving: None,
            exhausted_at: None,
            is_ended: false,
            now: Nanos(0),
            current: 0,
        }
    }

    /// Does what there is to do now, within bounds.
    ///
    /// # Errors
    /// What makes it impossible to go on: the worker is then lost, and the job recovers.
    pub fn step(&mut self) -> Result<Activity, WorkerError> {
        let mut is_busy = false;
        while let Some(message) = self.port.receive() {
            self.receive(message)?;
            is_busy = true;
        }
        is_busy |= self.go_on_restoring()?;
        let mut wake_at = None;
        if self.phase == Phase::Running {
            self.now = self.port.now();
            let cx = PullContext::at(self.now);
            for stage in (0..self.stages.len()).rev() {
                self.current = stage;
                match self.stages[stage].turn(&cx)? {
                    Turn::Busy => is_busy = true,
                    Turn::Blocked => mark::hit(Mark::OutletBlocked),
                    Turn::Quiet(until) => wake_at = earliest(wake_at, until),
                    Turn::Cut(barrier) => {
                        self.at_cut(stage, barrier)?;
                        is_busy = true;
                    }
                }
            }
            is_busy |= self.go_on_moving()?;
            is_busy |= self.go_on_snapshotting()?;
            self.report_exhausted();
            self.report_ended();
        }
        Ok(if is_busy { Activity::Busy } else { Activity::Idle(wake_at) })
    }

    /// When the last step began in which the dataflow ran, on the port's clock; 0 before there was one.
    #[must_use]
    pub const fn stepped_at(&self) -> Nanos {
        self.now
    }

    /// Records written to sinks since this was last asked.
    pub fn take_n_written(&mut self) -> u64 {
        self.stages.iter_mut().filter_map(|stage| stage.sink()).map(|sink| sink.take_n_written()).sum()
    }

    /// The keys held in each keyed state of this worker, by name.
    pub fn n_keys(&mut self) -> Vec<(String, u64)> {
        let mut keys = Vec::new();
        for stage in &mut self.stages {
            stage.visit(&mut |state: &mut dyn AnyState| keys.push((state.name().to_owned(), state.n_keys())));
        }
        keys
    }

    /// Records that came too late to count, in each keyed state of this worker where there were any, by name.
    pub fn n_late(&mut self) -> Vec<(String, u64)> {
        let mut late = Vec::new();
        for stage in &mut self.stages {
            stage.visit(&mut |state: &mut dyn AnyState| {
                if state.n_late() > 0 {
                    late.push((state.name().to_owned(), state.n_late()));
                }
            });
        }
        late
    }

    /// Where in the program the stage was opened that had the last turn.
    #[must_use]
    pub fn last_turn_at(&self) -> String {
        self.stages.get(self.current).map(|stage| stage.opened_at().to_string()).unwrap_or_default()
    }

    fn receive(&mut self, message: ToWorker) -> Result<(), WorkerError> {
        match message {
            ToWorker::Command(Command { generation, order })
                if generation == self.generation || mutant::is(Mutant::GenerationIgnored) =>
            {
                self.obey(order)
            }
            ToWorker::Mail(mail) if mail.generation == self.generation => self.mail_arrived(mail),
            // What belongs to another generation is nothing to this one.
            ToWorker::Command(_) | ToWorker::Mail(_) => {
                mark::hit(Mark::StaleCommand);
                Ok(())
            }
            ToWorker::Stored { path, result, buffer } => {
                self.stored(&path, result, buffer);
                Ok(())
            }
            ToWorker::Read { path, offset, result } => self.read_arrived(&path, offset, result),
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), WorkerError> {
        match order {
            Order::Discover => self.discover(),
            Order::Connect { epoch, n_workers } => {
                self.n_workers = n_workers;
                self.n_informed = self.n_informed.min(n_workers);
                for stage in &mut self.stages {
                    stage.connect(n_workers, &mut *self.port);
                }
                self.report(Fact::Connected { epoch });
                Ok(())
            }
            Order::Restore(order) => self.begin_restoring(*order),
            Order::Run => {
                self.phase = Phase::Running;
                self.report(Fact::Running);
                Ok(())
            }
            Order::Snapshot { id, base, after } => self.begin_snapshot(id, base, after),
            Order::Committed { id } => self.committed(id),
            Order::Publish(step) => {
                let version = step.version;
                if mutant::is(Mutant::RoutedEarly) {
                    self.stages.iter_mut().for_each(|stage| stage.move_bins(&step.bins));
                }
                self.publish(*step);
                self.report(Fact::Published { version });
                Ok(())
            }
            Order::Switch { version } => {
                self.inject(&[Control::Barrier(Barrier::Route(version))]);
                Ok(())
            }
            Order::Finish => {
                self.inject(&[Control::End]);
                Ok(())
            }
        }
    }

    fn discover(&mut self) -> Result<(), WorkerError> {
        let mut partitions = indexmap::IndexMap::new();
        for stage in &mut self.stages {
            if let Some(source) = stage.inlet().source() {
                partitions.insert(source.name().to_owned(), source.partitions()?);
            }
        }
        self.report(Fact::Partitions(partitions));
        Ok(())
    }

    fn at_cut(&mut self, stage: usize, barrier: Barrier) -> Result<(), WorkerError> {
        if self.is_cut_already(stage, barrier) {
            return Ok(());
        }
        match barrier {
            Barrier::Snapshot(id) => self.cut_for_snapshot(stage, id)?,
            Barrier::Route(version) => self.cut_for_route(stage, version)?,
        }
        Ok(())
    }

    /// A barrier comes to a stage once, but for a mutant that does not align.
    fn is_cut_already(&self, stage: usize, barrier: Barrier) -> bool {
        match barrier {
            Barrier::Snapshot(id) if mutant::is(Mutant::SnapshotUnaligned) => {
                self.snapshotting.as_ref().is_none_or(|task| task.is_cut(stage, id))
            }
            Barrier::Route(version) if mutant::is(Mutant::RouteUnaligned) => {
                self.moving.as_ref().is_none_or(|moving| moving.is_cut(stage, version))
            }
            _ => false,
        }
    }

    fn inject(&mut self, controls: &[Control]) {
        for stage in &mut self.stages {
            if let Some(source) = stage.inlet().source() {
                controls.iter().for_each(|control| source.inject(*control));
            }
        }
    }

    fn committed(&mut self, id: SnapshotId) -> Result<(), WorkerError> {
        for stage in &mut self.stages {
            if let Some(source) = stage.inlet().source() {
                source.committed(id);
            }
            if let Some(sink) = stage.sink() {
                sink.commit(id)?;
            }
        }
        self.report(Fact::Settled { id });
        Ok(())
    }

    fn open_sinks(&mut self) -> Result<(), StageError> {
        for stage in &mut self.stages {
            if let Some(sink) = stage.sink() {
                let name = sink.name().to_owned();
                sink.open(&SinkContext { name, worker: self.me, generation: self.generation })?;
            }
        }
        Ok(())
    }

    /// Tells once per route version that all sources have ended here. A step under way may bring partitions.
    fn report_exhausted(&mut self) {
        if self.exhausted_at == Some(self.routes) {
            return;
        }
        let is_exhausted =
            |stage: &mut Box<dyn AnyStage>| stage.inlet().source().is_none_or(|source| source.is_exhausted());
        if self.stages.iter_mut().all(is_exhausted) {
            if self.moving.is_some() {
                mark::hit(Mark::ExhaustedHeld);
                return;
            }
            self.exhausted_at = Some(self.routes);
            self.report(Fact::Exhausted { version: self.routes });
        }
    }

    fn report_ended(&mut self) {
        if !self.is_ended && self.stages.iter().all(|stage| stage.is_done()) {
            self.is_ended = true;
            self.report(Fact::Ended);
        }
    }

    fn report(&mut self, fact: Fact) {
        self.port.report(Report { generation: self.generation, worker: self.me, fact });
    }

    fn mail(&mut self, to: WorkerId, version: RouteVersion, cargo: messages::Cargo) {
        self.port.mail(to, Mail { generation: self.generation, version, cargo });
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("me", &self.me)
            .field("generation", &self.generation)
            .field("phase", &self.phase)
            .field("routes", &self.routes)
            .field("n_stages", &self.stages.len())
            .finish_non_exhaustive()
    }
}

fn stage_id(stage: usize) -> StageId {
    StageId(u32::try_from(stage).expect("a dataflow has fewer than 2^32 stages"))
}
