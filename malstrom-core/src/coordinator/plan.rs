//! Who owns which bin and reads which source partition, and the fewest moves that make it so again after a rescale.
//!
//! Everything here is balanced when no two workers' shares differ by more than one. A number of workers of 0 is taken
//! as 1, so that every plan is total.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::ids::{Bin, RouteVersion, WorkerId};
use crate::snapshot::RouteTable;
use crate::worker::messages::{BinMove, PartitionMove};

/// The route table of a job that starts: each worker owns a contiguous range of bins. Its version is 0.
#[must_use]
pub fn initial(n_bins: u32, n_workers: u32) -> RouteTable {
    let n_workers = n_workers.max(1);
    // With more workers than bins, the first workers get one bin each.
    let n_owners = u64::from(n_workers.min(n_bins));
    let owner = |bin: u32| (u64::from(bin) * n_owners / u64::from(n_bins)) as u32;
    RouteTable {
        version: RouteVersion(0),
        n_workers,
        owners: (0..n_bins).map(|bin| WorkerId(owner(bin))).collect(),
    }
}

/// The fewest moves after which the bins are balanced over the workers 0 to `n_workers - 1`.
///
/// The order spreads the load: in every prefix the moves are shared out among the workers that give, and among those
/// that take, in proportion to what each gives and takes in all. So a rescale can be cut into steps anywhere.
#[must_use]
pub fn rebalance(current: &RouteTable, n_workers: u32) -> Vec<BinMove> {
    let moves = rebalance_shares(&current.owners, n_workers);
    // A table has at most `BINS_MAX` entries, and a bin's number fits.
    moves.into_iter().map(|Move { item, from, to }| BinMove { bin: Bin(item as u16), from, to }).collect()
}

/// The route table after some moves. It has as many workers as before, or as many more as the moves need; once the
/// last step of scaling in is done, the caller lowers `n_workers`.
///
/// # Panics
/// If a bin is to be taken from a worker that does not own it: the moves are then not for this table.
#[must_use]
pub fn apply(table: &RouteTable, moves: &[BinMove], version: RouteVersion) -> RouteTable {
    let mut next = RouteTable { version, ..table.clone() };
    for BinMove { bin, from, to } in moves {
        assert_eq!(next.owners.get(bin.index()), Some(from), "{bin} is moved by who owns it");
        next.owners[bin.index()] = *to;
        next.n_workers = next.n_workers.max(to.0.saturating_add(1));
    }
    next
}

/// A reader for each partition of a source that starts, in the order of `names`: by sorted name, one worker after the
/// other.
#[must_use]
pub fn place_partitions(names: &[String], n_workers: u32) -> Vec<WorkerId> {
    let n_workers = n_workers.max(1);
    let mut sorted: Vec<usize> = (0..names.len()).collect();
    sorted.sort_by_key(|&at| &names[at]);
    let mut readers = vec![WorkerId(0); names.len()];
    for (at, reader) in sorted.into_iter().zip((0..n_workers).cycle()) {
        readers[at] = WorkerId(reader);
    }
    readers
}

/// The fewest moves after which the partitions of each source, taken by itself, are balanced over the workers 0 to
/// `n_workers - 1`. In the order of the sources; within one, spread as by [`rebalance`].
#[must_use]
pub fn rebalance_partitions(
    current: &IndexMap<String, IndexMap<String, WorkerId>>,
    n_workers: u32,
) -> Vec<PartitionMove> {
    let mut moves = Vec::new();
    for (source, partitions) in current {
        let mut sorted: Vec<(&String, WorkerId)> = partitions.iter().map(|(name, at)| (name, *at)).collect();
        sorted.sort_unstable();
        let readers: Vec<WorkerId> = sorted.iter().map(|(_, reader)| *reader).collect();
        moves.extend(rebalance_shares(&readers, n_workers).into_iter().map(|Move { item, from, to }| {
            PartitionMove { source: source.clone(), partition: sorted[item].0.clone(), from, to }
        }));
    }
    moves
}

/// An item, by index, that changes hands.
struct Move {
    item: usize,
    from: WorkerId,
    to: WorkerId,
}

/// The fewest moves that balance items over workers. Whoever has more than its share gives its last items.
fn rebalance_shares(owners: &[WorkerId], n_workers: u32) -> Vec<Move> {
    let mut held: BTreeMap<WorkerId, Vec<usize>> = BTreeMap::new();
    for (item, owner) in owners.iter().enumerate() {
        held.entry(*owner).or_default().push(item);
    }
    let shares = Shares::of(&held, owners.len(), n_workers.max(1));
    let mut given = Vec::new();
    for (&worker, items) in &held {
        let surplus = items.get(shares.of_worker(worker)..).unwrap_or_default();
        given.extend(spread(worker, surplus.len()).zip(surplus.iter().copied()));
    }
    let mut taken = Vec::new();
    let mut left = given.len();
    // All shares together are all items, so the search ends at the latest when every worker has its share; workers
    // beyond the last with a share are never looked at.
    for worker in (0..shares.n_workers).map(WorkerId) {
        if left == 0 {
            break;
        }
        let has = held.get(&worker).map_or(0, Vec::len);
        let lacks = shares.of_worker(worker).saturating_sub(has);
        left -= lacks;
        taken.extend(spread(worker, lacks));
    }
    given.sort_unstable_by_key(|(place, _)| *place);
    taken.sort_unstable();
    let pairs = given.into_iter().zip(taken);
    pairs.map(|((from, item), to)| Move { item, from: from.worker, to: to.worker }).collect()
}

/// How many items each worker is to have: all the same number, and some one more.
struct Shares {
    n_workers: u32,
    least: usize,
    /// Those with one more: first whoever has more already, since this saves moves, then the lowest.
    one_more: BTreeSet<WorkerId>,
}

impl Shares {
    fn of(held: &BTreeMap<WorkerId, Vec<usize>>, n_items: usize, n_workers: u32) -> Self {
        let (least, n_one_more) = (n_items / n_workers as usize, n_items % n_workers as usize);
        let has_more = held.iter().filter(|(worker, items)| worker.0 < n_workers && items.len() > least);
        let mut one_more: BTreeSet<WorkerId> = has_more.map(|(worker, _)| *worker).take(n_one_more).collect();
        for worker in (0..n_workers).map(WorkerId) {
            if one_more.len() == n_one_more {
                break;
            }
            one_more.insert(worker);
        }
        Self { n_workers, least, one_more }
    }

    fn of_worker(&self, worker: WorkerId) -> usize {
        if worker.0 < self.n_workers { self.least + usize::from(self.one_more.contains(&worker)) } else { 0 }
    }
}

/// One worker's place in the order of all moves: the middle of the i-th of `n` equal parts of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    numerator: u64,
    denominator: u64,
    worker: WorkerId,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let here = u128::from(self.numerator) * u128::from(other.denominator);
        let there = u128::from(other.numerator) * u128::from(self.denominator);
        here.cmp(&there).then(self.worker.cmp(&other.worker))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn spread(worker: WorkerId, n: usize) -> impl Iterator<Item = Place> {
    let n = n as u64;
    (0..n).map(move |i| Place { numerator: 2 * i + 1, denominator: 2 * n, worker })
}

#[cfg(test)]
mod tests;
