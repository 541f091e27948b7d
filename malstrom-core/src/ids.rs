//! The numbers things are known by. Each is a type of its own, so that a generation cannot be passed where a
//! snapshot id is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl $name {
            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

number! {
    /// One life of a job: it grows by one each time a coordinator claims the job or recovers it.
    Generation(u64), "g"
}
number! {
    /// The number of a snapshot. Ids only grow, over the whole life of a job. 0 is never used for a snapshot: it
    /// stands for "before the first".
    SnapshotId(u64), "s"
}
number! {
    /// The version of the route table. Versions only grow within a generation.
    RouteVersion(u64), "v"
}
number! {
    /// One worker of a job. A job of `n` workers has the workers 0 to `n - 1`.
    WorkerId(u32), "w"
}
number! {
    /// A stage of the dataflow, in the order in which the builder closed them; the same on every worker.
    StageId(u32), "stage "
}
number! {
    /// A connection between two stages, in the order in which the builder opened them; the same on every worker.
    EdgeId(u32), "edge "
}
number! {
    /// A slice of the key space: the unit of routing, of state, of snapshots and of migration.
    Bin(u16), "b"
}

impl Bin {
    /// Where this bin stands in a table with one entry a bin.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl WorkerId {
    /// Where this worker stands in a table with one entry a worker.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
