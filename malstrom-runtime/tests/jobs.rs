//! Whole jobs on real threads: what a user relies on, and what a user can get wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use malstrom_core::coordinator::{JobEvent, Restarts};
use malstrom_core::ids::SnapshotId;
use malstrom_core::limits::COLLECT_SNAPSHOTS;
use malstrom_core::operators::{BoxError, Collected, Discard, Sink, from_iter, from_iters};
use malstrom_core::ports::SnapshotStore;
use malstrom_runtime::connectors::{TransactionalFiles, ZipfText, read_parts};
use malstrom_runtime::prelude::*;
use malstrom_runtime::store::{LocalStore, MemoryStore};

const N: u64 = 40_000;
const N_KEYS: u64 = 997;

/// Counts numbers by their remainder; at `rate` words a second it lasts long enough to be disturbed.
fn count(job: &Job) {
    job.source("numbers", from_iters(4, |p| (0..N).map(move |n| n * 4 + p as u64)))
        .into_keyed(|n| (n % N_KEYS, n))
        .fold(
            "count",
            || (0_u64, 0_u64),
            |(count, sum), n| {
                *count += 1;
                *sum += n;
            },
        )
        .sink("nowhere", Discard);
}

fn expected() -> BTreeMap<u64, (u64, u64)> {
    let mut counts = BTreeMap::new();
    for n in 0..4 * N {
        let (count, sum) = counts.entry(n % N_KEYS).or_insert((0, 0));
        *count += 1;
        *sum += n;
    }
    counts
}

fn counted(outcome: &JobOutcome) -> BTreeMap<u64, (u64, u64)> {
    outcome.keyed_state("count").unwrap().into_iter().collect()
}

/// Endless until told to end: lets a test do what it has to while the job runs.
fn endless(job: &Job) {
    job.source("text", ZipfText::new(500).partitions(3).rate(200_000))
        .flat_map(|line| line.words().map(<[u8]>::to_vec).collect::<Vec<_>>())
        .into_keyed(|word| (word, ()))
        .fold("count", || 0_u64, |n, ()| *n += 1)
        .sink("nowhere", Discard);
}

fn quick() -> Restarts {
    Restarts { n_max: 3, backoff_min: Duration::from_millis(1), ..Restarts::default() }
}

#[test]
fn the_same_counts_come_of_any_number_of_workers() {
    for n_workers in [1, 2, 3, 5] {
        let job = MultiThread::builder().job("count", count).workers(n_workers).bins(64).build().unwrap();
        assert_eq!(counted(&job.run().unwrap()), expected(), "{n_workers} workers");
    }
    let job = SingleThread::builder().job("count", count).build().unwrap();
    assert_eq!(counted(&job.run().unwrap()), expected(), "one thread");
}

#[test]
fn one_thread_can_be_rescaled_too() {
    let job = SingleThread::builder().job("count", endless).bins(64).build().unwrap();
    let api = job.api();
    let asking = std::thread::spawn(move || {
        let up = api.rescale(3).unwrap();
        let down = api.rescale(2).unwrap();
        let status = api.status().unwrap();
        api.suspend().unwrap();
        (up, down, status)
    });
    let outcome = job.run().unwrap();
    let (up, down, status) = asking.join().unwrap();
    assert_eq!((up.from, up.to, down.from, down.to), (1, 3, 3, 2));
    assert_eq!(status.job.bins_per_worker, [32, 32]);
    assert_eq!((outcome.completion, outcome.n_workers), (Completion::Suspended, 2));
}

#[test]
fn requests_that_cannot_be_are_refused_with_the_reason() {
    let running =
        MultiThread::builder().job("count", endless).workers(1).bins(4).build().unwrap().start().unwrap();
    let api = running.api().clone();
    assert!(matches!(api.rescale(0), Err(RequestError::Scale { reason }) if reason.contains("at least 1")));
    assert!(matches!(api.rescale(5), Err(RequestError::Scale { reason }) if reason.contains("4 bins")));
    assert!(matches!(api.savepoint(""), Err(RequestError::EmptyName)));
    assert_eq!(api.rescale(1).unwrap().bins_moved, 0, "the same scale is no work");
    api.cancel().unwrap();
    assert_eq!(running.wait().unwrap().completion, Completion::Cancelled);
    assert!(matches!(api.snapshot(), Err(RequestError::NotRunning)));
    assert!(matches!(api.status(), Err(RequestError::NotRunning)));
    let impossible = MultiThread::builder().job("count", count).workers(0).build();
    assert!(matches!(impossible, Err(JobError::Config { .. })));
    let impossible = MultiThread::builder().job("count", count).workers(1).bins(100).build();
    assert!(matches!(impossible, Err(JobError::Config { reason }) if reason.contains("power of two")));
}

