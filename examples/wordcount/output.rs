//! The file of counts, which appears when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use malstrom_core::key::KeyBytes;

use crate::failure::Failure;

/// A file that is going to be written.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    unfinished: PathBuf,
}

impl Output {
    /// Checks that the file can be written, before any work is done for it.
    pub(crate) fn at(path: &Path) -> Result<Self, Failure> {
        let failed =
            |reason: &str| Failure::new(format!("--output: cannot write `{}`: {reason}", path.display()));
        if path.starts_with("/dev") || path.starts_with("/proc") {
            return Err(failed("it is not a regular file"));
        }
        // A link is followed, so that what it points to is replaced and not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.exists() && !path.is_file() {
            return Err(failed("it is not a regular file"));
        }
        let name = path.file_name().ok_or_else(|| failed("it has no name"))?;
        let mut unfinished = std::ffi::OsString::from(".");
        unfinished.push(name);
        unfinished.push(format!(".{}.unfinished", std::process::id()));
        let unfinished = path.with_file_name(unfinished);
        let try_it = || {
            File::create(&unfinished)?;
            fs::remove_file(&unfinished)
        };
        try_it().map_err(|error| failed(&error.to_string()))?;
        Ok(Self { path, unfinished })
    }

    /// Writes all counts, sorted by word.
    pub(crate) fn write(self, mut counts: Vec<(KeyBytes, u64)>) -> Result<(), Failure> {
        counts.sort_unstable();
        self.write_sorted(&counts).map_err(|error| {
            // What was not finished is of no use; the first error is the one to tell.
            let _ = fs::remove_file(&self.unfinished);
            Failure::because(&format!("--output: cannot write `{}`", self.path.display()), &error)
        })
    }

    fn write_sorted(&self, counts: &[(KeyBytes, u64)]) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&self.unfinished)?);
        for (word, count) in counts {
            file.write_all(word)?;
            writeln!(file, "\t{count}")?;
        }
        file.into_inner()?.sync_all()?;
        fs::rename(&self.unfinished, &self.path)?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(directory.unwrap_or(Path::new(".")))
    }
}

/// Makes the new name durable. Elsewhere than on Unix a directory cannot be synchronised, and need not be.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}
