//! All that is injected, asked and checked, by name: a long run in which one of them never came has a gap in it.

/// Every kind that is counted, but for requests during operations.
pub(super) const ALL: &[&str] = &[
    "answer: done",
    "answer: refused or failed",
    "check: run again from an older commit",
    "check: a worker lost so that new partitions are found",
    "coordinator: crash",
    "crash during a recovery",
    "coordinator: hears nothing of its store for a while",
    "coordinator: lost behind the effect of a call of its store",
    "coordinator: pause amid which a call of its store takes effect",
    "coordinator: pause before a call of its store takes effect",
    "coordinator: pause behind the effect of a call of its store",
    "coordinator: pause while a successor starts",
    "damage: an object of every commit",
    "damage: claim empty",
    "damage: claim missing",
    "damage: claim truncated",
    "damage: claim with a flipped bit",
    "damage: log entry empty",
    "damage: log entry missing",
    "damage: log entry truncated",
    "damage: log entry with a flipped bit",
    "damage: object empty",
    "damage: object exchanged for another",
    "damage: object missing",
    "damage: object truncated",
    "damage: object with a flipped bit",
    "event: damage found",
    "event: recovered",
    "event: rescaled",
    "event: snapshot committed",
    "event: snapshot given up",
    "message: command delivered again to a worker of that number",
    "message: report delivered again to every coordinator",
    "message: report of a stopped worker delivered late",
    "network: cut both ways",
    "network: cut one way",
    "network: damaged frame dropped",
    "network: frame damaged",
    "network: frame delivered to another coordinator's job as well",
    "network: frame duplicated",
    "network: frame lost",
    "network: frame lost to a cut",
    "recovery: a step took too long",
    "recovery: other",
    "recovery: something else took too long",
    "request: cancel",
    "request: flood",
    "request: rescale",
    "request: rescale to 1",
    "request: rescale to the most",
    "request: rescale to the same",
    "request: savepoint",
    "request: savepoint without a name",
    "request: snapshot",
    "request: suspend",
    "service: request refused",
    "service: slow answer",
    "session: lost",
    "session: payload sent again",
    "source: batches of one record",
    "source: partition found while the job ran",
    "store: duplicate put",
    "store: effect after the reply",
    "store: failed before the effect",
    "store: full disk",
    "store: reply lost",
    "store: slow past the deadline",
    "store: slow reply",
    "store: the disk is full for a while",
    "time: a watermark at its maximum",
    "time: event time jumps",
    "time: jump",
    "user code: error",
    "user code: panic",
    "worker: crash",
    "worker: given up while cut off, and works on for a while",
    "worker: lost at a call of the coordinator's store",
    "worker: never comes up",
    "worker: slow",
];

macro_rules! during {
    ($($ask:literal)*) => {
        /// Every request during every operation.
        pub(super) const DURING: &[&[(&str, &str, &str)]] = &[$(during!(@ $ask
            "nothing" "build" "rescale" "snapshot" "savepoint" "suspend" "finish" "recover"
        )),*];
    };
    (@ $ask:literal $($operation:literal)*) => {
        &[$(($ask, $operation, concat!("asked: ", $ask, " during ", $operation))),*]
    };
}

during!("rescale" "snapshot" "savepoint" "suspend" "cancel");

/// The kind of a request during an operation.
pub(super) fn during(ask: &str, operation: Option<&str>) -> Option<&'static str> {
    let operation = operation.unwrap_or("nothing");
    let is_it = |(of, within, _): &&(&str, &str, &'static str)| *of == ask && *within == operation;
    DURING.iter().copied().flatten().find(is_it).map(|(.., kind)| *kind)
}

/// Whether a kind is in one of the lists.
pub(super) fn is_known(kind: &str) -> bool {
    ALL.contains(&kind) || DURING.iter().copied().flatten().any(|(.., known)| *known == kind)
}