#[test]
fn a_panic_in_a_users_closure_is_recovered_from_and_nothing_counts_twice() {
    let left = Arc::new(AtomicU64::new(2));
    let fuse = left.clone();
    let job = MultiThread::builder()
        .job("count", move |job: &Job| {
            let fuse = fuse.clone();
            job.source("numbers", from_iters(4, |p| (0..N).map(move |n| n * 4 + p as u64)))
                .inspect(move |n| {
                    if *n == 100_001
                        && fuse
                            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                            .is_ok()
                    {
                        panic!("the fuse has blown");
                    }
                })
                .into_keyed(|n| (n % N_KEYS, n))
                .fold(
                    "count",
                    || (0_u64, 0_u64),
                    |(count, sum), n| {
                        *count += 1;
                        *sum += n;
                    },
                )
                .sink("nowhere", Discard);
        })
        .workers(2)
        .bins(64)
        .snapshot_interval(Duration::from_millis(5))
        .restarts(quick())
        .build()
        .unwrap();
    let outcome = job.run().unwrap();
    assert_eq!(counted(&outcome), expected());
    // The second panic may come before the first recovery is complete: then one recovery answers both.
    assert!((1..=2).contains(&outcome.recoveries.len()), "{:?}", outcome.recoveries);
    assert!(outcome.recoveries[0].reason.contains("the fuse has blown"), "{:?}", outcome.recoveries[0]);
    assert!(outcome.recoveries[0].reason.contains("jobs.rs"), "{:?}", outcome.recoveries[0]);
}

#[test]
fn a_job_that_always_panics_fails_with_the_users_own_error() {
    let job = MultiThread::builder()
        .job("doomed", |job: &Job| {
            job.source("numbers", from_iter(|| 0..10_u64))
                .map(|n| if n == 7 { panic!("seven is not allowed") } else { n })
                .sink("nowhere", Discard);
        })
        .workers(1)
        .restarts(quick())
        .build()
        .unwrap();
    let error = job.run().unwrap_err();
    assert!(matches!(&error, JobError::GivenUp { n_restarts: 3, .. }), "{error}");
    assert!(error.to_string().contains("seven is not allowed"), "{error}");
}

#[test]
fn an_error_of_a_sink_names_the_sink() {
    struct Full;
    impl Sink<u64> for Full {
        fn write(&mut self, _: Record<u64>) -> Result<(), BoxError> {
            Err("the disk is full".into())
        }
    }
    let job = MultiThread::builder()
        .job("doomed", |job: &Job| job.source("numbers", from_iter(|| 0..10_u64)).sink("ledger", Full))
        .workers(1)
        .restarts(Restarts { n_max: 0, ..quick() })
        .build()
        .unwrap();
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("`ledger` failed: the disk is full"), "{error}");
}

#[test]
fn a_suspended_job_resumes_at_another_scale_and_knows_when_it_has_finished() {
    let store = MemoryStore::default();
    let run = |n_workers| {
        MultiThread::builder()
            .job("count", |job: &Job| {
                job.source("text", ZipfText::new(500).words(60_000).partitions(3).rate(400_000))
                    .flat_map(|line| line.words().map(<[u8]>::to_vec).collect::<Vec<_>>())
                    .into_keyed(|word| (word, ()))
                    .fold("count", || 0_u64, |n, ()| *n += 1)
                    .sink("nowhere", Discard);
            })
            .workers(n_workers)
            .bins(32)
            .snapshot_store(Arc::new(store.clone()))
            .build()
            .unwrap()
    };
    let running = run(2).start().unwrap();
    let first = running.api().suspend().unwrap();
    assert_eq!(running.wait().unwrap().completion, Completion::Suspended);
    let running = run(5).start().unwrap();
    let second = running.api().suspend().unwrap();
    let outcome = running.wait().unwrap();
    assert_eq!(outcome.resumed_from, Some(first.id));
    let outcome = run(1).run().unwrap();
    assert_eq!((outcome.resumed_from, outcome.completion), (Some(second.id), Completion::Finished));
    let total = |outcome: &JobOutcome| -> u64 {
        outcome.keyed_state::<Vec<u8>, u64>("count").unwrap().iter().map(|(_, n)| n).sum()
    };
    assert_eq!(total(&outcome), 60_000);
    let again = run(4).run().unwrap();
    assert!(again.was_finished);
    assert_eq!(total(&again), 60_000);
}

