use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::testing::{claim, commit, manifest, savepoint};
use super::super::{LogEntry, ObjectRef, resolve};
use super::*;

fn log(entries: impl IntoIterator<Item = (u64, LogEntry)>) -> Vec<ReadEntry> {
    entries.into_iter().map(|(number, entry)| (number, Ok(Rc::new(entry)))).collect()
}

fn object(generation: u64, snapshot: u64) -> String {
    object_path(Generation(generation), SnapshotId(snapshot), WorkerId(0), 0)
}

fn planned(objects: &[String], entries: &[ReadEntry], n_retained: usize, generation: u64, base: u64) -> Plan {
    plan(&Holdings {
        objects,
        entries,
        n_retained: NonZeroUsize::new(n_retained).unwrap(),
        generation: Generation(generation),
        base: (base > 0).then_some(SnapshotId(base)),
    })
}

fn deletes(objects: &[String], trim_log: &[u64]) -> Plan {
    Plan { delete_objects: objects.to_vec(), trim_log: trim_log.to_vec(), held_by: None }
}

#[test]
fn an_object_path_says_what_it_was_made_of() {
    let path = object_path(Generation(3), SnapshotId(14), WorkerId(2), 7);
    assert_eq!(path, "objects/g3-s14-w2-7");
    let name =
        ObjectName { generation: Generation(3), snapshot: SnapshotId(14), worker: WorkerId(2), sequence: 7 };
    assert_eq!(parse_object_path(&path), Some(name));
}

#[test]
fn i15_a_path_of_another_make_says_nothing() {
    for path in
        ["", "g1-s1-w1-1", "objects/g1-s1-w1", "objects/g01-s1-w1-1", "objects/g1-s1-w1-+1", "objects/x"]
    {
        assert_eq!(parse_object_path(path), None, "{path}");
    }
    assert_eq!(parse_object_path("objects/g1-s1-w4294967296-1"), None);
    assert_eq!(parse_object_path("objects/g1-s1-w1-1-1"), None);
}

#[test]
fn the_newest_commits_and_what_they_refer_to_are_kept() {
    let objects = [object(1, 1), object(1, 2), object(1, 3)];
    let entries = log([(0, claim(1)), (1, commit(1, 1)), (2, commit(1, 2)), (3, commit(1, 3))]);
    assert_eq!(planned(&objects, &entries, 2, 1, 3), deletes(&objects[..1], &[1]));
    assert_eq!(planned(&objects, &entries, 9, 1, 3), Plan::default());
}

#[test]
fn savepoints_are_kept_however_old() {
    let objects = [object(1, 1), object(1, 2), object(1, 3)];
    let entries = log([(0, claim(1)), (1, savepoint(1, 1)), (2, commit(1, 2)), (3, commit(1, 3))]);
    assert_eq!(planned(&objects, &entries, 1, 1, 3), deletes(&objects[1..2], &[2]));
}

#[test]
fn i12_the_newest_claim_stays_and_older_ones_go() {
    let entries = log([(0, claim(1)), (1, claim(2)), (2, commit(2, 1)), (3, commit(2, 2))]);
    assert_eq!(planned(&[], &entries, 1, 2, 2), deletes(&[], &[0, 2]));
}

#[test]
fn i12_a_claim_in_the_trimmed_part_hinders_nothing_and_goes() {
    let entries = log([(3, claim(1)), (4, claim(2)), (9, commit(1, 8)), (10, commit(1, 9))]);
    assert_eq!(planned(&[], &entries, 1, 1, 9), deletes(&[], &[4, 9]));
}

#[test]
fn i10_what_the_running_snapshot_writes_is_kept() {
    let objects = [object(1, 2), object(2, 1), object(2, 2), object(3, 2)];
    let entries = log([(0, claim(1)), (1, commit(1, 1)), (2, claim(2))]);
    let plan = planned(&objects, &entries, 1, 2, 1);
    assert_eq!(
        plan,
        deletes(&objects[..2], &[0]),
        "of a dead generation, given up, running, of a newer generation"
    );
}

