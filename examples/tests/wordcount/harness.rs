//! Runs the program under a time-out, finds real text, and counts it with the tools of the system.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest any one run may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(60);
/// The text that is gathered.
const TEXT_BYTES: usize = 3 << 20;
/// Where machines keep text.
const TEXT_FOLDERS: [&str; 5] = [
    "/usr/share/common-licenses",
    "/usr/share/perl",
    "/usr/share/doc",
    "/usr/share/licenses",
    "/usr/share/man",
];

/// A folder for one test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// Files and how often each word is in them.
pub(crate) struct Text {
    pub(crate) paths: Vec<PathBuf>,
    counts: BTreeMap<Vec<u8>, u64>,
    _folder: Option<TempDir>,
}

/// Several megabytes of text that people wrote, in several files.
pub(crate) fn real_text() -> Text {
    let mut files = Vec::new();
    let mut left = TEXT_BYTES;
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).unwrap_or_default().join("registry/src");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = TEXT_FOLDERS.iter().map(PathBuf::from);
    for folder in folders.chain([cargo, sources]) {
        gather(&folder, &mut left, &mut files);
    }
    assert!(files.len() > 3, "this machine has no text");
    // A copy, since what is installed may change while a test runs.
    let folder = TempDir::new().unwrap();
    let mut paths = Vec::new();
    for (i, chunk) in files.chunks(files.len().div_ceil(7)).enumerate() {
        let path = folder.path().join(format!("{i}.txt"));
        let mut file = File::create(&path).unwrap();
        chunk.iter().for_each(|bytes| file.write_all(bytes).unwrap());
        paths.push(path);
    }
    Text { _folder: Some(folder), ..Text::of(paths) }
}

/// Collects text files below a folder until enough are found.
fn gather(folder: &Path, left: &mut usize, files: &mut Vec<Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if *left == 0 {
            return;
        }
        if path.is_dir() && !path.is_symlink() && !path.ends_with("target") {
            gather(&path, left, files);
        } else if path.extension().is_none_or(|extension| extension != "gz")
            && let Ok(mut bytes) = fs::read(&path)
            && !bytes.contains(&0)
        {
            bytes.truncate(*left);
            *left -= bytes.len();
            files.push(bytes);
        }
    }
}

impl Text {
    /// Counts the words of some files with `tr`, `sort` and `uniq -c`.
    pub(crate) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        const COUNT: &str =
            r#"for file; do cat -- "$file"; echo; done | tr -s ' \t\f\r' '[\n*]' | sort | uniq -c"#;
        let paths: Vec<_> = paths.into_iter().collect();
        let counted = Command::new("sh").env("LC_ALL", "C").args(["-c", COUNT, "sh"]).args(&paths).output();
        let counted = counted.unwrap();
        assert!(counted.status.success());
        let mut counts = BTreeMap::new();
        for line in counted.stdout.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start) {
            let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
            let (count, word) = line.split_at(at);
            // A newline that `tr` made of something else is not squeezed with one that was there: an empty word.
            if word.len() > 1 {
                counts.insert(word[1..].to_vec(), str::from_utf8(count).unwrap().parse().unwrap());
            }
        }
        Self { paths, counts, _folder: None }
    }

    pub(crate) fn n_words(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Asserts that a file holds exactly these counts, sorted by word.
    pub(crate) fn assert_counted(&self, output: &str) {
        self.assert_counted_times(1, output);
    }

    /// The same for text that was read several times.
    pub(crate) fn assert_counted_times(&self, n_times: u64, output: &str) {
        let output = fs::read(output).unwrap();
        let mut expected = self.counts.iter();
        for line in output.split_inclusive(|byte| *byte == b'\n') {
            let (word, count) = expected.next().expect("no word is made up");
            let line_expected = [&word[..], format!("\t{}\n", count * n_times).as_bytes()].concat();
            assert_eq!(line.escape_ascii().to_string(), line_expected.escape_ascii().to_string());
        }
        assert_eq!(expected.next(), None, "no word is left out");
    }

    /// How the counts in a file differ from those of the text.
    pub(crate) fn difference(&self, output: &str) -> Difference {
        let output = fs::read(output).unwrap();
        let mut left = self.counts.clone();
        let mut difference = Difference::default();
        for line in output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let at = line.iter().rposition(|byte| *byte == b'\t').unwrap();
            let actual: u64 = str::from_utf8(&line[at + 1..]).unwrap().parse().unwrap();
            let expected = left.remove(&line[..at]).unwrap_or(0);
            difference.lost += expected.saturating_sub(actual);
            difference.duplicated += actual.saturating_sub(expected);
        }
        difference.lost += left.values().sum::<u64>();
        difference
    }
}