#[test]
fn a_transactional_sink_publishes_once_across_panics_rescales_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshots, output) = (folder.path().join("snapshots"), folder.path().join("output"));
    let blown = Arc::new(AtomicBool::new(false));
    let run = || {
        let (output, blown) = (output.clone(), blown.clone());
        MultiThread::builder()
            .job("publish", move |job: &Job| {
                let blown = blown.clone();
                let files = TransactionalFiles::new(&output, |n: &u64, line: &mut Vec<u8>| {
                    line.extend_from_slice(n.to_string().as_bytes());
                });
                job.source(
                    "text",
                    ZipfText::new(500).words(60_000).partitions(3).rate(150_000).words_per_line(1),
                )
                .map(|_| 1_u64)
                .into_keyed(|n| (n, n))
                .fold("number", || 0_u64, |count, n| *count += n)
                .into_pairs()
                .map(|(_, count)| count)
                .inspect(move |count| {
                    if *count == 20_000 && !blown.swap(true, Ordering::Relaxed) {
                        panic!("the fuse has blown");
                    }
                })
                .transactional_sink("files", files);
            })
            .workers(2)
            .bins(8)
            .snapshots(snapshots.to_str().unwrap())
            .snapshot_interval(Duration::from_millis(20))
            .restarts(quick())
            .build()
            .unwrap()
    };
    let running = run().start().unwrap();
    running.api().rescale(4).unwrap();
    running.api().rescale(1).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    running.api().cancel().unwrap();
    running.wait().unwrap();
    let running = run().start().unwrap();
    let _ = running.api().rescale(3);
    assert_eq!(running.wait().unwrap().completion, Completion::Finished);
    let lines = read_parts(&output).unwrap();
    let mut numbers: Vec<u64> =
        lines.iter().map(|line| std::str::from_utf8(line).unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    let all: Vec<u64> = (1..=60_000).collect();
    assert!(numbers == all, "{} lines", numbers.len());
}

#[test]
fn what_a_finished_job_collects_is_everything_once() {
    let all = Collected::default();
    let sink = all.clone();
    let job = MultiThread::builder()
        .job("finals", move |job: &Job| {
            job.source("numbers", from_iters(4, |p| (0..N).map(move |n| n * 4 + p as u64)))
                .into_keyed(|n| (n % N_KEYS, n))
                .fold_final(
                    "count",
                    || (0_u64, 0_u64),
                    |(count, sum), n| {
                        *count += 1;
                        *sum += n;
                    },
                )
                .transactional_sink("all", sink.sink());
        })
        .workers(3)
        .snapshot_interval(Duration::from_millis(3))
        .build()
        .unwrap();
    job.run().unwrap();
    let all = all.take();
    assert_eq!(all.len(), N_KEYS as usize);
    assert_eq!(all.into_iter().collect::<BTreeMap<_, _>>(), expected());
}

#[test]
fn a_job_that_does_not_fit_its_snapshot_is_refused_by_name_unless_it_may_drop() {
    let store = MemoryStore::default();
    let running = MultiThread::builder()
        .job("count", endless)
        .workers(1)
        .snapshot_store(Arc::new(store.clone()))
        .build()
        .unwrap()
        .start()
        .unwrap();
    running.api().suspend().unwrap();
    running.wait().unwrap();
    let changed = || {
        MultiThread::builder()
            .job("count", |job: &Job| {
                job.source("text", ZipfText::new(500).partitions(3).words(3000))
                    .flat_map(|line| line.words().map(<[u8]>::to_vec).collect::<Vec<_>>())
                    .into_keyed(|word| (word, ()))
                    .fold("tally", || 0_u64, |n, ()| *n += 1)
                    .sink("nowhere", Discard);
            })
            .workers(1)
            .snapshot_store(Arc::new(store.clone()))
    };
    let error = changed().build().unwrap().run().unwrap_err();
    assert!(matches!(&error, JobError::Misfit(_)) && error.to_string().contains("`count`"), "{error}");
    let other = MultiThread::builder()
        .job("something else", endless)
        .workers(1)
        .snapshot_store(Arc::new(store.clone()))
        .build()
        .unwrap()
        .run()
        .unwrap_err();
    assert!(other.to_string().contains("belongs to the job `count`"), "{other}");
    let running = changed().allow_drop(["count", "text"]).build().unwrap();
    assert_eq!(running.run().unwrap().completion, Completion::Finished);
}

