//! Comparing the end of a run with that of a run in which nothing went wrong.

use std::collections::BTreeMap;

use super::context::Output;

/// What is wrong with the output of a run, if anything is.
pub(super) fn compare(
    expected: &BTreeMap<String, Vec<Output>>,
    found: &BTreeMap<String, Vec<Output>>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (sink, expected) in expected {
        let found = found.get(sink).map(Vec::as_slice).unwrap_or_default();
        let counts = |outputs: &[Output]| {
            let mut counts: BTreeMap<Output, i64> = BTreeMap::new();
            outputs.iter().for_each(|output| *counts.entry(output.clone()).or_default() += 1);
            counts
        };
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

fn disorder(outputs: &[Output]) -> Option<String> {
    let mut last: BTreeMap<(u64, u32), u64> = BTreeMap::new();
    outputs.iter().find_map(|output| {
        let before = last.insert((output.key, output.partition), output.seq)?;
        (before > output.seq).then(|| format!("{output:?} comes after the place {before}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(seqs: &[u64]) -> BTreeMap<String, Vec<Output>> {
        let outputs = seqs.iter().map(|&seq| Output { key: 1, partition: 0, seq, value: 0 }).collect();
        BTreeMap::from([("out".to_owned(), outputs)])
    }

    #[test]
    fn i4_what_is_lost_or_doubled_is_found() {
        assert!(compare(&sink(&[1, 2]), &sink(&[1, 2])).is_empty());
        assert_eq!(compare(&sink(&[1, 2]), &sink(&[1])).len(), 1);
        assert_eq!(compare(&sink(&[1, 2]), &sink(&[1, 2, 2])).len(), 1);
    }

    #[test]
    fn i3_disorder_is_found() {
        assert_eq!(compare(&sink(&[1, 2]), &sink(&[2, 1])).len(), 1);
    }
}
