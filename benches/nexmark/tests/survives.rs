//! Starts the real program, rescales it under load, suspends it, kills it and resumes it: what its transactional output
//! holds in the end is what a run without any of that gives.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use malstrom_runtime::connectors::read_parts;

/// Events of a run: so many seconds of load.
const EVENTS: u64 = 300_000;
const RATE: u64 = 60_000;
/// The longest any one life may take.
const LIFE_MAX: Duration = Duration::from_secs(60);

/// Joins two kinds of events for ever.
#[test]
fn q3_survives() {
    survives("q3");
}

/// Sliding windows, two stages.
#[test]
fn q5_survives() {
    survives("q5");
}

/// Joins within a window.
#[test]
fn q8_survives() {
    survives("q8");
}

/// Sessions.
#[test]
fn q11_survives() {
    survives("q11");
}

/// Timers, and two exchanges.
#[test]
fn q6_survives() {
    survives("q6");
}

fn survives(query: &str) {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name);
    Life::start(query, &path("fault-free"), None, &["--workers=1"]).end();
    let expected = rows(&path("fault-free"));
    assert!(expected.len() > 10, "there is something to compare");

    let (out, snapshots) = (path("out"), path("snapshots"));
    let paced = format!("--rate={RATE}");
    let live = |flags: &[&str]| {
        let flags = [&[paced.as_str(), "--snapshot-interval=50ms"], flags].concat();
        Life::start(query, &out, Some(&snapshots), &flags)
    };
    // Rescaled and suspended.
    let suspended =
        live(&["--workers=2", "--rescale=200ms:4,600ms:1,900ms:3", "--suspend-after=1300ms"]).end();
    assert!(suspended.contains("rescaled 2 -> 4") && suspended.contains("rescaled 4 -> 1"), "{suspended}");
    // Killed after a snapshot, between two rescales or in one.
    let mut killed = live(&["--workers=3", "--rescale=100ms:1,300ms:4,500ms:2,700ms:3"]);
    killed.wait_for("resumed from");
    killed.wait_for("rescaled 1 -> 4");
    killed.wait_for("snapshot");
    assert!(killed.kill(), "it was still running");
    // Killed in the middle of its recovery, or soon after.
    let short = live(&["--workers=1", "--rescale=20ms:2"]);
    std::thread::sleep(Duration::from_millis(150));
    assert!(short.kill(), "it was still running");
    let last = Life::start(query, &out, Some(&snapshots), &["--workers=2"]).end();
    assert!(last.contains("resumed from"), "{last}");

    let actual = rows(&out);
    let differs = expected.iter().zip(&actual).find(|(one, two)| one != two);
    assert_eq!((differs, actual.len()), (None, expected.len()), "{query}");
}

/// All rows, sorted: no order is promised.
fn rows(folder: &Path) -> Vec<String> {
    let lines = read_parts(folder).unwrap();
    let mut rows: Vec<String> = lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
    rows.sort_unstable();
    rows
}

/// A folder that is removed with what is in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("nexmark-survives-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One life of the program.
struct Life {
    child: Child,
    said: PathBuf,
    _folder: Folder,
    deadline: Instant,
}

impl Life {
    fn start(query: &str, out: &Path, snapshots: Option<&Path>, flags: &[&str]) -> Self {
        let folder = Folder::new();
        let said = folder.0.join("said");
        let mut command = Command::new(env!("CARGO_BIN_EXE_nexmark"));
        command.args(["run", query, &format!("--events={EVENTS}"), "--output"]).arg(out).args(flags);
        if let Some(snapshots) = snapshots {
            command.arg("--snapshots").arg(snapshots);
        }
        let child = command.stdout(Stdio::null()).stderr(File::create(&said).unwrap()).spawn().unwrap();
        Self { child, said, _folder: folder, deadline: Instant::now() + LIFE_MAX }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.said).unwrap()).into_owned()
    }

    /// Waits until it has said something.
    fn wait_for(&mut self, what: &str) {
        while !self.said().contains(what) {
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "it ended without saying `{what}`:\n{}",
                self.said()
            );
            self.rest();
        }
    }

    /// Kills it by `kill -9`; whether it was still running.
    fn kill(mut self) -> bool {
        self.child.kill().unwrap();
        self.child.wait().unwrap().signal() == Some(9)
    }

    /// Waits for a good end; what it has said.
    fn end(mut self) -> String {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{}", self.said());
                return self.said();
            }
            self.rest();
        }
    }

    fn rest(&self) {
        assert!(Instant::now() < self.deadline, "it hangs:\n{}", self.said());
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
