//! Plans that were written down: what a seed drew when it showed a fault, made as small as it went. A plan stays what it
//! is when the drawing changes; the seeds beside it decide the delays.

use std::io;
use std::path::Path;

use malstrom_core::testing::{Plan, Simulation};
use serde::{Deserialize, Serialize};

use crate::shapes;

/// A plan, and how to run it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// What it showed when it failed.
    pub(crate) what: String,
    /// The name of the job's shape.
    pub(crate) shape: String,
    /// The seeds to run it under.
    pub(crate) seeds: Vec<u64>,
    /// What happens.
    pub(crate) plan: Plan,
}

impl Stored {
    /// Reads one from a file.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
    }

    /// Writes it into a file.
    pub(crate) fn write(&self, path: &str) -> io::Result<()> {
        if let Some(folder) = Path::new(path).parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")
    }

    /// The run under one of its seeds; `None` if there is no such shape.
    pub(crate) fn simulation(&self, seed: u64) -> Option<Simulation> {
        let (_, define) = shapes::SHAPES.iter().find(|(name, _)| *name == self.shape)?;
        Some(Simulation::new(seed, define).with_plan(self.plan.clone()))
    }
}
