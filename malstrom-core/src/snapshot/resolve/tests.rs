use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::testing::{claim, commit, commit_above, manifest, savepoint};
use super::super::{LogEntry, Manifest, newest_generation};
use super::*;

fn log(entries: impl IntoIterator<Item = (u64, LogEntry)>) -> Vec<ReadEntry> {
    entries.into_iter().map(|(number, entry)| (number, Ok(Rc::new(entry)))).collect()
}

fn resolved(entries: Vec<ReadEntry>) -> Resolution {
    resolve("job", entries).unwrap()
}

fn numbers(resolution: &Resolution) -> Vec<u64> {
    resolution.candidates.iter().map(|candidate| candidate.number).collect()
}

fn broken(number: u64) -> ReadEntry {
    (number, Err("damaged".to_owned()))
}

#[test]
fn an_empty_log_is_a_fresh_job() {
    let resolution = resolved(vec![]);
    assert_eq!((resolution.next_number, resolution.next_generation.0, resolution.next_snapshot.0), (0, 1, 1));
    assert_eq!((resolution.state, resolution.candidates.len()), (JobState::Fresh, 0));
}

#[test]
fn i9_numbers_go_on_above_all_that_were_used() {
    let resolution = resolved(log([(0, claim(1)), (1, commit(1, 1)), (2, commit(1, 4)), (3, claim(2))]));
    assert_eq!((resolution.next_number, resolution.next_generation.0, resolution.next_snapshot.0), (4, 3, 5));
    assert_eq!(numbers(&resolution), [2, 1]);
}

