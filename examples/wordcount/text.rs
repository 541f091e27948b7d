//! What is counted.

use std::path::{Path, PathBuf};

use malstrom_core::operators::{BoxError, Source};
use malstrom_runtime::connectors::{TextFiles, ZipfText};

use crate::args::Args;
use crate::failure::Failure;

/// Partitions that share the generated text.
const GENERATED_PARTITIONS: u32 = 8;

/// A text, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    /// Made up.
    Generated { text: ZipfText, n_partitions: u32, what: String },
    /// Read from files, each of them several times.
    Files { files: TextFiles, paths: Vec<PathBuf>, n_times: u32, what: String },
    /// Read from standard input.
    Stdin,
}

impl Text {
    /// The text that the flags ask for. That files are there and can be opened is seen now, not by a worker later.
    pub(crate) fn find(args: &Args) -> Result<Self, Failure> {
        let (mut files, mut what) = (None, Vec::new());
        for input in &args.input {
            if input == "-" {
                return Ok(Self::Stdin);
            }
            let (path, pattern) = (Path::new(input), input.to_string_lossy());
            let is_pattern = !path.exists() && pattern.contains(['*', '?', '[']);
            files = Some(match (files, is_pattern) {
                (None, false) => TextFiles::new(path),
                (None, true) => TextFiles::glob(pattern.clone()),
                (Some(files), false) => TextFiles::and(files, path),
                (Some(files), true) => files.and_glob(pattern.clone()),
            });
            what.push(pattern.into_owned());
        }
        let Some(files) = files else { return Self::generated(args) };
        let paths = check_readable(&mut files.clone())?;
        let n_times = args.repeat;
        let times = if n_times > 1 { format!(", {n_times} times") } else { String::new() };
        let what = format!("{}{times}", what.join(", "));
        Ok(Self::Files { files: files.repeat(n_times as usize), paths, n_times, what })
    }

    fn generated(args: &Args) -> Result<Self, Failure> {
        let (n_words, n_distinct, exponent) = (args.words, args.vocabulary, args.exponent);
        let text =
            ZipfText::new(n_distinct).words(n_words).exponent(exponent).partitions(GENERATED_PARTITIONS);
        // The first line makes the tables, which all workers then share.
        text.lines(0).map_err(|error| Failure::bad_flags(error.to_string()))?;
        let what = format!("{n_words} generated words of {n_distinct}, exponent {exponent}");
        Ok(Self::Generated { text, n_partitions: GENERATED_PARTITIONS, what })
    }

    /// Where it comes from, in words.
    pub(crate) fn what(&self) -> &str {
        match self {
            Self::Generated { what, .. } | Self::Files { what, .. } => what,
            Self::Stdin => "standard input",
        }
    }

    /// The job is named by what it counts: snapshots of one text are of no use for another.
    pub(crate) fn job_name(&self) -> String {
        format!("wordcount of {}", self.what())
    }
}

/// Opens each file once, and returns their paths.
fn check_readable(files: &mut TextFiles) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: BoxError| Failure::because("--input", &*error);
    let partitions = files.partitions().map_err(failed)?;
    let open = |partition: &String| files.open(partition, None).map(|file| file.path().to_owned());
    partitions.iter().map(open).collect::<Result<_, _>>().map_err(failed)
}