#[test]
fn i10_an_older_base_is_kept_until_something_newer_is_committed() {
    let objects = [object(1, 1), object(1, 2), object(1, 3)];
    let mut entries =
        log([(0, claim(1)), (1, commit(1, 1)), (2, commit(1, 2)), (3, commit(1, 3)), (4, claim(2))]);
    assert_eq!(planned(&objects, &entries, 1, 2, 2), deletes(&objects[..1], &[0, 1]));
    entries.extend(log([(5, commit(2, 4))]));
    assert_eq!(planned(&objects, &entries, 1, 2, 4), deletes(&objects, &[0, 1, 2, 3]));
}

#[test]
fn i10_a_log_that_was_read_too_early_deletes_nothing() {
    let entries = log([(0, claim(1)), (1, commit(1, 1))]);
    let held_by = Some(Hold::BaseMissing { snapshot: SnapshotId(2) });
    assert_eq!(planned(&[object(1, 2)], &entries, 1, 1, 2), Plan { held_by, ..Plan::default() });
}

#[test]
fn what_nobody_named_is_left_alone() {
    let objects = ["objects/readme".to_owned(), "log/1".to_owned()];
    assert_eq!(planned(&objects, &log([(0, claim(1)), (1, commit(1, 1))]), 1, 1, 1), Plan::default());
}

#[test]
fn i10_nothing_goes_while_an_entry_is_unreadable() {
    let objects = [object(1, 1), object(1, 2)];
    for number in [1, 4] {
        let mut entries = log([(0, claim(1)), (2, commit(1, 1)), (3, commit(1, 2))]);
        entries.push((number, Err("damaged".to_owned())));
        entries.sort_by_key(|(number, _)| *number);
        let plan = planned(&objects, &entries, 1, 1, 2);
        let held_by = Some(Hold::Unreadable { number, reason: "damaged".to_owned() });
        assert_eq!(plan, Plan { held_by, ..Plan::default() });
    }
}

#[test]
fn i12_a_fenced_coordinator_deletes_nothing() {
    let entries = log([(0, claim(1)), (1, commit(1, 1)), (2, commit(1, 2)), (3, claim(2))]);
    let held_by = Some(Hold::NotNewest { generation: Generation(1) });
    assert_eq!(planned(&[object(1, 1)], &entries, 1, 1, 2), Plan { held_by, ..Plan::default() });
}

/// A store, the coordinators that write to it, and what must be there.
#[derive(Debug, Default)]
struct Model {
    objects: BTreeSet<String>,
    log: BTreeMap<u64, LogEntry>,
    /// Numbers that were ever written, with what they were.
    ever: BTreeMap<u64, LogEntry>,
    generation: u64,
    snapshot: u64,
    /// Own claims of all coordinators: the number after which each believes the log to end.
    zombies: Vec<Zombie>,
    base: Option<Manifest>,
    /// What the newest coordinator names in its commits.
    savepoints: BTreeSet<u64>,
}

/// A coordinator that was replaced and does not know.
#[derive(Clone, Copy, Debug)]
struct Zombie {
    generation: u64,
    claim: u64,
    next: u64,
    snapshot: u64,
}

#[derive(Clone, Debug)]
enum Deed {
    /// A new coordinator claims the job and finds so many of the newest commits damaged.
    Claim { n_damaged: usize },
    /// A snapshot is committed; the bits choose which objects of the base it still needs.
    Commit { savepoint: bool, keeps: u8 },
    /// A snapshot is given up after it has written.
    GiveUp,
    /// A collection that gets only so far, with a snapshot under way.
    Collect { n_retained: usize, n_trimmed: usize, n_deleted: usize },
    /// A replaced coordinator tries to commit.
    Wake { which: usize, savepoint: bool },
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => prop_oneof![3 => Just(0), 1 => 1_usize..4].prop_map(|n_damaged| Deed::Claim { n_damaged }),
        5 => (prop::bool::weighted(0.2), any::<u8>())
            .prop_map(|(savepoint, keeps)| Deed::Commit { savepoint, keeps }),
        1 => Just(Deed::GiveUp),
        3 => (1_usize..4, 0_usize..12, 0_usize..12).prop_map(|(n_retained, n_trimmed, n_deleted)| {
            Deed::Collect { n_retained, n_trimmed, n_deleted }
        }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, savepoint)| Deed::Wake { which, savepoint }),
    ]
}