#[test]
fn i9_an_unreadable_newest_entry_uses_numbers_up_too() {
    let mut entries = log([(0, claim(1)), (1, commit(1, 1))]);
    entries.extend([broken(2), broken(3)]);
    let resolution = resolved(entries);
    assert_eq!((resolution.next_number, resolution.next_generation.0), (4, 4));
    assert_eq!(resolution.next_snapshot.0, 1 + 2 * UNREADABLE_GAP_SNAPSHOTS + 1);
    assert_eq!(resolution.unreadable.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(numbers(&resolution), [1]);
}

#[test]
fn i9_an_unreadable_entry_below_a_later_commit_leaves_no_gap() {
    let mut entries = log([(0, claim(1)), (2, commit(1, 3)), (3, claim(2))]);
    entries.push(broken(1));
    let resolution = resolved(entries);
    assert_eq!((resolution.next_generation.0, resolution.next_snapshot.0), (3, 4));
}

#[test]
fn i12_a_commit_after_a_newer_one_is_no_candidate() {
    let entries =
        log([(0, claim(1)), (1, commit(1, 1)), (2, claim(2)), (3, commit(2, 3)), (4, commit(1, 2))]);
    let resolution = resolved(entries);
    assert_eq!((numbers(&resolution), resolution.void), (vec![3, 1], vec![4]));
    assert_eq!(resolution.next_snapshot.0, 4, "the id was used all the same");
}

#[test]
fn i12_a_claim_in_the_trimmed_part_claims_nothing_and_uses_up_its_generation() {
    let far_below = log([(3, claim(1)), (4, claim(2)), (9, commit(1, 8)), (10, commit(1, 9))]);
    let next_to_the_rest = log([(3, claim(1)), (4, claim(2)), (5, commit(1, 8)), (6, commit(1, 9))]);
    for entries in [far_below, next_to_the_rest] {
        assert_eq!(newest_generation(&entries, &[]), Generation(1));
        let resolution = resolved(entries);
        assert_eq!((resolution.candidates.len(), resolution.void.len()), (2, 0));
        assert_eq!(resolution.next_generation, Generation(3));
    }
}

#[test]
fn i12_a_claim_of_ones_own_fences_nobody_but_others_do() {
    let own = LogEntry::Claimed { job: "job".to_owned(), generation: Generation(3), token: 77 };
    let mut entries = log([(0, claim(1)), (1, commit(1, 1)), (2, claim(2)), (3, own)]);
    assert_eq!(newest_generation(&entries, &[77]), Generation(2));
    assert_eq!(newest_generation(&entries, &[78]), Generation(3));
    entries.extend(log([(4, claim(4))]));
    assert_eq!(newest_generation(&entries, &[77]), Generation(4));
}

#[test]
fn i12_a_commit_written_late_into_the_trimmed_part_is_no_candidate() {
    // Number 6 was the claim of generation 2 and has been trimmed.
    let below_a_gap = log([(6, commit(1, 5)), (9, commit(2, 7)), (10, claim(3))]);
    let next_to_the_rest = log([(6, commit(1, 5)), (7, commit(2, 5)), (8, claim(3))]);
    let half_trimmed = log([(6, commit(1, 5)), (7, claim(3)), (8, commit(3, 5)), (9, claim(4))]);
    for entries in [below_a_gap, next_to_the_rest, half_trimmed] {
        let resolution = resolved(entries);
        assert_eq!((resolution.candidates.len(), resolution.void), (1, vec![6]));
        assert!(resolution.candidates[0].manifest.generation > Generation(1));
    }
}

#[test]
fn generations_left_out_because_of_an_unreadable_entry_void_nothing() {
    // Entry 1 was readable when generation 1 began and not when generation 3 did.
    let mut entries = log([(0, claim(1)), (2, commit(1, 2)), (3, claim(3))]);
    entries.push(broken(1));
    assert_eq!(numbers(&resolved(entries)), [2]);
}

#[test]
fn i12_a_commit_that_an_unreadable_one_may_have_voided_is_no_candidate() {
    // Entry 1 was written late, where the log had been trimmed; that generation 3 had gone on is in entry 3.
    let mut entries = log([(1, commit(1, 1)), (2, claim(3)), (4, claim(5))]);
    entries.push(broken(3));
    let refusal = Refusal::NothingReadable { number: 3, reason: "damaged".into() };
    assert_eq!(resolve("job", entries), Err(refusal));
}

#[test]
fn savepoints_stay_candidates_amid_the_trimmed_part() {
    let resolution =
        resolved(log([(1, savepoint(1, 1)), (4, savepoint(1, 2)), (9, commit(3, 7)), (10, commit(3, 8))]));
    assert_eq!(numbers(&resolution), [10, 9, 4, 1]);
}

#[test]
fn i12_a_savepoint_that_the_commits_above_do_not_name_is_no_candidate() {
    let log_with = |named: &[u64], others: &[u64]| {
        let older = commit_above(others, 3, 7);
        log([(1, savepoint(1, 1)), (4, savepoint(1, 2)), (9, older), (10, commit_above(named, 3, 8))])
    };
    for others in [&[1, 4][..], &[4], &[]] {
        let resolution = resolved(log_with(&[4], others));
        assert_eq!((numbers(&resolution), resolution.void), (vec![10, 9, 4], vec![1]));
        assert_eq!(resolution.savepoints, BTreeSet::from([4]));
    }
    assert_eq!(resolved(log_with(&[1, 4], &[])).savepoints, BTreeSet::from([1, 4]));
}

#[test]
fn i12_a_savepoint_above_the_last_commit_that_names_any_counts() {
    let above = log([(9, commit_above(&[], 3, 7)), (10, savepoint(3, 8)), (11, commit(3, 9))]);
    assert_eq!(numbers(&resolved(above)), [11, 10, 9]);
}

#[test]
fn i12_a_savepoint_in_the_trimmed_part_below_nothing_but_unreadable_commits_is_not_trusted() {
    let mut entries = log([(1, savepoint(1, 1)), (8, claim(3))]);
    entries.extend([broken(9), broken(10)]);
    let refusal = Refusal::NothingReadable { number: 10, reason: "damaged".into() };
    assert_eq!(resolve("job", entries), Err(refusal));
    // With all neighbours there, nothing was trimmed and it was written when its number came.
    let mut entries = log([(0, claim(1)), (1, savepoint(1, 1)), (2, claim(2))]);
    entries.push(broken(3));
    assert_eq!(numbers(&resolved(entries)), [1]);
}

#[test]
fn an_entry_that_cannot_be_read_is_named_as_if_it_was_a_savepoint() {
    let mut entries = log([(0, claim(1)), (1, savepoint(1, 1)), (3, commit_above(&[1], 1, 2))]);
    entries.push(broken(2));
    assert_eq!(resolved(entries).savepoints, BTreeSet::from([1, 2]));
}

#[test]
fn the_newest_claim_may_stand_alone_before_the_rest() {
    let resolution = resolved(log([(0, claim(1)), (9, commit(1, 9)), (10, commit(1, 10))]));
    assert_eq!(numbers(&resolution), [10, 9]);
}

#[test]
fn the_newest_commit_tells_how_the_job_was_left() {
    for (after, state) in [
        (After::Run, JobState::Running),
        (After::Suspend, JobState::Suspended),
        (After::Finish, JobState::Finished),
    ] {
        let manifest = Arc::new(Manifest { after, ..manifest("job", 1, 2) });
        let newest = LogEntry::Committed { token: 1, savepoints: None, manifest };
        assert_eq!(resolved(log([(0, claim(1)), (1, commit(1, 1)), (2, newest)])).state, state);
    }
}

#[test]
fn another_jobs_log_is_refused_with_both_names() {
    let refusal = resolve("mine", log([(0, claim(1))])).unwrap_err();
    assert_eq!(refusal, Refusal::OtherJob { job: "mine".into(), found: "job".into() });
    assert!(refusal.to_string().contains("`job`") && refusal.to_string().contains("`mine`"));
}

#[test]
fn i16_a_job_whose_only_commit_is_unreadable_is_not_fresh() {
    let mut entries = log([(0, claim(1))]);
    entries.push(broken(1));
    let refusal = Refusal::NothingReadable { number: 1, reason: "damaged".into() };
    assert_eq!(resolve("job", entries), Err(refusal));
}

#[test]
fn i16_a_log_that_lost_its_commits_is_refused() {
    assert_eq!(resolve("job", log([(7, claim(2))])), Err(Refusal::Hole { number: 6 }));
    let lost_above = log([(0, claim(1)), (1, commit(1, 1)), (3, claim(2))]);
    assert_eq!(resolve("job", lost_above), Err(Refusal::Hole { number: 2 }));
}

#[test]
fn i15_numbers_at_their_end_are_refused() {
    let refused = |entries| matches!(resolve("job", log(entries)), Err(Refusal::UsedUp { .. }));
    assert!(refused(vec![(0, claim(u64::MAX))]));
    assert!(refused(vec![(0, claim(1)), (1, commit(1, u64::MAX))]));
    assert!(refused(vec![(0, claim(1)), (u64::MAX, commit(1, 1))]));
}

fn any_entry() -> impl Strategy<Value = Result<Rc<LogEntry>, String>> {
    let number = || prop_oneof![4 => 1_u64..5, 1 => any::<u64>()];
    prop_oneof![
        number().prop_map(|generation| Ok(Rc::new(claim(generation)))),
        (number(), number()).prop_map(|(generation, snapshot)| Ok(Rc::new(commit(generation, snapshot)))),
        (number(), number()).prop_map(|(generation, snapshot)| Ok(Rc::new(savepoint(generation, snapshot)))),
        Just(Err("damaged".to_owned())),
    ]
}

proptest! {
    /// The rules that need no model, on logs that no coordinator would write.
    #[test]
    fn i15_any_log_is_a_resolution_or_a_refusal(
        log in prop::collection::btree_map(prop_oneof![9 => 0_u64..12, 1 => any::<u64>()], any_entry(), 0..9),
    ) {
        let entries: Vec<ReadEntry> = log.clone().into_iter().collect();
        if let Ok(resolution) = resolve("job", entries) {
            for (number, entry) in &log {
                prop_assert!(resolution.next_number > *number);
                let Ok(entry) = entry else { continue };
                prop_assert!(resolution.next_generation > entry.generation());
                prop_assert!(entry.manifest().is_none_or(|manifest| resolution.next_snapshot > manifest.snapshot));
            }
            for candidate in &resolution.candidates {
                let before = log.range(..candidate.number).filter_map(|(_, entry)| entry.as_deref().ok());
                let mut before = before.filter_map(LogEntry::manifest);
                prop_assert!(before.all(|older| older.generation <= candidate.manifest.generation));
            }
            prop_assert!(resolution.candidates.is_sorted_by(|a, b| a.number > b.number));
        }
    }
}
