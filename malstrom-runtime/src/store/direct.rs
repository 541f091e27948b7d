//! Large objects to a disk past the page cache.
//!
//! Nobody reads the objects of a snapshot soon after they were written, and they are synced at once. To copy them into the
//! page cache takes two to four times the processor time of handing them to the disk where they lie, on cores that the
//! workers need.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::limits::{DIRECT_BLOCK_BYTES, STAGED_NAMES_MAX};
use super::local::sync_folder;

/// Puts an object whole into its place and syncs it, by the steps of [`LocalStore`](super::LocalStore), whose folders must
/// be there. It answers `false`, and nothing has happened, where this cannot be done: the system or the file system knows no
/// such writes, or the bytes do not begin where a block of memory does.
pub(super) fn put(place: &Path, bytes: &[u8]) -> io::Result<bool> {
    if !bytes.as_ptr().addr().is_multiple_of(DIRECT_BLOCK_BYTES) {
        return Ok(false);
    }
    match try_put(place, bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(false),
        put => put.map(|()| true),
    }
}

fn try_put(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let (staged, file) = stage(place)?;
    let put = fill(&staged, file, bytes).and_then(|()| std::fs::rename(&staged, place));
    if put.is_err() {
        // If it stays, it is listed nowhere.
        let _gone = std::fs::remove_file(&staged);
    }
    put?;
    place.parent().map_or(Ok(()), sync_folder)
}

/// Makes the file beside an object's place, under the first name that no other writer has or has left behind.
fn stage(place: &Path) -> io::Result<(PathBuf, File)> {
    let mut options = past_the_cache()?;
    options.write(true).create_new(true);
    for number in 1..=STAGED_NAMES_MAX {
        let mut staged = place.as_os_str().to_owned();
        staged.push(format!("#{number}"));
        match options.open(&staged) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (staged.into(), file)),
        }
    }
    let reason =
        format!("{STAGED_NAMES_MAX} writers that were stopped have left their files beside it: delete them");
    Err(io::Error::new(ErrorKind::AlreadyExists, reason))
}

/// Writes whole blocks past the page cache and what is left over through it, and syncs both.
fn fill(staged: &Path, mut file: File, bytes: &[u8]) -> io::Result<()> {
    let (blocks, rest) = bytes.split_at(bytes.len() - bytes.len() % DIRECT_BLOCK_BYTES);
    file.write_all(blocks)?;
    if !rest.is_empty() {
        OpenOptions::new().append(true).open(staged)?.write_all(rest)?;
    }
    file.sync_all()
}

#[cfg(target_os = "linux")]
fn past_the_cache() -> io::Result<OpenOptions> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_DIRECT);
    Ok(options)
}

#[cfg(not(target_os = "linux"))]
fn past_the_cache() -> io::Result<OpenOptions> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system that takes no such writes must be left as it was; where this runs, it may be one.
    fn put_or_refused(place: &Path, bytes: &[u8]) {
        if put(place, bytes).unwrap() {
            assert_eq!(std::fs::read(place).unwrap(), bytes);
        } else {
            assert!(!place.exists());
        }
    }

    /// Different bytes that begin where a block does, or so many behind it.
    fn with_bytes<T>(n_bytes: usize, behind: usize, work: impl FnOnce(&[u8]) -> T) -> T {
        let memory: Vec<u8> = (0..n_bytes + 2 * DIRECT_BLOCK_BYTES).map(|n| (n % 251) as u8).collect();
        let start = memory.as_ptr().align_offset(DIRECT_BLOCK_BYTES) + behind;
        work(&memory[start..start + n_bytes])
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn any_length_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let blocks = 3 * DIRECT_BLOCK_BYTES;
        for n_bytes in [0, 1, DIRECT_BLOCK_BYTES, blocks - 1, blocks, blocks + 1, 1 << 20] {
            let place = folder.path().join(n_bytes.to_string());
            with_bytes(n_bytes, 0, |bytes| put_or_refused(&place, bytes));
        }
        assert!(names(folder.path()).iter().all(|name| !name.contains('#')));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_later_put_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        std::fs::write(&place, vec![7; 1 << 20]).unwrap();
        let is_put = with_bytes(DIRECT_BLOCK_BYTES, 0, |bytes| put(&place, bytes).unwrap());
        assert_eq!(std::fs::read(&place).unwrap().len(), if is_put { DIRECT_BLOCK_BYTES } else { 1 << 20 });
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn bytes_elsewhere_in_a_block_are_left_to_others() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!with_bytes(1 << 20, 1, |bytes| put(&folder.path().join("a"), bytes).unwrap()));
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn what_stopped_writers_left_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let left = |number: usize| folder.path().join(format!("a#{number}"));
        std::fs::write(left(1), "half an obj").unwrap();
        with_bytes(DIRECT_BLOCK_BYTES, 0, |bytes| put_or_refused(&folder.path().join("a"), bytes));
        assert_eq!(std::fs::read(left(1)).unwrap(), b"half an obj");
        (2..=STAGED_NAMES_MAX).for_each(|number| std::fs::write(left(number), "").unwrap());
        match with_bytes(DIRECT_BLOCK_BYTES, 0, |bytes| put(&folder.path().join("a"), bytes)) {
            Ok(is_put) => assert!(!is_put),
            Err(error) => assert!(error.to_string().contains("delete them"), "{error}"),
        }
    }

    #[test]
    fn a_put_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for place in ["a", "missing/object"] {
            let put = with_bytes(DIRECT_BLOCK_BYTES, 0, |bytes| put(&folder.path().join(place), bytes));
            assert!(!matches!(put, Ok(true)), "{place}");
        }
        assert_eq!(names(folder.path()), ["a"]);
    }
}