impl Model {
    fn entries(&self) -> Vec<ReadEntry> {
        self.log.iter().map(|(number, entry)| (*number, Ok(Rc::new(entry.clone())))).collect()
    }

    fn next(&self) -> u64 {
        self.log.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    fn append(&mut self, number: u64, entry: LogEntry) {
        self.ever.entry(number).or_insert_with(|| entry.clone());
        assert!(self.log.insert(number, entry).is_none(), "create-if-absent");
    }

    fn write(&mut self, generation: u64, snapshot: u64) -> ObjectRef {
        let path = object(generation, snapshot);
        self.objects.insert(path.clone());
        ObjectRef { path, bytes: 100 }
    }

    fn do_deed(&mut self, deed: &Deed) {
        match *deed {
            Deed::Claim { n_damaged } => self.claim(n_damaged),
            Deed::Commit { savepoint, keeps } => {
                self.snapshot += 1;
                let base = self.base.take().map(|base| base.objects).unwrap_or_default();
                let mut objects = vec![self.write(self.generation, self.snapshot)];
                objects.extend(
                    base.into_iter().enumerate().filter(|(i, _)| keeps >> (i % 8) & 1 == 1).map(|(_, o)| o),
                );
                let mut manifest = manifest("job", self.generation, self.snapshot);
                (manifest.objects, manifest.savepoint) = (objects, savepoint.then(|| "kept".to_owned()));
                self.base = Some(manifest.clone());
                let (number, savepoints) = (self.next(), Some(self.savepoints.iter().copied().collect()));
                let manifest = Arc::new(manifest);
                self.append(number, LogEntry::Committed { token: 1, savepoints, manifest });
                self.savepoints.extend(savepoint.then_some(number));
            }
            Deed::GiveUp => {
                self.snapshot += 1;
                self.write(self.generation, self.snapshot);
            }
            Deed::Collect { n_retained, n_trimmed, n_deleted } => {
                self.collect(n_retained, n_trimmed, n_deleted)
            }
            Deed::Wake { which, savepoint } => self.wake(which, savepoint),
        }
    }

    fn claim(&mut self, n_damaged: usize) {
        let resolution = resolve("job", self.entries()).unwrap();
        assert!(resolution.next_generation.0 > self.generation);
        if self.generation > 0 {
            let is_own = |entry: &LogEntry| matches!(entry, LogEntry::Claimed { generation, .. } if generation.0 == self.generation);
            let claim = self.ever.iter().find(|(_, entry)| is_own(entry)).unwrap();
            self.zombies.push(Zombie {
                generation: self.generation,
                claim: *claim.0,
                next: self.next(),
                snapshot: self.snapshot + 1,
            });
        }
        (self.generation, self.snapshot) = (resolution.next_generation.0, resolution.next_snapshot.0 - 1);
        self.append(resolution.next_number, claim(self.generation));
        self.savepoints = resolution.savepoints;
        for candidate in &resolution.candidates {
            assert!(self.has_objects(&candidate.manifest), "{} was collected only in part", candidate.number);
        }
        let n_damaged = n_damaged.min(resolution.candidates.len().saturating_sub(1));
        self.base = resolution.candidates.into_iter().nth(n_damaged).map(|candidate| candidate.manifest);
    }

    fn has_objects(&self, manifest: &Manifest) -> bool {
        manifest.objects.iter().all(|object| self.objects.contains(&object.path))
    }

    /// I10, with a snapshot under way whose base is the newest commit; and what trimming may not change.
    fn collect(&mut self, n_retained: usize, n_trimmed: usize, n_deleted: usize) {
        let running = self.write(self.generation, self.snapshot + 1).path;
        let entries = self.entries();
        let objects: Vec<String> = self.objects.iter().cloned().collect();
        let before = resolve("job", entries.clone()).unwrap();
        let committed = before.candidates.first().map_or(0, |newest| newest.manifest.snapshot.0);
        let base = self.base.as_ref().map(|base| base.snapshot);
        let plan = planned(&objects, &entries, n_retained, self.generation, base.map_or(0, |base| base.0));
        assert_eq!(plan.held_by, None);
        assert!(plan.trim_log.is_sorted_by(|a, b| a < b));
        for number in plan.trim_log.iter().take(n_trimmed) {
            self.log.remove(number);
        }
        if n_trimmed >= plan.trim_log.len() {
            for path in plan.delete_objects.iter().take(n_deleted) {
                self.objects.remove(path);
            }
        }
        assert!(self.objects.contains(&running));
        let kept_by_count = before.candidates.iter().take(n_retained);
        let kept_by_name = before.candidates.iter().filter(|commit| commit.manifest.savepoint.is_some());
        let kept_as_base = before.candidates.iter().filter(|commit| Some(commit.manifest.snapshot) == base);
        for candidate in kept_by_count.chain(kept_by_name).chain(kept_as_base) {
            assert!(self.log.contains_key(&candidate.number));
            assert!(self.has_objects(&candidate.manifest));
        }
        let after = resolve("job", self.entries()).unwrap();
        assert_eq!(after.next_number, before.next_number);
        assert_eq!((after.next_generation, after.state), (before.next_generation, before.state));
        assert!(after.next_snapshot.0 > committed);
        let n_same = before.candidates.len().min(n_retained);
        assert_eq!(after.candidates[..n_same], before.candidates[..n_same]);
        self.snapshot += 1;
    }

    /// I12: the number is taken, or the claim is gone, or the coordinator is the newest after all.
    fn wake(&mut self, which: usize, savepoint: bool) {
        let Some(&zombie) = which.checked_rem(self.zombies.len()).map(|which| &self.zombies[which]) else {
            return;
        };
        if self.log.contains_key(&zombie.next) {
            return;
        }
        // Another coordinator that was replaced may have written where the claim was.
        let finds_claim = self.log.get(&zombie.claim) == Some(&claim(zombie.generation));
        assert!(!finds_claim, "a number that was used came free before the claim went");
        // It is told that it has failed. What it wrote stays and must never be a candidate.
        let write = if savepoint { super::super::testing::savepoint } else { commit };
        self.append(zombie.next, write(zombie.generation, zombie.snapshot));
        let candidates = resolve("job", self.entries()).unwrap().candidates;
        assert!(candidates.iter().all(|candidate| candidate.number != zombie.next), "{zombie:?} is restored");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn i10_i12_no_history_loses_what_is_needed_or_restores_what_was_fenced(
        deeds in prop::collection::vec(deed(), 1..60),
    ) {
        let mut model = Model::default();
        model.claim(0);
        deeds.iter().for_each(|deed| model.do_deed(deed));
    }

    #[test]
    fn i10_all_is_collected_in_the_end(deeds in prop::collection::vec(deed(), 1..40)) {
        let mut model = Model::default();
        model.claim(0);
        deeds.iter().for_each(|deed| model.do_deed(deed));
        model.do_deed(&Deed::Commit { savepoint: false, keeps: 0 });
        model.collect(1, usize::MAX, usize::MAX);
        let savepoints = model.log.values().filter(|entry| entry.manifest().is_some_and(|m| m.savepoint.is_some()));
        let needed: BTreeSet<&str> =
            savepoints.flat_map(|entry| &entry.manifest().unwrap().objects).map(|o| o.path.as_str()).collect();
        let left = model.objects.iter().filter(|path| !needed.contains(path.as_str()));
        prop_assert_eq!(left.count(), 2, "those of the newest commit and of the running snapshot");
    }
}
