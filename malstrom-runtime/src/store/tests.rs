//! One suite of rules that every store has to keep, run over each of them.

use std::future::Future;
use std::sync::{Arc, Barrier};

use malstrom_core::ports::{SnapshotStore, StoreError};
use object_store::memory::InMemory;
use object_store::path::Path;

use super::limits::DIRECT_BYTES_MIN;
use super::{LocalStore, MemoryStore, ObjectSnapshotStore, OpenError, open};

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

type Store = Arc<dyn SnapshotStore>;

mod memory {
    super::conformance!(super::over_memory);
}
mod object_memory {
    super::conformance!(super::over_object_memory);
}
mod local_disk {
    super::conformance!(super::over_local_disk);
}

fn over_memory(test: impl FnOnce(Store)) {
    test(Arc::new(MemoryStore::default()));
}

fn over_object_memory(test: impl FnOnce(Store)) {
    let objects = ObjectSnapshotStore::new(Arc::new(InMemory::new()));
    test(Arc::new(objects.below(Path::from("jobs/word count"))));
}

fn over_local_disk(test: impl FnOnce(Store)) {
    let folder = tempfile::tempdir().unwrap();
    test(Arc::new(LocalStore::open(folder.path().join("not/there yet #1")).unwrap()));
}

macro_rules! conformance {
    ($over:path) => {
        super::conformance!($over:
            an_object_is_created_once,
            a_put_replaces,
            a_large_object_is_stored_whole,
            lent_bytes_are_stored_whatever_becomes_of_them,
            an_empty_object_is_an_object,
            what_is_missing_is_not_found,
            a_range_ends_with_the_object,
            a_list_is_sorted_and_of_one_folder,
            a_deleted_object_is_gone_and_may_come_again,
            of_many_creators_one_wins,
            odd_paths_stay_apart,
            a_path_without_names_is_refused,
            no_path_leaves_the_root,
        );
    };
    ($over:path: $($rule:ident,)*) => {
        $(#[test] fn $rule() { $over(super::$rule); })*
    };
}
use conformance;

fn an_object_is_created_once(store: Store) {
    run(async {
        store.put_new("log/1", b"first".to_vec()).await.unwrap();
        let second = store.put_new("log/1", b"second".to_vec()).await;
        assert!(matches!(second, Err(StoreError::Exists { path }) if path == "log/1"));
        assert_eq!(store.get("log/1").await.unwrap(), b"first");
    });
}

fn lent_bytes_are_stored_whatever_becomes_of_them(store: Store) {
    run(async {
        let mut bytes = Arc::new(b"lent".to_vec());
        store.put_lent("a", bytes.clone()).await.unwrap();
        // A store that still holds them does not see the change.
        Arc::make_mut(&mut bytes).fill(0);
        assert_eq!(store.get("a").await.unwrap(), b"lent");
        store.put_lent("a", Arc::new(b"another".to_vec())).await.unwrap();
        assert_eq!(store.get("a").await.unwrap(), b"another");
        assert!(store.put_lent("", bytes).await.is_err());
    });
}

fn a_large_object_is_stored_whole(store: Store) {
    run(async {
        for n_bytes in [DIRECT_BYTES_MIN - 1, DIRECT_BYTES_MIN, (1 << 20) + 1, 3 << 20, 100] {
            let bytes: Vec<u8> = (0..n_bytes).map(|n| (n % 251) as u8).collect();
            store.put("large", bytes.clone()).await.unwrap();
            assert!(store.get("large").await.unwrap() == bytes, "{n_bytes} bytes");
            let end = store.get_range("large", n_bytes as u64 - 100, u64::MAX).await.unwrap();
            assert_eq!(end, bytes[n_bytes - 100..]);
            assert_eq!(store.list("").await.unwrap().len(), 1);
        }
    });
}

fn a_put_replaces(store: Store) {
    run(async {
        store.put("a", b"a longer one".to_vec()).await.unwrap();
        store.put("a", b"short".to_vec()).await.unwrap();
        assert_eq!(store.get("a").await.unwrap(), b"short");
    });
}

fn an_empty_object_is_an_object(store: Store) {
    run(async {
        store.put_new("empty", Vec::new()).await.unwrap();
        assert!(matches!(store.put_new("empty", vec![1]).await, Err(StoreError::Exists { .. })));
        assert_eq!(store.get("empty").await.unwrap(), b"");
        assert_eq!(store.get_range("empty", 0, 1).await.unwrap(), b"");
        assert_eq!(store.list("").await.unwrap()[0].bytes, 0);
    });
}

fn what_is_missing_is_not_found(store: Store) {
    run(async {
        store.put("folder/object", vec![1]).await.unwrap();
        for path in ["missing", "folder", "folder/other", "missing/object"] {
            assert!(matches!(store.get(path).await, Err(StoreError::NotFound { .. })), "{path}");
            assert!(matches!(store.get_range(path, 0, 1).await, Err(StoreError::NotFound { .. })), "{path}");
            assert!(matches!(store.get_range(path, 0, 0).await, Err(StoreError::NotFound { .. })), "{path}");
        }
        assert_eq!(store.list("missing/").await.unwrap(), []);
    });
}

fn a_range_ends_with_the_object(store: Store) {
    run(async {
        store.put("ten", (0..10).collect()).await.unwrap();
        for (offset, bytes, expected) in [
            (0, 10, 0..10),
            (2, 3, 2..5),
            (8, 5, 8..10),
            (0, u64::MAX, 0..10),
            (9, u64::MAX, 9..10),
            (4, 0, 4..4),
            (10, 1, 10..10),
            (11, 0, 10..10),
            (u64::MAX, u64::MAX, 10..10),
        ] {
            let expected: Vec<u8> = expected.collect();
            assert_eq!(
                store.get_range("ten", offset, bytes).await.unwrap(),
                expected,
                "{bytes} from {offset}"
            );
        }
    });
}

fn a_list_is_sorted_and_of_one_folder(store: Store) {
    run(async {
        // By key, `b~` would come before `b0`, because `~` is spelt `%7E` there.
        for path in ["log/2", "log/b~", "log/b0", "log/10", "log/1/x", "logs/1", "log.1", "other/log/1", "lo"]
        {
            store.put(path, path.as_bytes().to_vec()).await.unwrap();
        }
        let paths = async |prefix: &'static str| -> Vec<String> {
            let found = store.list(prefix).await.unwrap();
            assert!(found.iter().all(|object| object.bytes == object.path.len() as u64));
            found.into_iter().map(|object| object.path).collect()
        };
        assert_eq!(paths("log/").await, ["log/1/x", "log/10", "log/2", "log/b0", "log/b~"]);
        assert_eq!(paths("log").await, paths("log/").await);
        assert_eq!(paths("log/1/").await, ["log/1/x"]);
        assert_eq!(paths("lo/").await, [""; 0]);
        let all = paths("").await;
        assert!(all.is_sorted() && all.len() == 9, "{all:?}");
    });
}

