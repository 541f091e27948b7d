//! The dataflow while it is built: its stages, its names, its edges.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use indexmap::IndexMap;

use super::Stream;
use crate::ids::EdgeId;
use crate::limits::BINS_MAX;
use crate::operators::Source;
use crate::snapshot::OperatorKind;
use crate::stage::{AnyStage, Outlet, Pipe, SourceInlet, Stage};
use crate::worker::messages::GraphDescription;

/// A dataflow under construction. Every stream begins with [`source`](Self::source).
#[derive(Clone)]
pub struct Job {
    graph: Rc<RefCell<Graph>>,
}

struct Graph {
    n_bins: u32,
    stages: Vec<Box<dyn AnyStage>>,
    n_edges: u32,
    names: IndexMap<String, (OperatorKind, &'static Location<'static>)>,
    /// Streams that nothing reads yet, by the order in which they were opened.
    open: IndexMap<u32, &'static Location<'static>>,
    n_opened: u32,
    duplicates: Vec<BuildError>,
}

/// Why a dataflow cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A name identifies state for ever and was used twice.
    #[error("the name `{name}` is used twice: at {first} and at {second}; give one of them another name")]
    DuplicateName {
        /// The name.
        name: String,
        /// Where it was used first.
        first: String,
        /// Where it was used again.
        second: String,
    },
    /// A stream goes nowhere.
    #[error(
        "the stream opened at {opened_at} is not used: end it with a sink, for instance `.sink(\"out\", Discard)`"
    )]
    Unused {
        /// Where it was opened.
        opened_at: String,
    },
    /// There is no stream at all.
    #[error("the job has no stream: begin with `job.source(..)` and end with `.sink(..)`")]
    Empty,
    /// The number of bins is impossible.
    #[error("{n_bins} bins: choose a power of two up to {BINS_MAX}")]
    Bins {
        /// The number.
        n_bins: u32,
    },
    /// A name is empty.
    #[error("the name given at {at} is empty; a name identifies state for ever")]
    EmptyName {
        /// Where.
        at: String,
    },
}

/// A dataflow that has been built, for one worker.
pub struct Dataflow {
    pub(crate) stages: Vec<Box<dyn AnyStage>>,
    pub(crate) description: GraphDescription,
}

impl Dataflow {
    /// Builds a dataflow for a job of `n_bins` bins, a power of two.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     job.source("numbers", from_iter(|| 0..10_u64)).sink("nowhere", Discard);
    /// })?;
    /// assert_eq!((dataflow.description().n_stages, dataflow.description().n_edges), (1, 0));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// If the number of bins is impossible, or the closure uses a name twice or leaves a stream unused.
    pub fn build(n_bins: u32, define: impl FnOnce(&Job)) -> Result<Self, BuildError> {
        if !n_bins.is_power_of_two() || n_bins > BINS_MAX {
            return Err(BuildError::Bins { n_bins });
        }
        let job = Job::new(n_bins);
        define(&job);
        job.finish()
    }

    /// What others must know of it.
    #[must_use]
    pub fn description(&self) -> &GraphDescription {
        &self.description
    }
}

impl fmt::Debug for Dataflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataflow").field("description", &self.description).finish_non_exhaustive()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graph = self.graph.borrow();
        f.debug_struct("Job").field("n_stages", &graph.stages.len()).field("names", &graph.names).finish()
    }
}

impl Job {
    fn new(n_bins: u32) -> Self {
        let graph = Graph {
            n_bins,
            stages: Vec::new(),
            n_edges: 0,
            names: IndexMap::new(),
            open: IndexMap::new(),
            n_opened: 0,
            duplicates: Vec::new(),
        };
        Self { graph: Rc::new(RefCell::new(graph)) }
    }

    /// Begins a stream at a source. The name identifies the source's positions in snapshots for ever.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     numbers.sink("nowhere", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["numbers", "nowhere"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn source<S: Source>(&self, name: &str, source: S) -> Stream<SourceInlet<S>> {
        self.register(name, OperatorKind::Source);
        self.open(SourceInlet::new(name, source))
    }

    /// Takes note of a name; one that was used before is told when the dataflow is complete.
    #[track_caller]
    pub(crate) fn register(&self, name: &str, kind: OperatorKind) {
        let here = Location::caller();
        let mut graph = self.graph.borrow_mut();
        if name.is_empty() {
            graph.duplicates.push(BuildError::EmptyName { at: here.to_string() });
        } else if let Some((_, first)) = graph.names.get(name) {
            let (first, second) = (first.to_string(), here.to_string());
            graph.duplicates.push(BuildError::DuplicateName { name: name.to_owned(), first, second });
        } else {
            graph.names.insert(name.to_owned(), (kind, here));
        }
    }

    /// Begins a stage.
    #[track_caller]
    pub(crate) fn open<P: Pipe>(&self, pipe: P) -> Stream<P> {
        self.open_at(pipe, Location::caller())
    }

    /// Begins a stage that the program opened elsewhere.
    pub(crate) fn open_at<P: Pipe>(&self, pipe: P, opened_at: &'static Location<'static>) -> Stream<P> {
        let mut graph = self.graph.borrow_mut();
        let id = graph.n_opened;
        graph.n_opened += 1;
        graph.open.insert(id, opened_at);
        drop(graph);
        Stream::new(self.clone(), pipe, id)
    }

    /// Ends a stage.
    pub(crate) fn close<P: Pipe>(&self, id: u32, pipe: P, outlet: impl Outlet<P::Item>) {
        let mut graph = self.graph.borrow_mut();
        let opened_at = graph.open.shift_remove(&id).expect("a stream is consumed by what ends it");
        graph.stages.push(Box::new(Stage::new(pipe, outlet, opened_at)));
    }

    pub(crate) fn next_edge(&self) -> EdgeId {
        let mut graph = self.graph.borrow_mut();
        graph.n_edges += 1;
        EdgeId(graph.n_edges - 1)
    }

    pub(crate) fn n_bins(&self) -> u32 {
        self.graph.borrow().n_bins
    }

    fn finish(self) -> Result<Dataflow, BuildError> {
        let mut graph = self.graph.borrow_mut();
        if !graph.duplicates.is_empty() {
            return Err(graph.duplicates.swap_remove(0));
        }
        if let Some((_, opened_at)) = graph.open.first() {
            return Err(BuildError::Unused { opened_at: opened_at.to_string() });
        }
        if graph.stages.is_empty() {
            return Err(BuildError::Empty);
        }
        let stages = std::mem::take(&mut graph.stages);
        let description = GraphDescription {
            operators: graph.names.iter().map(|(name, (kind, _))| (name.clone(), *kind)).collect(),
            n_stages: u32::try_from(stages.len()).unwrap_or(u32::MAX),
            n_edges: graph.n_edges,
        };
        Ok(Dataflow { stages, description })
    }
}

#[cfg(test)]
mod tests;
