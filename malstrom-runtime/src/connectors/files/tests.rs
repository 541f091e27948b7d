use tempfile::TempDir;

use super::*;

type Numbers = TransactionalFiles<fn(&u32, &mut Vec<u8>)>;

fn sink(folder: &TempDir, generation: u64, worker: u32) -> Numbers {
    let format: fn(&u32, &mut Vec<u8>) = |value, line| line.extend(value.to_string().bytes());
    let mut sink = TransactionalFiles::new(folder.path().join("out"), format);
    let (generation, worker) = (Generation(generation), WorkerId(worker));
    sink.open(&SinkContext { name: "out".into(), worker, generation }).unwrap();
    sink
}

fn write(sink: &mut Numbers, values: impl IntoIterator<Item = u32>) {
    values.into_iter().for_each(|value| sink.write(Record::new(value)).unwrap());
}

fn prepare(sink: &mut Numbers, snapshot: u64, values: impl IntoIterator<Item = u32>) -> PartHandle {
    write(sink, values);
    sink.prepare(SnapshotId(snapshot)).unwrap().unwrap()
}

fn lines(folder: &TempDir) -> Vec<u32> {
    let lines = read_parts(folder.path().join("out")).unwrap();
    lines.into_iter().map(|line| String::from_utf8(line).unwrap().parse().unwrap()).collect()
}

fn n_files(folder: &TempDir) -> usize {
    fs::read_dir(folder.path().join("out")).unwrap().count()
}

fn error_of<T: std::fmt::Debug>(result: Result<T, BoxError>) -> FilesError {
    *result.unwrap_err().downcast().unwrap()
}

#[test]
fn parts_are_read_in_the_order_of_snapshots() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&folder, 1, 0);
    for snapshot in [9, 10, 100] {
        let value = u32::try_from(snapshot).unwrap();
        let handle = prepare(&mut sink, snapshot, [value, value + 1]);
        sink.commit(SnapshotId(snapshot), handle).unwrap();
    }
    assert_eq!(lines(&folder), [9, 10, 10, 11, 100, 101]);
    assert!(folder.path().join("out/part-s00000000000000000009-w0-0").exists());
}

#[test]
fn nothing_written_is_no_transaction_and_no_file() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(sink(&folder, 1, 0).prepare(SnapshotId(1)).unwrap(), None);
    assert_eq!(n_files(&folder), 0);
}

#[test]
fn a_large_transaction_is_one_part() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&folder, 1, 0);
    let handle = prepare(&mut sink, 1, 0..100_000);
    sink.commit(SnapshotId(1), handle).unwrap();
    assert_eq!(n_files(&folder), 1);
    assert!(lines(&folder).into_iter().eq(0..100_000));
}

/// Where a worker dies in the course of snapshot 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Crash {
    WhileWriting,
    AfterPrepare,
    AfterManifest,
    AfterOneCommit,
    AfterAllCommits,
    AfterFirstRecovery,
}

const FILLER: u32 = 1_000_000;

#[test]
fn a_crash_at_any_step_leaves_each_record_once() {
    use Crash::*;
    for crash in
        [WhileWriting, AfterPrepare, AfterManifest, AfterOneCommit, AfterAllCommits, AfterFirstRecovery]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut sinks = [sink(&folder, 1, 0), sink(&folder, 1, 1)];
        sinks[0].recover(None, Vec::new()).unwrap();
        let mut manifest = (Some(SnapshotId(1)), Vec::new());
        for (sink, base) in sinks.iter_mut().zip([0, 100]) {
            let handle = prepare(sink, 1, base..base + 10);
            sink.commit(SnapshotId(1), handle).unwrap();
            manifest.1.push(handle);
            // Enough to have gone to the file.
            write(sink, (base + 10..base + 20).chain(std::iter::repeat_n(FILLER, 30_000)));
        }
        if crash >= AfterPrepare {
            let handles: Vec<_> =
                sinks.iter_mut().map(|sink| sink.prepare(SnapshotId(2)).unwrap().unwrap()).collect();
            if crash >= AfterManifest {
                manifest = (Some(SnapshotId(2)), handles.clone());
            }
            if crash >= AfterOneCommit {
                sinks[0].commit(SnapshotId(2), handles[0]).unwrap();
            }
            if crash >= AfterAllCommits {
                sinks[1].commit(SnapshotId(2), handles[1]).unwrap();
            }
        }
        drop(sinks);
        if crash == AfterFirstRecovery {
            sink(&folder, 2, 1).recover(manifest.0, manifest.1.clone()).unwrap();
        }
        sink(&folder, 3, 0).recover(manifest.0, manifest.1).unwrap();
        let expected = if crash >= AfterManifest { 4 } else { 2 };
        assert_eq!(n_files(&folder), expected, "{crash:?}");
        let mut lines: Vec<_> = lines(&folder);
        lines.retain(|value| *value != FILLER);
        lines.sort_unstable();
        let n = if crash >= AfterManifest { 20 } else { 10 };
        assert!(lines.into_iter().eq((0..n).chain(100..100 + n)), "{crash:?}");
    }
}

