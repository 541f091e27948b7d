//! Streams that every worker sees whole.

use super::{KeyedStream, Stream};
use crate::element::Keyed;
use crate::exchange::{Data, Everywhere, EverywhereInbox};
use crate::snapshot::OperatorKind;
use crate::stage::{Beside, Informed, Pipe};
use crate::state::StateKey;

impl<P: Pipe> Stream<P> {
    /// Turns each value into another with the help of a state that every worker has: `update` adds each value of `rules`
    /// to it, on every worker, and `apply` looks at it. For rules, prices, lists of what is blocked: whatever is small,
    /// changes while the job runs, and is needed everywhere.
    ///
    /// The state is part of snapshots, once, and every worker begins with it, at whatever scale. It is encoded as a whole
    /// whenever it has changed, so keep it small. When a rule takes effect beside the values is not defined; of two rules
    /// of one partition of their source, the later comes later everywhere. Rules of different partitions come to workers
    /// in any order, and what they come to must not depend on that.
    ///
    /// Event time behind it is that of both streams; rules without it hold it up until their source is
    /// idle: a minute, so give it [`idle_after(Duration::ZERO)`](super::Stream::idle_after).
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let blocked = job.source("blocked", from_iter(|| [3_u64, 7]));
    ///     let numbers = job.source("numbers", from_iter(|| 0..10_u64));
    ///     let passed = numbers.map_with_broadcast(
    ///         "not blocked",
    ///         blocked,
    ///         |blocked: &mut BTreeSet<u64>, n| { blocked.insert(n); },
    ///         |blocked, n| (!blocked.contains(&n)).then_some(n),
    ///     );
    ///     passed.filter_map(|n| n).sink("passed", Discard);
    /// })?;
    /// assert!(dataflow.description().operators.keys().eq(["blocked", "numbers", "not blocked", "passed"]));
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn map_with_broadcast<Q, S, W, U, A>(
        self,
        name: &str,
        rules: Stream<Q>,
        update: U,
        apply: A,
    ) -> Stream<impl Pipe<Item = W>>
    where
        Q: Pipe<Item: Data + Clone>,
        S: Data + Default,
        W: 'static,
        U: FnMut(&mut S, Q::Item) + 'static,
        A: FnMut(&S, P::Item) -> W + 'static,
    {
        let job = self.job().clone();
        job.register(name, OperatorKind::BroadcastState);
        let edge = job.next_edge();
        rules.close(Everywhere::new(edge));
        let rules = job.open(EverywhereInbox::<Q::Item>::new(edge)).map(Beside::Rule);
        let both = self.map(Beside::Record).union(rules);
        both.through(|pipe| Informed::new(name, pipe, update, apply))
    }
}

impl<K: StateKey, V: 'static, P: Pipe<Item = Keyed<K, V>>> KeyedStream<P> {
    /// Turns each pair of key and value into something else with the help of a state that every worker has. See
    /// [`Stream::map_with_broadcast`]. What comes out has no key: state by key behind it needs a
    /// [`key_by`](Stream::key_by) of its own.
    ///
    /// ```
    /// use malstrom_core::operators::{Discard, from_iter};
    /// use malstrom_core::stream::Dataflow;
    ///
    /// let dataflow = Dataflow::build(4, |job| {
    ///     let factors = job.source("factors", from_iter(|| [3_u64, 7]));
    ///     let keyed = job.source("numbers", from_iter(|| 0..10_u64)).key_by(|n| n % 3);
    ///     let last = |last: &mut u64, n| *last = n;
    ///     keyed.map_with_broadcast("times", factors, last, |last, key, n| (key, n * last)).sink("out", Discard);
    /// })?;
    /// # Ok::<(), malstrom_core::stream::BuildError>(())
    /// ```
    #[track_caller]
    pub fn map_with_broadcast<Q, S, W, U, A>(
        self,
        name: &str,
        rules: Stream<Q>,
        update: U,
        mut apply: A,
    ) -> Stream<impl Pipe<Item = W>>
    where
        Q: Pipe<Item: Data + Clone>,
        S: Data + Default,
        W: 'static,
        U: FnMut(&mut S, Q::Item) + 'static,
        A: FnMut(&S, K, V) -> W + 'static,
    {
        let apply = move |state: &S, (key, value)| apply(state, key, value);
        self.into_pairs().map_with_broadcast(name, rules, update, apply)
    }
}
