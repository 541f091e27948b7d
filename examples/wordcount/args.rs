//! The flags.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use malstrom_core::limits::{BINS_DEFAULT, BINS_MAX};

use crate::failure::Failure;
use crate::text::Text;

/// Words that are generated when nothing is said.
const WORDS_DEFAULT: u64 = 100_000_000;

/// Counts words, exactly once each, while it is rescaled, suspended, killed and resumed.
///
/// Without any flag it counts made-up text on 2 workers, which become 4 and then 1 on the way, and checks the counts
/// against a plain loop over the same text.
///
/// Ctrl-C takes a snapshot and suspends; a second Ctrl-C stops at once. Run again with the same --snapshots and the
/// same text, it resumes, with any number of workers. The same holds after `kill -9`.
///
/// What goes on is shown on standard error. The exit code is 0 if the text was counted or the job is suspended, 1 if
/// something failed, and 2 if a flag makes no sense.
#[derive(Debug, Parser)]
#[command(name = "wordcount", version)]
pub(crate) struct Args {
    /// Text to count: a file, a directory with all files in it, a pattern of paths, or `-` for standard input. Words
    /// are what stands between ASCII white space, in whatever encoding. Can be given several times. Without it, text is
    /// made up
    #[arg(long, value_name = "PATH|GLOB|-")]
    pub(crate) input: Vec<OsString>,

    /// Where the counts go at the end: one `word<TAB>count` in each line, sorted by the bytes of the word. The file
    /// appears when it is complete
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// How many workers it starts or resumes with [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Option<u32>,

    /// Changes the number of workers, in this order: AT is a time since the start (`2s`, `500ms`) or a number of words
    /// counted since then (`500000r`). With neither --input nor --workers it is 4 after 30 % of the text and 1 after
    /// 60 % [default: none]
    #[arg(long, value_name = "AT:N,...", value_parser = parse_rescale, value_delimiter = ',')]
    rescale: Vec<Rescale>,

    /// Reads this many words per second, not as many as it can; then the latency from when a line was due to its last
    /// count is measured, too
    #[arg(long, value_name = "WORDS_PER_S", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,

    /// Where snapshots are kept: a directory, or a URL such as `file:///path`. Run again with the same one, the job
    /// resumes [default: in memory, which is gone with the process]
    #[arg(long, value_name = "URL")]
    pub(crate) snapshots: Option<String>,

    /// The time between two snapshots; `0s` for none but the last
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2s")]
    pub(crate) snapshot_interval: Duration,

    /// Suspends the job as Ctrl-C does, at a time or after a number of words as in --rescale
    #[arg(long, value_name = "AT", value_parser = parse_at)]
    pub(crate) suspend_after: Option<At>,

    /// How many bins the words are divided into, a power of two. It bounds the number of workers, and is fixed when a
    /// job is first started
    #[arg(long, value_name = "N", default_value_t = BINS_DEFAULT, value_parser = parse_bins)]
    pub(crate) bins: u32,

    /// Reads the input this many times, at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,

    /// Makes the last line on standard output a JSON object that tells how it went
    #[arg(long)]
    pub(crate) json: bool,

    /// How many words are made up when there is no --input
    #[arg(long, value_name = "N", default_value_t = WORDS_DEFAULT)]
    pub(crate) words: u64,

    /// How many different words can be made up
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    pub(crate) vocabulary: u32,

    /// How uneven the made-up words are: the word of rank r is as frequent as 1 / r^X; 0 makes all equally frequent
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(crate) exponent: f64,

    /// Whether the counts are checked against a plain loop over the same text: `yes`, `no`, or `auto` for text that is
    /// made up
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    check: Check,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Check {
    Auto,
    Yes,
    No,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// So long after the start.
    Time(Duration),
    /// When so many words have been counted since the start.
    Words(u64),
}

/// A number of workers from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rescale {
    pub(crate) at: At,
    pub(crate) n_workers: u32,
}

impl Args {
    /// What was asked for; `None` if it was help, which has been given.
    pub(crate) fn from_command_line() -> Result<Option<Self>, Failure> {
        let args = match Self::try_parse() {
            Ok(args) => args,
            Err(asked) if !asked.use_stderr() => {
                asked.print()?;
                return Ok(None);
            }
            Err(error) => return Err(Failure::bad_flags(one_line(&error.to_string()))),
        };
        args.check_together()?;
        Ok(Some(args))
    }