fn a_deleted_object_is_gone_and_may_come_again(store: Store) {
    run(async {
        store.put_new("a/b", vec![1]).await.unwrap();
        store.delete("a/b").await.unwrap();
        assert!(matches!(store.get("a/b").await, Err(StoreError::NotFound { .. })));
        store.delete("a/b").await.unwrap();
        store.delete("never/there").await.unwrap();
        assert_eq!(store.list("").await.unwrap(), []);
        store.put_new("a/b", vec![2]).await.unwrap();
        assert_eq!(store.get("a/b").await.unwrap(), [2]);
    });
}

fn of_many_creators_one_wins(store: Store) {
    const CREATORS: u8 = 8;
    const ROUNDS: usize = 20;
    for round in 0..ROUNDS {
        let (path, start) = (format!("log/{round}"), Barrier::new(usize::from(CREATORS)));
        let winners: Vec<u8> = std::thread::scope(|scope| {
            let (store, path, start) = (&store, &path, &start);
            let create = |creator: u8| {
                start.wait();
                match run(store.put_new(path, vec![creator; 1000])) {
                    Ok(()) => Some(creator),
                    Err(StoreError::Exists { .. }) => None,
                    Err(error) => panic!("{error}"),
                }
            };
            let threads: Vec<_> = (0..CREATORS).map(|creator| scope.spawn(move || create(creator))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        let [winner] = winners[..] else { panic!("{} won in round {round}", winners.len()) };
        assert_eq!(run(store.get(&path)).unwrap(), vec![winner; 1000]);
    }
    assert_eq!(run(store.list("log/")).unwrap().len(), ROUNDS);
}

fn odd_paths_stay_apart(store: Store) {
    let mut paths = [
        "a b",
        "a%20b",
        "a+b",
        "a#1",
        "a#2",
        "#",
        "a?b",
        "a*",
        "a\\b",
        "~",
        "ü",
        "u\u{308}",
        "日本/語",
        "a:b",
        "-a",
        "..a",
        "...",
        "nl\n",
        "nul\0",
        "%",
        "%zz",
        "\"quoted\"",
        "Ab",
        "<x>|{y}[z]^`",
    ];
    run(async {
        for path in paths {
            store.put_new(path, path.as_bytes().to_vec()).await.unwrap();
        }
        for path in paths {
            assert_eq!(store.get(path).await.unwrap(), path.as_bytes(), "{path:?}");
        }
        paths.sort_unstable();
        let listed: Vec<_> = store.list("").await.unwrap().into_iter().map(|object| object.path).collect();
        assert_eq!(listed, paths);
        for path in paths {
            store.delete(path).await.unwrap();
        }
        assert_eq!(store.list("").await.unwrap(), []);
    });
}

fn a_path_without_names_is_refused(store: Store) {
    run(async {
        for path in ["", "/", "/a", "a/", "a//b"] {
            let refused = |error: StoreError| assert!(matches!(error, StoreError::Failed { .. }), "{error}");
            refused(store.put_new(path, vec![1]).await.unwrap_err());
            refused(store.put(path, vec![1]).await.unwrap_err());
            refused(store.get(path).await.unwrap_err());
            refused(store.get_range(path, 0, 1).await.unwrap_err());
            refused(store.delete(path).await.unwrap_err());
        }
        refused_prefix(&store, "/").await;
        refused_prefix(&store, "a//").await;
    });
}

async fn refused_prefix(store: &Store, prefix: &str) {
    assert!(matches!(store.list(prefix).await, Err(StoreError::Failed { action: "list", .. })));
}

fn no_path_leaves_the_root(store: Store) {
    run(async {
        for path in ["..", "./a", "a/../../outside"] {
            store.put_new(path, path.as_bytes().to_vec()).await.unwrap();
            assert_eq!(store.get(path).await.unwrap(), path.as_bytes());
        }
        assert_eq!(store.list("").await.unwrap().len(), 3);
    });
}

#[test]
fn clones_of_a_store_in_memory_share_their_objects() {
    let store = MemoryStore::default();
    run(store.clone().put_new("a", vec![1])).unwrap();
    assert_eq!(run(store.get("a")).unwrap(), [1]);
}

#[test]
fn a_local_store_gives_back_what_it_was_lent() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    let bytes = Arc::new(vec![7; 100_000]);
    let at = bytes.as_ptr();
    run(store.put_lent("a", bytes.clone())).unwrap();
    let back = Arc::into_inner(bytes).unwrap();
    assert_eq!(back.as_ptr(), at);
}

#[test]
fn a_folder_keeps_its_objects_for_the_next_program() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().join("job").display());
    run(open(&url).unwrap().store().put_new("log/1", vec![1])).unwrap();
    assert_eq!(run(open(&url).unwrap().store().get("log/1")).unwrap(), [1]);
}