#[test]
fn a_state_of_another_type_is_refused_by_name() {
    let store = MemoryStore::default();
    let start = || MultiThread::builder().job("count", endless).workers(1);
    let running = start().snapshot_store(Arc::new(store.clone())).build().unwrap().start().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    running.api().suspend().unwrap();
    running.wait().unwrap();
    let error = MultiThread::builder()
        .job("count", |job: &Job| {
            job.source("text", ZipfText::new(500).partitions(3).rate(200_000))
                .flat_map(|line| line.words().map(<[u8]>::to_vec).collect::<Vec<_>>())
                .into_keyed(|word| (word, ()))
                .fold("count", String::new, |text, ()| text.push('x'))
                .sink("nowhere", Discard);
        })
        .workers(1)
        .snapshot_store(Arc::new(store))
        .build()
        .unwrap()
        .run()
        .unwrap_err();
    assert!(matches!(&error, JobError::Incompatible { name, .. } if name == "count"), "{error}");
}

#[test]
fn a_damaged_snapshot_falls_back_to_the_one_before_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().to_str().unwrap().to_owned();
    let events = Arc::new(Mutex::new(Vec::new()));
    let start = || {
        let events = events.clone();
        MultiThread::builder()
            .job("count", endless)
            .workers(2)
            .bins(16)
            .snapshots(&url)
            .on_event(move |event| events.lock().unwrap().push(event.clone()))
            .build()
            .unwrap()
            .start()
            .unwrap()
    };
    let running = start();
    std::thread::sleep(Duration::from_millis(30));
    let sound = running.api().snapshot().unwrap().id;
    std::thread::sleep(Duration::from_millis(30));
    let newest = running.api().suspend().unwrap().id;
    running.wait().unwrap();
    let mut n_damaged = 0;
    for object in std::fs::read_dir(folder.path().join("objects")).unwrap() {
        let path = object.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().contains(&format!("-s{}-", newest.0)) {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            n_damaged += 1;
        }
    }
    assert!(n_damaged > 0);
    let running = start();
    std::thread::sleep(Duration::from_millis(200));
    running.api().suspend().unwrap();
    assert_eq!(running.wait().unwrap().resumed_from, Some(sound));
    let events = events.lock().unwrap();
    assert!(
        events.iter().any(|event| matches!(event, JobEvent::Damaged { reason } if reason.contains("bin")))
    );
}

#[test]
fn a_damaged_entry_in_the_log_is_not_taken_for_a_newer_coordinator_when_a_worker_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let armed = Arc::new(AtomicBool::new(false));
    let start = || {
        let fuse = armed.clone();
        MultiThread::builder()
            .job("count", move |job: &Job| {
                let fuse = fuse.clone();
                job.source("text", ZipfText::new(500).partitions(3).rate(200_000))
                    .inspect(move |_| {
                        if fuse.swap(false, Ordering::Relaxed) {
                            panic!("the fuse has blown");
                        }
                    })
                    .sink("nowhere", Discard);
            })
            .workers(2)
            .bins(16)
            .snapshots(folder.path().to_str().unwrap())
            .restarts(quick())
            .build()
            .unwrap()
            .start()
            .unwrap()
    };
    let running = start();
    let sound = running.api().snapshot().unwrap().id;
    running.api().suspend().unwrap();
    running.wait().unwrap();
    let mut entries: Vec<_> =
        std::fs::read_dir(folder.path().join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    std::fs::write(entries.last().unwrap(), b"no entry").unwrap();
    let running = start();
    running.api().snapshot().unwrap();
    armed.store(true, Ordering::Relaxed);
    while armed.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
    }
    // A request that meets the loss of the worker fails with it; the next one finds the job recovered.
    while running.api().suspend().is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let outcome = running.wait().unwrap();
    assert_eq!((outcome.resumed_from, outcome.recoveries.len()), (Some(sound), 1));
}