#[test]
fn a_commit_can_be_repeated_by_any_worker() {
    let folder = tempfile::tempdir().unwrap();
    let handle = prepare(&mut sink(&folder, 1, 0), 1, [1]);
    for worker in 0..3 {
        TransactionalSink::<u32>::commit(&mut sink(&folder, 1, worker), SnapshotId(1), handle).unwrap();
    }
    assert_eq!(lines(&folder), [1]);
}

#[test]
fn a_lost_transaction_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&folder, 1, 0);
    let handle = prepare(&mut sink, 1, [1]);
    fs::remove_file(folder.path().join("out").join(handle.staged())).unwrap();
    assert!(matches!(error_of(sink.commit(SnapshotId(1), handle)), FilesError::Lost { .. }));
    assert!(matches!(error_of(sink.recover(Some(SnapshotId(1)), vec![handle])), FilesError::Lost { .. }));
}

#[test]
fn a_fresh_start_refuses_another_jobs_output_but_not_its_remains() {
    let folder = tempfile::tempdir().unwrap();
    let handle = {
        let mut old = sink(&folder, 1, 0);
        write(&mut old, 0..100_000);
        drop(old);
        prepare(&mut sink(&folder, 1, 1), 1, [1])
    };
    let mut fresh = sink(&folder, 1, 0);
    assert_eq!(n_files(&folder), 2);
    fresh.recover(None, Vec::new()).unwrap();
    assert_eq!(n_files(&folder), 0);
    let handle = PartHandle { worker: WorkerId(0), ..handle };
    assert_eq!(prepare(&mut fresh, 1, [1]), handle);
    fresh.commit(SnapshotId(1), handle).unwrap();
    let error = error_of(sink(&folder, 1, 0).recover(None, Vec::new()));
    assert!(error.to_string().contains("holds another job's output"), "{error}");
    assert_eq!(lines(&folder), [1]);
}

#[test]
fn going_back_to_an_earlier_snapshot_takes_back_later_parts() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = sink(&folder, 1, 0);
    let handles: Vec<_> = (1..=3)
        .map(|snapshot| {
            let handle = prepare(&mut first, snapshot, [u32::try_from(snapshot).unwrap()]);
            first.commit(SnapshotId(snapshot), handle).unwrap();
            handle
        })
        .collect();
    fs::write(folder.path().join("out/README"), "not ours").unwrap();
    sink(&folder, 2, 0).recover(Some(SnapshotId(2)), vec![handles[1]]).unwrap();
    assert_eq!(lines(&folder), [1, 2]);
    assert!(folder.path().join("out/README").exists());
}

#[test]
fn a_handle_of_a_failed_snapshot_can_be_committed_with_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = sink(&folder, 1, 0);
    let handles = vec![prepare(&mut first, 1, [1]), prepare(&mut first, 2, [2])];
    sink(&folder, 2, 0).recover(Some(SnapshotId(2)), handles).unwrap();
    assert_eq!(lines(&folder), [1, 2]);
}

#[test]
fn a_worker_started_again_within_a_generation_passes_over_what_it_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut left = sink(&folder, 1, 0);
    write(&mut left, 0..100_000);
    let mut again = sink(&folder, 1, 0);
    let handle = prepare(&mut again, 1, [1]);
    again.commit(SnapshotId(1), handle).unwrap();
    assert_eq!(lines(&folder), [1]);
}