#[test]
fn the_lock_file_is_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path().to_str().unwrap()).unwrap();
    let _lock = opened.lock().unwrap();
    let store = opened.store();
    assert_eq!(run(store.list("")).unwrap(), []);
    assert!(matches!(run(store.put("LOCK", vec![1])), Err(StoreError::Failed { .. })));
    assert!(matches!(run(store.delete("LOCK")), Err(StoreError::Failed { .. })));
    run(store.put("elsewhere/LOCK", vec![1])).unwrap();
    assert_eq!(run(store.list("")).unwrap().len(), 1);
}

#[test]
fn what_a_killed_writer_left_is_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    std::fs::create_dir(folder.path().join("log")).unwrap();
    std::fs::write(folder.path().join("log/1#1"), b"half an ob").unwrap();
    assert_eq!(run(store.list("log/")).unwrap(), []);
    run(store.put_new("log/1", vec![1])).unwrap();
    assert_eq!(run(store.get("log/1")).unwrap(), [1]);
    assert_eq!(run(store.list("log/")).unwrap().len(), 1);
}

#[test]
fn a_local_store_works_without_a_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    let mut put = store.put_new("log/1", vec![1]);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(put.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(()))));
}

#[test]
fn a_file_cannot_be_a_store() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = open(file.path().to_str().unwrap()).unwrap_err();
    assert!(matches!(error, OpenError::Folder { .. }));
    assert!(error.to_string().contains("names a folder this user can write to"), "{error}");
}

#[cfg(not(feature = "aws"))]
#[test]
fn a_missing_client_is_named() {
    let message = open("s3://bucket/path").unwrap_err().to_string();
    assert!(message.contains("feature `aws`"), "{message}");
}