    /// How many workers there are at first.
    pub(crate) fn workers(&self) -> u32 {
        self.workers.unwrap_or(2)
    }

    /// The rescales, in order.
    pub(crate) fn rescales(&self) -> Vec<Rescale> {
        if !self.rescale.is_empty() || self.workers.is_some() || !self.input.is_empty() {
            return self.rescale.clone();
        }
        let after = |tenths: u64| At::Words(self.words / 10 * tenths);
        vec![Rescale { at: after(3), n_workers: 4 }, Rescale { at: after(6), n_workers: 1 }]
            .into_iter()
            .filter(|rescale| rescale.n_workers <= self.bins)
            .collect()
    }

    /// Whether the counts are to be checked.
    pub(crate) fn checks(&self, text: &Text) -> bool {
        match self.check {
            Check::Yes => true,
            Check::No => false,
            Check::Auto => matches!(text, Text::Generated { .. }),
        }
    }

    /// What no flag can tell alone.
    fn check_together(&self) -> Result<(), Failure> {
        let scales = self.rescale.iter().map(|rescale| ("--rescale to", rescale.n_workers));
        for (flag, n_workers) in scales.chain([("--workers", self.workers())]) {
            if n_workers > self.bins {
                let bins = self.bins;
                return Err(Failure::bad_flags(format!(
                    "{flag} {n_workers}: with {bins} bins at most {bins} workers can have work"
                )));
            }
        }
        let reads_stdin = self.input.iter().any(|input| input == "-");
        if reads_stdin && self.input.len() > 1 {
            return Err(Failure::bad_flags("--input -: standard input cannot be read beside files"));
        }
        if self.repeat > 1 && (reads_stdin || self.input.is_empty()) {
            return Err(Failure::bad_flags(
                "--repeat: only files can be read several times; give them as --input",
            ));
        }
        if reads_stdin && self.check == Check::Yes {
            return Err(Failure::bad_flags("--check yes: standard input cannot be read a second time"));
        }
        Ok(())
    }
}

/// The message of a parser's error, without the advice that follows it.
fn one_line(error: &str) -> String {
    let error = error.strip_prefix("error: ").unwrap_or(error);
    let lines = error.lines().map(str::trim);
    let told =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    told.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let n: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Duration::try_from_secs_f64(n * seconds).ok()
    });
    parsed.ok_or_else(|| "a duration is a number and a unit, such as 500ms, 2s or 1m".to_owned())
}

fn parse_at(text: &str) -> Result<At, String> {
    let wrong = || "expected a time such as 2s or 500ms, or a number of words such as 500000r".to_owned();
    match text.strip_suffix('r') {
        Some(words) => words.replace('_', "").parse().map(At::Words).map_err(|_| wrong()),
        None => parse_duration(text).map(At::Time).map_err(|_| wrong()),
    }
}

fn parse_rescale(text: &str) -> Result<Rescale, String> {
    let wrong = "expected AT:N, such as 2s:4 or 500000r:1";
    let (at, n_workers) = text.split_once(':').ok_or(wrong)?;
    match n_workers.trim().parse().map_err(|_| wrong)? {
        0 => Err("0 workers: a job needs at least 1".to_owned()),
        n_workers => Ok(Rescale { at: parse_at(at.trim())?, n_workers }),
    }
}

fn parse_bins(text: &str) -> Result<u32, String> {
    let n: u32 = text.parse().map_err(|_| "expected a number".to_owned())?;
    match n.is_power_of_two() && n <= BINS_MAX {
        true => Ok(n),
        false => Err(format!("choose a power of two up to {BINS_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn moments_are_times_or_words() {
        assert_eq!(parse_at("2s"), Ok(At::Time(Duration::from_secs(2))));
        assert_eq!(parse_at("1.5m"), Ok(At::Time(Duration::from_secs(90))));
        assert_eq!(parse_at("500_000r"), Ok(At::Words(500_000)));
        for wrong in ["2", "r", "-1s", "1e400s", "nans", ""] {
            assert!(parse_at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rescales_come_in_a_list() {
        let args = Args::parse_from(["wordcount", "--rescale", "2s:4,500000r:1"]);
        let rescales: Vec<_> = args.rescales().iter().map(|rescale| rescale.n_workers).collect();
        assert_eq!(rescales, [4, 1]);
        assert!(Args::try_parse_from(["wordcount", "--rescale", "2s:0"]).is_err());
    }
}
