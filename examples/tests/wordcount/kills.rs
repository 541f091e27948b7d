//! Many lives of one job after another, each ended by `kill -9` at a random moment. Whatever moment it was, in the end no
//! word is lost or counted twice.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::harness::{Difference, Folder, Stopped, Text, WordCount, real_text};

/// Kills of a run that names none with [`KILLS`].
const KILLS_DEFAULT: u32 = 20;
/// The variable that names how many kills there are.
const KILLS: &str = "MALSTROM_KILLS";
/// The variable that names where randomness begins.
const SEED: &str = "MALSTROM_KILLS_SEED";
/// After so many kills a job is let run to its end.
const KILLS_OF_ONE_JOB_MAX: u32 = 30;
/// How long a text lasts if nobody is killed: longer than the lives that one job is expected to have.
const TEXT_LASTS_S: u64 = 12;
/// Most workers of a life.
const WORKERS_MAX: u64 = 5;
/// The longest life.
const LIFE_MS_MAX: u64 = 1000;
/// A text that is made up has so many words.
const WORDS: u64 = 300_000;

#[test]
fn killed_at_random_moments() {
    let n_kills = from_environment(KILLS).map_or(KILLS_DEFAULT, |n| u32::try_from(n).unwrap());
    let seed = from_environment(SEED).unwrap_or_else(|| u64::from(std::process::id()));
    let mut rng = Rng(seed);
    let texts = Texts::new();
    let began = Instant::now();
    let mut tally = Tally::default();
    while tally.kills < n_kills {
        let text = texts.of(tally.jobs);
        // Also a short run kills more than one job.
        let n_kills = (n_kills - tally.kills).min(n_kills.div_ceil(2)).min(KILLS_OF_ONE_JOB_MAX);
        let difference = kill_one_job(text, n_kills, &mut rng, &mut tally);
        tally.jobs += 1;
        tally.words += text.n_words();
        tally.lost += difference.lost;
        tally.duplicated += difference.duplicated;
        tell(&format!("{:4.0} s  {tally}", began.elapsed().as_secs_f64()));
        assert_eq!(difference, Difference::default(), "begin with {SEED}={seed}");
    }
    assert!(tally.running >= tally.kills / 4, "most lives were too short to count anything");
}

/// Kills one job again and again, lets it end, and compares what it counted.
fn kill_one_job(text: &Text, n_kills: u32, rng: &mut Rng, tally: &mut Tally) -> Difference {
    let folder = Folder::new();
    let count = |rng: &mut Rng| {
        WordCount::of(text).output(&folder.path("counts")).args([
            "--snapshots",
            &folder.path("snapshots"),
            "--snapshot-interval",
            &format!("{}ms", rng.within(20, 200)),
            "--workers",
            &rng.within(1, WORKERS_MAX).to_string(),
        ])
    };
    let rate = (text.n_words() / TEXT_LASTS_S).to_string();
    for _ in 0..n_kills {
        let mut life = count(rng).args(["--rate", &rate]);
        if rng.within(0, 1) == 0 {
            life = life.args(["--rescale", &rescales(rng)]);
        }
        let running = life.start();
        // Some die before they have begun, while they recover.
        let shortest = if rng.within(0, 4) == 0 { 0 } else { LIFE_MS_MAX / 3 };
        std::thread::sleep(Duration::from_millis(rng.within(shortest, LIFE_MS_MAX)));
        match running.stop() {
            Stopped::Killed { told } => tally.killed(&told),
            Stopped::Ended(ended) => {
                tally.resumed += u32::from(ended.stderr.contains("resumed from"));
                return text.difference(&folder.path("counts"));
            }
        }
    }
    let ended = count(rng).run();
    tally.resumed += u32::from(ended.stderr.contains("resumed from"));
    text.difference(&folder.path("counts"))
}

/// One to three rescales, close together and anywhere in a life.
fn rescales(rng: &mut Rng) -> String {
    let mut at_ms = 0;
    let rescales = (0..rng.within(1, 3)).map(|_| {
        at_ms += rng.within(0, LIFE_MS_MAX / 2);
        format!("{at_ms}ms:{}", rng.within(1, WORKERS_MAX))
    });
    rescales.collect::<Vec<_>>().join(",")
}

/// Texts that stress different things.
struct Texts {
    real: Text,
    /// Each word is its own: much state.
    distinct: Text,
    /// One word only: all in one bin.
    same: Text,
    /// Words that are not text.
    bytes: Text,
    _folder: Folder,
}

impl Texts {
    fn new() -> Self {
        let folder = Folder::new();
        let text = |name: &str, bytes: &[u8]| {
            let path = PathBuf::from(folder.path(name));
            std::fs::write(&path, bytes).unwrap();
            Text::of([path])
        };
        let distinct: String = (0..WORDS).map(|n| format!("word-{n}{}", separator(n))).collect();
        let same: String = (0..WORDS).map(|n| format!("storm{}", separator(n))).collect();
        let mut rng = Rng(1);
        let bytes: Vec<u8> = (0..WORDS * 4).map(|_| rng.next() as u8).collect();
        Self {
            real: real_text(),
            distinct: text("distinct", distinct.as_bytes()),
            same: text("same", same.as_bytes()),
            bytes: text("bytes", &bytes),
            _folder: folder,
        }
    }

    fn of(&self, n_job: u32) -> &Text {
        [&self.real, &self.distinct, &self.same, &self.bytes][n_job as usize % 4]
    }
}

fn separator(n: u64) -> char {
    if n % 10 == 9 { '\n' } else { ' ' }
}

/// What has been done, and found.
#[derive(Default)]
struct Tally {
    kills: u32,
    running: u32,
    resumed: u32,
    rescaling: u32,
    jobs: u32,
    words: u64,
    lost: u64,
    duplicated: u64,
}

impl Tally {
    fn killed(&mut self, told: &str) {
        let n = |what: &str| told.matches(what).count();
        self.kills += 1;
        self.running += u32::from(n("running on") > 0);
        self.resumed += u32::from(n("resumed from") > 0);
        self.rescaling += u32::from(n("rescaling ") > n("rescaled "));
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kills, running, resumed, rescaling, jobs, words, lost, duplicated } = self;
        write!(
            f,
            "{kills} kills ({running} while it ran, {rescaling} within a rescale), {resumed} lives resumed from a \
             snapshot, {jobs} jobs, {words} words: lost {lost}, duplicated {duplicated}"
        )
    }
}

/// Shown even while tests run, as a long run would otherwise be silent.
fn tell(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

/// Steele, Lea and Flood's `SplitMix64`.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from the first to the last, both included.
    fn within(&mut self, first: u64, last: u64) -> u64 {
        first + self.next() % (last - first + 1)
    }
}
