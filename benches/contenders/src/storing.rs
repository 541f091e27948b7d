//! The work that a snapshot is, done beside a program that takes none: what storing costs, whoever does it.
//!
//! For each worker a thread keeps that worker's share of the keys, and walks over it, encodes it, writes it to a file and
//! syncs that, as often as Malstrom takes a snapshot. The first one also writes a manifest.
//!
//! # Caveats
//! It is less than a snapshot: what it stores is no state of the program beside it, nobody is asked to agree on a cut, and
//! nothing could be restored from it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::data::nth_key;
use crate::engine::Scratch;
use crate::task::Task;
use malstrom_measure::outcome::BoxError;

/// Entries of a manifest: one for each of Malstrom's bins.
const MANIFEST_ENTRIES: u64 = 4096;
/// The longest that a thread does not see that it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Threads that store until this is dropped.
pub(crate) struct Storing {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    _folder: Scratch,
}

impl Storing {
    /// Begins, as the task says: with its workers and keys, as often as its snapshots.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub(crate) fn begin(task: &Task) -> Result<Self, BoxError> {
        let folder = Scratch::new(task)?;
        let stop = Arc::new(AtomicBool::new(false));
        let n = task.workers as u64;
        let threads = (0..n)
            .map(|me| {
                let share = (me..task.keys).step_by(task.workers).map(|i| (nth_key(i), i)).collect();
                let store = Store { share, me, bytes: Vec::new() };
                let (stop, every, path) = (stop.clone(), task.snapshot_every(), folder.path().to_owned());
                thread::spawn(move || store.store_until(&stop, every, &path))
            })
            .collect();
        Ok(Self { stop, threads, _folder: folder })
    }

    /// Stops.
    ///
    /// # Errors
    /// The first that a write met.
    pub(crate) fn end(mut self) -> Result<(), BoxError> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| "a thread that stores panicked")??;
        }
        Ok(())
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What one thread stores.
struct Store {
    share: HashMap<u64, u64, FixedState>,
    me: u64,
    /// What is written, in memory that was used before.
    bytes: Vec<u8>,
}

impl Store {
    fn store_until(mut self, stop: &AtomicBool, every: Duration, folder: &Path) -> io::Result<()> {
        let mut due = Instant::now();
        for id in 0_u64.. {
            due += every;
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                thread::sleep(left.min(LOOK_EVERY));
            }
            self.bytes.clear();
            for entry in &self.share {
                encode(&entry, &mut self.bytes)?;
            }
            put(folder, &format!("keys-{}-{id}", self.me), &self.bytes)?;
            if self.me == 0 {
                self.bytes.clear();
                for entry in 0..MANIFEST_ENTRIES {
                    encode(&(entry, id, u64::MAX - entry), &mut self.bytes)?;
                }
                put(folder, &format!("manifest-{id}"), &self.bytes)?;
            }
        }
        Ok(())
    }
}

fn encode(value: &impl serde::Serialize, out: &mut Vec<u8>) -> io::Result<()> {
    rmp_serde::encode::write(out, value).map_err(io::Error::other)
}

/// Writes a file so that it is there, whole, even if the machine fails.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (part, whole) = (folder.join(format!("{name}.part")), folder.join(name));
    let mut file = File::create_new(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(part, whole)?;
    File::open(folder)?.sync_all()
}
