use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn table(owners: &[u32], n_workers: u32) -> RouteTable {
    let owners = owners.iter().copied().map(WorkerId).collect();
    RouteTable { version: RouteVersion(1), n_workers, owners }
}

/// How much each worker has, also those with nothing.
fn shares(owners: impl IntoIterator<Item = WorkerId>, n_workers: u32) -> Vec<usize> {
    let mut shares = vec![0; n_workers as usize];
    owners.into_iter().for_each(|owner| shares[owner.index()] += 1);
    shares
}

fn is_balanced(shares: &[usize]) -> bool {
    shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1
}

/// No plan needs fewer moves: whoever leaves gives all, and nobody keeps more than the greatest share, which only so
/// many may have.
fn n_moves_min(owners: &[WorkerId], n_workers: u32) -> usize {
    let (least, n_one_more) = (owners.len() / n_workers as usize, owners.len() % n_workers as usize);
    let has = |worker| owners.iter().filter(|owner| **owner == WorkerId(worker)).count();
    let kept: usize = (0..n_workers).map(|worker| has(worker).min(least)).sum();
    let keep_one_more = (0..n_workers).filter(|worker| has(*worker) > least).count().min(n_one_more);
    owners.len() - kept - keep_one_more
}

#[test]
fn a_job_starts_with_contiguous_ranges() {
    assert_eq!(initial(8, 3).owners, table(&[0, 0, 0, 1, 1, 1, 2, 2], 3).owners);
    assert_eq!(initial(2, 5).owners, table(&[0, 1], 5).owners);
    assert_eq!(initial(2, 0), RouteTable { version: RouteVersion(0), ..table(&[0, 0], 1) });
}

#[test]
fn scaling_out_moves_only_what_the_new_worker_gets() {
    let moves = rebalance(&initial(8, 2), 3);
    let moves: Vec<_> = moves.iter().map(|m| (m.bin.0, m.from.0, m.to.0)).collect();
    assert_eq!(moves, [(3, 0, 2), (7, 1, 2)]);
}

#[test]
fn a_prefix_of_the_moves_spreads_the_load() {
    // 0 gives six bins and 1 gives two; 2 and 3 take four each.
    let current = table(&[[0; 10], [1; 10]].concat()[..16], 2);
    let moves = rebalance(&current, 4);
    assert_eq!(moves.iter().map(|m| m.from.0).collect::<Vec<_>>(), [0, 0, 1, 0, 0, 0, 1, 0]);
    assert_eq!(moves.iter().map(|m| m.to.0).collect::<Vec<_>>(), [2, 3, 2, 3, 2, 3, 2, 3]);
}

#[test]
fn a_huge_number_of_workers_costs_no_memory() {
    let moves = rebalance(&initial(8, 1), u32::MAX);
    assert_eq!(moves.len(), 7);
    assert_eq!(initial(8, u32::MAX).owners.len(), 8);
}

#[test]
fn partitions_are_placed_by_sorted_name() {
    let names = ["c", "a", "d", "b"].map(str::to_owned);
    assert_eq!(place_partitions(&names, 3), [2, 0, 0, 1].map(WorkerId));
    assert_eq!(place_partitions(&names, 0), [0; 4].map(WorkerId));
}

#[test]
fn each_source_is_balanced_by_itself() {
    let on_worker_0 = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), WorkerId(0))).collect();
    let current = IndexMap::from([
        ("one".to_owned(), on_worker_0(&["x"])),
        ("two".to_owned(), on_worker_0(&["q", "p", "r", "s"])),
    ]);
    let moves = rebalance_partitions(&current, 2);
    let moves: Vec<_> = moves.iter().map(|m| (m.source.as_str(), m.partition.as_str(), m.to.0)).collect();
    assert_eq!(moves, [("two", "r", 1), ("two", "s", 1)]);
}

#[test]
#[should_panic(expected = "b1 is moved by who owns it")]
fn moves_for_another_table_are_our_own_fault() {
    let step = BinMove { bin: Bin(1), from: WorkerId(1), to: WorkerId(0) };
    let _ = apply(&initial(4, 2), &[step], RouteVersion(2));
}

proptest! {
    #[test]
    fn i5_a_start_is_balanced_and_contiguous(n_bins in 1_u32..300, n_workers in 1_u32..400) {
        let table = initial(n_bins, n_workers);
        prop_assert_eq!(table.owners.len(), n_bins as usize);
        prop_assert!(table.owners.is_sorted());
        prop_assert!(is_balanced(&shares(table.owners, n_workers)));
    }

    #[test]
    fn i5_a_rescale_ends_balanced_with_the_fewest_moves(
        owners in prop::collection::vec(0_u32..9, 1..200), n_workers in 1_u32..12,
    ) {
        let current = table(&owners, 9);
        let moves = rebalance(&current, n_workers);
        prop_assert_eq!(moves.len(), n_moves_min(&current.owners, n_workers));
        let bins: BTreeSet<Bin> = moves.iter().map(|step| step.bin).collect();
        prop_assert_eq!(bins.len(), moves.len(), "no bin moves twice");
        prop_assert!(moves.iter().all(|step| step.from != step.to));
        let next = apply(&current, &moves, RouteVersion(2));
        prop_assert_eq!(next.owners.len(), current.owners.len());
        prop_assert!(is_balanced(&shares(next.owners.iter().copied(), n_workers)));
        prop_assert_eq!(rebalance(&next, n_workers), vec![], "nothing is left to do");
    }

    #[test]
    fn every_prefix_is_shared_out_in_proportion(
        owners in prop::collection::vec(0_u32..5, 1..200), n_workers in 1_u32..8,
    ) {
        let moves = rebalance(&table(&owners, 5), n_workers);
        for end in 0..=moves.len() {
            for worker in (0..8).map(WorkerId) {
                let sides: [fn(&BinMove) -> WorkerId; 2] = [|m| m.from, |m| m.to];
                for side in sides {
                    let count = |moves: &[BinMove]| moves.iter().filter(|step| side(step) == worker).count();
                    let fair = count(&moves) as f64 * end as f64 / moves.len().max(1) as f64;
                    // Each worker's moves stand in the middle of equal parts, so all are off by their rounding.
                    prop_assert!((count(&moves[..end]) as f64 - fair).abs() <= 8.0);
                }
            }
        }
    }

    #[test]
    fn partitions_end_balanced_with_the_fewest_moves(
        sources in prop::collection::vec(prop::collection::vec(0_u32..9, 0..20), 0..4), n_workers in 1_u32..12,
    ) {
        let mut current: IndexMap<String, IndexMap<String, WorkerId>> = (sources.iter().enumerate())
            .map(|(at, readers)| {
                let readers = readers.iter().enumerate();
                (format!("source-{at}"), readers.map(|(at, to)| (format!("{at}"), WorkerId(*to))).collect())
            })
            .collect();
        let n_min: usize = (current.values())
            .map(|readers| n_moves_min(&readers.values().copied().collect::<Vec<_>>(), n_workers))
            .sum();
        let moves = rebalance_partitions(&current, n_workers);
        prop_assert_eq!(moves.len(), n_min);
        for step in moves {
            let reader = &mut current[&step.source][&step.partition];
            prop_assert_eq!(*reader, step.from);
            *reader = step.to;
        }
        for readers in current.values() {
            prop_assert!(is_balanced(&shares(readers.values().copied(), n_workers)));
        }
    }

    #[test]
    fn a_start_of_partitions_is_balanced(names in prop::collection::vec(".*", 0..40), n_workers in 1_u32..12) {
        prop_assert!(is_balanced(&shares(place_partitions(&names, n_workers), n_workers)));
    }
}