#[test]
fn a_second_coordinator_takes_the_job_and_the_first_stops() {
    let store: Arc<dyn SnapshotStore> = Arc::new(MemoryStore::default());
    let start = || {
        let job = MultiThread::builder().job("count", endless).workers(1).snapshot_store(store.clone());
        job.build().unwrap().start().unwrap()
    };
    let first = start();
    first.api().snapshot().unwrap();
    let second = start();
    let id = second.api().snapshot().unwrap().id;
    assert!(id > SnapshotId(1));
    assert!(first.api().snapshot().is_err(), "nothing of an older generation commits");
    assert!(matches!(first.wait(), Err(JobError::Fenced { .. })));
    second.api().cancel().unwrap();
    second.wait().unwrap();
}

#[test]
fn a_folder_in_use_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let build =
        || MultiThread::builder().job("count", endless).workers(1).snapshots(folder.path().to_str().unwrap());
    let running = build().build().unwrap();
    let refused = build().build();
    assert!(matches!(&refused, Err(JobError::Config { reason }) if reason.contains("in use")), "{refused:?}");
    drop(running);
    build().build().unwrap();
}

#[test]
fn old_snapshots_are_collected_and_savepoints_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let running = MultiThread::builder()
        .job("count", endless)
        .workers(2)
        .bins(16)
        .snapshots(folder.path().to_str().unwrap())
        .retain(NonZeroUsize::new(2).unwrap())
        .build()
        .unwrap()
        .start()
        .unwrap();
    let kept = running.api().savepoint("before the change").unwrap();
    assert_eq!(kept.savepoint.as_deref(), Some("before the change"));
    // The first one collects what is left of another time; so many later is the next that does.
    for _ in 0..=COLLECT_SNAPSHOTS {
        std::thread::sleep(Duration::from_millis(5));
        running.api().snapshot().unwrap();
    }
    running.api().suspend().unwrap();
    running.wait().unwrap();
    let names = |sub: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder.path().join(sub)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let of_snapshot = |id: u64| names("objects").iter().any(|name| name.contains(&format!("-s{id}-")));
    assert!(of_snapshot(kept.id.0), "the savepoint's objects are kept");
    assert!(!of_snapshot(kept.id.0 + 1), "an old snapshot's are not");
    assert!(names("log").len() <= 6, "{:?}", names("log"));
    LocalStore::open(folder.path()).unwrap();
}

/// A service that takes a while, and fails the first time it is asked for every seventh number.
fn service(
    asked: &Arc<Mutex<BTreeMap<u64, u32>>>,
    n: u64,
) -> impl Future<Output = Result<u64, String>> + use<> {
    let mut asked = asked.lock().unwrap();
    let times = asked.entry(n).or_default();
    *times += 1;
    let fails = n.is_multiple_of(7) && *times == 1;
    async move {
        tokio::time::sleep(Duration::from_millis(n % 5)).await;
        if fails { Err(format!("{n} is not known yet")) } else { Ok(n * n) }
    }
}

fn asked_for_squares(builder: impl FnOnce(Arc<Mutex<BTreeMap<u64, u32>>>, Collected<u64>) -> RunnableJob) {
    let (asked, collected) = (Arc::default(), Collected::new());
    let job = builder(Arc::clone(&asked), collected.clone());
    job.run().unwrap();
    let mut squares = collected.take();
    squares.sort_unstable();
    assert_eq!(squares, (0..500).map(|n| n * n).collect::<Vec<u64>>());
    assert!(asked.lock().unwrap().iter().all(|(n, times)| *times == if n % 7 == 0 { 2 } else { 1 }));
}

#[test]
fn a_service_is_asked_again_until_it_answers() {
    asked_for_squares(|asked, collected| {
        let define = move |job: &Job| {
            let options =
                AsyncOptions::new().retries(2).backoff(Duration::from_millis(1), Duration::from_millis(2));
            let asked = asked.clone();
            job.source("numbers", from_iters(3, |p| (0..500_u64).filter(move |n| n % 3 == p as u64)))
                .map_async("squares", options, move |n| service(&asked, n))
                .map(Result::unwrap)
                .transactional_sink("out", collected.sink());
        };
        MultiThread::builder().job("squares", define).workers(2).build().unwrap()
    });
}