/// How counts differ from what is right, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Words that were not counted.
    pub(crate) lost: u64,
    /// Words that were counted again, or are in no text.
    pub(crate) duplicated: u64,
}

/// A run of the program that is yet to be started.
pub(crate) struct WordCount {
    args: Vec<OsString>,
    input: Stdio,
}

impl WordCount {
    /// Without any flag.
    pub(crate) fn bare() -> Self {
        Self { args: Vec::new(), input: Stdio::null() }
    }

    /// With a report.
    pub(crate) fn new() -> Self {
        Self::bare().args(["--json"])
    }

    /// With a report and a text.
    pub(crate) fn of(text: &Text) -> Self {
        text.paths
            .iter()
            .fold(Self::new(), |count, path| count.args([OsStr::new("--input"), path.as_os_str()]))
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn output(self, path: &str) -> Self {
        self.args(["--output", path])
    }

    pub(crate) fn reads(mut self, path: &Path) -> Self {
        self.input = File::open(path).unwrap().into();
        self
    }

    /// Runs it to its end, which must be a good one.
    pub(crate) fn run(self) -> Ended {
        self.start().end()
    }

    pub(crate) fn start(self) -> Running {
        // Files and not pipes: nobody need empty them while the program runs.
        let folder = TempDir::new().unwrap();
        let file = |name| File::create(folder.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_wordcount"))
            .args(&self.args)
            .stdin(self.input)
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        Running { child, folder, deadline: Instant::now() + RUN_TIME_MAX }
    }
}

/// A run of the program.
pub(crate) struct Running {
    child: Child,
    folder: TempDir,
    deadline: Instant,
}

/// A run that was stopped at a moment that nobody chose.
pub(crate) enum Stopped {
    /// It was still running, and had told this.
    Killed { told: String },
    /// It had ended, and well.
    Ended(Ended),
}

/// A run that has ended.
pub(crate) struct Ended {
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    /// Waits until it has told something.
    pub(crate) fn wait_for(&mut self, told: &str) {
        while !self.read("stderr").contains(told) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended without telling `{told}`:\n{}", self.read("stderr"));
            self.rest();
        }
    }

    /// Kills it by `kill -9`; whether it was still running.
    pub(crate) fn kill(mut self) -> bool {
        let child = &mut self.child;
        child.kill().unwrap();
        child.wait().unwrap().signal() == Some(9)
    }

    /// Kills it by `kill -9`, unless it has ended.
    pub(crate) fn stop(mut self) -> Stopped {
        self.child.kill().unwrap();
        match self.child.wait().unwrap().signal() {
            Some(9) => Stopped::Killed { told: self.read("stderr") },
            _ => Stopped::Ended(self.end()),
        }
    }

    pub(crate) fn signal(&mut self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Waits for a good end.
    pub(crate) fn end(self) -> Ended {
        self.end_with(0)
    }

    pub(crate) fn end_with(self, code: i32) -> Ended {
        let ended = self.wait();
        assert_eq!(ended.status.code(), Some(code), "{}\n{}", ended.stdout, ended.stderr);
        ended
    }

    pub(crate) fn end_code(self) -> i32 {
        self.wait().status.code().unwrap()
    }

    fn wait(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            self.rest();
        };
        Ended { status, stdout: self.read("stdout"), stderr: self.read("stderr") }
    }

    fn rest(&mut self) {
        if Instant::now() > self.deadline {
            panic!("it hangs:\n{}", self.read("stderr"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join(name)).unwrap()).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let child = &mut self.child;
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Ended {
    /// The last line on standard output.
    pub(crate) fn report(&self) -> serde_json::Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
    }
}
