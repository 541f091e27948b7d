//! Whether a snapshot's state has a place in the dataflow that is to be restored from it.

use std::collections::BTreeSet;
use std::fmt;

use super::manifest::{Manifest, OperatorKind};
use crate::worker::messages::GraphDescription;

/// How a snapshot fits a dataflow that has changed since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Names whose state is dropped, as was allowed.
    pub dropped: Vec<String>,
    /// Names that keep state and begin without any.
    pub added: Vec<String>,
}

/// All state that has no place. Its message tells the user what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Explained(self))]
pub struct Misfit {
    /// Names that the dataflow lacks, and what they were.
    pub missing: Vec<(String, OperatorKind)>,
    /// Names that are something else now: what they were and what they are.
    pub changed: Vec<(String, OperatorKind, OperatorKind)>,
}

/// Compares a snapshot with a dataflow, name by name. Plain sinks keep nothing and fit always.
///
/// # Errors
/// All names with state that the dataflow lacks and that are not in `allow_drop`, and all that are of another kind
/// there (I11).
pub fn check_fit(
    manifest: &Manifest,
    graph: &GraphDescription,
    allow_drop: &BTreeSet<String>,
) -> Result<Fit, Misfit> {
    let (mut fit, mut misfit) = (Fit::default(), Misfit { missing: Vec::new(), changed: Vec::new() });
    for (name, &was) in manifest.operators.iter().filter(|(_, kind)| has_state(**kind)) {
        match graph.operators.get(name) {
            Some(&is) if is == was => {}
            Some(&is) => misfit.changed.push((name.clone(), was, is)),
            None if allow_drop.contains(name) => fit.dropped.push(name.clone()),
            None => misfit.missing.push((name.clone(), was)),
        }
    }
    for (name, _) in graph.operators.iter().filter(|(_, kind)| has_state(**kind)) {
        if !manifest.operators.get(name).is_some_and(|was| has_state(*was)) {
            fit.added.push(name.clone());
        }
    }
    if misfit.missing.is_empty() && misfit.changed.is_empty() { Ok(fit) } else { Err(misfit) }
}

fn has_state(kind: OperatorKind) -> bool {
    match kind {
        OperatorKind::Source
        | OperatorKind::KeyedState
        | OperatorKind::BroadcastState
        | OperatorKind::TransactionalSink => true,
        OperatorKind::Sink => false,
    }
}

struct Explained<'a>(&'a Misfit);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Misfit { missing, changed } = self.0;
        f.write_str("the snapshot holds state that has no place in this dataflow:")?;
        for (name, was) in missing {
            write!(f, " `{name}` ({}) is missing;", was.describe())?;
        }
        for (name, was, is) in changed {
            write!(f, " `{name}` was {} and is {} now;", was.describe(), is.describe())?;
        }
        f.write_str(" give what still exists the name it had")?;
        if !changed.is_empty() {
            f.write_str(", give what is new a name of its own")?;
        }
        f.write_str(", and allow the names whose state is to be lost to be dropped")
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::super::testing::manifest;
    use super::*;

    fn graph(operators: &[(&str, OperatorKind)]) -> GraphDescription {
        let operators =
            operators.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect::<IndexMap<_, _>>();
        GraphDescription { operators, n_stages: 2, n_edges: 1 }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    use OperatorKind::{KeyedState, Sink, Source, TransactionalSink};
    const SAME: [(&str, OperatorKind); 3] =
        [("lines", Source), ("counts", KeyedState), ("totals", TransactionalSink)];

    #[test]
    fn i11_plain_sinks_come_and_go() {
        let manifest = manifest("job", 1, 1);
        assert_eq!(check_fit(&manifest, &graph(&SAME), &names(&[])), Ok(Fit::default()));
        let more = [&SAME[..], &[("other", Sink)]].concat();
        assert_eq!(check_fit(&manifest, &graph(&more), &names(&[])), Ok(Fit::default()));
    }

    #[test]
    fn i11_a_plain_sink_that_now_keeps_state_begins_without() {
        let more = [&SAME[..], &[("print", TransactionalSink)]].concat();
        let fit = check_fit(&manifest("job", 1, 1), &graph(&more), &names(&[])).unwrap();
        assert_eq!(fit, Fit { dropped: vec![], added: vec!["print".into()] });
    }

    #[test]
    fn i11_all_misfits_are_named_at_once() {
        let graph = graph(&[("lines", Source), ("totals", Sink)]);
        let misfit = check_fit(&manifest("job", 1, 1), &graph, &names(&[])).unwrap_err();
        assert_eq!(misfit.missing, [("counts".to_owned(), KeyedState)]);
        assert_eq!(misfit.changed, [("totals".to_owned(), TransactionalSink, Sink)]);
        assert_eq!(
            misfit.to_string(),
            "the snapshot holds state that has no place in this dataflow: `counts` (an operator with keyed state) \
             is missing; `totals` was a transactional sink and is a sink now; give what still exists the name it \
             had, give what is new a name of its own, and allow the names whose state is to be lost to be dropped"
        );
    }

    #[test]
    fn i11_state_is_dropped_only_when_its_name_is_allowed() {
        let less = graph(&[("lines", Source), ("sums", KeyedState)]);
        let fit = check_fit(&manifest("job", 1, 1), &less, &names(&["counts", "totals", "lines"])).unwrap();
        assert_eq!(fit, Fit { dropped: vec!["counts".into(), "totals".into()], added: vec!["sums".into()] });
    }

    #[test]
    fn i11_a_changed_kind_is_refused_even_if_its_name_may_be_dropped() {
        let changed = graph(&[("lines", KeyedState), ("counts", KeyedState), ("totals", TransactionalSink)]);
        let misfit = check_fit(&manifest("job", 1, 1), &changed, &names(&["lines"])).unwrap_err();
        assert_eq!(misfit.changed, [("lines".to_owned(), Source, KeyedState)]);
    }
}