#[test]
fn one_thread_asks_a_service_by_key() {
    asked_for_squares(|asked, collected| {
        let define = move |job: &Job| {
            let options = AsyncOptions::new().concurrency(50).retries(2).unordered();
            let options = options.backoff(Duration::from_millis(1), Duration::from_millis(2));
            let asked = asked.clone();
            job.source("numbers", from_iter(|| 0..500_u64))
                .key_by(|n| n % 11)
                .map_async("squares", options, move |_, n| service(&asked, n))
                .map(|(_, answer)| answer.unwrap())
                .transactional_sink("out", collected.sink());
        };
        SingleThread::builder().job("squares", define).build().unwrap()
    });
}

#[test]
fn a_request_that_panics_fails_the_job_by_name() {
    let job = MultiThread::builder()
        .job("panics", |job: &Job| {
            let ask = |n: u64| async move { if n == 7 { panic!("seven") } else { Ok::<_, String>(n) } };
            job.source("numbers", from_iter(|| 0..10_u64))
                .map_async("asked", AsyncOptions::new(), ask)
                .sink("out", Discard);
        })
        .workers(1)
        .restarts(quick())
        .build()
        .unwrap();
    let error = job.run().unwrap_err().to_string();
    assert!(error.contains("`asked` failed"), "{error}");
}

/// Asks about 200 numbers by key, of a service that answers only while it is open.
fn asks_by_key(
    store: &MemoryStore,
    n_workers: u32,
    is_open: bool,
    n_asked: &Arc<AtomicU64>,
    collected: &Collected<u64>,
) -> RunnableJob {
    let (n_asked, collected) = (n_asked.clone(), collected.clone());
    let ask = move |n: u64| {
        n_asked.fetch_add(1, Ordering::SeqCst);
        async move {
            if !is_open {
                std::future::pending::<()>().await;
            }
            Ok::<_, BoxError>(n + 1000)
        }
    };
    MultiThread::builder()
        .job("asks", move |job: &Job| {
            let ask = ask.clone();
            // As long as the service is closed the job does not end by itself.
            let text = ZipfText::new(500).partitions(1).rate(1000);
            let text = if is_open { text.words(1) } else { text };
            let none = job.source("text", text).filter(|_| false).map(|_| 0);
            job.source("numbers", from_iters(2, |p| (0..200_u64).filter(move |n| n % 2 == p as u64)))
                .union(none)
                .key_by(|n| n % 50)
                .map_async("ask", AsyncOptions::new().concurrency(500).no_timeout(), move |_, n| ask(n))
                .map(|(_, answer)| answer.unwrap())
                .transactional_sink("out", collected.sink());
        })
        .workers(n_workers)
        .bins(32)
        .snapshot_store(Arc::new(store.clone()))
        .build()
        .unwrap()
}

#[test]
fn records_that_wait_for_a_service_hold_up_no_rescale_and_no_snapshot_and_are_asked_again() {
    let (store, n_asked, collected) = (MemoryStore::default(), Arc::new(AtomicU64::new(0)), Collected::new());
    let running = asks_by_key(&store, 2, false, &n_asked, &collected).start().unwrap();
    let n_asked_is = |n: u64| {
        while n_asked.load(Ordering::SeqCst) < n {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    n_asked_is(200);
    running.api().rescale(3).unwrap();
    running.api().snapshot().unwrap();
    let snapshot = running.api().suspend().unwrap().id;
    assert_eq!(running.wait().unwrap().completion, Completion::Suspended);
    assert!(collected.take().is_empty());
    let before = n_asked.load(Ordering::SeqCst);
    assert!(before > 200, "what moved was asked again");
    let outcome = asks_by_key(&store, 5, true, &n_asked, &collected).run().unwrap();
    assert_eq!((outcome.resumed_from, outcome.completion), (Some(snapshot), Completion::Finished));
    assert_eq!(n_asked.load(Ordering::SeqCst), before + 200, "each was asked once more");
    let mut answers = collected.take();
    answers.sort_unstable();
    assert_eq!(answers, (1000..1200).collect::<Vec<u64>>());
}
