//! Comparing the end of a run with that of a run in which nothing went wrong.

use std::collections::BTreeMap;

use super::context::{Output, Shown};
use crate::ids::SnapshotId;

/// What is wrong with the output of a run, if anything is.
pub(super) fn compare(expected: &BTreeMap<String, Shown>, found: &BTreeMap<String, Shown>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (sink, expected) in expected {
        let found = found.get(sink).map(Vec::as_slice).unwrap_or_default();
        let mut difference = counts(found);
        for (output, n) in counts(expected) {
            *difference.entry(output).or_default() -= n;
        }
        difference.retain(|_, n| *n != 0);
        let lost = difference.values().filter(|n| **n < 0).count();
        let extra = difference.len() - lost;
        if !difference.is_empty() {
            let first: Vec<_> = difference.iter().take(6).collect();
            wrong.push(format!("I4: sink `{sink}`: {lost} lost, {extra} too many, such as {first:?}"));
        }
        wrong.extend(disorder(found).map(|text| format!("I3: sink `{sink}`: {text}")));
    }
    wrong
}

/// How many outputs there are.
pub(super) fn n_outputs(shown: &BTreeMap<String, Shown>) -> u64 {
    shown.values().flatten().map(|(_, outputs)| outputs.len() as u64).sum()
}

fn counts(shown: &[(SnapshotId, Vec<Output>)]) -> BTreeMap<&Output, i64> {
    let mut counts = BTreeMap::new();
    let outputs = shown.iter().flat_map(|(_, outputs)| outputs);
    outputs.for_each(|output| *counts.entry(output).or_default() += 1);
    counts
}

/// The first output that comes too late. Between transactions of one snapshot there is no order that a reader could see.
fn disorder(shown: &[(SnapshotId, Vec<Output>)]) -> Option<String> {
    let mut before: BTreeMap<(u64, u32), u64> = BTreeMap::new();
    for of_one_snapshot in shown.chunk_by(|one, next| one.0 == next.0) {
        let mut after = before.clone();
        for (snapshot, outputs) in of_one_snapshot {
            let mut last = before.clone();
            for output in outputs {
                let place = last.entry((output.key, output.partition)).or_default();
                if *place > output.seq {
                    return Some(format!("{output:?} of {snapshot} comes after the place {place}"));
                }
                *place = output.seq;
                let place = after.entry((output.key, output.partition)).or_default();
                *place = output.seq.max(*place);
            }
        }
        before = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(transactions: &[(u64, &[u64])]) -> BTreeMap<String, Shown> {
        let output = |&seq: &u64| Output { key: 1, partition: 0, seq, value: 0 };
        let shown =
            transactions.iter().map(|(id, seqs)| (SnapshotId(*id), seqs.iter().map(output).collect()));
        BTreeMap::from([("out".to_owned(), shown.collect())])
    }

    #[test]
    fn i4_what_is_lost_or_doubled_is_found() {
        let expected = sink(&[(1, &[1, 2])]);
        assert!(compare(&expected, &sink(&[(1, &[1]), (2, &[2])])).is_empty());
        assert_eq!(compare(&expected, &sink(&[(1, &[1])])).len(), 1);
        assert_eq!(compare(&expected, &sink(&[(1, &[1, 2, 2])])).len(), 1);
    }

    #[test]
    fn i3_disorder_is_found() {
        let expected = sink(&[(1, &[1, 2])]);
        assert_eq!(compare(&expected, &sink(&[(1, &[2, 1])])).len(), 1);
        assert_eq!(compare(&expected, &sink(&[(1, &[2]), (2, &[1])])).len(), 1);
        assert!(compare(&expected, &sink(&[(1, &[2]), (1, &[1])])).is_empty());
    }
}
